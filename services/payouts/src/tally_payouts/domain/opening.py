"""How a payout begins, finds its way out, and is called off."""

from dataclasses import dataclass, replace
from typing import Any

from tally_payouts.domain.payout import (
    Command,
    Decision,
    Order,
    Outcome,
    Payout,
    Refused,
    Route,
    Standing,
    Taken,
    begun,
    followed_by,
    moved,
)
from tally_payouts.domain.states import AttemptState, HoldState, MustAct, PayoutState

RESERVING = Standing("reserving_funds", MustAct.PLATFORM)
CANCELLED = Outcome(PayoutState.CANCELLED, Standing("cancelled_on_request"))
TOO_LATE = "cancel_too_late"


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Why no method of the payee can be used, and where it helps, which could be."""

    reason_code: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class NewPayout:
    """The ids and the order of a payout about to begin."""

    id: str
    hold_id: str
    attempt_id: str
    order: Order
    policy_version: int | None = None


def decide_open(new: NewPayout, way: Route | NoRoute) -> Decision:
    """Begin: reserve the money where the payee has chosen a method, else wait for the choice."""
    if isinstance(way, NoRoute):
        return begun(
            _payout(
                new, PayoutState.CLAIMABLE, Standing(way.reason_code, MustAct.PAYEE, way.remedy)
            )
        )
    payout = _payout(new, PayoutState.APPROVED, RESERVING, route=way, hold=HoldState.PLACING)
    return begun(payout, Command.PLACE_HOLD)


def decide_reject(new: NewPayout, reason_code: str) -> Decision:
    """Refuse a request that cannot be right: the payout begins and ends as rejected."""
    return begun(_payout(new, PayoutState.REJECTED, Standing(reason_code)))


def decide_way(payout: Payout, way: Route | NoRoute) -> Decision:
    """The payee's method changed: a payout that waited for one sets off; others keep theirs."""
    if payout.state is not PayoutState.CLAIMABLE:
        return Decision(payout)
    if isinstance(way, NoRoute):
        return Decision(
            replace(payout, standing=Standing(way.reason_code, MustAct.PAYEE, way.remedy))
        )
    decision = moved(payout, PayoutState.APPROVED, RESERVING, route=way, hold=HoldState.PLACING)
    return followed_by(decision, Command.PLACE_HOLD)


def decide_cancel(payout: Payout) -> Decision:
    """Stop a payout nobody has sent: at once, after its hold came, or by asking the rail.

    Every cancellation is answered, also one that is repeated: by a new state, as taken or as refused.
    """
    coming_to = payout.state if payout.ending is None else payout.ending.state
    if coming_to is CANCELLED.state:
        return Decision(payout, (Taken(),))
    if payout.ending is not None:
        return Decision(payout, (Refused(TOO_LATE),))
    if payout.state is PayoutState.CLAIMABLE:
        return moved(payout, CANCELLED.state, CANCELLED.standing)
    if payout.state is PayoutState.APPROVED:
        standing = Standing("cancelling", MustAct.PLATFORM)
        return Decision(replace(payout, ending=CANCELLED, standing=standing), (Taken(),))
    if payout.state is PayoutState.HELD:
        standing = Standing("cancelling", MustAct.PLATFORM)
        held = replace(payout, ending=CANCELLED, standing=standing, hold=HoldState.RELEASING)
        return Decision(held, (Command.RELEASE, Taken()))
    unsent = payout.attempt in {AttemptState.HANDED_OVER, AttemptState.SCHEDULED}
    if payout.hold is HoldState.PLACED and unsent:
        standing = Standing("cancel_requested", MustAct.RAIL)
        return Decision(replace(payout, standing=standing), (Command.CANCEL_ATTEMPT, Taken()))
    return Decision(payout, (Refused(TOO_LATE),))


def _payout(new: NewPayout, state: PayoutState, standing: Standing, **more: Any) -> Payout:
    return Payout(
        new.id,
        new.order,
        new.hold_id,
        new.attempt_id,
        state,
        standing=standing,
        policy_version=new.policy_version,
        **more,
    )
