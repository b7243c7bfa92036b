"""A check while it is made: what it counted, and what it found wrong."""

from dataclasses import dataclass, field

from tally_reconciliation.report import FAULTS_SHOWN, Check, Fault, Quiet, Value, Verdict


@dataclass(slots=True)
class Findings:
    """Collects a check's faults; only the first ones are kept, all are counted."""

    id: str
    title: str
    figures: dict[str, Value] = field(default_factory=dict)
    _faults: list[Fault] = field(default_factory=list)
    _count: int = 0
    _unfinished: list[Fault] = field(default_factory=list)
    _unfinished_count: int = 0

    @property
    def count(self) -> int:
        """How much is wrong so far."""
        return self._count

    def wrong(self, what: str, **row: Value) -> None:
        """Something that is wrong whatever else is going on."""
        self._count += 1
        if len(self._faults) < FAULTS_SHOWN:
            self._faults.append(Fault(what, row))

    def unfinished(self, what: str, **row: Value) -> None:
        """Something that is wrong unless the platform is still at work on it."""
        self._unfinished_count += 1
        if len(self._unfinished) < FAULTS_SHOWN:
            self._unfinished.append(Fault(what, row))

    def judged(self, summary: str) -> Check:
        """The verdict on what holds at any time."""
        assert not self._unfinished_count, f"{self.id} needs quiet: judge it with `once_quiet`"
        return self._check(summary, Verdict.GREEN)

    def once_quiet(self, summary: str, quiet: Quiet) -> Check:
        """The verdict on what holds when nothing moves; while something does, skipped or red."""
        if quiet.is_quiet:
            self._faults = (self._faults + self._unfinished)[:FAULTS_SHOWN]
            self._count += self._unfinished_count
            return self._check(summary, Verdict.GREEN)
        return self._check(f"{summary}; moving: {', '.join(quiet.moving)}", Verdict.SKIPPED)

    def not_looked_at(self, reason: str) -> Check:
        """The check was not made, and why."""
        return self._check(reason, Verdict.SKIPPED)

    def absent(self, reason: str) -> Check:
        """There is nothing of the kind to judge, and why."""
        assert not self._count, f"{self.id} found faults in what is not there"
        return self._check(reason, Verdict.ABSENT)

    def _check(self, summary: str, otherwise: Verdict) -> Check:
        return Check(
            id=self.id,
            title=self.title,
            verdict=Verdict.RED if self._count else otherwise,
            summary=summary,
            figures=self.figures,
            faults=tuple(self._faults),
            fault_count=self._count,
        )
