"""Topics and raw records for tests: what a publisher or a reader outside the platform would do."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from tally_embedded import TopicSpec, ensure_topics
from tally_messaging.envelope import CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TYPE, Headers


def event_headers(event_id: str, event_type: str, source: str = "/test") -> Headers:
    """The least headers a CloudEvent needs."""
    return [
        (CE_SPECVERSION, b"1.0"),
        (CE_ID, event_id.encode()),
        (CE_SOURCE, source.encode()),
        (CE_TYPE, event_type.encode()),
    ]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record to publish as it is, good or bad."""

    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """Creates, fills and reads topics whose names start with `prefix`."""

    kafka: str
    prefix: str

    def name(self, topic: str) -> str:
        """The full name of a topic of this test."""
        return f"{self.prefix}.{topic}"

    async def create(
        self, *topics: str, partitions: int = 3, config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics by their full names."""
        await ensure_topics(
            self.kafka, [TopicSpec(topic, partitions, dict(config or {})) for topic in topics]
        )

    async def publish(
        self,
        topic: str,
        records: Sequence[RawRecord],
        *,
        partition: int | None = None,
        compression: str | None = None,
    ) -> None:
        """Publish records in order and wait for the broker's word."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka,
            enable_idempotence=True,
            max_batch_size=1024 * 1024,
            compression_type=compression,
        )
        await producer.start()
        try:
            waiting = [
                await producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=partition,
                )
                for record in records
            ]
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()

    async def read(
        self, topic: str, count: int, *, timeout_s: float = 30.0
    ) -> list[ConsumerRecord]:
        """Read at least `count` records from the beginning; fewer when the time is up."""
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.kafka,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        records: list[ConsumerRecord] = []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while len(records) < count and loop.time() < deadline:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records.extend(batch)
        finally:
            await consumer.stop()
        return records
