"""Long loops that let others on the event loop go on: consumers' heartbeats share it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

T = TypeVar("T")
_EVERY: Final = 100


async def breathing(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with a pause for everybody else after each hundred."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % _EVERY == 0:
            await asyncio.sleep(0)
