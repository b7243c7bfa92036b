"""Offsets whose commit failed are committed later, though no further record comes."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from tally_messaging.consumer import Consumer, create_broker
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


async def test_a_refused_commit_is_repeated_without_a_further_record(toy: Any) -> None:
    settings = ToySettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn="postgresql://toy@127.0.0.1/toy"
    )
    consumer = Consumer(create_broker(settings, "toy"), toy.processor, settings, SystemClock())
    group = FailsOnce()
    consumer.subscriber = SimpleNamespace(consumer=group)
    consumer._done.update({FIRST: 7, SECOND: 9})
    await consumer._commit()
    await consumer._commit()
    await consumer._commit()
    assert group.committed == [{FIRST: 7}], "kept, committed once, and nothing of a lost partition"
