"""Prometheus metrics: every series carries its service, and no registry is global."""

from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

LATENCY_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

_Family = Counter | Gauge | Histogram


class Metrics:
    """The metrics of one service; services of one process share families through `for_service`.

    A metric is a function from its label values to a series:
    `retries = metrics.counter("retries_total", "Units run again", "reason")`, then
    `retries("deadlock").inc()`. Label values come from small fixed sets, never ids.
    """

    def __init__(self, service: str, registry: CollectorRegistry | None = None) -> None:
        self.service = service
        self.registry = registry if registry is not None else CollectorRegistry()
        self._families: dict[str, _Family] = {}
        if registry is None:
            ProcessCollector(registry=self.registry)

    def for_service(self, service: str) -> "Metrics":
        """Return the metrics of another service, in the same registry."""
        other = Metrics(service, self.registry)
        other._families = self._families
        return other

    def counter(self, name: str, text: str, *labels: str) -> Callable[..., Counter]:
        """Return the counter `tally_<name>`; the name ends in _total."""
        family = self._family(name, lambda full: self._new(Counter, full, text, labels))
        assert isinstance(family, Counter), f"{name} is already another kind of metric"
        return partial(family.labels, self.service)

    def gauge(self, name: str, text: str, *labels: str) -> Callable[..., Gauge]:
        """Return the gauge `tally_<name>`; the unit ends the name."""
        family = self._family(name, lambda full: self._new(Gauge, full, text, labels))
        assert isinstance(family, Gauge), f"{name} is already another kind of metric"
        return partial(family.labels, self.service)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = LATENCY_BUCKETS_S
    ) -> Callable[..., Histogram]:
        """Return the histogram `tally_<name>`; the unit ends the name, buckets are in it."""

        def make(full: str) -> Histogram:
            names = ("service", *labels)
            return Histogram(full, text, names, registry=self.registry, buckets=buckets)

        family = self._family(name, make)
        assert isinstance(family, Histogram), f"{name} is already another kind of metric"
        return partial(family.labels, self.service)

    def _new(
        self, kind: type[Counter | Gauge], full: str, text: str, labels: tuple[str, ...]
    ) -> Counter | Gauge:
        return kind(full, text, ("service", *labels), registry=self.registry)

    def _family(self, name: str, make: Callable[[str], _Family]) -> _Family:
        if name not in self._families:
            self._families[name] = make(f"tally_{name}")
        return self._families[name]
