"""A worker's turns: at once while there is more, through faults that pass, and never past a bug."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tally_messaging import WorkerContext
from tally_runtime import Health, Ids, SystemClock


def context_of(toy: Any) -> WorkerContext:
    clock = SystemClock()
    transactor = toy.processor.transactor
    return WorkerContext(transactor, toy.pool, clock, Ids(), Health(clock), asyncio.Event())


async def test_turns_follow_at_once_while_there_is_more_and_end_when_stopping(toy: Any) -> None:
    context = context_of(toy)
    told: list[bool] = []
    answers: Iterator[bool] = iter([True, True, True, False])

    async def turn() -> bool:
        told.append(next(answers))
        if not told[-1]:
            context.stopping.set()
        return told[-1]

    async with asyncio.timeout(10):
        await context.take_turns("worker", 3600, turn)
    assert told == [True, True, True, False]


async def test_a_dependency_that_is_away_ends_a_turn_and_a_bug_ends_the_worker(toy: Any) -> None:
    context = context_of(toy)
    faults: list[Exception] = [ConnectionRefusedError("away"), KeyError("a bug")]

    async def turn() -> bool:
        raise faults.pop(0)

    with pytest.raises(KeyError, match="a bug"):
        await context.take_turns("worker", 0.01, turn)
    assert faults == []
