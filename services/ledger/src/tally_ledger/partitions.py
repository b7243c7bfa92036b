"""The worker that makes the months of the books' tables ahead of time."""

from dataclasses import dataclass
from functools import partial

from tally_ledger import store
from tally_ledger.store.partitions import BY_MONTH
from tally_messaging import Transactor, UnitOfWork, WorkerContext
from tally_postgres import is_transient
from tally_runtime import get_logger

_LOG = get_logger("tally_ledger.partitions")
_LOOK_S = 30.0
_EVERY_S = 24 * 3600.0
_AGAIN_S = 60.0


async def ensure_months(transactor: Transactor) -> bool:
    """Make what is missing; false if a reader was in the way, which stops no money for months."""
    done = True
    for table in BY_MONTH:
        try:
            made = await transactor.run(partial(_ensure, table))
        except Exception as error:
            if not is_transient(error):
                raise
            _LOG.warning("partitions_wait", table=table, error=type(error).__name__)
            done = False
        else:
            if made:
                _LOG.info("partitions_made", table=table, partitions=made)
    return done


async def _ensure(table: str, uow: UnitOfWork) -> int:
    return await store.ensure_partitions(uow.conn, table, uow.now)


@dataclass(frozen=True, slots=True)
class PartitionWorker:
    """Looks once a day, and every minute while a reader is in the way."""

    name: str = "partitions"
    within_s: float = 4 * _LOOK_S

    async def run(self, context: WorkerContext) -> None:
        due = context.clock.monotonic() + _EVERY_S

        async def turn() -> bool:
            nonlocal due
            if context.clock.monotonic() >= due:
                done = await ensure_months(context.transactor)
                due = context.clock.monotonic() + (_EVERY_S if done else _AGAIN_S)
            return False

        await context.take_turns(self.name, _LOOK_S, turn)
