"""Applying a batch: every record has exactly one effect, or is set aside once with its bytes."""

import asyncio
import random
import traceback
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from tally_messaging import inbox, quarantine
from tally_messaging.envelope import Cause
from tally_messaging.errors import TransientFault
from tally_messaging.metrics import MessagingMetrics
from tally_messaging.notices import QUARANTINE_TOPIC, RecordQuarantined
from tally_messaging.parser import parse
from tally_messaging.quarantine import PARKED, SetAside
from tally_messaging.records import Received, Record, Refused, Skipped
from tally_messaging.router import Router
from tally_messaging.tracing import batch_span
from tally_messaging.unit_of_work import Transactor, UnitOfWork
from tally_postgres import is_transient
from tally_runtime import get_logger

_LOG = get_logger("tally_messaging.batch")
_TRACE_CHARS = 8000
Item = Received[BaseModel] | Refused
Step = Callable[[str], Awaitable[None]]


async def no_step(_: str) -> None:
    return None


@dataclass(slots=True)
class Sorted:
    """A batch after the inbox: what to apply and what to set aside."""

    fresh: list[Received[BaseModel]] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class BatchProcessor:
    """Applies batches for one router.

    `attempts` bounds how often a record that raises an unexpected error is tried by itself before
    it is quarantined. `step` is called at named points ("fetched" before anything, "applied" inside the
    transaction, "committed" after it) so that tests can kill the process there.
    """

    router: Router
    transactor: Transactor
    metrics: MessagingMetrics
    attempts: int = 3
    step: Step = no_step

    async def process(self, records: Sequence[Record]) -> int:
        """Apply a batch in one transaction; how many ordinary records it was worth in work.

        Raises `TransientFault` when a dependency is down: nothing was applied, try the same batch
        again. Any other error ends in one-by-one application and never leaves this method.
        """
        await self.step("fetched")
        consumer = self.router.consumer
        expected = self.router.expected()
        items: list[Item] = []
        skipped = 0
        for record in records:
            item = parse(record, expected[record.topic])
            if isinstance(item, Skipped):
                skipped += 1
            else:
                items.append(item)
        if skipped:
            self.metrics.records(consumer, "skipped").inc(skipped)
        if not items:
            return len(records)
        self.metrics.batch_records(consumer).observe(len(items))
        with self.metrics.batch_seconds(consumer).time():
            try:
                await self._apply(items)
            except Exception as error:  # noqa: BLE001 - any record may hold an unforeseen fault
                self._raise_if_transient(error)
                _LOG.warning(
                    "batch_replayed_one_by_one",
                    consumer=consumer,
                    records=len(items),
                    error=type(error).__name__,
                )
                for item in items:
                    await self._apply_alone(item)
        events = [item.event for item in items if isinstance(item, Received)]
        return len(records) - len(events) + self.router.worth(events)

    async def _apply_alone(self, item: Item) -> None:
        for attempt in range(1, self.attempts + 1):
            try:
                await self._apply([item])
            except Exception as error:  # noqa: BLE001 - ends in quarantine, with its traceback
                self._raise_if_transient(error)
                if attempt == self.attempts:
                    await self._quarantine_failed(item, error)
                else:
                    # Short and jittered: the cause may be a neighbour in the same millisecond.
                    await asyncio.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311
            else:
                return

    def _raise_if_transient(self, error: Exception) -> None:
        if isinstance(error, TransientFault):
            raise error
        if is_transient(error):
            raise TransientFault(f"{type(error).__name__}: {error}") from error

    async def _apply(self, items: Sequence[Item]) -> None:
        async def unit(uow: UnitOfWork) -> Sorted:
            batch = await self._sort(uow, items)
            if batch.set_aside:
                await self._set_aside(uow, batch.set_aside)
            if batch.fresh:
                with batch_span(self.transactor.tracer, self.router.consumer, batch.fresh):
                    await self.router.dispatch(uow, batch.fresh)
            await self.step("applied")
            return batch

        batch = await self.transactor.run(unit)
        await self.step("committed")
        count = self.metrics.records
        consumer = self.router.consumer
        parked = sum(1 for item in batch.set_aside if item.code == PARKED)
        for outcome, number in (
            ("applied", len(batch.fresh)),
            ("duplicate", batch.duplicates),
            ("parked", parked),
            ("quarantined", len(batch.set_aside) - parked),
        ):
            if number:
                count(consumer, outcome).inc(number)

    async def _sort(self, uow: UnitOfWork, items: Sequence[Item]) -> Sorted:
        """Enter the batch in the inbox and tell new from seen, conflicting and blocked."""
        batch = Sorted()
        ordered = self.router.ordered_topics()
        first: dict[uuid.UUID, Received[BaseModel]] = {}
        again: list[Received[BaseModel]] = []
        for item in items:
            if isinstance(item, Refused):
                batch.set_aside.append(self._refusal(item, ordered))
            elif item.event_key in first:
                again.append(item)
            else:
                first[item.event_key] = item
        new = await inbox.claim(
            uow.conn,
            self.router.consumer,
            list(first),
            [item.body_hash for item in first.values()],
            uow.now,
        )
        seen = [item for key, item in first.items() if key not in new] + again
        if seen:
            known = await inbox.hashes(
                uow.conn, self.router.consumer, [item.event_key for item in seen]
            )
            for item in seen:
                before = known.get(item.event_key)
                if before == item.body_hash:
                    batch.duplicates += 1
                elif before is None:
                    batch.set_aside.append(self._forgotten(item))
                else:
                    batch.set_aside.append(self._conflict(item))
        blocked = (
            await quarantine.blocked_keys(uow.conn, self.router.consumer) if ordered else set()
        )
        blocked |= {(s.record.topic, s.record.key) for s in batch.set_aside if s.blocks}
        for key, item in first.items():
            if key not in new:
                continue
            if blocked and item.topic in ordered and (item.topic, item.record.key) in blocked:
                batch.set_aside.append(self._parked(item))
            else:
                batch.fresh.append(item)
        return batch

    def _refusal(self, item: Refused, ordered: frozenset[str]) -> SetAside:
        record = item.record
        blocks = record.topic in ordered and record.key is not None
        return SetAside(record, item.code, item.field, item.detail, blocks=blocks)

    def _conflict(self, item: Received[BaseModel]) -> SetAside:
        return SetAside(
            item.record,
            "id_conflict",
            "ce_id",
            f"event {item.envelope.id} came before with another body: the first one stands; "
            "a new fact needs a new id",
            blocks=False,
            event_key=item.event_key,
        )

    def _forgotten(self, item: Received[BaseModel]) -> SetAside:
        return SetAside(
            item.record,
            "event_too_old",
            "ce_id",
            f"event {item.envelope.id} is older than what the inbox remembers, so it may have been "
            "applied before: look for its effect, then replay it if there is none, else drop it",
            blocks=False,
            event_key=item.event_key,
        )

    def _parked(self, item: Received[BaseModel]) -> SetAside:
        return SetAside(
            item.record,
            PARKED,
            None,
            "an earlier record of this key is in quarantine: replay or drop that one",
            blocks=False,
            event_key=item.event_key,
        )

    async def _quarantine_failed(self, item: Item, error: Exception) -> None:
        """Set aside a record that raises whenever it is applied, with its traceback."""
        assert not isinstance(item, Refused), "a refused record is set aside without applying it"
        _LOG.error(
            "record_quarantined",
            consumer=self.router.consumer,
            topic=item.record.topic,
            partition=item.record.partition,
            offset=item.record.offset,
            event_id=item.envelope.id,
            error=type(error).__name__,
            exc_info=error,
        )
        ordered = self.router.ordered_topics()
        set_aside = SetAside(
            item.record,
            "use_case_error",
            None,
            f"{type(error).__name__}: {error}"[:500],
            blocks=item.topic in ordered and item.record.key is not None,
            event_key=item.event_key,
            trace="".join(traceback.format_exception(error))[-_TRACE_CHARS:],
        )

        async def unit(uow: UnitOfWork) -> None:
            new = await inbox.claim(
                uow.conn, self.router.consumer, [item.event_key], [item.body_hash], uow.now
            )
            if new:
                await self._set_aside(uow, [set_aside])

        try:
            await self.transactor.run(unit)
        except Exception as second:
            self._raise_if_transient(second)
            raise
        self.metrics.records(self.router.consumer, "quarantined").inc()

    async def _set_aside(self, uow: UnitOfWork, records: Sequence[SetAside]) -> None:
        new = await quarantine.insert(
            uow.conn, self.router.consumer, records, [uow.ids.uuid7() for _ in records], uow.now
        )
        for item in records:
            record = item.record
            if item.code == PARKED or (record.topic, record.partition, record.offset) not in new:
                continue
            _LOG.warning(
                "record_set_aside",
                consumer=self.router.consumer,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                code=item.code,
                field=item.field,
            )
            notice = RecordQuarantined.of(self.router.consumer, item, uow.now)
            uow.emit(
                notice,
                topic=QUARANTINE_TOPIC,
                key=self.router.consumer,
                cause=Cause(correlation_id=str(uow.ids.uuid7())),
            )
