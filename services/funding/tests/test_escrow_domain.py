"""F8: every path of an agreement leaves balanced books and tells of itself."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.answers.refusal import Refusal
from tally_funding.escrow.domain.agreement import (
    ALLOWED,
    FINAL,
    MOVING,
    Agreement,
    Condition,
    State,
    Step,
    Steps,
)
from tally_funding.escrow.domain.orders import (
    Approve,
    Arbitrate,
    Dispute,
    Fund,
    Order,
    Present,
    Refund,
    Release,
    decide,
)
from tally_funding.escrow.domain.progress import (
    decide_answer,
    decide_event,
    decide_time,
)
from tally_funding.escrow.domain.proposal import Proposal, decide_proposal
from tally_funding.retrying import SPREAD, TRY_AGAIN_AFTER
from tally_money import Money

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
DEADLINE = NOW + timedelta(days=30)
PARTIES = ("payer", "payee", "arbiter", "a1", "a2", "stranger")
CONDITIONS = (
    Condition("approval", approvers=("a1", "a2"), needed=2),
    Condition("date", at=NOW + timedelta(days=10)),
    Condition("document", document="d1", presenter="a1"),
    Condition("event", event="payout_paid", event_reference="order:1"),
)


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


def proposal(**changes: Any) -> Proposal:
    terms: dict[str, Any] = {
        "agreement_id": "agr_1",
        "tenant": "root",
        "by": "payer",
        "payer": "payer",
        "payee": "payee",
        "arbiter": "arbiter",
        "amount": usd("100.00"),
        "condition": CONDITIONS[0],
        "deadline": DEADLINE,
        "on_deadline": "refund",
        "program": "trade",
        **changes,
    }
    return Proposal(**terms)


def entered(**changes: Any) -> Agreement:
    step = decide_proposal(proposal(**changes), parties=PARTIES, payer_tenant="root", now=NOW)
    assert isinstance(step, Step)
    return step.after


def steps(outcome: Steps | Refusal) -> Agreement:
    assert not isinstance(outcome, Refusal), outcome
    assert outcome
    return outcome[-1].after


def posted(agreement: Agreement, now: datetime = NOW) -> Agreement:
    return steps(decide_answer(agreement, number=agreement.movements, refused=None, now=now))


def funded(**changes: Any) -> Agreement:
    return posted(steps(decide(entered(**changes), Fund("payer"), NOW)))


def code(outcome: Steps | Refusal) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert outcome.remedy
    return outcome.code


def test_approval_by_all_needed_releases_the_whole_once() -> None:
    agreement = steps(decide(funded(), Approve("a1"), NOW))
    assert (agreement.state, agreement.approvals) == (State.FUNDED, ("a1",))
    agreement = steps(decide(agreement, Approve("a2"), NOW))
    assert agreement.state is State.RELEASING
    agreement = posted(agreement)
    assert (agreement.state, agreement.released, agreement.held) == (
        State.RELEASED,
        usd("100.00"),
        usd("0.00"),
    )


def test_condition_met_before_the_money_came_releases_when_it_comes() -> None:
    agreement = entered(condition=CONDITIONS[2])
    agreement = steps(decide(agreement, Present("a1", "d1"), NOW))
    agreement = steps(decide(agreement, Fund("payer"), NOW))
    told = decide_answer(agreement, number=1, refused=None, now=NOW)
    assert [step.after.state for step in told] == [State.FUNDED, State.RELEASING]


def test_condition_met_while_a_part_is_on_its_way_releases_the_rest_after_it() -> None:
    agreement = steps(decide(funded(), Release("payer", usd("30.00")), NOW))
    for approver in ("a1", "a2"):
        agreement = steps(decide(agreement, Approve(approver), NOW))
    assert agreement.state is State.RELEASING
    told = decide_answer(agreement, number=2, refused=None, now=NOW)
    assert [step.after.state for step in told] == [State.PART_RELEASED, State.RELEASING]
    assert posted(told[-1].after).state is State.RELEASED


@pytest.mark.parametrize(
    ("on_deadline", "released", "refunded"),
    [("refund", "20.00", "80.00"), ("release", "100.00", "0.00")],
)
def test_deadline_moves_what_is_left_where_the_agreement_says(
    on_deadline: str, released: str, refunded: str
) -> None:
    agreement = funded(on_deadline=on_deadline)
    agreement = posted(steps(decide(agreement, Release("payer", usd("20.00")), NOW)))
    assert decide_time(agreement, DEADLINE - timedelta(microseconds=1)) == ()
    agreement = posted(steps(decide_time(agreement, DEADLINE)), DEADLINE)
    assert agreement.state is State.EXPIRED
    assert (agreement.released, agreement.refunded) == (usd(released), usd(refunded))


def test_agreement_never_funded_expires_without_a_movement() -> None:
    (step,) = decide_time(entered(), DEADLINE)
    assert (step.after.state, step.reason) == (State.EXPIRED, "never_funded")
    assert not step.asks_ledger


def test_date_releases_before_the_deadline_refunds() -> None:
    agreement = funded(condition=CONDITIONS[1])
    assert agreement.due_at == CONDITIONS[1].at
    assert decide_time(agreement, NOW + timedelta(days=10))[0].reason == "date_reached"


def test_event_that_was_named_releases_and_no_other() -> None:
    agreement = funded(condition=CONDITIONS[3])
    assert decide_event(agreement, "payout_paid", frozenset({"order:2"})) == ()
    assert decide_event(agreement, "pay_in_allocated", frozenset({"order:1"})) == ()
    seen = decide_event(agreement, "payout_paid", frozenset({"po_1", "order:1"}))
    assert [step.after.state for step in seen] == [State.FUNDED, State.RELEASING]
    assert decide_event(seen[-1].after, "payout_paid", frozenset({"order:1"})) == ()


def test_dispute_stops_the_clock_and_the_arbiter_divides() -> None:
    agreement = steps(decide(funded(), Dispute("payee"), NOW))
    assert decide_time(agreement, DEADLINE) == ()
    assert code(decide(agreement, Release("payer", None), NOW)) == "state_forbids"
    split = Arbitrate("arbiter", usd("60.00"), usd("40.00"))
    agreement = posted(steps(decide(agreement, split, DEADLINE)), DEADLINE)
    assert (agreement.state, agreement.held) == (State.ARBITRATED, usd("0.00"))


def test_refusal_of_the_ledger_leads_back_with_its_reason_and_is_tried_again_later() -> None:
    agreement = steps(decide(funded(), Approve("a1"), NOW))
    agreement = steps(decide(agreement, Approve("a2"), NOW))
    (back,) = decide_answer(agreement, number=2, refused="account_frozen", now=NOW)
    assert (back.after.state, back.reason) == (State.FUNDED, "account_frozen")
    assert back.after.held == usd("100.00")
    again_at = back.after.due_at
    assert again_at is not None
    assert NOW + TRY_AGAIN_AFTER <= again_at < NOW + TRY_AGAIN_AFTER + SPREAD
    again = steps(decide_time(back.after, again_at))
    assert (again.state, again.movements) == (State.RELEASING, 3)


def test_answer_to_another_ask_or_a_second_answer_changes_nothing() -> None:
    agreement = steps(decide(entered(), Fund("payer"), NOW))
    assert decide_answer(agreement, number=2, refused=None, now=NOW) == ()
    assert decide_answer(posted(agreement), number=1, refused="insufficient_funds", now=NOW) == ()


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (Fund("payer"), "state_forbids"),
        (Fund("payee"), "not_allowed"),
        (Approve("payee"), "not_allowed"),
        (Present("a1", "d1"), "not_allowed"),
        (Release("stranger", None), "not_allowed"),
        (Release("payee", usd("1.00")), "condition_not_met"),
        (Release("payer", usd("100.01")), "exceeds_held"),
        (Release("payer", usd("0.00")), "amount_not_positive"),
        (Release("payer", Money.parse("1.00", "EUR")), "currency_mismatch"),
        (Refund("payer"), "not_allowed"),
        (Dispute("arbiter"), "not_allowed"),
        (Arbitrate("payer", usd("100.00"), usd("0.00")), "not_allowed"),
        (Arbitrate("arbiter", usd("100.00"), usd("0.00")), "state_forbids"),
    ],
)
def test_wrong_order_is_refused_with_a_code(order: Order, refused: str) -> None:
    assert code(decide(funded(), order, NOW)) == refused


def test_order_is_refused_while_the_ledger_is_asked_and_after_the_deadline() -> None:
    moving = steps(decide(funded(), Release("payer", usd("1.00")), NOW))
    assert code(decide(moving, Refund("payee"), NOW)) == "movement_under_way"
    assert code(decide(funded(), Refund("payee"), DEADLINE)) == "deadline_passed"


def test_arbiter_cannot_give_more_or_less_than_is_held() -> None:
    disputed = steps(decide(funded(), Dispute("payer"), NOW))
    for payee, payer in (("100.00", "0.01"), ("99.99", "0.00")):
        split = Arbitrate("arbiter", usd(payee), usd(payer))
        assert code(decide(disputed, split, NOW)) == "split_mismatch"


@pytest.mark.parametrize(
    ("changes", "refused", "field"),
    [
        ({"payee": "nobody"}, "party_unknown", "/payee"),
        ({"tenant": "other"}, "tenant_mismatch", "/tenant"),
        ({"by": "stranger"}, "not_allowed", "/who/principal"),
        ({"payee": "payer"}, "same_party", "/payee"),
        ({"arbiter": "payee"}, "arbiter_not_apart", "/arbiter"),
        ({"amount": usd("0.00")}, "amount_not_positive", "/amount/amount"),
        ({"deadline": NOW}, "deadline_passed", "/deadline"),
        ({"on_deadline": "keep"}, "condition_invalid", "/on_deadline"),
        ({"condition": Condition("moon")}, "condition_invalid", "/condition/kind"),
        ({"condition": Condition("date", at=DEADLINE)}, "condition_invalid", "/condition/at"),
        ({"condition": Condition("approval")}, "condition_invalid", "/condition/approvers"),
        (
            {"condition": Condition("approval", approvers=("a1",), needed=2)},
            "condition_invalid",
            "/condition/needed",
        ),
        (
            {"condition": Condition("document", presenter="a1")},
            "condition_invalid",
            "/condition/document",
        ),
        ({"condition": Condition("event", event="rain")}, "condition_invalid", "/condition/event"),
    ],
)
def test_wrong_proposal_is_refused_with_code_and_place(
    changes: dict[str, Any], refused: str, field: str
) -> None:
    wrong = replace(proposal(), **changes)
    outcome = decide_proposal(wrong, parties=PARTIES, payer_tenant="root", now=NOW)
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.field) == (refused, field)


# Random histories against a dictionary that books what the ledger was asked to post.

AMOUNTS = st.integers(0, 12_000).map(lambda minor: Money(minor, usd("0.00").currency))
WHO = st.sampled_from(PARTIES)
ORDERS: st.SearchStrategy[Order] = st.one_of(
    st.builds(Fund, WHO),
    st.builds(Approve, WHO),
    st.builds(Present, WHO, st.sampled_from(["d1", "d2"])),
    st.builds(Release, WHO, st.none() | AMOUNTS),
    st.builds(Refund, WHO),
    st.builds(Dispute, WHO),
    st.builds(
        lambda by, part: Arbitrate(by, part, usd("100.00") - part),
        WHO,
        st.integers(0, 10_000).map(lambda minor: Money(minor, usd("0.00").currency)),
    ),
)
LIKELY = st.sampled_from(
    [Fund("payer"), Dispute("payer"), Refund("payee"), Approve("a1"), Approve("a2")]
)


@dataclass(frozen=True)
class Answer:
    """The ledger answers the last ask, or one before it."""

    late_by: int
    refused: str | None


@dataclass(frozen=True)
class Later:
    """Time passes, and the worker takes its turn."""

    hours: int


@dataclass(frozen=True)
class Seen:
    """A fact comes by on a topic."""

    reference: str


EVENTS = st.one_of(
    ORDERS,
    LIKELY,
    st.builds(Answer, st.integers(0, 1), st.sampled_from([None, None, None, "account_frozen"])),
    st.builds(Later, st.integers(0, 300)),
    st.builds(Seen, st.sampled_from(["order:1", "order:2"])),
)
ACCOUNTS = ("payer", "escrow", "payee")


def _book(books: Counter[str], step: Step) -> None:
    """What the journal of an ask moves once the ledger posts it."""
    movement = step.after.movement
    assert movement is not None
    if step.after.state is State.FUNDING:
        books.update({"payer": -step.after.amount.minor, "escrow": step.after.amount.minor})
        return
    paid, back = movement.to_payee.minor, movement.to_payer.minor
    books.update({"escrow": -paid - back, "payee": paid, "payer": back})


@given(
    condition=st.sampled_from(CONDITIONS),
    on_deadline=st.sampled_from(["refund", "release"]),
    history=st.lists(EVENTS, max_size=40),
)
def test_any_history_keeps_the_books_balanced_and_tells_every_change(
    condition: Condition, on_deadline: str, history: list[Any]
) -> None:
    agreement, now = entered(condition=condition, on_deadline=on_deadline), NOW
    books: Counter[str] = Counter()
    asked: dict[int, Step] = {}
    for happens in history:
        match happens:
            case Later(hours):
                now += timedelta(hours=hours)
                told: Steps | Refusal = decide_time(agreement, now)
            case Seen(reference):
                told = decide_event(agreement, "payout_paid", frozenset({reference}))
            case Answer(late_by, refused):
                number = agreement.movements - late_by
                waits = agreement.movement is not None and agreement.movement.number == number
                told = decide_answer(agreement, number=number, refused=refused, now=now)
                assert bool(told) == waits
                if waits and refused is None:
                    _book(books, asked[number])
            case _:
                told = decide(agreement, happens, now)
        if isinstance(told, Refusal):
            assert told.code
            assert told.remedy
            continue
        for step in told:
            assert step.before == agreement
            assert step.after.sequence == agreement.sequence + 1
            assert (
                step.after.state is agreement.state or step.after.state in ALLOWED[agreement.state]
            )
            agreement = step.after
            if step.asks_ledger:
                asked[agreement.movements] = step
        assert sum(books[account] for account in ACCOUNTS) == 0
        assert books["escrow"] == agreement.held.minor >= 0
        assert books["payee"] == agreement.released.minor
        paid_in = agreement.amount.minor if agreement.funded else 0
        assert books["payer"] == agreement.refunded.minor - paid_in
        if agreement.state in FINAL:
            assert books["escrow"] == 0
        assert (agreement.movement is not None) == (agreement.state in MOVING)


@given(
    condition=st.sampled_from(CONDITIONS),
    on_deadline=st.sampled_from(["refund", "release"]),
    history=st.lists(ORDERS | LIKELY, max_size=20),
)
def test_money_never_stays_behind_once_time_is_up(
    condition: Condition, on_deadline: str, history: list[Order]
) -> None:
    """Whatever was ordered: posted answers, an arbiter and time bring an agreement to its end."""
    agreement = entered(condition=condition, on_deadline=on_deadline)
    for order in history:
        outcome = decide(agreement, order, NOW)
        if not isinstance(outcome, Refusal):
            agreement = steps(outcome)
        if agreement.movement is not None:
            agreement = posted(agreement)
    for _ in range(4):
        if agreement.state is State.DISPUTED:
            half = Arbitrate("arbiter", agreement.held, usd("0.00"))
            agreement = steps(decide(agreement, half, DEADLINE))
        elif agreement.state not in FINAL | MOVING:
            agreement = steps(decide_time(agreement, DEADLINE))
        if agreement.movement is not None:
            agreement = posted(agreement, DEADLINE)
    assert agreement.state in FINAL
    assert not agreement.held
