"""The broker the oracle reads is the real one."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from tally_embedded import Stack
from tally_reconciliation.broker import Extent, kafka_broker
from tally_testkit import RawRecord, Topics, event_headers


async def test_topics_are_read_whole_and_only_as_far_as_they_were_measured(
    kafka_stack: Stack, topics: Topics
):
    name = topics.name("inbound")
    await topics.create(name, partitions=2)
    odd = [
        RawRecord(None, [("ce_id", None)], key=b"gone"),
        RawRecord(b"\xff", [("ce_source", b"\xff")], key=b"k"),
        RawRecord(b"x" * 500_000, event_headers("big", "t.v1")),
    ]
    await topics.publish(name, odd, partition=0)
    await topics.publish(
        name,
        [RawRecord(b"%d" % n, event_headers(str(n), "t.v1")) for n in range(3000)],
        partition=1,
    )
    async with kafka_broker(kafka_stack.address.kafka) as broker:
        assert await broker.topics(name.replace(".", r"\.")) == (name,)
        extents = await broker.extents([name, "there.is.no.such.topic"])
        assert extents == {(name, 0): Extent(0, 3), (name, 1): Extent(0, 3000)}
        await topics.publish(name, [RawRecord(b"late", [])], partition=1)
        read: dict[int, list[bytes | None]] = {0: [], 1: []}
        async for batch in broker.records(extents):
            for record in batch:
                read[record.partition].append(record.value)
    assert read[0] == [None, b"\xff", b"x" * 500_000]
    assert read[1] == [b"%d" % n for n in range(3000)]


async def test_a_group_is_known_by_what_it_committed(kafka_stack: Stack, topics: Topics):
    name, group = topics.name("facts"), topics.name("group")
    await topics.create(name, partitions=2)
    await topics.publish(name, [RawRecord(b"1", []), RawRecord(b"2", [])], partition=1)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_stack.address.kafka, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(name, 1)])
        await consumer.commit({TopicPartition(name, 1): 1})
    finally:
        await consumer.stop()
    async with kafka_broker(kafka_stack.address.kafka) as broker:
        assert await broker.committed(group) == {(name, 1): 1}
        assert await broker.committed(topics.name("nobody")) == {}
