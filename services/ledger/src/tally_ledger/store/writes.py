"""Statements one behind the other, each built while the one before it runs."""

import asyncio
from types import TracebackType
from typing import Self

from tally_postgres import Connection


class Writes:
    """Hands statements to the server and comes back at once: the next one's texts are made meanwhile.

    One is under way at a time. A statement's error is raised by the next call, or on leaving; on
    leaving everything has been done, or the block ends with the error.
    """

    __slots__ = ("_conn", "_running")

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._running: asyncio.Task[str] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            await self._settle()
        elif self._running is not None:
            # The connection is in use until then, and the first error is the one to tell.
            await asyncio.gather(self._running, return_exceptions=True)

    async def write(self, query: str, *values: object) -> None:
        """Wait for the statement before, then send this one."""
        await self._settle()
        self._running = asyncio.ensure_future(self._conn.execute(query, *values))
        # A turn of the loop, so that it is on its way before the caller goes on building.
        await asyncio.sleep(0)

    async def _settle(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running
