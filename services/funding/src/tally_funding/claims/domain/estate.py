"""What is held for one unknown payee, and how it comes to an owner: each step is pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from tally_contracts.owners import RESTRICTED, WAITING
from tally_funding.retrying import try_again_at
from tally_money import Money


def is_claimable(owner: str) -> bool:
    """Whether money of this owner waits: for a payee nobody knows yet, or who may not receive yet."""
    return owner.startswith(WAITING)


def is_restricted(owner: str) -> bool:
    """Whether money of this owner waits until a payee who is known may receive it."""
    return owner.startswith(RESTRICTED)


def restricted(owner: str) -> str:
    """The owner reference of money that waits until `owner` may receive it."""
    return f"{RESTRICTED}{owner}"


def receiver(owner: str) -> str:
    """Who is meant by an owner reference, restricted or not."""
    return owner.removeprefix(RESTRICTED)


def references(owners: Iterable[str]) -> frozenset[str]:
    """All owner references that money of these owners stands under, restricted or not."""
    return frozenset(one for owner in owners for one in (owner, restricted(owner)))


class ClaimState(StrEnum):
    """Where a claim stands. In a state in -ing the ledger was asked and has not answered."""

    ISSUED = "issued"
    REDEEMING = "redeeming"
    REDEEMED = "redeemed"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"
    EXPIRING = "expiring"
    EXPIRED = "expired"


ALLOWED: Mapping[ClaimState, frozenset[ClaimState]] = {
    ClaimState.ISSUED: frozenset(
        {
            ClaimState.REDEEMING,
            ClaimState.REPLACED,
            ClaimState.WITHDRAWN,
            ClaimState.EXPIRING,
            ClaimState.EXPIRED,
        }
    ),
    ClaimState.REDEEMING: frozenset({ClaimState.REDEEMED, ClaimState.ISSUED}),
    ClaimState.EXPIRING: frozenset({ClaimState.EXPIRED, ClaimState.ISSUED}),
    ClaimState.REDEEMED: frozenset(),
    ClaimState.REPLACED: frozenset(),
    ClaimState.WITHDRAWN: frozenset(),
    ClaimState.EXPIRED: frozenset(),
}
OPEN: Final = frozenset({ClaimState.ISSUED, ClaimState.REDEEMING, ClaimState.EXPIRING})


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim code: who may redeem it until when, and where the money goes otherwise."""

    claim_id: str
    contact: str | None
    expires_at: datetime
    expires_to: str | None
    state: ClaimState
    claimant: str | None = None


class Reason(StrEnum):
    """Why money that waited got another owner.

    FOLLOWED: it came after the owner was known. RELEASED: its payee may receive it by now.
    """

    CLAIMED = "claimed"
    REDESIGNATED = "redesignated"
    EXPIRED = "expired"
    FOLLOWED = "followed"
    RELEASED = "released"


BY_ITSELF: Final = frozenset({Reason.FOLLOWED, Reason.RELEASED})
"""What nobody has to order."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money the ledger was asked to move to another owner, all of it in one journal."""

    movement_id: str
    to_owner: str
    reason: Reason
    amounts: tuple[Money, ...]
    claim_id: str | None = None


@dataclass(frozen=True, slots=True)
class Estate:
    """What is held for one unknown payee.

    `balances` by currency code, by what the ledger has told. `companies`: whose money it was, each
    with itself and the parties above it. `claim` is the open one. `to_owner`: where the money goes
    since it was claimed, re-designated or expired; what still comes follows it, but not before
    `not_before` once the ledger has refused that. `shown`: a party has shown that the contact the money
    is for is its own.

    Of restricted money `to_owner` is its payee, and the currencies that may not be received yet are
    `held_back`. `closed_to`: parties that may not receive what is here yet; for them it is restricted.
    """

    owner: str
    balances: Mapping[str, Money] = field(default_factory=dict)
    companies: Mapping[str, frozenset[str]] = field(default_factory=dict)
    programs: frozenset[str] = frozenset()
    claim: Claim | None = None
    movement: Movement | None = None
    to_owner: str | None = None
    not_before: datetime | None = None
    shown: bool = False
    held_back: frozenset[str] = frozenset()
    closed_to: frozenset[str] = frozenset()

    @property
    def held(self) -> tuple[Money, ...]:
        """What there is, one amount per currency in the order of their codes."""
        return tuple(
            self.balances[code] for code in sorted(self.balances) if self.balances[code].minor > 0
        )

    @property
    def amounts(self) -> tuple[Money, ...]:
        """What of it may be moved."""
        return tuple(one for one in self.held if one.currency.code not in self.held_back)


@dataclass(frozen=True, slots=True)
class ClaimMoved:
    """A claim is in another state: `reason` says why a step was taken back."""

    claim: Claim
    previous: ClaimState
    reason: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The ledger is to be asked for this movement; with nothing to move, it is done at once."""

    movement: Movement


@dataclass(frozen=True, slots=True)
class Moved:
    """The money has another owner now."""

    movement: Movement


@dataclass(frozen=True, slots=True)
class Refused:
    """The ledger refused the movement with this code; the money stays where it was."""

    movement: Movement
    code: str


Effect = ClaimMoved | Asked | Moved | Refused


@dataclass(frozen=True, slots=True)
class Change:
    """An estate after a step, and what is to be told and asked, in order."""

    estate: Estate
    effects: tuple[Effect, ...]


def step_claim(
    claim: Claim, state: ClaimState, reason: str | None = None, claimant: str | None = None
) -> ClaimMoved:
    """A claim in another state; only to states that ALLOWED names."""
    assert state in ALLOWED[claim.state], f"{claim.state} cannot become {state}"
    return ClaimMoved(replace(claim, state=state, claimant=claimant), claim.state, reason)


def start(estate: Estate, movement: Movement, claim_step: ClaimMoved | None) -> Change:
    """Ask the ledger for a movement; with nothing to move, settle it at once."""
    assert estate.movement is None, "one movement at a time"
    assert movement.to_owner != estate.owner, "money moves to somebody else"
    if movement.to_owner in estate.closed_to:
        movement = replace(movement, to_owner=restricted(movement.to_owner))
    claim = estate.claim if claim_step is None else claim_step.claim
    effects: tuple[Effect, ...] = () if claim_step is None else (claim_step,)
    asked = replace(estate, movement=movement, claim=claim)
    if movement.amounts:
        return Change(asked, (*effects, Asked(movement)))
    settled = _settled(asked, movement)
    return Change(settled.estate, (*effects, Asked(movement), *settled.effects))


def decide_answer(
    estate: Estate, *, movement_id: str, refused: str | None, follow_id: str, now: datetime
) -> Change | None:
    """Read the ledger's answer to a movement; None for any but the one under way.

    The balances have the answer's journal in them already; what is left follows under `follow_id`.
    """
    movement = estate.movement
    if movement is None or movement.movement_id != movement_id:
        return None
    if refused is not None:
        return _taken_back(estate, movement, refused, now)
    settled = _settled(estate, movement)
    following = decide_follow(settled.estate, follow_id, now)
    if following is None:
        return settled
    return Change(following.estate, (*settled.effects, *following.effects))


def decide_follow(estate: Estate, movement_id: str, now: datetime) -> Change | None:
    """Move on what came after the owner was known; None if there is nothing to do now.

    What the ledger has refused is not asked for again before its time, whatever else comes meanwhile.
    """
    if estate.to_owner is None or estate.movement is not None or not estate.amounts:
        return None
    if estate.not_before is not None and now < estate.not_before:
        return None
    reason = Reason.RELEASED if is_restricted(estate.owner) else Reason.FOLLOWED
    movement = Movement(movement_id, estate.to_owner, reason, estate.amounts)
    return start(replace(estate, not_before=None), movement, None)


def decide_retry(estate: Estate, movement_id: str, now: datetime) -> Change | None:
    """Ask again for what the ledger refused; where nothing is left to move, that is over.

    None if no try is due.
    """
    if estate.not_before is None or now < estate.not_before:
        return None
    return decide_follow(estate, movement_id, now) or Change(replace(estate, not_before=None), ())


_ENDS: Mapping[Reason, ClaimState] = {
    Reason.CLAIMED: ClaimState.REDEEMED,
    Reason.REDESIGNATED: ClaimState.WITHDRAWN,
    Reason.EXPIRED: ClaimState.EXPIRED,
}


def _settled(estate: Estate, movement: Movement) -> Change:
    effects: list[Effect] = [Moved(movement)]
    claim = estate.claim
    if claim is not None and movement.reason not in BY_ITSELF:
        ending = step_claim(claim, _ENDS[movement.reason], claimant=claim.claimant)
        effects.insert(0, ending)
        claim = None
    return Change(
        replace(estate, movement=None, claim=claim, to_owner=receiver(movement.to_owner)),
        tuple(effects),
    )


def _taken_back(estate: Estate, movement: Movement, code: str, now: datetime) -> Change:
    effects: list[Effect] = [Refused(movement, code)]
    claim = estate.claim
    if claim is not None and claim.state is not ClaimState.ISSUED:
        back = step_claim(claim, ClaimState.ISSUED, code)
        effects.insert(0, back)
        claim = back.claim
    # What began with an order is ordered again; what follows by itself is tried again by itself.
    follows = movement.reason in BY_ITSELF
    not_before = try_again_at(now, movement.movement_id) if follows else None
    after = replace(estate, movement=None, claim=claim, not_before=not_before)
    return Change(after, tuple(effects))
