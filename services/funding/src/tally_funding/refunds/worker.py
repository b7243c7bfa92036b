"""Returns that waited begin once their pay-in is in the books; won chargebacks are given back."""

from dataclasses import dataclass
from typing import Final

from tally_funding.answers.store import for_every_tenant
from tally_funding.postings import Books
from tally_funding.refunds import service, store
from tally_funding.refunds.reinstating import begin_reinstatement
from tally_messaging import UnitOfWork, WorkerContext

_PAUSE_S: Final = 1.0
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class ReturnsDue:
    """Looks once a second; each turn is one unit of work."""

    books: Books
    name: str = "returns_due"
    within_s: float = 60.0

    async def run(self, context: WorkerContext) -> None:
        async def turn() -> bool:
            return await context.transactor.run(self.begin)

        await context.take_turns(self.name, _PAUSE_S, turn)

    async def begin(self, uow: UnitOfWork) -> bool:
        """Begin what is due; whether there may be more."""
        await for_every_tenant(uow.conn)
        due = await store.due(uow.conn, _MOST)
        # In the order in which rows are locked, so that two units never wait for each other.
        for return_id, pay_in_id in sorted(due, key=lambda one: (one[1], one[0])):
            await service.begin_waiting(uow, self.books, return_id, pay_in_id)
            await begin_reinstatement(uow, self.books, return_id, pay_in_id)
        return len(due) == _MOST
