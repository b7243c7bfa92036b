"""Reading a topic whole, as somebody outside the platform would."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord

_READ_S = 60.0


async def read_topic(kafka: str, topic: str) -> list[ConsumerRecord]:
    """Every record up to where the topic ends now, in order by partition.

    Raises `KafkaError`, or `TimeoutError` after 60 s.
    """
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    records: list[ConsumerRecord] = []
    try:
        async with asyncio.timeout(_READ_S):
            partitions = sorted(consumer.assignment())
            ends = await consumer.end_offsets(partitions)
            for partition in partitions:
                while await consumer.position(partition) < ends[partition]:
                    batch = await consumer.getmany(partition, timeout_ms=500)
                    records.extend(batch.get(partition, []))
    finally:
        await consumer.stop()
    return records
