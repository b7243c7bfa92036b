"""One transaction: inbox, state and outbox together."""

import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol, TypeVar

from opentelemetry import trace

from tally_messaging import outbox
from tally_messaging.envelope import Cause, outgoing_headers
from tally_messaging.errors import OversizeEvent
from tally_messaging.outbox import OutgoingRecord
from tally_messaging.tracing import publishing_traceparent
from tally_postgres import Connection, Pool, Uuid, in_transaction
from tally_runtime import Clock, Ids

T = TypeVar("T")
Appended = tuple[int, int, Sequence[OutgoingRecord]]
HandOver = Callable[[int, int, Sequence[OutgoingRecord]], None]
"""Takes a lane, the sequence number of the first record, and the records."""


class Emittable(Protocol):
    """An event or command as `emit` needs it: a Pydantic model with its CloudEvents type."""

    TYPE: ClassVar[str]

    def model_dump_json(self) -> str: ...


class Following(Protocol):
    """Anything with a cause to inherit: a received message, or a row that kept one."""

    @property
    def cause(self) -> Cause: ...


@dataclass(slots=True)
class UnitOfWork:
    """What a use case works with: the transaction's connection, the time, and `emit`.

    `now` is one moment for the whole unit, so that replaying it decides the same.
    """

    conn: Connection
    now: datetime
    ids: Ids
    source: str
    max_payload_bytes: int
    tracer: trace.Tracer | None
    outgoing: list[OutgoingRecord] = field(default_factory=list)

    def emit(
        self,
        event: Emittable,
        *,
        topic: str,
        key: str,
        cause: Cause | Following,
        subject: str | None = None,
    ) -> str:
        """Append an event to the outbox of this transaction; returns its `ce_id`.

        Events of one key are published in the order they were emitted. Raises `OversizeEvent`
        rather than let an event into the outbox that no broker would take.
        """
        inherited = cause if isinstance(cause, Cause) else cause.cause
        event_id = Uuid(self.ids.uuid7_bytes())
        id_text = str(event_id)
        traceparent = publishing_traceparent(self.tracer, topic, inherited.traceparent)
        if traceparent != inherited.traceparent:
            inherited = Cause(
                inherited.correlation_id,
                inherited.causation_id,
                inherited.tenant,
                inherited.actor,
                traceparent,
            )
        payload = event.model_dump_json().encode()
        if len(payload) > self.max_payload_bytes:
            raise OversizeEvent(event.TYPE, len(payload), self.max_payload_bytes)
        self.outgoing.append(
            OutgoingRecord(
                event_id=event_id,
                topic=topic,
                key=key,
                headers=outgoing_headers(
                    event_id=id_text,
                    source=self.source,
                    event_type=event.TYPE,
                    at=self.now,
                    subject=subject or key,
                    cause=inherited,
                ),
                payload=payload,
            )
        )
        return id_text


@dataclass(frozen=True, slots=True)
class Transactor:
    """Runs work as units: begins, hands over a `UnitOfWork`, appends its outbox, commits, wakes the relay.

    `source` is the CloudEvents source of what is emitted. `lanes` spreads keys over that many
    gap-free sequences; keys keep their lane, so order per key holds. `hand_over` gets what was
    committed (lane, first sequence number, records), so that the relay need not read it back.
    """

    pool: Pool
    clock: Clock
    ids: Ids
    source: str
    lanes: int = 1
    max_payload_bytes: int = 900_000
    wake_relay: Callable[[], None] = lambda: None
    hand_over: HandOver | None = None
    tracer: trace.Tracer | None = None

    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Run one unit; on a deadlock or serialization failure the whole of it again."""
        appended: list[Appended] = []

        async def unit(conn: Connection) -> T:
            nonlocal appended
            uow = UnitOfWork(
                conn=conn,
                now=self.clock.now(),
                ids=self.ids,
                source=self.source,
                max_payload_bytes=self.max_payload_bytes,
                tracer=self.tracer,
            )
            result = await work(uow)
            # Last, so that the lane row is locked for as short as possible.
            appended = await self._append(conn, uow.outgoing, uow.now)
            return result

        result = await in_transaction(self.pool, unit)
        if appended:
            if self.hand_over is not None:
                for lane, first_seq, records in appended:
                    self.hand_over(lane, first_seq, records)
            self.wake_relay()
        return result

    async def _append(
        self, conn: Connection, records: Sequence[OutgoingRecord], now: datetime
    ) -> list[Appended]:
        if not records:
            return []
        if self.lanes == 1:
            return [(0, await outbox.append(conn, 0, records, now), records)]
        by_lane: dict[int, list[OutgoingRecord]] = {}
        for record in records:
            by_lane.setdefault(zlib.crc32(record.key.encode()) % self.lanes, []).append(record)
        # Lane order, so that two units never wait for each other.
        return [
            (lane, await outbox.append(conn, lane, by_lane[lane], now), by_lane[lane])
            for lane in sorted(by_lane)
        ]
