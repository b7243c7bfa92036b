"""The worker that makes the months of the books' tables ahead of time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from prometheus_client import Gauge

from tally_ledger import store
from tally_ledger.store.partitions import BY_MONTH
from tally_messaging import Transactor, UnitOfWork, WorkerContext
from tally_postgres import Pool, is_transient
from tally_runtime import Metrics, get_logger

_LOG = get_logger("tally_ledger.partitions")
_LOOK_S = 30.0
_EVERY_S = 24 * 3600.0
_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class PartitionMetrics:
    """Each is a function from its table to a series."""

    months_ahead: Callable[..., Gauge]
    rest_used: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "PartitionMetrics":
        """The set of this service."""
        return cls(
            months_ahead=metrics.gauge(
                "ledger_partition_months_ahead",
                "Whole months behind this one that have a partition; -1 if this one has none",
                "table",
            ),
            rest_used=metrics.gauge(
                "ledger_partition_rest_used",
                "1 if rows lie in no month, behind the last one that was made",
                "table",
            ),
        )


def months_ahead(rest: store.Rest, now: datetime) -> int:
    """Whole months behind the one of `now` that have a partition; -1 if that one has none."""
    if rest.begins is None:
        return -1
    ends, this = rest.begins.astimezone(UTC), now.astimezone(UTC)
    return (ends.year - this.year) * 12 + ends.month - this.month - 1


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
    """Makes months once a day, and every minute while a reader is in the way; tells where they end."""

    metrics: PartitionMetrics
    name: str = "partitions"
    within_s: float = 4 * _LOOK_S

    async def run(self, context: WorkerContext) -> None:
        due = context.clock.monotonic() + _EVERY_S

        async def turn() -> bool:
            nonlocal due
            if context.clock.monotonic() >= due:
                done = await ensure_months(context.transactor)
                due = context.clock.monotonic() + (_EVERY_S if done else _AGAIN_S)
            await self.measure(context.pool, context.clock.now())
            return False

        await context.take_turns(self.name, _LOOK_S, turn)

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges, and report a table that is short of months."""
        for table in BY_MONTH:
            rest = await store.rest_of(pool, table)
            ahead = months_ahead(rest, now)
            self.metrics.months_ahead(table).set(ahead)
            self.metrics.rest_used(table).set(rest.used)
            if ahead < 1 or rest.used:
                _LOG.error(
                    "partition_missing",
                    table=table,
                    months_ahead=ahead,
                    rest_used=rest.used,
                    runbook="services/ledger/README.md: runbook",
                )
