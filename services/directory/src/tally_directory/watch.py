"""What waits for a person, as gauges: approvals to decide, and payees nobody has claimed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Gauge

from tally_directory.store.standing import standing
from tally_messaging import Watch
from tally_postgres import Pool, in_transaction
from tally_runtime import Metrics


@dataclass(frozen=True, slots=True)
class DirectoryMetrics:
    """Each is a function from its labels to a series."""

    approvals: Callable[..., Gauge]
    approval_age_seconds: Callable[..., Gauge]
    unclaimed: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "DirectoryMetrics":
        """The set of this service."""
        return cls(
            approvals=metrics.gauge("directory_approvals", "Acts that wait for a second person"),
            approval_age_seconds=metrics.gauge(
                "directory_approval_age_seconds", "Age of the oldest act that waits"
            ),
            unclaimed=metrics.gauge(
                "directory_unclaimed_payees", "Payees that money made and nobody has claimed"
            ),
        )


@dataclass(frozen=True, slots=True)
class StandingWatch(Watch):
    """Measures what waits."""

    metrics: DirectoryMetrics

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what stands in the database."""
        found = await in_transaction(pool, standing)
        self.metrics.approvals().set(found.approvals)
        self.metrics.unclaimed().set(found.unclaimed)
        since = found.oldest_approval
        age_s = 0.0 if since is None else max(0.0, (now - since).total_seconds())
        self.metrics.approval_age_seconds().set(age_s)
