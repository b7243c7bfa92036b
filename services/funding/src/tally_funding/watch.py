"""Money that waits, as gauges: cases nobody has closed, and pay-ins the ledger has not answered."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from prometheus_client import Gauge

from tally_funding import store
from tally_funding.answers.store import for_every_tenant
from tally_messaging import Watch
from tally_postgres import Connection, Pool, in_transaction
from tally_runtime import Metrics


@dataclass(frozen=True, slots=True)
class FundingMetrics:
    """Each is a function from its labels to a series."""

    cases: Callable[..., Gauge]
    case_age_seconds: Callable[..., Gauge]
    waiting: Callable[..., Gauge]
    waiting_age_seconds: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "FundingMetrics":
        """The set of this service."""
        return cls(
            cases=metrics.gauge("funding_cases", "Cases by reason", "reason"),
            case_age_seconds=metrics.gauge(
                "funding_case_age_seconds", "Age of the oldest case by reason", "reason"
            ),
            waiting=metrics.gauge("funding_waiting_pay_ins", "Pay-ins the ledger has not answered"),
            waiting_age_seconds=metrics.gauge(
                "funding_waiting_age_seconds",
                "Age of the oldest pay-in the ledger has not answered",
            ),
        )


@dataclass(frozen=True, slots=True)
class SuspenseWatch(Watch):
    """Measures what waits."""

    metrics: FundingMetrics
    name: ClassVar[str] = "suspense_watch"

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what stands in the database."""
        await in_transaction(pool, partial(self._measure, now=now))

    async def _measure(self, conn: Connection, now: datetime) -> None:
        await for_every_tenant(conn)
        number, oldest = await store.waiting(conn)
        self.metrics.waiting().set(number)
        self.metrics.waiting_age_seconds().set(_age_s(oldest, now))
        for reason, (count, opened_at) in (await store.cases(conn)).items():
            self.metrics.cases(reason).set(count)
            self.metrics.case_age_seconds(reason).set(_age_s(opened_at, now))


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
