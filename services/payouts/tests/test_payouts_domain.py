"""The saga's rules, one input at a time."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tally_money import Money
from tally_payouts.domain.attempts import AttemptFact, decide_attempt
from tally_payouts.domain.exits import Ruled
from tally_payouts.domain.holds import (
    decide_hold_captured,
    decide_hold_placed,
    decide_hold_rejected,
    decide_hold_released,
    decide_return_posted,
    decide_return_rejected,
)
from tally_payouts.domain.opening import (
    NewPayout,
    NoRoute,
    decide_cancel,
    decide_open,
    decide_reject,
    decide_way,
)
from tally_payouts.domain.payout import (
    Asked,
    CaseOpened,
    Command,
    Decision,
    Ignored,
    Moved,
    Order,
    Payout,
    Refused,
    ReturnSeen,
    Route,
    Taken,
    reason,
)
from tally_payouts.domain.states import (
    ALLOWED,
    ENDED,
    FINAL,
    FIRST,
    RANK,
    AttemptState,
    HoldState,
    MustAct,
    PayoutState,
    ReturnStep,
)

AMOUNT = Money.parse("25.00", "USD")
ORDER = Order("main", "ann", "acme", "acc_1", AMOUNT, "pin_1", "ext-1")
NEW = NewPayout("po_1", "hld_1", "att_1", ORDER)
ROUTE = Route(1, "ach", "ins_1", None)
S = PayoutState


def fact(state: str, sequence: int = 1, **more) -> AttemptFact:
    values = {"code": None, "action": "none", "return_reference": "ret-1", "amount": AMOUNT, **more}
    return AttemptFact(attempt_id="att_1", sequence=sequence, state=state, **values)


def played(*steps) -> Payout:
    """The payout of a payee with a method, after these inputs."""
    payout = decide_open(NEW, ROUTE).payout
    for step in steps:
        payout = step(payout).payout
    return payout


def says(state: str, sequence: int = 1, **more):
    return lambda payout: decide_attempt(payout, fact(state, sequence, **more))


def captured(payout: Payout) -> Decision:
    return decide_hold_captured(payout, AMOUNT)


def placed(payout: Payout, ruled: Ruled | None = None) -> Decision:
    return decide_hold_placed(payout, ruled or FREE)


def refused(operation: str, code: str = "hold_not_open"):
    return lambda payout: decide_hold_rejected(payout, operation, code)


def states(decision: Decision) -> list[PayoutState]:
    return [effect.payout.state for effect in decision.effects if isinstance(effect, Moved)]


def commands(decision: Decision) -> list[Command]:
    return [effect for effect in decision.effects if isinstance(effect, Command)]


def case(decision: Decision) -> str | None:
    codes = [effect.code for effect in decision.effects if isinstance(effect, CaseOpened)]
    return codes[0] if codes else None


def ignored(decision: Decision) -> str | None:
    codes = [effect.code for effect in decision.effects if isinstance(effect, Ignored)]
    return codes[0] if codes else None


TOO_LATE = (Refused("cancel_too_late"),)
AT = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
FREE = Ruled(Asked(AT, "cash"))
SUBMITTING = (placed,)
PAID = (*SUBMITTING, says("paid"), captured)


def test_ranks_rise_along_every_step_and_only_paid_is_left_again():
    for state, after in ALLOWED.items():
        assert all(RANK[follower] > RANK[state] for follower in after)
    assert {state for state in ENDED if ALLOWED[state]} == {S.PAID}
    assert ALLOWED[S.PAID] == {S.RETURNED}
    assert ENDED - {S.PAID} == FINAL
    reachable = set(FIRST)
    for _ in S:
        reachable |= {follower for state in reachable for follower in ALLOWED[state]}
    assert reachable == set(S)


def test_payout_of_a_payee_with_a_method_reserves_at_once():
    decision = decide_open(NEW, ROUTE)
    assert (states(decision), commands(decision)) == ([S.APPROVED], [Command.PLACE_HOLD])
    assert decision.payout.standing.must_act is MustAct.PLATFORM


def test_payout_of_a_payee_without_method_waits_and_reserves_nothing():
    decision = decide_open(NEW, NoRoute("no_method"))
    assert (states(decision), commands(decision)) == ([S.CLAIMABLE], [])
    assert decision.payout.hold is HoldState.NONE
    standing = decision.payout.standing
    assert (standing.reason_code, standing.must_act) == ("no_method", MustAct.PAYEE)


def test_choice_of_a_method_sends_a_claimable_payout_off():
    claimable = decide_open(NEW, NoRoute("no_method")).payout
    decision = decide_way(claimable, ROUTE)
    assert (states(decision), commands(decision)) == ([S.APPROVED], [Command.PLACE_HOLD])
    assert decision.payout.route == ROUTE


def test_f40_later_choice_does_not_touch_a_payout_under_way():
    payout = played(*SUBMITTING)
    decision = decide_way(payout, Route(2, "wallet", "ins_2", "acc_2"))
    assert decision == Decision(payout)


def test_dead_method_leaves_a_claimable_payout_waiting_with_the_reason():
    claimable = decide_open(NEW, NoRoute("no_method")).payout
    decision = decide_way(claimable, NoRoute("method_disabled"))
    assert decision.effects == ()
    assert decision.payout.standing.reason_code == "method_disabled"


def test_refused_request_is_rejected_for_good():
    decision = decide_reject(NEW, "account_not_owned")
    assert (states(decision), commands(decision)) == ([S.REJECTED], [])
    assert decide_cancel(decision.payout) == Decision(decision.payout, TOO_LATE)


def test_reserved_money_is_handed_to_the_rail_once():
    decision = placed(played())
    assert (states(decision), commands(decision)) == ([S.SUBMITTING], [Command.SUBMIT])
    again = placed(decision.payout)
    assert (again.payout, commands(again)) == (decision.payout, [])


@pytest.mark.parametrize(
    ("code", "must_act"),
    [
        ("insufficient_funds", MustAct.PAYER),
        ("account_unknown", MustAct.PAYEE),
        ("account_frozen", MustAct.OPERATOR),
    ],
)
def test_refused_reservation_fails_the_payout_and_says_who_can_help(code, must_act):
    decision = decide_hold_rejected(played(), "place", code)
    assert (states(decision), commands(decision)) == ([S.FAILED], [])
    standing = decision.payout.standing
    assert (standing.reason_code, standing.must_act) == (code, must_act)


@pytest.mark.parametrize(
    ("word", "state"),
    [("unknown", S.UNKNOWN), ("submitted", S.SUBMITTED), ("in_transit", S.IN_TRANSIT)],
)
def test_rail_state_is_mirrored(word, state):
    decision = decide_attempt(played(*SUBMITTING), fact(word))
    assert (states(decision), commands(decision)) == ([state], [])
    assert decision.payout.standing.must_act is MustAct.RAIL


@pytest.mark.parametrize(
    ("word", "why"), [("scheduled", "awaiting_window"), ("submitting", "handed_to_rail")]
)
def test_waiting_at_the_rail_changes_the_reason_alone(word, why):
    decision = decide_attempt(played(*SUBMITTING), fact(word))
    assert states(decision) == []
    assert decision.payout.state is S.SUBMITTING
    assert decision.payout.standing.reason_code == why


def test_x6_unknown_outcome_keeps_the_reservation_and_asks_nobody_to_send_again():
    decision = decide_attempt(played(*SUBMITTING), fact("unknown", code="504", action="operator"))
    assert commands(decision) == []
    assert decision.payout.hold is HoldState.PLACED
    standing = decision.payout.standing
    assert (standing.reason_code, standing.must_act) == ("code_504", MustAct.OPERATOR)


def test_unknown_after_an_answer_is_no_step_back():
    decision = decide_attempt(played(*SUBMITTING, says("submitted")), fact("unknown", 2))
    assert states(decision) == []
    assert decision.payout.state is S.SUBMITTED
    assert decision.payout.standing.reason_code == "outcome_unknown"


def test_paid_attempt_is_paid_only_after_the_capture():
    decision = decide_attempt(played(*SUBMITTING), fact("paid"))
    assert (states(decision), commands(decision)) == ([], [Command.CAPTURE])
    assert states(captured(decision.payout)) == [S.PAID]


@pytest.mark.parametrize(("word", "state"), [("failed", S.FAILED), ("cancelled", S.CANCELLED)])
def test_dead_attempt_ends_only_after_the_release(word, state):
    decision = decide_attempt(played(*SUBMITTING), fact(word, code="R03", action="fix_details"))
    assert (states(decision), commands(decision)) == ([], [Command.RELEASE])
    assert decision.payout.standing.must_act is MustAct.PLATFORM
    released = decide_hold_released(decision.payout)
    assert states(released) == [state]
    assert released.payout.standing.reason_code == "r03"


@pytest.mark.parametrize(
    ("action", "must_act"),
    [
        ("none", MustAct.PAYEE),
        ("retry_later", MustAct.PAYEE),
        ("fix_details", MustAct.PAYEE),
        ("disable_method", MustAct.PAYEE),
        ("freeze_party", MustAct.OPERATOR),
        ("operator", MustAct.OPERATOR),
        ("an_action_of_tomorrow", MustAct.OPERATOR),
    ],
)
def test_failed_payout_names_who_must_act(action, must_act):
    payout = played(*SUBMITTING, says("failed", action=action), decide_hold_released)
    assert (payout.state, payout.standing.must_act) == (S.FAILED, must_act)


@pytest.mark.parametrize("word", ["scheduled", "submitted", "in_transit", "unknown"])
def test_word_behind_the_outcome_changes_nothing(word):
    for payout in (
        played(*SUBMITTING, says("paid")),
        played(*PAID),
        played(*SUBMITTING, says("failed")),
        played(*SUBMITTING, says("failed"), decide_hold_released),
    ):
        decision = decide_attempt(payout, fact(word, 2))
        assert decision.effects == (Ignored("attempt_behind"),)
        kept = replace(decision.payout, attempt=payout.attempt, attempt_sequence=1)
        assert kept == payout


@pytest.mark.parametrize("sequence", [1, 2])
def test_stale_word_of_the_rail_changes_nothing(sequence):
    payout = played(*SUBMITTING, says("submitted", 1), says("in_transit", 2))
    decision = decide_attempt(payout, fact("paid", sequence))
    assert (ignored(decision), decision.payout) == ("attempt_stale", payout)


def test_word_about_another_attempt_changes_nothing():
    payout = played(*SUBMITTING)
    decision = decide_attempt(payout, replace(fact("paid"), attempt_id="att_2"))
    assert (ignored(decision), decision.payout) == ("attempt_not_ours", payout)


def test_unmapped_word_changes_nothing_and_alarms():
    payout = played(*SUBMITTING)
    decision = decide_attempt(payout, fact("on_hold_at_correspondent"))
    assert decision == Decision(payout, (Ignored("attempt_state_unmapped", alarm=True),))


@pytest.mark.parametrize("word", ["submitted", "paid", "failed", "returned"])
@pytest.mark.parametrize("amount", ["24.99", "25.01"])
def test_other_amount_opens_a_case_and_changes_nothing(word, amount):
    payout = played(*SUBMITTING)
    decision = decide_attempt(payout, fact(word, amount=Money.parse(amount, "USD")))
    assert (case(decision), decision.payout) == ("attempt_amount_differs", payout)


def test_other_currency_opens_a_case():
    decision = decide_attempt(played(*SUBMITTING), fact("paid", amount=Money.parse("25.00", "EUR")))
    assert case(decision) == "attempt_amount_differs"


def test_return_after_paid_is_posted_and_then_public():
    decision = decide_attempt(played(*PAID), fact("returned", 2, code="R03", action="fix_details"))
    assert decision.effects == (ReturnSeen("ret-1"), Command.POST_RETURN)
    assert decision.payout.state is S.PAID
    posted = decide_return_posted(decision.payout)
    assert states(posted) == [S.RETURNED]
    standing = posted.payout.standing
    assert (standing.reason_code, standing.must_act) == ("r03", MustAct.PAYEE)
    assert ignored(decide_return_posted(posted.payout)) == "return_posted_again"


def test_return_during_the_capture_is_remembered_and_posted_after_it():
    remembered = decide_attempt(played(*SUBMITTING, says("paid")), fact("returned", 2))
    assert commands(remembered) == []
    decision = captured(remembered.payout)
    assert (states(decision), commands(decision)) == ([S.PAID], [Command.POST_RETURN])
    assert states(decide_return_posted(decision.payout)) == [S.RETURNED]


def test_return_before_paid_releases_the_hold_and_fails():
    decision = decide_attempt(
        played(*SUBMITTING, says("in_transit")), fact("returned", 2, code="R03")
    )
    assert commands(decision) == [Command.RELEASE]
    assert states(decide_hold_released(decision.payout)) == [S.FAILED]


def test_return_reported_twice_is_applied_once():
    payout = played(*PAID, says("returned", 2))
    again = decide_attempt(payout, fact("returned", 3))
    assert (ignored(again), commands(again)) == ("attempt_returned_again", [])


@pytest.mark.parametrize("before", [PAID, SUBMITTING, (*SUBMITTING, says("paid"))])
def test_second_return_of_one_attempt_opens_a_case(before):
    payout = played(*before, says("returned", 5))
    decision = decide_attempt(payout, fact("returned", 6, return_reference="ret-2"))
    assert (case(decision), commands(decision)) == ("second_return", [])
    assert decision.payout.returned == payout.returned


def test_return_the_ledger_refuses_stays_paid_until_an_operator_has_booked_it():
    payout = played(*PAID, says("returned", 2))
    decision = decide_return_rejected(payout, "account_closed")
    assert case(decision) == "return_rejected"
    assert decision.payout.state is S.PAID
    assert decision.payout.standing.must_act is MustAct.OPERATOR
    assert ignored(decide_return_rejected(decision.payout, "account_closed")) is not None
    assert states(decide_return_posted(decision.payout)) == [S.RETURNED]


def test_journal_without_a_return_changes_nothing():
    payout = played(*PAID)
    assert decide_return_posted(payout).payout == payout
    assert decide_return_rejected(payout, "account_closed").payout == payout


def test_return_after_the_release_changes_nothing_but_is_kept():
    payout = played(*SUBMITTING, says("failed"), decide_hold_released)
    decision = decide_attempt(payout, fact("returned", 2))
    assert commands(decision) == []
    assert decision.payout.state is S.FAILED
    assert decision.payout.returned.step is ReturnStep.NOT_NEEDED


@pytest.mark.parametrize("word", ["failed", "cancelled"])
def test_dead_attempt_after_paid_opens_a_case_and_moves_no_money(word):
    for before in (PAID, (*SUBMITTING, says("paid"))):
        payout = played(*before)
        decision = decide_attempt(payout, fact(word, 2))
        assert (case(decision), commands(decision)) == (f"{word}_after_paid", [])
        assert decision.payout.state is payout.state


def test_paid_after_the_release_opens_a_case_and_moves_no_money():
    for before in (
        (*SUBMITTING, says("failed")),
        (*SUBMITTING, says("failed"), decide_hold_released),
        (*SUBMITTING, decide_hold_released),
    ):
        decision = decide_attempt(played(*before), fact("paid", 2))
        assert (case(decision), commands(decision)) == ("paid_without_hold", [])


def test_refused_capture_stands_with_a_case_until_it_is_captured_by_hand():
    payout = played(*SUBMITTING, says("paid"))
    decision = decide_hold_rejected(payout, "capture", "hold_unknown")
    assert (case(decision), commands(decision)) == ("capture_rejected", [])
    assert decision.payout.standing.must_act is MustAct.OPERATOR
    assert states(captured(decision.payout)) == [S.PAID]


def test_return_while_the_capture_is_stuck_waits_for_it():
    stuck = played(*SUBMITTING, says("paid"), refused("capture"), says("returned", 2))
    assert stuck.returned.step is ReturnStep.REMEMBERED
    assert commands(captured(stuck)) == [Command.POST_RETURN]
    released = decide_hold_released(stuck)
    assert (states(released), commands(released)) == ([S.FAILED], [])


def test_refused_release_stands_with_a_case_until_it_is_released_by_hand():
    payout = played(*SUBMITTING, says("failed"))
    decision = decide_hold_rejected(payout, "release", "hold_not_open")
    assert case(decision) == "release_rejected"
    assert ignored(captured(decision.payout)) == "hold_captured_again"
    assert states(decide_hold_released(decision.payout)) == [S.FAILED]


def test_hold_lost_under_a_live_attempt_opens_a_case_and_the_rail_decides_the_end():
    decision = decide_hold_released(played(*SUBMITTING))
    assert (case(decision), commands(decision)) == ("hold_lost", [])
    assert decision.payout.standing.must_act is MustAct.OPERATOR
    moved_on = decide_attempt(decision.payout, fact("in_transit", 2))
    assert states(moved_on) == [S.IN_TRANSIT]
    assert moved_on.payout.standing.must_act is MustAct.OPERATOR
    for word in ("failed", "returned"):
        ended = decide_attempt(moved_on.payout, fact(word, 3))
        assert (states(ended), commands(ended)) == ([S.FAILED], [])


def test_capture_of_another_amount_opens_a_case_and_is_not_paid():
    payout = played(*SUBMITTING, says("paid"))
    decision = decide_hold_captured(payout, Money.parse("24.00", "USD"))
    assert (case(decision), decision.payout.state) == ("capture_amount_differs", S.SUBMITTING)


def test_repeated_ledger_facts_change_nothing():
    paid = played(*PAID)
    failed = played(*SUBMITTING, says("failed"), decide_hold_released)
    for payout in (paid, failed):
        for step in (
            placed,
            captured,
            decide_hold_released,
            refused("place"),
            refused("capture"),
            refused("release"),
        ):
            assert step(payout).payout == payout


def test_cancel_of_a_claimable_payout_ends_it_at_once():
    decision = decide_cancel(decide_open(NEW, NoRoute("no_method")).payout)
    assert (states(decision), commands(decision)) == ([S.CANCELLED], [])


def test_cancel_before_the_hold_is_placed_releases_it_and_never_submits():
    cancelled = decide_cancel(played())
    assert (states(cancelled), commands(cancelled)) == ([], [])
    decision = placed(cancelled.payout)
    assert (states(decision), commands(decision)) == ([], [Command.RELEASE])
    assert states(decide_hold_released(decision.payout)) == [S.CANCELLED]
    ended = decide_hold_released(decision.payout).payout
    for payout in (cancelled.payout, decision.payout, ended):
        assert decide_cancel(payout) == Decision(payout, (Taken(),))


def test_cancel_of_a_payout_whose_hold_is_refused_is_a_cancellation():
    decision = decide_hold_rejected(decide_cancel(played()).payout, "place", "insufficient_funds")
    assert states(decision) == [S.CANCELLED]


@pytest.mark.parametrize("before", [SUBMITTING, (*SUBMITTING, says("scheduled"))])
def test_cancel_before_the_rail_has_sent_asks_the_rail(before):
    decision = decide_cancel(played(*before))
    assert decision.effects == (Command.CANCEL_ATTEMPT, Taken())
    assert decision.payout.hold is HoldState.PLACED


@pytest.mark.parametrize("word", ["submitting", "unknown", "submitted", "in_transit", "paid"])
def test_cancel_after_the_rail_has_sent_is_refused(word):
    payout = played(*SUBMITTING, says(word))
    decision = decide_cancel(payout)
    assert decision == Decision(payout, TOO_LATE)


def test_cancel_of_a_payout_the_rail_has_failed_is_too_late_before_its_hold_is_released():
    payout = played(*SUBMITTING, says("failed"))
    assert payout.ending is not None
    assert decide_cancel(payout) == Decision(payout, TOO_LATE)


def test_every_payout_that_stands_names_who_must_act_and_why():
    paths = (
        (),
        SUBMITTING,
        *((*SUBMITTING, says(word)) for word in AttemptState if word != "handed_over"),
        (*SUBMITTING, says("paid"), refused("capture")),
        (*SUBMITTING, says("failed"), refused("release")),
        (*SUBMITTING, decide_hold_released),
        (decide_cancel,),
        (*SUBMITTING, decide_cancel),
    )
    for path in paths:
        standing = played(*path).standing
        assert standing.must_act is not None
        assert standing.reason_code is not None


@pytest.mark.parametrize(
    ("code", "slug"),
    [
        ("R03", "r03"),
        ("AC-04", "ac-04"),
        ("504", "code_504"),
        ("odd code!", "odd_code_"),
        ("x" * 200, "x" * 64),
        ("9" * 200, "code_" + "9" * 59),
        (None, "otherwise"),
        ("", "otherwise"),
    ],
)
def test_provider_code_becomes_a_reason_code(code, slug):
    assert reason(code, "otherwise") == slug
