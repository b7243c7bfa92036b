"""The worker that watches open transfers: how many, how old, and asking again where no answer came."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge

from tally_ledger.transfers import facts, store
from tally_messaging import Cause, UnitOfWork, WorkerContext
from tally_runtime import Metrics, get_logger

_LOG = get_logger("tally_ledger.transfers")
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class TransferMetrics:
    """Each is a function from its labels to a series."""

    open: Callable[..., Gauge]
    open_age_seconds: Callable[..., Gauge]
    asked_again: Callable[..., Counter]

    @classmethod
    def of(cls, metrics: Metrics) -> "TransferMetrics":
        """The set of this service."""
        return cls(
            open=metrics.gauge(
                "ledger_transfers_open", "Transfers to other ledgers without an answer"
            ),
            open_age_seconds=metrics.gauge(
                "ledger_transfers_open_age_seconds",
                "Age of the oldest transfer to another ledger without an answer",
            ),
            asked_again=metrics.counter(
                "ledger_transfers_asked_again_total",
                "Times an overdue transfer was put to the other ledger again",
            ),
        )


@dataclass(frozen=True, slots=True)
class OverdueTransfers:
    """Measures open transfers; those older than `overdue_s` are reported and asked again."""

    metrics: TransferMetrics
    poll_s: float
    overdue_s: int
    name: str = "transfers"
    within_s: float = 700.0

    async def run(self, context: WorkerContext) -> None:
        await context.take_turns(self.name, self.poll_s, partial(self.turn, context))

    async def turn(self, context: WorkerContext) -> bool:
        """Measure and ask once; what is asked again waits for its answer, so there is never more at once."""
        await self.measure(context)
        again = await context.transactor.run(self.ask_again)
        if again:
            self.metrics.asked_again().inc(again)
        return False

    async def measure(self, context: WorkerContext) -> None:
        """Set the gauges to what stands in the database."""
        number, oldest = await store.open_transfers(context.pool)
        age = timedelta(0) if oldest is None else context.clock.now() - oldest
        self.metrics.open().set(number)
        self.metrics.open_age_seconds().set(max(age.total_seconds(), 0))

    async def ask_again(self, uow: UnitOfWork) -> int:
        """Tell of overdue transfers once more, word for word: whoever acted already answers again."""
        before = uow.now - timedelta(seconds=self.overdue_s)
        overdue = await store.overdue(uow.conn, before, _BATCH)
        for stored in overdue:
            start = stored.start
            _LOG.warning(
                "transfer_overdue",
                transfer_id=start.transfer_id,
                ledger=start.ledger,
                to_ledger=start.to_ledger,
                since=stored.asked_at.isoformat(),
                runbook="services/ledger/README.md: transfers between ledgers",
            )
            uow.emit(
                facts.of_transfer(stored, uow.now),
                topic=facts.TRANSFERS,
                key=start.transfer_id,
                cause=Cause.from_text(stored.cause),
            )
        if overdue:
            await store.asked_again(uow.conn, [one.transfer.id for one in overdue], uow.now)
        return len(overdue)
