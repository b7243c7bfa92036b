import pytest
from prometheus_client import CollectorRegistry

from tally_runtime import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_services_of_one_process_share_a_family_and_keep_their_own_series() -> None:
    ledger = Metrics("ledger", CollectorRegistry())
    funding = ledger.for_service("funding")
    ledger.counter("retries_total", "Units run again", "reason")("deadlock").inc()
    funding.counter("retries_total", "Units run again", "reason")("deadlock").inc(2)
    assert value(ledger, "tally_retries_total", service="ledger", reason="deadlock") == 1
    assert value(ledger, "tally_retries_total", service="funding", reason="deadlock") == 2


def test_gauges_and_histograms_carry_the_service_too() -> None:
    metrics = Metrics("ledger", CollectorRegistry())
    metrics.gauge("outbox_depth_records", "Unsent rows")().set(7)
    metrics.histogram("post_duration_s", "Time to post", buckets=(0.1, 1.0))().observe(0.5)
    assert value(metrics, "tally_outbox_depth_records", service="ledger") == 7
    assert value(metrics, "tally_post_duration_s_bucket", service="ledger", le="0.1") == 0
    assert value(metrics, "tally_post_duration_s_bucket", service="ledger", le="1.0") == 1


def test_registries_do_not_know_of_each_other() -> None:
    first, second = Metrics("ledger"), Metrics("ledger")
    first.counter("holds_total", "Holds")().inc()
    second.counter("holds_total", "Holds")()
    assert value(second, "tally_holds_total", service="ledger") == 0


def test_one_name_cannot_be_two_kinds_of_metric() -> None:
    metrics = Metrics("ledger", CollectorRegistry())
    metrics.counter("holds_total", "Holds")
    with pytest.raises(AssertionError, match="another kind"):
        metrics.gauge("holds_total", "Holds")
