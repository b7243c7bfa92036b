"""Wakes whoever waits in this process: something of theirs has happened, or is about to be committed.

A ring is a hint: whoever hears it looks into the database, and looks there now and then without one,
since another replica may have done the work.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator


class Bell:
    """Rings for keys: ids of commands, or of parties whose log has grown."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    @contextlib.contextmanager
    def listening(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the key is rung; clear it to hear the next ring."""
        heard = asyncio.Event()
        self._listeners.setdefault(key, set()).add(heard)
        try:
            yield heard
        finally:
            listeners = self._listeners[key]
            listeners.discard(heard)
            if not listeners:
                del self._listeners[key]

    def ring(self, keys: Iterable[str]) -> None:
        """Wake whoever listens for one of the keys."""
        for key in keys:
            for heard in self._listeners.get(key, ()):
                heard.set()


async def heard_within(heard: asyncio.Event, seconds: float) -> bool:
    """Wait for a ring; False when none came in this time."""
    try:
        async with asyncio.timeout(seconds):
            await heard.wait()
    except TimeoutError:
        return False
    heard.clear()
    return True
