"""The policy: which tasks make which level. Dated versions, so that an old level recomputes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tally_kyc.domain.tasks import Task, TaskKind, TaskState


class PartyKind(StrEnum):
    """Whether a party is a human being or something that human beings own."""

    PERSON = "person"
    COMPANY = "company"


class Level(StrEnum):
    """What is known of a party; the order of the members is the order of the levels."""

    NONE = "none"
    BASIC = "basic"
    STANDARD = "standard"
    ADVANCED = "advanced"


@dataclass(frozen=True, slots=True)
class Track:
    """What one kind of party has to show.

    `needs` is what each level takes beside what the levels below it take. `first` are asked for when
    a party is registered. `remit` lets a company pay others; empty where nothing does.
    """

    first: tuple[TaskKind, ...]
    needs: Mapping[Level, frozenset[TaskKind]]
    remit: frozenset[TaskKind]


@dataclass(frozen=True, slots=True)
class Policy:
    """One version. `touches`: the tasks that rest on a part of what is known of a party."""

    version: int
    valid_from: datetime
    warn_before: timedelta
    tracks: Mapping[PartyKind, Track]
    touches: Mapping[str, frozenset[TaskKind]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What follows from a party's tasks. `reasons`, `valid_until` as in LevelChanged."""

    level: Level
    may_remit: bool
    reasons: tuple[str, ...]
    valid_until: datetime | None
    policy_version: int


def in_force(policies: Sequence[Policy], at: datetime) -> Policy:
    """The newest version that has begun; raises a ValueError where none has."""
    begun = [policy for policy in policies if policy.valid_from <= at]
    if not begun:
        raise ValueError(f"no version of the policy is in force at {at.isoformat()}")
    return max(begun, key=lambda policy: policy.version)


def derive(policy: Policy, kind: PartyKind, tasks: Sequence[Task], now: datetime) -> Standing:
    """The level that passed and waived tasks make, as long as they have not expired.

    Of several tasks of a kind the one that holds longest counts. Nothing else makes a level.
    """
    counting: dict[TaskKind, Task] = {}
    for task in tasks:
        if task.counts_at(now):
            best = counting.get(task.kind)
            if best is None or _until(best) < _until(task):
                counting[task.kind] = task
    track = policy.tracks[kind]
    level, rests_on, missing = Level.NONE, frozenset[TaskKind](), frozenset[TaskKind]()
    for step in tuple(Level)[1:]:
        missing = track.needs[step] - counting.keys()
        if missing:
            break
        level, rests_on = step, rests_on | track.needs[step]
    # The level's end alone: whoever reads it takes the level for none from then on.
    ends = [_until(counting[each]) for each in rests_on]
    may_remit = bool(track.remit) and track.remit <= counting.keys()
    if may_remit:
        rests_on |= track.remit
    reasons = [f"{_word(counting[each])}:{each}" for each in sorted(rests_on)]
    reasons += [f"missing:{each}" for each in sorted(missing)]
    return Standing(level, may_remit, tuple(reasons), min(ends, default=None), policy.version)


def _until(task: Task) -> datetime:
    assert task.expires_at is not None, "what counts has an end"
    return task.expires_at


def _word(task: Task) -> str:
    return "passed" if task.state is TaskState.PASSED else "waived"
