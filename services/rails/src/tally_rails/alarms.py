"""What an operator is woken for: one log line and one count each."""

from tally_runtime import Metrics, get_logger

_LOG = get_logger("tally_rails")


class Alarms:
    """Counts `tally_rails_alarms_total{rail, code}`; codes come from the code, never from outside."""

    def __init__(self, metrics: Metrics) -> None:
        self._total = metrics.counter(
            "rails_alarms_total", "What a rail did that a person has to look at", "rail", "code"
        )

    def ring(self, rail: str, code: str, **details: object) -> None:
        """Log and count an alarm."""
        _LOG.error(f"rails_{code}", rail=rail, runbook=f"rails-{code}", **details)
        self._total(rail, code).inc()
