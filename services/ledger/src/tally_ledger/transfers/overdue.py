"""The worker that watches what waits for another ledger: how many, how old, and asking once more."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge

from tally_ledger.transfers import facts, settlement_store, store
from tally_messaging import Cause, UnitOfWork, WorkerContext
from tally_runtime import Metrics, get_logger

_LOG = get_logger("tally_ledger.transfers")
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class TransferMetrics:
    """Each is a function from its labels to a series."""

    open: Callable[..., Gauge]
    open_age_seconds: Callable[..., Gauge]
    settlements_open: Callable[..., Gauge]
    settlements_open_age_seconds: Callable[..., Gauge]
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
            settlements_open=metrics.gauge(
                "ledger_settlements_open", "Settlements with other ledgers without an answer"
            ),
            settlements_open_age_seconds=metrics.gauge(
                "ledger_settlements_open_age_seconds",
                "Age of the oldest settlement with another ledger without an answer",
            ),
            asked_again=metrics.counter(
                "ledger_transfers_asked_again_total",
                "Times an overdue transfer or settlement was put to the other ledger again",
            ),
        )


@dataclass(frozen=True, slots=True)
class OverdueTransfers:
    """Measures open transfers and settlements; those older than `overdue_s` are reported and asked again."""

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
        now = context.clock.now()
        number, oldest = await store.open_transfers(context.pool)
        self.metrics.open().set(number)
        self.metrics.open_age_seconds().set(_age_s(oldest, now))
        number, oldest = await settlement_store.open_settlements(context.pool)
        self.metrics.settlements_open().set(number)
        self.metrics.settlements_open_age_seconds().set(_age_s(oldest, now))

    async def ask_again(self, uow: UnitOfWork) -> int:
        """Tell of what is overdue once more, word for word: whoever acted already answers again."""
        before = uow.now - timedelta(seconds=self.overdue_s)
        return await _transfers(uow, before) + await _settlements(uow, before)


async def _transfers(uow: UnitOfWork, before: datetime) -> int:
    overdue = await store.overdue(uow.conn, before, _BATCH)
    for stored in overdue:
        start = stored.start
        _warn("transfer", start.transfer_id, (start.ledger, start.to_ledger), stored.asked_at)
        uow.emit(
            facts.of_transfer(stored, uow.now),
            topic=facts.TRANSFERS,
            key=start.transfer_id,
            cause=Cause.from_text(stored.cause),
        )
    if overdue:
        await store.asked_again(uow.conn, [one.transfer.id for one in overdue], uow.now)
    return len(overdue)


async def _settlements(uow: UnitOfWork, before: datetime) -> int:
    overdue = await settlement_store.overdue(uow.conn, before, _BATCH)
    for stored in overdue:
        asked = stored.request
        _warn("settlement", asked.settlement_id, (asked.ledger, asked.other), stored.at)
        uow.emit(
            facts.of_settlement(stored),
            topic=facts.TRANSFERS,
            key=asked.settlement_id,
            cause=Cause.from_text(stored.cause),
        )
    if overdue:
        ids = [one.request.settlement_id for one in overdue]
        await settlement_store.asked_again(uow.conn, ids, uow.now)
    return len(overdue)


def _warn(what: str, id_: str, ledgers: tuple[str, str], since: datetime) -> None:
    _LOG.warning(
        f"{what}_overdue",
        id=id_,
        ledger=ledgers[0],
        to_ledger=ledgers[1],
        since=since.isoformat(),
        runbook="services/ledger/README.md: transfers between ledgers",
    )


def _age_s(oldest: datetime | None, now: datetime) -> float:
    age = timedelta(0) if oldest is None else now - oldest
    return max(age.total_seconds(), 0)
