"""What news may do to an attempt, whatever comes in whatever order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_money import Money
from tally_railkit import Accepted, Action, AttemptState, Meaning, PayoutOrder, Rejected
from tally_rails.domain.attempt import (
    ALLOWED,
    ENDED,
    Attempt,
    Contradiction,
    Ignored,
    Moved,
    Sighting,
    decide_cancel,
    decide_sighting,
    decide_taken,
)

S = AttemptState
ORDER = PayoutOrder(
    attempt_id="att_1",
    payout_id="po_1",
    instrument_id="ins_1",
    amount=Money.parse("25.00", "USD"),
    owner="ann",
    company="acme",
)
states = st.sampled_from(list(AttemptState))
amounts = st.sampled_from(
    [None, ORDER.amount, Money.parse("25.01", "USD"), Money.parse("25", "EUR")]
)


def attempt(state: AttemptState, **more) -> Attempt:
    return Attempt(order=ORDER, rail="ach", state=state, **more)


def sighting(state: AttemptState, **more) -> Sighting:
    given_ = {"code": None, "reference": "r1", "amount": None, "source": "poll"}
    return Sighting(meaning=Meaning(state), **{**given_, **more})


sightings = st.builds(
    sighting, states, amount=amounts, reference=st.sampled_from(["r1", "r2"]), code=st.just("X")
)


@given(st.lists(sightings | st.just("cancel"), max_size=20))
def test_any_news_in_any_order_walks_allowed_steps_and_counts_them(news):
    now = attempt(S.SCHEDULED)
    for item in news:
        decision = decide_cancel(now) if item == "cancel" else decide_sighting(now, item)
        if isinstance(decision, Moved):
            after = decision.attempt
            assert after.state in ALLOWED[now.state]
            assert after.sequence == now.sequence + 1
            assert decision.previous is now.state
            assert after.state is not S.RETURNED or after.return_reference
            now = after
        assert now.order == ORDER


@given(states, sightings)
def test_same_news_twice_is_the_news_once(state, seen):
    first = decide_sighting(attempt(state), seen)
    if isinstance(first, Moved):
        assert not isinstance(decide_sighting(first.attempt, seen), Moved)


@pytest.mark.parametrize("state", sorted(ENDED))
@given(seen=sightings)
def test_ended_attempt_never_moves(state, seen):
    assert not isinstance(decide_sighting(attempt(state), seen), Moved)


@given(states, states)
def test_other_amount_or_currency_moves_nothing_and_is_for_a_person(state, target):
    for wrong in ("25.01", "24.99"):
        seen = sighting(target, amount=Money.parse(wrong, "USD"))
        assert decide_sighting(attempt(state), seen).code == "amount_differs"
    seen = sighting(target, amount=Money.parse("25.00", "EUR"))
    assert decide_sighting(attempt(state), seen).code == "amount_differs"


def test_paid_never_overwrites_returned():
    returned = attempt(S.RETURNED, return_reference="r1")
    assert decide_sighting(returned, sighting(S.PAID)) == Ignored("state_behind")


@pytest.mark.parametrize("state", [S.SUBMITTING, S.UNKNOWN, S.SUBMITTED, S.IN_TRANSIT])
def test_return_before_paid_makes_it_failed_and_keeps_the_reference(state):
    decision = decide_sighting(attempt(state), sighting(S.RETURNED))
    assert (decision.attempt.state, decision.attempt.return_reference) == (S.FAILED, "r1")


@pytest.mark.parametrize(
    ("now", "seen", "code"),
    [
        (attempt(S.FAILED, code="bad_routing"), sighting(S.PAID), "paid_after_end"),
        (attempt(S.CANCELLED), sighting(S.PAID), "paid_after_end"),
        (attempt(S.PAID), sighting(S.FAILED), "failed_after_paid"),
        (attempt(S.CANCELLED), sighting(S.RETURNED), "return_of_unsent"),
        (attempt(S.SCHEDULED), sighting(S.RETURNED), "return_of_unsent"),
        (
            attempt(S.RETURNED, return_reference="r1"),
            sighting(S.RETURNED, reference="r2"),
            "return_repeated",
        ),
    ],
)
def test_contradiction_changes_nothing_and_names_itself(now, seen, code):
    decision = decide_sighting(now, seen)
    assert isinstance(decision, Contradiction)
    assert decision.code == code


def test_order_paid_at_once_is_submitted_before_it_is_paid():
    submitted, paid = decide_taken("wallet", ORDER, Accepted(S.PAID, "ref"))
    assert [(m.attempt.state, m.attempt.sequence) for m in (submitted, paid)] == [
        (S.SUBMITTED, 1),
        (S.PAID, 2),
    ]
    assert paid.attempt == replace(submitted.attempt, state=S.PAID, sequence=2)


def test_refused_order_fails_with_the_code_and_what_follows():
    [failed] = decide_taken("ach", ORDER, Rejected("currency_not_supported", Action.FIX_DETAILS))
    assert failed.attempt.state is S.FAILED
    assert (failed.attempt.code, failed.attempt.action) == (
        "currency_not_supported",
        Action.FIX_DETAILS,
    )


@pytest.mark.parametrize("state", [s for s in AttemptState if s is not S.SCHEDULED])
def test_cancel_takes_back_only_what_waits(state):
    assert decide_cancel(attempt(state)) == Ignored("too_late_to_cancel")
