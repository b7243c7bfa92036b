"""The worker that ends claims whose time is over, moves late money on, and minds dormancy clocks."""

from dataclasses import dataclass
from functools import partial

from tally_funding.claims import clocks, following, holders
from tally_funding.postings import Books
from tally_messaging import Transactor, WorkerContext


@dataclass(frozen=True, slots=True)
class ClaimsWorker:
    """Looks for what is due; one batch of each kind a turn."""

    books: Books
    poll_s: float = 1.0
    batch: int = 200
    name: str = "claims"
    within_s: float = 120.0

    async def run(self, context: WorkerContext) -> None:
        await context.take_turns(self.name, self.poll_s, partial(self.turn, context.transactor))

    async def turn(self, transactor: Transactor) -> bool:
        """Work off one batch; true if there may be more."""
        found = await transactor.run(
            partial(following.pass_time, books=self.books, limit=self.batch)
        )
        # In a unit of its own: each locks its wallets once, in their order.
        moved = await transactor.run(partial(clocks.run_out, limit=self.batch))
        asked = await transactor.run(partial(holders.ask_laws, limit=self.batch))
        return max(found.claims, found.tries, moved, asked) >= self.batch
