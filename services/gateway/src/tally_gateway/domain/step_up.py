"""A person's word for a debit: a code of one use, for one request of theirs, for ten minutes (F5)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

ATTEMPTS_MAX: Final = 5
LIFE: Final = timedelta(minutes=10)
ISSUED_MAX: Final = 10
"""Challenges of one person within the life of one: more would only fill their letter box."""


class State(StrEnum):
    """Where a challenge is; used and dead are its ends, and time is a third."""

    OPEN = "open"
    USED = "used"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a challenge is for: one request of one principal, with the key it was sent with."""

    principal: str
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge as it is kept; `code_hash` is keyed and says nothing of the code."""

    id: str
    tenant: str
    bound: Bound
    code_hash: bytes
    state: State
    attempts: int
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a code that was given: `code` says why it is refused, None that it is right.

    `changed` is the challenge as it is kept from now on, None when it stays as it was.
    """

    code: str | None
    changed: Challenge | None = None


def decide(challenge: Challenge | None, bound: Bound, *, is_right: bool, now: datetime) -> Decision:
    """Judge the code given for a request; a challenge of another principal is as if it were none.

    Only a code that could have been right counts as an attempt.
    """
    if challenge is None or challenge.bound.principal != bound.principal:
        return Decision("step_up_unknown")
    if challenge.bound != bound:
        return Decision("step_up_other_request")
    if challenge.state is not State.OPEN:
        return Decision(f"step_up_{challenge.state}")
    if now >= challenge.expires_at:
        return Decision("step_up_expired")
    attempts = challenge.attempts + 1
    if is_right:
        return Decision(None, replace(challenge, state=State.USED, attempts=attempts))
    if attempts == ATTEMPTS_MAX:
        return Decision("step_up_dead", replace(challenge, state=State.DEAD, attempts=attempts))
    return Decision("step_up_wrong", replace(challenge, attempts=attempts))
