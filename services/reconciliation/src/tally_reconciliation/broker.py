"""Kafka as the oracle sees it: whole topics read without a group, and where the groups stand."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorForGroupError,
)
from aiokafka.structs import OffsetAndMetadata

from tally_reconciliation.errors import BrokerUnreadable
from tally_reconciliation.records import RawRecord

_SILENCE_S = 30.0
_POLL_MS = 500
_BATCH_RECORDS = 5000
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition's first kept offset and the one behind its last."""

    first: int
    end: int


class Broker(Protocol):
    """What the oracle asks of a broker."""

    async def topics(self, pattern: str) -> tuple[str, ...]:
        """Names that match the pattern as a whole, sorted."""
        ...

    async def extents(self, topics: Collection[str]) -> Mapping[Partition, Extent]:
        """Every partition of these topics."""
        ...

    async def committed(self, group: str) -> Mapping[Partition, int]:
        """How far a group has committed, where it ever did."""
        ...

    def records(self, extents: Mapping[Partition, Extent]) -> AsyncIterator[Sequence[RawRecord]]:
        """All records of these extents, each partition in order, a batch at a time."""
        ...


@contextmanager
def _reading(kafka: str) -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        raise BrokerUnreadable(kafka, f"{type(error).__name__}: {error}"[:200]) from error


@dataclass(frozen=True, slots=True)
class KafkaBroker:
    """A real broker; what fails about it is `BrokerUnreadable`."""

    kafka: str
    _probe: AIOKafkaConsumer
    _admin: AIOKafkaAdminClient

    async def topics(self, pattern: str) -> tuple[str, ...]:
        whole = re.compile(pattern)
        with _reading(self.kafka):
            names = await self._probe.topics()
        return tuple(sorted(name for name in names if whole.fullmatch(name)))

    async def extents(self, topics: Collection[str]) -> Mapping[Partition, Extent]:
        with _reading(self.kafka):
            there = sorted(set(topics) & await self._probe.topics())
            # Asked by name: the consumer itself may not have heard of a new topic yet.
            described = await self._admin.describe_topics(there) if there else []
            for topic in described:
                if topic["error_code"]:
                    detail = f"topic {topic['topic']}: error {topic['error_code']}"
                    raise BrokerUnreadable(self.kafka, detail)
            partitions = [
                TopicPartition(topic["topic"], part["partition"])
                for topic in described
                for part in topic["partitions"]
            ]
            if not partitions:
                return {}
            firsts = await self._probe.beginning_offsets(partitions)
            ends = await self._probe.end_offsets(partitions)
        return {(p.topic, p.partition): Extent(firsts[p], ends[p]) for p in partitions}

    async def committed(self, group: str) -> Mapping[Partition, int]:
        with _reading(self.kafka):
            found = await self._group_offsets(group)
        return {
            (partition.topic, partition.partition): at.offset
            for partition, at in found.items()
            if at.offset >= 0
        }

    async def _group_offsets(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """Ask until a coordinator answers: a broker that just started has none yet."""
        async with asyncio.timeout(_SILENCE_S):
            while True:
                try:
                    found: Mapping[
                        TopicPartition, OffsetAndMetadata
                    ] = await self._admin.list_consumer_group_offsets(group)
                except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
                    await asyncio.sleep(_POLL_MS / 1000)
                else:
                    return found

    async def records(
        self, extents: Mapping[Partition, Extent]
    ) -> AsyncIterator[Sequence[RawRecord]]:
        left = {
            TopicPartition(*where): to.end for where, to in extents.items() if to.end > to.first
        }
        if not left:
            return
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        with _reading(self.kafka):
            await consumer.start()
        try:
            consumer.assign(list(left))
            for partition in left:
                consumer.seek(partition, extents[partition.topic, partition.partition].first)
            silent_since = asyncio.get_running_loop().time()
            while left:
                with _reading(self.kafka):
                    fetched = await consumer.getmany(
                        timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS
                    )
                for partition, batch in fetched.items():
                    end = left.get(partition)
                    if end is not None:
                        yield [record for record in batch if record.offset < end]
                now = asyncio.get_running_loop().time()
                with _reading(self.kafka):
                    done = [p for p, end in left.items() if await consumer.position(p) >= end]
                for partition in done:
                    del left[partition]
                    consumer.pause(partition)
                if fetched or done:
                    silent_since = now
                elif now - silent_since > _SILENCE_S:
                    raise BrokerUnreadable(self.kafka, f"no records for {_SILENCE_S:.0f} s")
        finally:
            await consumer.stop()


@asynccontextmanager
async def kafka_broker(kafka: str) -> AsyncIterator[KafkaBroker]:
    """Connect; raises `BrokerUnreadable` when nobody answers."""
    probe = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        with _reading(kafka):
            async with asyncio.timeout(_SILENCE_S):
                await probe.start()
                await admin.start()
        yield KafkaBroker(kafka, probe, admin)
    finally:
        await probe.stop()
        await admin.close()
