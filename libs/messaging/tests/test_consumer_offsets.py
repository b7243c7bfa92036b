"""A consumer whose group or client fails it: offsets are committed later, a stuck client is told of."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from tally_messaging.consumer import Consumer, create_broker
from tally_messaging.errors import ConsumerStuck
from tally_runtime import SystemClock
from tally_testkit.toy import ToySettings

FIRST, SECOND = TopicPartition("toy.in", 0), TopicPartition("toy.in", 1)


class FailsOnce:
    """A group that has just moved on: the first commit is refused."""

    def __init__(self) -> None:
        self.committed: list[dict[TopicPartition, int]] = []
        self.failures = 1

    def assignment(self) -> set[TopicPartition]:
        return {FIRST}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.failures:
            self.failures -= 1
            raise CommitFailedError
        self.committed.append(dict(offsets))


def make_consumer(toy: Any, subscriber: Any, **more: int) -> Consumer:
    settings = ToySettings(
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn="postgresql://toy@127.0.0.1/toy",
        **more,
    )
    consumer = Consumer(create_broker(settings, "toy"), toy.processor, settings, SystemClock())
    consumer.subscriber = subscriber
    return consumer


async def test_a_refused_commit_is_repeated_without_a_further_record(toy: Any) -> None:
    group = FailsOnce()
    consumer = make_consumer(toy, SimpleNamespace(consumer=group))
    consumer._done.update({FIRST: 7, SECOND: 9})
    for _ in range(3):
        await consumer._commit()
    assert group.committed == [{FIRST: 7}], "kept, committed once, and nothing of a lost partition"


async def test_a_client_that_neither_works_nor_stops_ends_the_service(toy: Any) -> None:
    never = asyncio.Event()
    consumer = make_consumer(toy, SimpleNamespace(consumer=None, stop=never.wait), stall_limit_s=2)
    consumer._tasks = [asyncio.create_task(consumer._watch())]
    await asyncio.wait(consumer._tasks, timeout=30)
    with pytest.raises(ConsumerStuck, match="consumer toy made no progress"):
        raise consumer.failed()
