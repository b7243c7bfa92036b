"""Kafka as the oracle sees it: whole topics read without a group, and where the groups stand."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tally_reconciliation.errors import BrokerSilent
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


@dataclass(frozen=True, slots=True)
class KafkaBroker:
    """A real broker."""

    kafka: str
    _probe: AIOKafkaConsumer
    _admin: AIOKafkaAdminClient

    async def topics(self, pattern: str) -> tuple[str, ...]:
        whole = re.compile(pattern)
        return tuple(sorted(name for name in await self._probe.topics() if whole.fullmatch(name)))

    async def extents(self, topics: Collection[str]) -> Mapping[Partition, Extent]:
        # The consumer knows the partitions of no topic it does not read: the broker is asked.
        wanted = sorted(set(topics) & await self._probe.topics())
        told = await self._admin.describe_topics(wanted) if wanted else []
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in told
            for partition in topic["partitions"]
        ]
        if not partitions:
            return {}
        firsts = await self._probe.beginning_offsets(partitions)
        ends = await self._probe.end_offsets(partitions)
        return {(p.topic, p.partition): Extent(firsts[p], ends[p]) for p in partitions}

    async def committed(self, group: str) -> Mapping[Partition, int]:
        found = await self._admin.list_consumer_group_offsets(group)
        return {
            (partition.topic, partition.partition): at.offset
            for partition, at in found.items()
            if at.offset >= 0
        }

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
        await consumer.start()
        try:
            consumer.assign(list(left))
            for partition in left:
                consumer.seek(partition, extents[partition.topic, partition.partition].first)
            silent_since = asyncio.get_running_loop().time()
            while left:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
                for partition, batch in fetched.items():
                    end = left.get(partition)
                    if end is not None:
                        yield [record for record in batch if record.offset < end]
                now = asyncio.get_running_loop().time()
                done = [p for p, end in left.items() if await consumer.position(p) >= end]
                for partition in done:
                    del left[partition]
                    consumer.pause(partition)
                if fetched or done:
                    silent_since = now
                elif now - silent_since > _SILENCE_S:
                    raise BrokerSilent(self.kafka, _SILENCE_S, "topics were read")
        finally:
            await consumer.stop()


@asynccontextmanager
async def kafka_broker(kafka: str) -> AsyncIterator[KafkaBroker]:
    """Connect; raises `BrokerSilent` when nobody answers."""
    probe = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        async with asyncio.timeout(_SILENCE_S):
            await probe.start()
            await admin.start()
        yield KafkaBroker(kafka, probe, admin)
    except (KafkaError, TimeoutError) as error:
        raise BrokerSilent(kafka, _SILENCE_S, f"it was asked ({type(error).__name__})") from error
    finally:
        await probe.stop()
        await admin.close()
