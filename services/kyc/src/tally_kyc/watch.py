"""Tasks that wait, as gauges with their age."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import Gauge

from tally_kyc.store.standing import standing
from tally_messaging import Watch
from tally_postgres import Pool, in_transaction
from tally_runtime import Metrics

_WAITING: Final = ("open", "submitted", "in_review")


@dataclass(frozen=True, slots=True)
class KycMetrics:
    """Each is a function from its labels to a series."""

    tasks: Callable[..., Gauge]
    age_seconds: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "KycMetrics":
        """The set of this service."""
        return cls(
            tasks=metrics.gauge("kyc_tasks", "Tasks that wait for somebody, by state", "state"),
            age_seconds=metrics.gauge(
                "kyc_task_age_seconds", "Time since the last change of the oldest", "state"
            ),
        )


@dataclass(frozen=True, slots=True)
class StandingWatch(Watch):
    """Measures what waits."""

    metrics: KycMetrics

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what waits in the database; what nothing waits in is zero."""
        found = await in_transaction(pool, standing)
        for state in _WAITING:
            row = found.get(state)
            self.metrics.tasks(state).set(0 if row is None else row.number)
            age_s = 0.0 if row is None else max(0.0, (now - row.since).total_seconds())
            self.metrics.age_seconds(state).set(age_s)
