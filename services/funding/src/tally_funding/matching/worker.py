"""Money that came into suspense is compared with what is expected."""

from dataclasses import dataclass
from typing import Final

from tally_funding.answers.store import for_every_tenant
from tally_funding.matching import store
from tally_funding.matching.service import look
from tally_funding.service import Funding
from tally_messaging import UnitOfWork, WorkerContext

_PAUSE_S: Final = 1.0
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Matcher:
    """Looks once a second; each turn is one unit of work. `automatic_from`: percent of confidence."""

    funding: Funding
    automatic_from: int
    name: str = "matcher"
    within_s: float = 60.0

    async def run(self, context: WorkerContext) -> None:
        async def turn() -> bool:
            return await context.transactor.run(self.begin)

        await context.take_turns(self.name, _PAUSE_S, turn)

    async def begin(self, uow: UnitOfWork) -> bool:
        """Compare what nobody has looked at; whether there may be more."""
        await for_every_tenant(uow.conn)
        due = await store.due(uow.conn, _MOST)
        for pay_in_id in due:
            await look(uow, self.funding, pay_in_id, self.automatic_from)
        return len(due) == _MOST
