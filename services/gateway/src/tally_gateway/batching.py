"""Requests that wait together are committed together: each waits for one commit, not for its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tally_gateway.errors import Problem
from tally_gateway.intake import Intake, Request, Taken
from tally_messaging import Transactor, UnitOfWork
from tally_postgres import is_transient
from tally_runtime import get_logger

_LOG = get_logger("tally_gateway.batching")
_Waiting = tuple[Request, "asyncio.Future[Taken]"]


def unavailable(detail: str) -> Problem:
    """The answer while something the gateway needs is away."""
    return Problem("unavailable", detail, headers={"Retry-After": "2"})


@dataclass(slots=True)
class Batching:
    """Takes in what waits, up to `batch_max` requests with one commit; `waiting_max` may wait."""

    intake: Intake
    transactor: Transactor
    batch_max: int
    waiting_max: int
    _queue: "asyncio.Queue[_Waiting]" = field(default_factory=asyncio.Queue)

    async def submit(self, request: Request) -> Taken:
        """Take a request in; raises the Problem it has."""
        if self._queue.qsize() >= self.waiting_max:
            raise unavailable("Too many commands are waiting to be taken in.")
        answer: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((request, answer))
        return await answer

    async def run(self) -> None:
        """Take requests in until cancelled; what arrives during a commit is the next batch."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self.batch_max and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            # A caller that has gone away wants nothing any more.
            await self._take_in([each for each in batch if not each[1].done()])

    async def _take_in(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return

        async def unit(uow: UnitOfWork) -> list[Taken | Problem]:
            return await self.intake.take_in(uow, [request for request, _ in batch])

        try:
            answers = await self.transactor.run(unit)
        except Exception as error:  # noqa: BLE001 - every caller gets an answer, whatever happened
            await self._failed(batch, error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Problem):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _failed(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Nothing was kept. One request may have spoilt it for the others: each is tried alone."""
        if len(batch) > 1 and not is_transient(error):
            for each in batch:
                await self._take_in([each])
            return
        _LOG.error("commands_not_taken_in", requests=len(batch), exc_info=error)
        problem: Exception = (
            unavailable("The database cannot be reached at the moment.")
            if is_transient(error)
            else Problem("internal_error", "The command could not be taken in.")
        )
        for _, future in batch:
            if not future.done():
                future.set_exception(problem)
