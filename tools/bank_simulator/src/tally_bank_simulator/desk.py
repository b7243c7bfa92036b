"""Runs the bank on its own thread and wakes it when a file arrives or the date turns."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from tally_bank_simulator.bank import Bank

P = ParamSpec("P")
T = TypeVar("T")
_POLL_SECONDS = 1
_log = logging.getLogger("tally_bank_simulator")


class Desk:
    """The async side of the bank: one call at a time, in order."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bank")
        self._wake = asyncio.Event()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function on the bank's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def wake(self) -> None:
        """A file has arrived."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; any failure of the bank ends it, nothing is skipped."""
        while True:
            self._wake.clear()
            taken = await self.call(self.bank.turn)
            if taken:
                _log.info("files_taken count=%d", taken)
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Finish the running call and close the book."""
        await self.call(self.bank.book.close)
        self._thread.shutdown()
