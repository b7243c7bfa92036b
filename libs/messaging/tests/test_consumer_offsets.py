"""A consumer whose group or client fails it: offsets are committed later, a stuck client is told of."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
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


async def test_a_client_that_passes_over_being_cancelled_ends_the_service_too(toy: Any) -> None:
    gone = asyncio.Event()

    async def stop() -> None:
        # As aiokafka does while it waits for tasks of its own.
        while not gone.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gone.wait()

    consumer = make_consumer(toy, SimpleNamespace(consumer=None, stop=stop), stall_limit_s=2)
    consumer._tasks = [asyncio.create_task(consumer._watch())]
    await asyncio.wait(consumer._tasks, timeout=15)
    stuck = consumer.failed()
    gone.set()
    assert isinstance(stuck, ConsumerStuck)


async def test_a_commit_that_is_never_answered_keeps_no_later_one_back(toy: Any) -> None:
    class AnswersLater(FailsOnce):
        """A client that was stopped with a commit under way."""

        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            if self.failures:
                self.failures -= 1
                await asyncio.Event().wait()
            await super().commit(offsets)

    group = AnswersLater()
    consumer = make_consumer(
        toy, SimpleNamespace(consumer=group), stall_limit_s=2, offset_commit_interval_ms=100
    )
    consumer._done[FIRST] = 7
    committing = asyncio.create_task(consumer._commit_regularly())
    await asyncio.wait({committing}, timeout=6)
    committing.cancel()
    assert group.committed == [{FIRST: 7}]


async def test_records_that_come_while_the_group_is_left_are_left_to_others(
    toy: Any, step: Callable[..., Any]
) -> None:
    async def stop() -> None:
        # As FastStream does, which waits for whatever it has handed over meanwhile.
        await consumer._consume([step("a", 1)])

    consumer = make_consumer(toy, SimpleNamespace(consumer=None, stop=stop))
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=10)
    assert stopping.done()
    assert await toy.applied() == {}
    assert consumer._done == {}


async def _at_once() -> None:
    return None


_WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%inbox%')
"""


async def test_a_batch_behind_the_inbox_row_of_another_process_is_undone_when_the_service_stops(
    toy: Any, step: Callable[..., Any]
) -> None:
    applied, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(point: str) -> None:
        if point == "applied":
            applied.set()
            await goes_on.wait()

    sessions = [await toy.pool.acquire() for _ in range(toy.pool.get_max_size())]
    for session in sessions:
        await session.execute("SET lock_timeout = 0")
        await toy.pool.release(session)
    record = step("a", 1)
    zombie = asyncio.create_task(replace(toy.processor, step=slowly).process([record]))
    await applied.wait()
    consumer = make_consumer(
        toy, SimpleNamespace(consumer=None, stop=_at_once), graceful_timeout_s=1
    )
    batch = asyncio.create_task(consumer._consume([record]))
    while not await toy.pool.fetchval(_WAITS):  # noqa: ASYNC110 - the wait is the event
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=10)
    assert stopping.done()
    assert batch.done()
    assert consumer._done == {}, "the next owner gets it again"
    assert not await toy.pool.fetchval(_WAITS), "the statement was cancelled too"
    goes_on.set()
    await zombie
    assert await toy.applied() == {"a": [1]}
