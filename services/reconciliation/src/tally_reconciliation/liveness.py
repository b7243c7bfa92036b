"""O12: after input stops everything comes to rest within a bound, and who was late if not."""

from dataclasses import dataclass, field

from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet

_TITLE = "after input stops, lag 0 and outbox 0 within the bound"


def check_rest(quiet: Quiet) -> Check:
    """O12 by one look: at rest, or not waited for."""
    found = Findings("O12", _TITLE)
    if quiet.is_quiet:
        return found.judged("at rest when looked at")
    return found.not_looked_at(f"not waited for; moving: {', '.join(quiet.moving)}")


@dataclass(slots=True)
class Waiting:
    """What was seen while waiting for rest. Times are milliseconds since the wait began.

    `seen_ms` is when each service or group was last seen at work; `input_records` are the records on
    the inbound topics at the first look and at the last.
    """

    bound_s: float
    seen_ms: dict[str, int] = field(default_factory=dict)
    last: Quiet = field(default_factory=Quiet)
    quiet_ms: int | None = None
    first_input: int | None = None
    last_input: int = 0

    def look(self, quiet: Quiet, input_records: int, at_ms: int) -> None:
        """Note what one look saw."""
        self.last, self.last_input = quiet, input_records
        if self.first_input is None:
            self.first_input = input_records
        for name in quiet.services:
            self.seen_ms[name] = at_ms
        self.quiet_ms = at_ms if quiet.is_quiet else None

    def judged(self) -> Check:
        """O12: red if something was still at work at the end although no input came."""
        found = Findings("O12", _TITLE)
        found.figures.update(bound_s=str(self.bound_s), quiet_after_ms=self.quiet_ms)
        found.figures.update({f"{name}_ms": at for name, at in sorted(self.seen_ms.items())})
        late = ", ".join(f"{name} until {at} ms" for name, at in sorted(self.seen_ms.items()))
        if self.quiet_ms is not None:
            told = f"at rest after {self.quiet_ms} ms of {self.bound_s:.0f} s"
            return found.judged(f"{told}; seen at work: {late}" if late else told)
        came = self.last_input - (self.first_input or 0)
        if came:
            return found.not_looked_at(f"input did not stop: {came} records came while waiting")
        for text in self.last.moving:
            found.wrong("not_at_rest", moving=text, bound_s=str(self.bound_s))
        return found.judged(f"not at rest within {self.bound_s:.0f} s; seen at work: {late}")


def absent_notifications(schemas: frozenset[str]) -> Check:
    """O10: nobody is notified of anything yet, and a check of nothing is not green."""
    found = Findings("O10", "every payout that ended has exactly one notification")
    assert "notifications" not in schemas, "O10 has to be written once there are notifications"
    return found.absent("the platform sends no notifications yet: nothing was judged")
