"""The relay: publishes outbox lanes in order, at least once, one relay per lane at a time."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from tally_messaging import outbox, quarantine
from tally_messaging.batch import Step, no_step
from tally_messaging.envelope import encode_headers
from tally_messaging.handover import Handover
from tally_messaging.metrics import MessagingMetrics
from tally_messaging.outbox import OutgoingRecord, StoredRecord
from tally_messaging.quarantine import RELAY_CONSUMER, SetAside
from tally_messaging.records import UnfetchedRecord
from tally_messaging.settings import MessagingSettings
from tally_postgres import Pool, is_transient
from tally_runtime import Clock, Ids, get_logger

_LOG = get_logger("tally_messaging.relay")
_MAX_BATCH_BYTES = 1024 * 1024
_REQUEST_OVERHEAD_BYTES = 64 * 1024
_HANDOVER_BYTES_MAX = 16 * 1024 * 1024
_DEPTH_INTERVAL_S = 2.0


@dataclass(slots=True)
class _Lane:
    """A lane this relay holds: what was published up to, and what the database knows of it.

    Times are of this process's clock.
    """

    extended_at: float
    position: int
    stored: int
    stored_at: float


@lru_cache(maxsize=16_384)
def _murmur2(key: bytes) -> int:
    hashed: int = murmur2(key)
    return hashed & 0x7FFFFFFF


def partition_of(key: bytes, partitions: Sequence[int], _: Sequence[int]) -> int:
    """The partition Kafka's default partitioner chooses; its hash, slow in Python, is kept for a while."""
    return partitions[_murmur2(key) % len(partitions)]


async def _batches(
    producer: AIOKafkaProducer, records: Sequence[StoredRecord]
) -> list[tuple[str, int, BatchBuilder]]:
    """The records by topic and partition, in order within each, as batches the broker takes whole.

    A future for each record would cost as much again as writing it.
    """
    partitions: dict[str, list[int]] = {}
    open_batches: dict[tuple[str, int], BatchBuilder] = {}
    batches: list[tuple[str, int, BatchBuilder]] = []
    for record in records:
        topic, key = record.topic, record.key.encode()
        known = partitions.get(topic)
        if known is None:
            known = partitions[topic] = sorted(await producer.partitions_for(topic))
        place = (topic, partition_of(key, known, known))
        headers = encode_headers(record.headers)
        batch = open_batches.get(place)
        taken = None
        if batch is not None:
            taken = batch.append(timestamp=None, key=key, value=record.payload, headers=headers)
        if taken is None:
            batch = open_batches[place] = producer.create_batch()
            batches.append((*place, batch))
            # An empty batch takes any record: the broker judges its size.
            batch.append(timestamp=None, key=key, value=record.payload, headers=headers)
    for _, _, batch in batches:
        batch.close()
    return batches


class Relay:
    """Publishes every lane of one service's outbox.

    A lane belongs to whoever holds its lease, measured by the database's clock; sending stops well
    before a lease can run out. Records keep their `ce_id`, so what a crash or a second relay
    publishes again is dropped by consumers. `step` is called at named points ("sending" before a
    page goes out, "sent" after the broker's acknowledgement, before the position moves) so that tests can kill the process there.
    """

    def __init__(
        self,
        pool: Pool,
        settings: MessagingSettings,
        *,
        owner: str,
        clock: Clock,
        ids: Ids,
        metrics: MessagingMetrics,
        step: Step = no_step,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._step = step
        self._woken = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None
        self._handover = Handover(settings.relay_handover_records_max, _HANDOVER_BYTES_MAX)
        self._held: dict[int, _Lane] = {}
        self.progress_at = clock.monotonic()

    def wake(self) -> None:
        """Something was committed: publish it now rather than at the next poll."""
        self._woken.set()

    def hand_over(self, lane: int, first_seq: int, records: Sequence[OutgoingRecord]) -> None:
        """Take records this process has committed, so that they need not be read back."""
        self._handover.put(lane, first_seq, records)

    async def start(self) -> None:
        """Begin publishing in the background."""
        await outbox.ensure_lanes(self._pool, self._settings.outbox_lanes)
        self._task = asyncio.create_task(self._run(), name=f"{self._owner}-relay")

    async def stop(self) -> None:
        """Publish what is committed, then give up the leases."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            async with asyncio.timeout(self._settings.graceful_timeout_s / 2):
                if self._producer is not None:
                    await self._publish_all_lanes()
                    await self._move_positions(0.0)
                await outbox.give_up(self._pool, self._owner)
        except Exception as error:  # noqa: BLE001 - whoever takes the lease next publishes the rest
            _LOG.warning("relay_stopped_early", owner=self._owner, error=repr(error)[:300])
        await self._close_producer()

    def failed(self) -> BaseException | None:
        """The error that ended the relay's task, if one did."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        return self._task.exception()

    async def _run(self) -> None:
        failures = 0
        measured_at = 0.0
        while True:
            self._woken.clear()
            try:
                await self._publish_all_lanes()
                await self._move_positions(self._settings.relay_position_interval_ms / 1000)
                if self._clock.monotonic() - measured_at > _DEPTH_INTERVAL_S:
                    measured_at = self._clock.monotonic()
                    await self._measure()
            except Exception as error:
                if not (isinstance(error, KafkaError) or is_transient(error)):
                    raise
                failures += 1
                await self._pause_after(error, failures)
                continue
            failures = 0
            self.progress_at = self._clock.monotonic()
            await self._sleep_until_woken()

    async def _pause_after(self, error: Exception, failures: int) -> None:
        """After a fault the producer is built anew: a fatal one (out of sequence) cannot go on."""
        self._metrics.publish_errors().inc()
        settings = self._settings
        ceiling = min(
            settings.back_off_initial_ms * 2 ** min(failures, 16), settings.back_off_max_ms
        )
        delay = ceiling * random.uniform(0.5, 1.0) / 1000  # noqa: S311 - jitter, not a secret
        _LOG.warning(
            "relay_backs_off",
            owner=self._owner,
            failures=failures,
            error=repr(error)[:300],
            delay_ms=round(delay * 1000),
        )
        self._held.clear()
        await self._close_producer()
        await asyncio.sleep(delay)

    async def _sleep_until_woken(self) -> None:
        try:
            async with asyncio.timeout(self._until_due()):
                await self._woken.wait()
        except TimeoutError:
            return

    def _until_due(self) -> float:
        """Seconds to sleep: to the next poll, or to the moment a position should move."""
        poll_s = self._settings.relay_poll_ms / 1000
        unsaved = [held for held in self._held.values() if held.position > held.stored]
        if not unsaved:
            return poll_s
        since = min(held.stored_at for held in unsaved)
        due_s = since + self._settings.relay_position_interval_ms / 1000 - self._clock.monotonic()
        return max(0.001, min(poll_s, due_s))

    async def _publish_all_lanes(self) -> None:
        for lane in range(self._settings.outbox_lanes):
            await self._publish_lane(lane)

    async def _publish_lane(self, lane: int) -> None:
        published = 0
        full = self._settings.relay_page_records
        while True:
            held = await self._hold(lane)
            if held is None:
                break
            records = self._handover.take(lane, held.position, full)
            if not records and published % full == 0:
                # A page that was not full was the last: what is committed since wakes the relay again.
                records = await outbox.page(self._pool, lane, held.position, full)
            if not records:
                break
            expected = range(held.position + 1, held.position + 1 + len(records))
            assert [r.seq for r in records] == list(expected), f"outbox lane {lane} has a gap"
            await self._step("sending")
            # Half the lease at most: another relay can only take over after this one has given up.
            async with asyncio.timeout(self._settings.relay_lease_s / 2):
                await self._send(lane, records)
            await self._step("sent")
            held.position = records[-1].seq
            self._metrics.published().inc(len(records))
            published += len(records)

    async def _hold(self, lane: int) -> "_Lane | None":
        """A lane this relay may publish, or None.

        A lease that was taken or extended less than a quarter of its time ago is not asked for again.
        """
        now = self._clock.monotonic()
        held = self._held.get(lane)
        if held is not None:
            if now - held.extended_at < self._settings.relay_lease_s / 4:
                return held
            # What the database knows may lie behind what was published: told, not asked for.
            return held if await self._move_position(lane, held) else None
        leased = await outbox.lease(self._pool, lane, self._owner, self._settings.relay_lease_s)
        if leased is None:
            return None
        held = self._held[lane] = _Lane(now, leased, leased, now)
        return held

    async def _move_positions(self, interval_s: float) -> None:
        """Tell the database how far each lane is published where it was not told for `interval_s`."""
        for lane, held in list(self._held.items()):
            if (
                held.position > held.stored
                and self._clock.monotonic() - held.stored_at >= interval_s
            ):
                await self._move_position(lane, held)

    async def _move_position(self, lane: int, held: "_Lane") -> bool:
        """Store the position and extend the lease; False when the lease was lost meanwhile."""
        now = self._clock.monotonic()
        position, lease_s = held.position, self._settings.relay_lease_s
        if not await outbox.advance(self._pool, lane, self._owner, position, lease_s):
            _LOG.warning("relay_lost_lease", owner=self._owner, lane=lane)
            self._held.pop(lane, None)
            return False
        held.extended_at = held.stored_at = now
        held.stored = position
        return True

    async def _send(self, lane: int, records: Sequence[StoredRecord]) -> None:
        producer = self._producer or await self._open_producer()
        try:
            waiting = [
                await producer.send_batch(batch, topic, partition=partition)
                for topic, partition, batch in await _batches(producer, records)
            ]
            await asyncio.gather(*waiting)
        except MessageSizeTooLargeError:
            # The broker refuses whole batches for it, small neighbours included, and the producer's
            # sequence is broken: a new one sends the page again, record by record.
            await self._close_producer()
            await self._send_one_by_one(lane, records)

    async def _send_one_by_one(self, lane: int, records: Sequence[StoredRecord]) -> None:
        for record in records:
            producer = self._producer or await self._open_producer()
            try:
                await producer.send_and_wait(
                    record.topic,
                    value=record.payload,
                    key=record.key.encode(),
                    headers=encode_headers(record.headers),
                )
            except MessageSizeTooLargeError as error:
                await self._close_producer()
                await self._set_aside(lane, record, error)

    async def _set_aside(
        self, lane: int, record: StoredRecord, error: MessageSizeTooLargeError
    ) -> None:
        """Quarantine an event its topic is too small for, so that it cannot hold up the lane.

        `emit` refuses what no topic takes; here a topic's own limit was lowered. Once it is raised,
        `dlq replay` publishes the event.
        """
        _LOG.error(
            "outbox_record_too_large",
            owner=self._owner,
            topic=record.topic,
            seq=record.seq,
            bytes=len(record.payload),
        )
        stored = UnfetchedRecord(
            topic=record.topic,
            partition=lane,
            offset=record.seq,
            key=record.key.encode(),
            value=record.payload,
            headers=encode_headers(record.headers),
        )
        detail = f"{len(record.payload)} bytes are more than topic {record.topic} takes: {error}"
        set_aside = SetAside(stored, "oversize", None, detail, blocks=False)
        async with self._pool.acquire() as conn:
            await quarantine.insert(
                conn, RELAY_CONSUMER, [set_aside], [self._ids.uuid7()], self._clock.now()
            )

    async def _open_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka,
            client_id=self._owner,
            acks="all",
            enable_idempotence=True,
            partitioner=partition_of,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=_MAX_BATCH_BYTES + _REQUEST_OVERHEAD_BYTES,
            request_timeout_ms=15_000,
            metadata_max_age_ms=30_000,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer

    async def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(5):
                await producer.stop()
        except (KafkaError, TimeoutError) as error:
            _LOG.info("producer_closed_hard", owner=self._owner, error=repr(error)[:200])

    async def _measure(self) -> None:
        waiting, oldest = await outbox.depth(self._pool)
        self._metrics.outbox_depth().set(waiting)
        age = 0.0 if oldest is None else (self._clock.now() - oldest).total_seconds()
        self._metrics.outbox_age_seconds().set(age)
