"""An escrow agreement, its states, and the steps it can take."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from tally_money import Money


class State(StrEnum):
    """Where an agreement stands. In a state in -ing the ledger was asked and has not answered."""

    PROPOSED = "proposed"
    FUNDING = "funding"
    FUNDED = "funded"
    PART_RELEASED = "part_released"
    RELEASING = "releasing"
    RELEASED = "released"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    ARBITRATING = "arbitrating"
    ARBITRATED = "arbitrated"
    EXPIRING = "expiring"
    EXPIRED = "expired"


_FROM_REST: Final = frozenset({State.RELEASING, State.REFUNDING, State.DISPUTED, State.EXPIRING})
_BACK_TO_REST: Final = frozenset({State.FUNDED, State.PART_RELEASED})

ALLOWED: Mapping[State, frozenset[State]] = {
    State.PROPOSED: frozenset({State.FUNDING, State.EXPIRED}),
    State.FUNDING: frozenset({State.FUNDED, State.PROPOSED}),
    State.FUNDED: _FROM_REST,
    State.PART_RELEASED: _FROM_REST,
    State.RELEASING: frozenset({State.RELEASED}) | _BACK_TO_REST,
    State.REFUNDING: frozenset({State.REFUNDED}) | _BACK_TO_REST,
    State.DISPUTED: frozenset({State.ARBITRATING}),
    State.ARBITRATING: frozenset({State.ARBITRATED, State.DISPUTED}),
    State.EXPIRING: frozenset({State.EXPIRED}) | _BACK_TO_REST,
    State.RELEASED: frozenset(),
    State.REFUNDED: frozenset(),
    State.ARBITRATED: frozenset(),
    State.EXPIRED: frozenset(),
}

AT_REST: Final = _BACK_TO_REST
"""Money is held and nobody disputes it."""
MOVING: Final = frozenset(
    {State.FUNDING, State.RELEASING, State.REFUNDING, State.ARBITRATING, State.EXPIRING}
)
FINAL: Final = frozenset(state for state, following in ALLOWED.items() if not following)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must happen for the money to go to the payee; `kind` says which fields count."""

    kind: str
    approvers: tuple[str, ...] = ()
    needed: int | None = None
    at: datetime | None = None
    document: str | None = None
    presenter: str | None = None
    event: str | None = None
    event_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """Money the ledger was asked to move; `number` counts the asks of an agreement from 1.

    `resting` is the state the agreement comes back to if the ledger refuses.
    """

    number: int
    to_payee: Money
    to_payer: Money
    resting: State


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement as it stands; `movements` is how often the ledger was asked."""

    agreement_id: str
    tenant: str
    payer: str
    payee: str
    arbiter: str | None
    amount: Money
    condition: Condition
    deadline: datetime
    on_deadline: str
    program: str
    state: State
    sequence: int
    funded: bool
    released: Money
    refunded: Money
    approvals: tuple[str, ...] = ()
    condition_met: bool = False
    movements: int = 0
    movement: Movement | None = None
    not_before: datetime | None = None

    @property
    def held(self) -> Money:
        """What stands in the agreement's account, by what the ledger has posted."""
        if not self.funded:
            return self.amount - self.amount
        return self.amount - self.released - self.refunded

    @property
    def due_at(self) -> datetime | None:
        """When time alone moves the agreement on; None while it waits for something else."""
        if self.state is State.PROPOSED:
            return self.deadline
        if self.state not in AT_REST:
            return None
        if self.condition_met:
            return self.deadline if self.not_before is None else self.not_before
        due = self.deadline
        if self.condition.kind == "date" and self.condition.at is not None:
            due = min(due, self.condition.at)
        return due if self.not_before is None else max(due, self.not_before)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of an agreement, told as one fact. `reason`: what moved it, or took it back."""

    before: Agreement | None
    after: Agreement
    reason: str | None

    @property
    def asks_ledger(self) -> bool:
        """Whether this step asks the ledger to move money."""
        asked = 0 if self.before is None else self.before.movements
        return self.after.movements > asked


Steps = tuple[Step, ...]


def met(agreement: Agreement, reason: str, changed: Agreement | None = None) -> Steps:
    """The condition is met: told as such, and released at once if the money is at rest."""
    reached = replace(changed or agreement, condition_met=True)
    first = step(agreement, agreement.state, reason, reached)
    if agreement.state not in AT_REST:
        return (first,)
    held = first.after.held
    return (first, ask(first.after, State.RELEASING, "condition_met", to_payee=held))


def ask(
    agreement: Agreement,
    state: State,
    reason: str,
    *,
    to_payee: Money | None = None,
    to_payer: Money | None = None,
) -> Step:
    """Ask the ledger to move money: the step into a state in -ing."""
    nothing = agreement.amount - agreement.amount
    movement = Movement(
        agreement.movements + 1, to_payee or nothing, to_payer or nothing, agreement.state
    )
    asked = replace(agreement, movement=movement, movements=movement.number)
    if state is not State.FUNDING:
        moved = movement.to_payee + movement.to_payer
        assert 0 < moved.minor <= agreement.held.minor, "never more than is held"
    return step(agreement, state, reason, asked)


def step(
    before: Agreement, state: State, reason: str | None, changed: Agreement | None = None
) -> Step:
    """One step of an agreement; only to states that ALLOWED names."""
    if state is not before.state:
        assert state in ALLOWED[before.state], f"{before.state} cannot become {state}"
    after = replace(changed or before, state=state, sequence=before.sequence + 1)
    assert (after.movement is not None) == (state in MOVING), "money moves in moving states alone"
    assert after.held.minor >= 0, "never less than nothing is held"
    return Step(before, after, reason)
