"""What the oracle says: one verdict per check, and where every unit of money is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

FAULTS_SHOWN = 20
Value = str | int | None


class Verdict(StrEnum):
    """`SKIPPED`: nothing wrong was seen, but not all could be judged.

    `ABSENT`: the platform has nothing of the kind yet, so nothing was proved of it.
    """

    GREEN = "green"
    RED = "red"
    SKIPPED = "skipped"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: a slug, and the row it is wrong in."""

    what: str
    row: Mapping[str, Value]

    def __str__(self) -> str:
        return " ".join([self.what, *(f"{name}={value}" for name, value in self.row.items())])


@dataclass(frozen=True, slots=True)
class Check:
    """One check's verdict. `faults` are the first `FAULTS_SHOWN` of `fault_count`."""

    id: str
    title: str
    verdict: Verdict
    summary: str
    figures: Mapping[str, Value]
    faults: tuple[Fault, ...] = ()
    fault_count: int = 0

    def line(self) -> str:
        """The check on one line: id, verdict, what it saw, what it holds to be true."""
        wrong = f"{self.fault_count} at fault, " if self.fault_count else ""
        return f"{self.id} {self.verdict} {wrong}{self.summary} ({self.title})"


@dataclass(frozen=True, slots=True)
class Holding:
    """Money of one kind of account: balances are credits minus debits, in minor units.

    `held` is what open holds reserve of it (pending debits); `place` tells clearing accounts and
    suspense apart by source or rail, empty for other purposes.
    """

    currency: str
    scale: int
    purpose: str
    place: str
    accounts: int
    posted: int
    held: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """Whether everything stood still while it was looked at.

    `moving` says what did not; `services` are the names of the services at work.
    """

    moving: tuple[str, ...] = ()
    services: frozenset[str] = frozenset()

    @property
    def is_quiet(self) -> bool:
        return not self.moving


@dataclass(frozen=True, slots=True)
class Report:
    """The oracle's answer. `counts` are how many of what the platform holds, by name."""

    taken_at: datetime
    quiet: Quiet
    checks: tuple[Check, ...]
    money: tuple[Holding, ...]
    counts: Mapping[str, Mapping[str, int]]

    @property
    def verdict(self) -> Verdict:
        """Red if any check is; skipped if none is red and not all could be judged.

        What the platform does not have (`ABSENT`) counts neither way.
        """
        verdicts = {check.verdict for check in self.checks}
        for worst in (Verdict.RED, Verdict.SKIPPED):
            if worst in verdicts:
                return worst
        return Verdict.GREEN

    def check(self, check_id: str) -> Check:
        """One check by its id; `KeyError` for an id that is none."""
        for check in self.checks:
            if check.id == check_id:
                return check
        raise KeyError(check_id)

    def to_json(self) -> dict[str, Any]:
        """The report for programs; amounts are decimal strings of minor units."""
        return {
            "taken_at": self.taken_at.isoformat().replace("+00:00", "Z"),
            "verdict": self.verdict.value,
            "quiet": self.quiet.is_quiet,
            "moving": list(self.quiet.moving),
            "checks": [
                {
                    "id": check.id,
                    "title": check.title,
                    "verdict": check.verdict.value,
                    "summary": check.summary,
                    "figures": dict(check.figures),
                    "fault_count": check.fault_count,
                    "faults": [{"what": f.what, "row": dict(f.row)} for f in check.faults],
                }
                for check in self.checks
            ],
            "money": [
                {
                    "currency": holding.currency,
                    "scale": holding.scale,
                    "purpose": holding.purpose,
                    "place": holding.place,
                    "accounts": holding.accounts,
                    "posted": str(holding.posted),
                    "held": str(holding.held),
                }
                for holding in self.money
            ],
            "counts": {name: dict(numbers) for name, numbers in self.counts.items()},
        }
