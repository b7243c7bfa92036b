"""Payments and claims that wait, as gauges with their age."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import Gauge

from tally_messaging import Watch
from tally_postgres import Pool
from tally_programs.store.standing import standing
from tally_runtime import Metrics

_WAITING: Final = ("payment_proposed", "payment_approved", "claim_submitted")


@dataclass(frozen=True, slots=True)
class ProgramMetrics:
    """Each is a function from its labels to a series."""

    standing: Callable[..., Gauge]
    age_seconds: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "ProgramMetrics":
        """The set of this service."""
        return cls(
            standing=metrics.gauge(
                "programs_standing", "Payments and claims that wait, by kind and state", "what"
            ),
            age_seconds=metrics.gauge(
                "programs_standing_age_seconds",
                "Time since the last change of the one that has waited longest",
                "what",
            ),
        )


@dataclass(frozen=True, slots=True)
class StandingWatch(Watch):
    """Measures what waits."""

    metrics: ProgramMetrics

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what waits in the database; what nothing waits in is zero."""
        found = {row.what: row for row in await standing(pool)}
        for what in _WAITING:
            row = found.get(what)
            since = now if row is None or row.since is None else row.since
            self.metrics.standing(what).set(0 if row is None else row.number)
            self.metrics.age_seconds(what).set((now - since).total_seconds())
