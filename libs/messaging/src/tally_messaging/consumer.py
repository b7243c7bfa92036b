"""One consumer group on the broker: fetch, hand over a batch, commit offsets explicitly, back off.

FastStream fetches and calls; everything it would decide about acknowledgement is switched off and
done here, because its policies either lose failed records or retry them without a pause.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from tally_messaging import pace
from tally_messaging.batch import BatchProcessor
from tally_messaging.errors import ConsumerStuck, TransientFault
from tally_messaging.records import Record
from tally_messaging.settings import MessagingSettings
from tally_runtime import Clock, get_logger

_LOG = get_logger("tally_messaging.consumer")
_WATCH_INTERVAL_S = 1.0
_FETCH_BYTES = 1_048_576
_BATCH_PART = 1 / 4
"""Of the time a service has to stop, what a batch in work may take; the relay may take half."""


def create_broker(settings: MessagingSettings, service: str) -> KafkaBroker:
    """A FastStream broker that only consumes: publishing is the relay's, topics the catalogue's."""
    logger = logging.getLogger("tally_messaging.faststream")
    # Below errors it says what is so on purpose, such as that it creates no topics.
    logger.setLevel(logging.ERROR)
    return KafkaBroker(
        settings.kafka,
        client_id=f"tally-{service}",
        consumer_only=True,
        allow_auto_create_topics=False,
        apply_types=False,
        graceful_timeout=settings.graceful_timeout_s,
        request_timeout_ms=15_000,
        metadata_max_age_ms=30_000,
        logger=logger,
        log_level=logging.DEBUG,
        # Fixed, so that generated documents name no address.
        specification_url="kafka:9092",
    )


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Drives one router from its topics. At most one batch is in work at a time."""

    def __init__(
        self,
        broker: KafkaBroker,
        processor: BatchProcessor,
        settings: MessagingSettings,
        clock: Clock,
    ) -> None:
        self.router = processor.router
        self._processor = processor
        self._settings = settings
        self._clock = clock
        self._busy = asyncio.Lock()
        self._done: dict[TopicPartition, int] = {}
        self._failures = 0
        self._paused = False
        self._ending = False
        self._leaving = False
        self._work: asyncio.Task[int] | None = None
        self._progress_at = clock.monotonic()
        self._batch_since = clock.monotonic()
        self._worth = 0
        self._started_at = clock.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._resume: asyncio.TimerHandle | None = None
        name = self.router.consumer
        self.subscriber = broker.subscriber(
            *(subscription.topic for subscription in self.router.subscriptions),
            batch=True,
            group_id=name,
            group_instance_id=None if settings.instance is None else f"{name}-{settings.instance}",
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            max_records=settings.batch_records_max,
            # One partition alone may fill a batch: what is behind in it is seen to be a backlog.
            max_partition_fetch_bytes=max(_FETCH_BYTES, settings.batch_bytes_max),
            # Answered by the first record: asked only when it can be taken (`_poll`).
            fetch_max_wait_ms=settings.fetch_wait_ms,
            fetch_min_bytes=1,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            max_poll_interval_ms=settings.max_poll_interval_ms,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            listener=self,
            no_reply=True,
            parser=_as_it_came,
            decoder=_raw_records,
            title=name,
        )
        # FastStream's own sleeps after every empty poll, however many records come meanwhile.
        self.subscriber.get_msg = self._poll  # type: ignore[method-assign]
        self.subscriber(self._consume)

    async def start(self) -> None:
        """Join the group and begin. Waits for the broker as long as it takes, saying so."""
        await self._start_subscriber()
        self._tasks = [
            asyncio.create_task(self._commit_regularly(), name=f"{self.router.consumer}-offsets"),
            asyncio.create_task(self._watch(), name=f"{self.router.consumer}-watch"),
        ]

    async def stop(self) -> None:
        """Finish the batch in work, commit its offsets, leave the group.

        A batch that lasts too long, behind a row that somebody else has locked, is undone: whoever
        gets its partitions gets its records too.
        """
        self._ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._resume is not None:
            self._resume.cancel()
        await self._end_work()
        # Taken to the end: no further batch starts while the group is left.
        async with self._busy:
            await self._commit()
            self._leaving = True
            await self.subscriber.stop()

    async def _end_work(self) -> None:
        """Wait for the batch in work; undo it if it takes too long."""
        limit = self._settings.graceful_timeout_s * _BATCH_PART
        try:
            async with asyncio.timeout(limit), self._busy:
                return
        except TimeoutError:
            _LOG.warning("batch_given_up", consumer=self.router.consumer, waited_s=limit)
        if self._work is not None:
            self._work.cancel("the service stops")

    def failed(self) -> BaseException | None:
        """The error that ended one of the consumer's own tasks, if one did."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return next((error for task in ended if (error := task.exception()) is not None), None)

    @property
    def seconds_without_progress(self) -> float:
        """Seconds since a batch was last in work, or a back-off or a fresh answer to a fetch was seen."""
        return self._clock.monotonic() - self._progress_at

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the batch in work end and commit it before the partitions go."""
        if self._leaving:
            # Whoever stops the subscriber holds the lock: waiting for it here would wait for itself.
            return
        limit = self._settings.graceful_timeout_s
        try:
            async with asyncio.timeout(limit), self._busy:
                await self._commit()
        except TimeoutError:
            _LOG.warning("batch_outlived_rebalance", consumer=self.router.consumer, waited_s=limit)
        for partition in revoked:
            self._done.pop(partition, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Partitions arrive unpaused, and what was done before another member had them is forgotten."""
        self._paused = False
        for partition in assigned:
            self._done.pop(partition, None)
        _LOG.info("partitions_assigned", consumer=self.router.consumer, partitions=len(assigned))

    async def _poll(self, consumer: AIOKafkaConsumer) -> Any:
        """Records as soon as there are some; none after the time-out, so that stopping is noticed.

        The client would fetch the next records at once and then hold them, so that they could grow no
        more: it is paused until they can be taken, and then gets all that came meanwhile.
        """
        if not self._paused:
            consumer.resume(*consumer.assignment())
        found = await consumer.getmany(
            timeout_ms=self._settings.poll_timeout_ms, max_records=self._settings.batch_records_max
        )
        if found:
            # Nothing was awaited since: the client has not fetched again yet.
            consumer.pause(*consumer.assignment())
        return tuple(chain.from_iterable(found.values()))

    async def _consume(self, records: Any) -> None:  # FastStream builds a model of the annotation
        if self._ending:
            # Whoever stops the subscriber holds the lock, and waits until nothing waits for it.
            return
        async with self._busy:
            before, self._batch_since = self._batch_since, self._clock.monotonic()
            done = self._worth = 0
            for part in pace.parts(records, self._settings.batch_bytes_max):
                if not await self._take(part, records[done:]) or self._ending:
                    return
                done += len(part)
        interval_s = pace.interval_s(
            self._settings,
            records,
            self._worth,
            gathered_s=self._batch_since - before,
            patient=self.router.patient,
        )
        left_s = self._batch_since + interval_s - self._clock.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)

    async def _take(self, records: Sequence[Record], left: Sequence[Record]) -> bool:
        """Apply records in one transaction; False when they and all that is `left` come again."""
        self._work = work = asyncio.create_task(self._processor.process(records))
        try:
            self._worth += await work
        except asyncio.CancelledError:
            if self._ending and work.cancelled():
                return False
            raise
        except TransientFault as fault:
            self._back_off(left, fault)
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, the batch stays on the topic
            # Setting the record aside failed too. It stays on the topic and is tried again:
            # stopping is safe, skipping is not.
            _LOG.exception("batch_failed", consumer=self.router.consumer)
            self._back_off(left, error)
            return False
        self._failures = 0
        self._progress_at = self._clock.monotonic()
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._done[partition] = max(self._done.get(partition, 0), record.offset + 1)
        return True

    def _back_off(self, records: Sequence[Record], reason: Exception) -> None:
        """Rewind to the start of the batch and pause: polls go on, so membership stays."""
        consumer = self.subscriber.consumer
        if consumer is None:
            return
        self._failures += 1
        settings = self._settings
        ceiling = min(
            settings.back_off_initial_ms * 2 ** min(self._failures - 1, 16),
            settings.back_off_max_ms,
        )
        delay = ceiling * random.uniform(0.5, 1.0) / 1000  # noqa: S311 - jitter, not a secret
        first: dict[TopicPartition, int] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            first[partition] = min(first.get(partition, record.offset), record.offset)
        assigned = consumer.assignment()
        for partition, offset in first.items():
            if partition in assigned:
                consumer.seek(partition, offset)
        consumer.pause(*assigned)
        self._paused = True
        self._progress_at = self._clock.monotonic()
        self._resume = asyncio.get_running_loop().call_later(delay, self._resume_fetching)
        self._processor.metrics.retries(self.router.consumer).inc()
        _LOG.warning(
            "batch_backs_off",
            consumer=self.router.consumer,
            failures=self._failures,
            delay_ms=round(delay * 1000),
            reason=f"{type(reason).__name__}: {reason}"[:300],
        )

    def _resume_fetching(self) -> None:
        self._paused = False
        self._progress_at = self._clock.monotonic()
        consumer = self.subscriber.consumer
        if consumer is not None:
            consumer.resume(*consumer.assignment())

    async def _commit_regularly(self) -> None:
        """Commit what is done once an interval: a lost commit costs only duplicates."""
        while True:
            await asyncio.sleep(self._settings.offset_commit_interval_ms / 1000)
            await self._commit()

    async def _commit(self) -> None:
        """Commit what is done; what the group refuses stays done, and is committed the next time."""
        consumer = self.subscriber.consumer
        if consumer is None or not self._done:
            return
        assigned = consumer.assignment()
        offsets = {tp: offset for tp, offset in self._done.items() if tp in assigned}
        if not offsets:
            return
        try:
            # A client that was stopped meanwhile asks for its group's coordinator without end.
            async with asyncio.timeout(self._settings.stall_limit_s):
                await consumer.commit(offsets)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            # The group moved on or the broker is away; the inbox absorbs a redelivery.
            _LOG.info("offset_commit_failed", consumer=self.router.consumer, error=repr(error))
            return
        for partition, offset in offsets.items():
            # Batches end meanwhile: what they did is not committed yet.
            if self._done.get(partition) == offset:
                del self._done[partition]

    async def _watch(self) -> None:
        """Restart the consumer when it makes no progress; the last remedy is `/live`'s.

        aiokafka can stay alive without ever rejoining after a broker restart, and a record it cannot
        decode makes every fetch fail.
        """
        limit = self._settings.stall_limit_s
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if await self._progresses():
                self._progress_at = self._clock.monotonic()
            since_start = self._clock.monotonic() - self._started_at
            if min(self.seconds_without_progress, since_start) > limit:
                _LOG.error(
                    "consumer_restarted",
                    consumer=self.router.consumer,
                    without_progress_s=round(self.seconds_without_progress),
                )
                self._processor.metrics.restarts(self.router.consumer).inc()
                await self._stop_for_restart()
                await self._start_subscriber()

    async def _stop_for_restart(self) -> None:
        """Leave the group, or raise `ConsumerStuck`: a client that cannot even stop keeps its membership.

        Seen when the broker and the database went away together. Only the end of the process ends such
        a member, and whoever started the process starts it again.
        """
        self._ending = True
        leaving = asyncio.create_task(self._leave())
        try:
            # Not ended by a time-out: the client passes over a cancellation, and goes on waiting.
            await asyncio.wait({leaving}, timeout=self._settings.stall_limit_s)
            if not leaving.done():
                raise ConsumerStuck(self.router.consumer, self._settings.stall_limit_s)
            await leaving
        finally:
            leaving.cancel()
        self._ending = False

    async def _leave(self) -> None:
        async with self._busy:
            self._leaving = True
            await self.subscriber.stop()
            self._leaving = False

    async def _progresses(self) -> bool:
        """Whether a batch or a pause is under way, or fetches are answered and nothing is left lying."""
        consumer = self.subscriber.consumer
        if consumer is None:
            return False
        if self._paused:
            return True
        now = self._clock.monotonic()
        if self._busy.locked():
            # A long batch is work, up to the time after which the group gives its partitions away.
            return (now - self._batch_since) * 1000 < self._settings.max_poll_interval_ms
        assigned = consumer.assignment()
        if not assigned:
            # A spare replica without partitions is healthy while its group is.
            return bool(getattr(consumer._coordinator, "generation", -1) > 0)  # noqa: SLF001 - no public name
        now_ms = self._clock.now().timestamp() * 1000
        newest = max((consumer.last_poll_timestamp(p) or 0 for p in assigned), default=0)
        if now_ms - newest > self._settings.stall_limit_s * 500:
            return False
        recently = now - max(self._batch_since, self._started_at) < self._settings.stall_limit_s
        return recently or not await self._left_lying(consumer, assigned)

    async def _left_lying(self, consumer: Any, assigned: set[TopicPartition]) -> bool:
        """Whether the broker has records that are not taken although nothing is in work."""
        for partition in assigned:
            end = consumer.highwater(partition)
            if end is not None and end > await consumer.position(partition):
                return True
        return False

    async def _start_subscriber(self) -> None:
        delay = self._settings.back_off_initial_ms / 1000
        while True:
            self._started_at = self._clock.monotonic()
            self._paused = False
            self._failures = 0
            try:
                await self.subscriber.start()
            except (KafkaError, OSError) as error:
                _LOG.warning(
                    "broker_unreachable",
                    consumer=self.router.consumer,
                    kafka=self._settings.kafka,
                    error=repr(error)[:300],
                    remedy="start the broker or correct TALLY_KAFKA; this consumer keeps trying",
                )
                await self.subscriber.stop()
                # Waiting for a broker that is away is what this consumer should do.
                self._progress_at = self._clock.monotonic()
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                delay = min(delay * 2, self._settings.back_off_max_ms / 1000)
            else:
                return


async def _as_it_came(records: Any) -> KafkaAckableMessage:
    """A FastStream message around raw records: nothing is decoded, so nothing can be skipped.

    FastStream's own parser drops a record whose header is null or not UTF-8.
    """
    last = records[-1]
    return KafkaAckableMessage(
        body=b"",
        headers={},
        raw_message=records,
        message_id=f"{last.topic}-{last.partition}-{last.offset}",
        correlation_id=f"{last.topic}-{last.partition}-{last.offset}",
        consumer=_NO_CONSUMER,
    )


async def _raw_records(message: Any) -> Any:
    return message.raw_message


class _NoConsumer:
    """Stands where FastStream keeps the consumer: acknowledging through it is a programming error."""

    async def commit(self) -> None:
        raise AssertionError("offsets are committed explicitly, never through a message")

    def seek(self, partition: object, offset: int) -> None:
        raise AssertionError(f"rewinding {partition} to {offset} is the consumer's own business")


_NO_CONSUMER = _NoConsumer()
