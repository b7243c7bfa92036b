"""What the ledger's facts mean to a payout: its hold, and the journal of a return."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from tally_money import Money
from tally_payouts.domain.exits import Ruled, decide_exit
from tally_payouts.domain.opening import CANCELLED
from tally_payouts.domain.payout import (
    CaseOpened,
    Command,
    Decision,
    Outcome,
    Payout,
    Standing,
    for_operator,
    ignored,
    moved,
    reason,
)
from tally_payouts.domain.states import (
    HoldState,
    MustAct,
    PayoutState,
    ReturnStep,
)

_REFUSED_HOLD: Mapping[str, MustAct] = MappingProxyType(
    {"insufficient_funds": MustAct.PAYER, "account_unknown": MustAct.PAYEE}
)


def decide_hold_placed(payout: Payout, ruled: Ruled) -> Decision:
    """The money is reserved: let the payout leave or hold it, or give the money back if called off."""
    if payout.hold is not HoldState.PLACING:
        return ignored(payout, "hold_placed_again")
    if payout.ending is not None:
        return Decision(replace(payout, hold=HoldState.RELEASING), (Command.RELEASE,))
    return decide_exit(payout, ruled)


def decide_hold_captured(payout: Payout, amount: Money) -> Decision:
    """The money left the wallet: paid, and a return that came before is posted now."""
    capturing = payout.hold is HoldState.CAPTURING
    if not capturing and (payout.hold is not HoldState.STUCK or payout.ending is not None):
        return ignored(payout, "hold_captured_again", alarm=payout.hold is not HoldState.CAPTURED)
    if amount != payout.order.amount:
        case = CaseOpened(
            "capture_amount_differs",
            payout.hold_id,
            f"the ledger captured {amount} of a payout of {payout.order.amount}",
        )
        return for_operator(payout, case)
    paid = moved(payout, PayoutState.PAID, Standing(), hold=HoldState.CAPTURED)
    returned = payout.returned
    if returned is None:
        return paid
    after = replace(paid.payout, returned=replace(returned, step=ReturnStep.POSTING))
    return Decision(after, (*paid.effects, Command.POST_RETURN))


def decide_hold_released(payout: Payout) -> Decision:
    """The money is free again: the end that waited for it, or a reservation lost."""
    if payout.hold in {HoldState.RELEASING, HoldState.STUCK} and payout.ending is not None:
        return _ended(replace(payout, hold=HoldState.RELEASED), payout.ending)
    if payout.hold in {HoldState.PLACED, HoldState.CAPTURING, HoldState.STUCK}:
        return _lost(payout)
    return ignored(payout, "hold_released_again")


def _ended(payout: Payout, outcome: Outcome) -> Decision:
    return moved(payout, outcome.state, outcome.standing)


def _lost(payout: Payout) -> Decision:
    """Released without our asking, while the rail may have sent the money or sent it back."""
    free = replace(payout, hold=HoldState.RELEASED)
    if payout.returned is not None:
        after = replace(free, returned=replace(payout.returned, step=ReturnStep.NOT_NEEDED))
        return moved(after, PayoutState.FAILED, payout.returned.standing)
    if payout.state is PayoutState.HELD:
        # Nothing was sent: the money is in the wallet again, and the payee may ask anew.
        return moved(free, PayoutState.FAILED, Standing("hold_lost", MustAct.PAYEE))
    case = CaseOpened(
        "hold_lost",
        payout.hold_id,
        f"the hold was released while the attempt was {payout.attempt}: "
        "settle with the rail, then post or close by hand",
    )
    return for_operator(free, case)


def decide_hold_rejected(payout: Payout, operation: str, code: str) -> Decision:
    """The ledger refused: to reserve ends the payout, to capture or release opens a case."""
    refused = (operation, payout.hold)
    if refused == ("place", HoldState.PLACING):
        free = replace(payout, hold=HoldState.RELEASED)
        if payout.ending is not None:
            return moved(free, CANCELLED.state, CANCELLED.standing)
        must_act = _REFUSED_HOLD.get(code, MustAct.OPERATOR)
        standing = Standing(reason(code, "hold_rejected"), must_act)
        return moved(free, PayoutState.FAILED, standing)
    if refused in {("capture", HoldState.CAPTURING), ("release", HoldState.RELEASING)}:
        case = CaseOpened(
            f"{operation}_rejected",
            payout.hold_id,
            f"the ledger refused to {operation} the hold: {code}",
        )
        return for_operator(payout, case, hold=HoldState.STUCK)
    return ignored(payout, "hold_rejected_again")


def decide_return_posted(payout: Payout) -> Decision:
    """The returned money is back in the wallet."""
    returned = payout.returned
    if returned is None or returned.step not in {ReturnStep.POSTING, ReturnStep.REFUSED}:
        return ignored(payout, "return_posted_again")
    posted = replace(returned, step=ReturnStep.POSTED)
    return moved(payout, PayoutState.RETURNED, returned.standing, returned=posted)


def decide_return_rejected(payout: Payout, code: str) -> Decision:
    """The ledger will not take the return: the payout stays paid, an operator books it."""
    returned = payout.returned
    if returned is None or returned.step is not ReturnStep.POSTING:
        return ignored(payout, "return_rejected_again")
    case = CaseOpened(
        "return_rejected",
        returned.reference,
        f"the ledger refused the journal of return {returned.reference}: {code}",
    )
    refused = replace(
        payout,
        returned=replace(returned, step=ReturnStep.REFUSED),
        standing=Standing(case.code, MustAct.OPERATOR),
    )
    return Decision(refused, (case,))
