"""Versions in force over time: each begins once, and no two are in force together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_programs.domain.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Period:
    """A version is in force from `begins` until before `ends`; without `ends`, until the next."""

    version: int
    begins: datetime
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """When a new version is to be in force; `begins` absent: from now on."""

    version: int
    begins: datetime | None = None
    ends: datetime | None = None


def decide_period(
    last_version: int, known: Iterable[Period], asked: Asked, now: datetime
) -> Period | Refusal:
    """The new version's period; refused where it would change the past or overlap another's.

    A version without an end stops where the next begins; one with an end keeps it. A version put in
    force at once may follow another of the same moment, as in one batch: the later one stands.
    """
    if asked.version != last_version + 1:
        return Refusal(
            "version_not_next",
            "/version",
            f"the last version is {last_version}",
            f"publish it as version {last_version + 1}",
        )
    begins = asked.begins or now
    if begins < now:
        return Refusal(
            "effective_past",
            "/effective_from",
            "what was decided before now was decided under an earlier version",
            "give a time that is still to come, or none for at once",
        )
    if asked.ends is not None and asked.ends <= begins:
        return Refusal(
            "effective_empty",
            "/effective_until",
            "the version would never be in force",
            "give an end after the beginning, or none",
        )
    for period in known:
        same = asked.begins is not None and period.begins == begins
        if same or period.begins > begins or (period.ends is not None and period.ends > begins):
            return Refusal(
                "effective_overlap",
                "/effective_from",
                f"version {period.version} is in force then",
                f"begin after version {period.version} has",
            )
    return Period(asked.version, begins, asked.ends)


def in_force(periods: Sequence[Period], at: datetime) -> Period | None:
    """The version in force at a moment, if any: of those begun the latest, unless it has ended."""
    begun = [period for period in periods if period.begins <= at]
    if not begun:
        return None
    latest = max(begun, key=lambda period: period.version)
    return None if latest.ends is not None and latest.ends <= at else latest
