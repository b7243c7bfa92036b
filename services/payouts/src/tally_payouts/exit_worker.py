"""The worker that asks about held payouts again: once a level, a table, a limit or time may free them."""

from dataclasses import dataclass
from functools import partial

from tally_messaging import Transactor, WorkerContext
from tally_payouts.service import PayoutService
from tally_payouts.store.exits import tables_known
from tally_postgres import Pool
from tally_runtime import get_logger

_LOG = get_logger("tally_payouts.exits")


@dataclass(frozen=True, slots=True)
class ExitWorker:
    """Looks for parties that are due; the held payouts of one batch of them a turn."""

    saga: PayoutService
    poll_s: float = 1.0
    batch_parties: int = 200
    name: str = "exits"
    within_s: float = 120.0

    async def run(self, context: WorkerContext) -> None:
        await warn_without_tables(context.pool)
        await context.take_turns(self.name, self.poll_s, partial(self.turn, context.transactor))

    async def turn(self, transactor: Transactor) -> bool:
        """Ask about one batch; true if there may be more."""
        asked = await transactor.run(partial(self.saga.ask_again, limit=self.batch_parties))
        return asked == self.batch_parties


async def warn_without_tables(pool: Pool) -> None:
    """Say it loudly where no gate and no limit is published: every payout leaves unasked."""
    if not await tables_known(pool):
        _LOG.warning(
            "no_gate_table_published",
            alarm=True,
            remedy="publish gate and limit tables before money of others is paid out",
        )
