"""What the rail's word on the attempt means to a payout.

`paid` means so only once the ledger has captured the hold; an attempt that ended means so only once
the hold is released. A rail that contradicts itself about money opens a case and moves none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tally_money import Money
from tally_payouts.domain.payout import (
    CaseOpened,
    Command,
    Decision,
    Outcome,
    Payout,
    ReturnedMoney,
    ReturnSeen,
    Standing,
    for_operator,
    ignored,
    moved,
    reason,
)
from tally_payouts.domain.states import (
    ALLOWED,
    AttemptState,
    HoldState,
    MustAct,
    PayoutState,
    ReturnStep,
)


@dataclass(frozen=True, slots=True)
class AttemptFact:
    """One report of the rail. `state` and `action` are its own words, `code` its provider's.

    `return_reference` tells two returns of one attempt apart; used with state `returned` alone.
    """

    attempt_id: str
    sequence: int
    state: str
    amount: Money
    code: str | None
    action: str
    return_reference: str


_NO_ACTION = "none"
_ACTIONS: Mapping[str, MustAct] = MappingProxyType(
    {
        "retry_later": MustAct.PAYEE,
        "fix_details": MustAct.PAYEE,
        "disable_method": MustAct.PAYEE,
        "freeze_party": MustAct.OPERATOR,
        "operator": MustAct.OPERATOR,
    }
)
_WAITING: Mapping[AttemptState, tuple[PayoutState, str]] = MappingProxyType(
    {
        AttemptState.SCHEDULED: (PayoutState.SUBMITTING, "awaiting_window"),
        AttemptState.SUBMITTING: (PayoutState.SUBMITTING, "handed_to_rail"),
        AttemptState.UNKNOWN: (PayoutState.UNKNOWN, "outcome_unknown"),
        AttemptState.SUBMITTED: (PayoutState.SUBMITTED, "awaiting_acknowledgement"),
        AttemptState.IN_TRANSIT: (PayoutState.IN_TRANSIT, "awaiting_settlement"),
    }
)
_LEAVING = frozenset({HoldState.CAPTURING, HoldState.CAPTURED})


def decide_attempt(payout: Payout, fact: AttemptFact) -> Decision:
    """Take in one report; one that is stale, foreign, unreadable or of another amount moves nothing."""
    if payout.attempt is None or fact.attempt_id != payout.attempt_id:
        return ignored(payout, "attempt_not_ours", alarm=True)
    if fact.sequence <= payout.attempt_sequence:
        return ignored(payout, "attempt_stale")
    try:
        state = AttemptState(fact.state)
    except ValueError:
        return ignored(payout, "attempt_state_unmapped", alarm=True)
    if fact.amount != payout.order.amount:
        case = CaseOpened(
            "attempt_amount_differs",
            f"{fact.attempt_id}:{fact.sequence}",
            f"the rail reports {state} for {fact.amount}, the payout is {payout.order.amount}",
        )
        return Decision(payout, (case,))
    seen = replace(payout, attempt=state, attempt_sequence=fact.sequence)
    if state in _WAITING:
        return _under_way(seen, fact, *_WAITING[state])
    if state is AttemptState.PAID:
        return _paid(seen, fact)
    if state is AttemptState.RETURNED:
        return _returned(seen, fact)
    return _ended(seen, fact, PayoutState(state))


def _under_way(payout: Payout, fact: AttemptFact, target: PayoutState, why: str) -> Decision:
    if payout.ended or payout.hold not in {HoldState.PLACED, HoldState.RELEASED}:
        return ignored(payout, "attempt_behind")
    must_act = MustAct.RAIL if fact.action == _NO_ACTION else _who(fact)
    standing = Standing(reason(fact.code, why), must_act)
    if payout.hold is HoldState.RELEASED:
        # The case of the lost hold stands until an operator has closed it.
        standing = payout.standing
    if target in ALLOWED[payout.state]:
        return moved(payout, target, standing)
    return Decision(replace(payout, standing=standing))


def _paid(payout: Payout, fact: AttemptFact) -> Decision:
    if payout.hold is HoldState.PLACED:
        standing = Standing("capturing", MustAct.PLATFORM)
        return Decision(
            replace(payout, hold=HoldState.CAPTURING, standing=standing), (Command.CAPTURE,)
        )
    if payout.hold in _LEAVING or _capture_refused(payout):
        return ignored(payout, "attempt_paid_again")
    return for_operator(payout, _contradiction("paid_without_hold", payout, fact))


def _ended(payout: Payout, fact: AttemptFact, state: PayoutState) -> Decision:
    must_act = None if state is PayoutState.CANCELLED else _who(fact)
    outcome = Outcome(state, Standing(reason(fact.code, f"attempt_{state}"), must_act))
    if payout.hold is HoldState.PLACED:
        return _released(payout, outcome)
    if payout.hold in _LEAVING or _capture_refused(payout):
        return for_operator(payout, _contradiction(f"{state}_after_paid", payout, fact))
    if payout.ended or payout.ending is not None:
        return ignored(payout, "attempt_ended_again")
    return moved(payout, outcome.state, outcome.standing)


def _returned(payout: Payout, fact: AttemptFact) -> Decision:
    if payout.returned is not None:
        if payout.returned.reference == fact.return_reference:
            return ignored(payout, "attempt_returned_again")
        return for_operator(payout, _contradiction("second_return", payout, fact))
    standing = Standing(reason(fact.code, "returned_by_rail"), _who(fact))
    decision = _money_back(
        payout, ReturnedMoney(fact.return_reference, ReturnStep.REMEMBERED, standing)
    )
    return Decision(decision.payout, (ReturnSeen(fact.return_reference), *decision.effects))


def _money_back(payout: Payout, returned: ReturnedMoney) -> Decision:
    if payout.hold is HoldState.CAPTURED:
        posting = replace(returned, step=ReturnStep.POSTING)
        return Decision(replace(payout, returned=posting), (Command.POST_RETURN,))
    if payout.hold is HoldState.CAPTURING or _capture_refused(payout):
        return Decision(replace(payout, returned=returned))
    kept = replace(payout, returned=replace(returned, step=ReturnStep.NOT_NEEDED))
    outcome = Outcome(PayoutState.FAILED, returned.standing)
    if payout.hold is HoldState.PLACED:
        return _released(kept, outcome)
    if payout.ended or payout.ending is not None:
        return ignored(kept, "returned_after_release")
    return moved(kept, outcome.state, outcome.standing)


def _released(payout: Payout, outcome: Outcome) -> Decision:
    standing = Standing(outcome.standing.reason_code, MustAct.PLATFORM)
    after = replace(payout, hold=HoldState.RELEASING, ending=outcome, standing=standing)
    return Decision(after, (Command.RELEASE,))


def _capture_refused(payout: Payout) -> bool:
    return payout.hold is HoldState.STUCK and payout.ending is None


def _who(fact: AttemptFact) -> MustAct:
    """Who acts next; money that ended up in the wallet again is the payee's to send another way."""
    if fact.action == _NO_ACTION:
        return MustAct.PAYEE
    return _ACTIONS.get(fact.action, MustAct.OPERATOR)


def _contradiction(code: str, payout: Payout, fact: AttemptFact) -> CaseOpened:
    return CaseOpened(
        code,
        f"{fact.attempt_id}:{fact.sequence}",
        f"the rail reports {fact.state} (code {fact.code}) while the hold is {payout.hold} "
        f"and the payout {payout.state}",
    )
