"""The worker that moves agreements on when time alone does: dates, deadlines, tries due again."""

from dataclasses import dataclass
from functools import partial

from tally_funding.escrow import service
from tally_funding.postings import Books
from tally_messaging import Transactor, WorkerContext


@dataclass(frozen=True, slots=True)
class DeadlineWorker:
    """Looks for due agreements; one batch a turn."""

    books: Books
    poll_s: float = 1.0
    batch_agreements: int = 200
    name: str = "escrow_deadlines"
    within_s: float = 120.0

    async def run(self, context: WorkerContext) -> None:
        await context.take_turns(self.name, self.poll_s, partial(self.turn, context.transactor))

    async def turn(self, transactor: Transactor) -> bool:
        """Move on one batch; true if there may be more."""
        moved = await transactor.run(
            partial(service.pass_time, books=self.books, limit=self.batch_agreements)
        )
        return moved == self.batch_agreements
