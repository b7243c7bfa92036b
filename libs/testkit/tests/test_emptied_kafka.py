"""A Kafka that was lent before is like a new one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tally_embedded import TopicSpec, ensure_topics
from tally_testkit.emptied import EmptiedKafka

pytestmark = pytest.mark.stack
TOPIC = "payouts.status.v1"


@asynccontextmanager
async def _reading(kafka: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=kafka,
        group_id="portfolio",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _publish(kafka: str, *values: bytes) -> None:
    await ensure_topics(kafka, [TopicSpec(TOPIC, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for value in values:
        await producer.send_and_wait(TOPIC, value)
    await producer.stop()


async def _first(kafka: str) -> bytes | None:
    """The first record the group is given, which it commits."""
    async with _reading(kafka) as consumer:
        record = await consumer.getone()
        await consumer.commit()
    return record.value


async def test_neither_records_nor_what_a_group_has_read_are_left(
    emptied_kafka: EmptiedKafka,
) -> None:
    first = emptied_kafka.lend().address.kafka
    await _publish(first, b"old", b"unread")
    assert await _first(first) == b"old"
    await emptied_kafka.take_back()
    second = emptied_kafka.lend().address.kafka
    assert second == first
    await _publish(second, b"new")
    assert await _first(second) == b"new"
    await emptied_kafka.take_back()


async def test_one_whose_group_still_has_a_member_is_not_lent_again(
    emptied_kafka: EmptiedKafka,
) -> None:
    first = emptied_kafka.lend().address.kafka
    await _publish(first, b"old")
    async with _reading(first) as consumer:
        await consumer.getone()
        stack = emptied_kafka.lend()
        await emptied_kafka.take_back()
    assert emptied_kafka.lend() is not stack
    await emptied_kafka.take_back()
