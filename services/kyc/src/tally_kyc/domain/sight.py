"""Who sees what of a party's identity."""

from dataclasses import dataclass
from enum import StrEnum

from tally_kyc.domain.world import Party, decides_on


class Sight(StrEnum):
    """`level` and until when; or the tasks as well."""

    LEVEL = "level"
    TASKS = "tasks"


@dataclass(frozen=True, slots=True)
class Found:
    """A party, and every id that stands for it: its own, and those of parties that became it."""

    party: Party
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lets:
    """What the party's own word allows a viewer."""

    manage: bool
    consent: bool


def sight_of(found: Found, viewer: str, *, is_operator: bool, lets: Lets) -> Sight | None:
    """What a viewer sees; None: to it there is no such party."""
    if is_operator or viewer in found.ids or lets.manage or decides_on(viewer, found.party):
        return Sight.TASKS
    return Sight.LEVEL if lets.consent else None
