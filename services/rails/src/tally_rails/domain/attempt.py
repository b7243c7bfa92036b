"""An attempt to send money by one rail, and what news about it changes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Final

from tally_money import Money
from tally_railkit import Accepted, Action, AttemptState, Meaning, PayoutOrder, Rejected

S = AttemptState

ALLOWED: Final[Mapping[AttemptState, frozenset[AttemptState]]] = MappingProxyType(
    {
        S.SCHEDULED: frozenset({S.SUBMITTING, S.CANCELLED, S.FAILED}),
        S.SUBMITTING: frozenset({S.UNKNOWN, S.SUBMITTED, S.IN_TRANSIT, S.PAID, S.FAILED}),
        S.UNKNOWN: frozenset({S.SUBMITTED, S.IN_TRANSIT, S.PAID, S.FAILED}),
        S.SUBMITTED: frozenset({S.IN_TRANSIT, S.PAID, S.FAILED}),
        S.IN_TRANSIT: frozenset({S.PAID, S.FAILED}),
        S.PAID: frozenset({S.RETURNED}),
        S.FAILED: frozenset(),
        S.CANCELLED: frozenset(),
        S.RETURNED: frozenset(),
    }
)
NOT_SENT: Final = frozenset({S.FAILED, S.CANCELLED})
ENDED: Final = frozenset({S.FAILED, S.CANCELLED, S.RETURNED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`sequence` counts its changes from 1; the rest says what was learnt last, and how."""

    order: PayoutOrder
    rail: str
    state: AttemptState
    sequence: int = 1
    provider_reference: str | None = None
    code: str | None = None
    action: Action = Action.NONE
    source: str = "answer"
    return_reference: str | None = None
    settlement_date: date | None = None

    @property
    def id(self) -> str:
        return self.order.attempt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """News about an attempt whose code the rail's table knows."""

    meaning: Meaning
    code: str | None
    reference: str | None
    amount: Money | None
    source: str
    settlement_date: date | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """The attempt changed its state; published and kept in its history."""

    attempt: Attempt
    previous: AttemptState | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing changed: stale or known already."""

    why: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Nothing changed, and a person has to look: what the rail says cannot be true of the attempt."""

    code: str
    detail: str


Decision = Moved | Ignored | Contradiction


def decide_taken(rail: str, order: PayoutOrder, answer: Accepted | Rejected) -> tuple[Moved, ...]:
    """The first steps of an attempt, by the rail's answer.

    One that is paid at once was submitted before it was paid, so that every path reads the same.
    """
    if isinstance(answer, Rejected):
        failed = Attempt(
            order=order, rail=rail, state=S.FAILED, code=answer.code, action=answer.action
        )
        return (Moved(failed, None),)
    first = S.SUBMITTED if answer.state is S.PAID else answer.state
    begun = Attempt(order=order, rail=rail, state=first, provider_reference=answer.reference)
    if answer.state is not S.PAID:
        return (Moved(begun, None),)
    paid = replace(begun, state=S.PAID, sequence=2)
    return Moved(begun, None), Moved(paid, S.SUBMITTED)


def decide_cancel(attempt: Attempt) -> Decision:
    """Take an attempt back that has not left; whatever has left runs its course."""
    if S.CANCELLED not in ALLOWED[attempt.state]:
        return Ignored("too_late_to_cancel")
    cancelled = replace(
        attempt, state=S.CANCELLED, sequence=attempt.sequence + 1, source="operator"
    )
    return Moved(cancelled, attempt.state)


def decide_sighting(attempt: Attempt, seen: Sighting) -> Decision:
    """Take in news about an attempt.

    A return before `paid` makes it failed, after `paid` returned. Another amount than the
    attempt's, or an end that contradicts the one it has, changes nothing.
    """
    target = seen.meaning.state
    if seen.amount is not None and seen.amount != attempt.order.amount:
        return Contradiction(
            "amount_differs",
            f"the rail says {seen.code} for {seen.amount.wire_amount} "
            f"{seen.amount.currency.code}, the attempt is {attempt.order.amount.wire_amount} "
            f"{attempt.order.amount.currency.code}",
        )
    returned = target is S.RETURNED
    if returned and S.FAILED in ALLOWED[attempt.state] and attempt.state is not S.SCHEDULED:
        target = S.FAILED
    if target not in ALLOWED[attempt.state]:
        return _not_moved(attempt, seen)
    moved = replace(
        attempt,
        state=target,
        sequence=attempt.sequence + 1,
        provider_reference=attempt.provider_reference if returned else _reference(attempt, seen),
        code=seen.code,
        action=seen.meaning.action,
        source=seen.source,
        return_reference=seen.reference if returned else None,
        settlement_date=seen.settlement_date or attempt.settlement_date,
    )
    return Moved(moved, attempt.state)


def _reference(attempt: Attempt, seen: Sighting) -> str | None:
    return seen.reference or attempt.provider_reference


def _not_moved(attempt: Attempt, seen: Sighting) -> Ignored | Contradiction:
    state, target = attempt.state, seen.meaning.state
    if target is S.RETURNED:
        if attempt.return_reference is None:
            return _contradiction("return_of_unsent", attempt, seen)
        if attempt.return_reference == seen.reference:
            return Ignored("return_known")
        return _contradiction("return_repeated", attempt, seen)
    if target is S.PAID and state in NOT_SENT:
        return _contradiction("paid_after_end", attempt, seen)
    if target is S.FAILED and state is S.PAID:
        return _contradiction("failed_after_paid", attempt, seen)
    return Ignored("state_behind")


def _contradiction(code: str, attempt: Attempt, seen: Sighting) -> Contradiction:
    return Contradiction(
        code,
        f"the rail says {seen.meaning.state} (code {seen.code}, reference {seen.reference}), the "
        f"attempt is {attempt.state} (return {attempt.return_reference})",
    )
