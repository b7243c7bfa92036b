"""What stands open of returns, debts and proposals, as gauges with the age of the oldest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from prometheus_client import Gauge

from tally_funding.answers.store import for_every_tenant
from tally_funding.refunds.receivable_store import open_receivables
from tally_funding.refunds.store import open_returns
from tally_funding.sources.entry_store import waiting
from tally_messaging import Watch
from tally_postgres import Connection, Pool, in_transaction
from tally_runtime import Metrics


@dataclass(frozen=True, slots=True)
class SourcesMetrics:
    """Each is a function from its labels to a series."""

    receivables: Callable[..., Gauge]
    receivable_age_seconds: Callable[..., Gauge]
    returns: Callable[..., Gauge]
    return_age_seconds: Callable[..., Gauge]
    entries: Callable[..., Gauge]
    entry_age_seconds: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "SourcesMetrics":
        """The set of this service."""
        return cls(
            receivables=metrics.gauge("funding_receivables", "Open debts by currency", "currency"),
            receivable_age_seconds=metrics.gauge(
                "funding_receivable_age_seconds", "Age of the oldest open debt", "currency"
            ),
            returns=metrics.gauge("funding_returns_open", "Returns that are not done"),
            return_age_seconds=metrics.gauge(
                "funding_return_age_seconds", "Age of the oldest return that is not done"
            ),
            entries=metrics.gauge("funding_entries_waiting", "Proposals without a second person"),
            entry_age_seconds=metrics.gauge(
                "funding_entry_age_seconds", "Age of the oldest proposal without a second person"
            ),
        )


@dataclass(slots=True)
class SourcesWatch(Watch):
    """Measures what waits."""

    metrics: SourcesMetrics
    name: ClassVar[str] = "sources_watch"
    _currencies: frozenset[str] = frozenset()

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what stands in the database; a currency with no debt left is zero."""
        await in_transaction(pool, partial(self._measure, now=now))

    async def _measure(self, conn: Connection, now: datetime) -> None:
        await for_every_tenant(conn)
        owed = await open_receivables(conn)
        for code in sorted(self._currencies | owed.keys()):
            number, opened_at = owed.get(code, (0, None))
            self.metrics.receivables(code).set(number)
            self.metrics.receivable_age_seconds(code).set(_age_s(opened_at, now))
        self._currencies = frozenset(owed)
        number, oldest = await open_returns(conn)
        self.metrics.returns().set(number)
        self.metrics.return_age_seconds().set(_age_s(oldest, now))
        number, oldest = await waiting(conn)
        self.metrics.entries().set(number)
        self.metrics.entry_age_seconds().set(_age_s(oldest, now))


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
