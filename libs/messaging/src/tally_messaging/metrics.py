"""The counters and gauges every consumer and relay has."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from tally_runtime import Metrics

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class MessagingMetrics:
    """One set per service; each is a function from its labels to a series."""

    records: Callable[..., Counter]
    batch_seconds: Callable[..., Histogram]
    batch_records: Callable[..., Histogram]
    retries: Callable[..., Counter]
    restarts: Callable[..., Counter]
    published: Callable[..., Counter]
    publish_errors: Callable[..., Counter]
    outbox_depth: Callable[..., Gauge]
    outbox_age_seconds: Callable[..., Gauge]
    quarantine_open: Callable[..., Gauge]
    retention_late: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "MessagingMetrics":
        """The set of one service."""
        return cls(
            records=metrics.counter(
                "consumed_records_total",
                "Records by outcome: applied, duplicate, skipped, quarantined, parked",
                "consumer",
                "outcome",
            ),
            batch_seconds=metrics.histogram(
                "batch_seconds", "Time of one batch, parse to commit", "consumer"
            ),
            batch_records=metrics.histogram(
                "batch_records", "Records in one batch", "consumer", buckets=_SIZES
            ),
            retries=metrics.counter(
                "batch_retries_total", "Batches tried again: a dependency was down", "consumer"
            ),
            restarts=metrics.counter(
                "consumer_restarts_total", "Consumers restarted for want of progress", "consumer"
            ),
            published=metrics.counter("outbox_published_total", "Records the broker acknowledged"),
            publish_errors=metrics.counter(
                "outbox_publish_errors_total", "Pages that failed to publish"
            ),
            outbox_depth=metrics.gauge("outbox_records", "Records waiting for publication"),
            outbox_age_seconds=metrics.gauge(
                "outbox_age_seconds", "Age of the oldest record waiting for publication"
            ),
            quarantine_open=metrics.gauge(
                "quarantine_open_records", "Records set aside and not yet resolved"
            ),
            retention_late=metrics.gauge(
                "retention_late", "1 if partitions could not be kept at the last try"
            ),
        )
