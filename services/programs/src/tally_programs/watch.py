"""Payments and claims that wait, as gauges with their age."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import Gauge

from tally_messaging import WorkerContext
from tally_postgres import Pool
from tally_programs.store.standing import standing
from tally_runtime import Metrics

_INTERVAL_S: Final = 10.0
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
class StandingWatch:
    """Measures every ten seconds, as long as the service runs."""

    metrics: ProgramMetrics
    name: str = "standing_watch"
    within_s: float = 60.0

    async def run(self, context: WorkerContext) -> None:
        async def turn() -> bool:
            await self.measure(context.pool, context.clock.now())
            return False

        await context.take_turns(self.name, _INTERVAL_S, turn)

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what waits in the database; what nothing waits in is zero."""
        found = {row.what: row for row in await standing(pool)}
        for what in _WAITING:
            row = found.get(what)
            since = now if row is None or row.since is None else row.since
            self.metrics.standing(what).set(0 if row is None else row.number)
            self.metrics.age_seconds(what).set((now - since).total_seconds())
