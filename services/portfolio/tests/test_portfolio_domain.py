from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_money import Money
from tally_portfolio.domain.projection import Hop, PayIn, Payout, Projection
from tally_portfolio.domain.time_line import ENDED, Payment, accounts_of, steps_of

AT = datetime(2026, 9, 21, 8, tzinfo=UTC)


def _hop(name: str, *, cause: str | None = None, at: int = 0, **summary: Any) -> Hop:
    moment = AT + timedelta(seconds=at)
    return Hop(
        name, "po_1", "corr", cause, "payouts.payout.changed.v1", "t", "s", moment, moment, summary
    )


def _order(*hops: Hop) -> list[str]:
    return [step.hop.event_id for step in steps_of(hops)]


def _payout(name: str = "po_1", **changes: Any) -> Payout:
    fields: dict[str, Any] = {
        "payout_id": name,
        "pay_in_id": "pin_1",
        "correlation_id": "corr",
        "owner": "ann",
        "company": "co_1",
        "account": "acc_1",
        "amount": Money.parse("10.00", "USD"),
        "sequence": 1,
        "state": "paid",
        "changed_at": AT,
        "rail": None,
        "reason_code": None,
        "must_act": None,
    }
    return Payout(**{**fields, **changes})


def _pay_in(state: str = "allocated", rank: int = 3, **changes: Any) -> PayIn:
    fields: dict[str, Any] = {
        "pay_in_id": "pin_1",
        "correlation_id": "corr",
        "source": "cards",
        "external_id": "ext",
        "amount": Money.parse("10.00", "USD"),
        "state": state,
        "state_rank": rank,
        "changed_at": AT,
    }
    return PayIn(**{**fields, **changes})


def test_at_the_same_time_an_effect_stands_after_its_cause() -> None:
    assert _order(_hop("a", cause="z"), _hop("z", cause="m"), _hop("m")) == ["m", "z", "a"]


def test_a_clock_that_lags_behind_cannot_put_an_effect_before_its_cause() -> None:
    hops = [_hop("cause", at=10), _hop("effect", cause="cause", at=3), _hop("other", at=5)]
    steps = steps_of(hops)
    assert [step.hop.event_id for step in steps] == ["other", "cause", "effect"]
    assert [step.since_first.total_seconds() for step in steps] == [2, 7, 0]


def test_changes_of_one_payout_stand_by_their_number() -> None:
    assert _order(
        _hop("c", sequence=1, at=2), _hop("b", sequence=2, at=1), _hop("a", sequence=3, at=1)
    ) == ["c", "b", "a"]


def test_facts_that_claim_to_cause_each_other_are_all_shown() -> None:
    assert _order(_hop("a", cause="b"), _hop("b", cause="a"), _hop("c", cause="c")) == [
        "a",
        "b",
        "c",
    ]


hop_lists = st.lists(
    st.builds(
        _hop,
        st.sampled_from("abcdefgh"),
        cause=st.sampled_from([None, *"abcdefgh"]),
        at=st.integers(0, 3),
        sequence=st.sampled_from([1, 2, 3, None]),
    ),
    max_size=8,
    unique_by=lambda hop: hop.event_id,
)


@given(hop_lists, st.randoms())
def test_the_order_depends_on_the_hops_alone_and_loses_none(hops: list[Hop], random: Any) -> None:
    steps = steps_of(hops)
    shuffled = list(hops)
    random.shuffle(shuffled)
    assert steps_of(shuffled) == steps
    assert sorted(step.hop.event_id for step in steps) == sorted(hop.event_id for hop in hops)
    assert all(step.since_first >= timedelta(0) for step in steps)


@given(st.permutations(range(4)), st.integers(1, 4))
def test_newest_sequence_wins_in_any_order_of_arrival(order: list[int], top: int) -> None:
    projection = Projection()
    for sequence in [number + 1 for number in order if number < top]:
        projection.add_payout(_payout(sequence=sequence, state=f"state-{sequence}"))
    assert projection.payouts["po_1"].state == f"state-{top}"


def test_facts_of_a_pay_in_merge_to_the_same_in_any_order() -> None:
    facts = [
        _pay_in("received", 1, owner="ann", company="co_1", received_at=AT),
        _pay_in("suspense", 2, reason_code="no_beneficiary", remedy="match it"),
        _pay_in("allocated", 3, company="co_1", payouts_expected=2),
    ]
    merged = set()
    for first, second, third in permutations(facts):
        merged.add(first.merged(second).merged(third))
        merged.add(first.merged(second.merged(third)))
    assert merged == {
        _pay_in("allocated", 3, owner="ann", company="co_1", received_at=AT, payouts_expected=2)
    }


@pytest.mark.parametrize(
    ("pay_in", "payouts", "flags", "reason"),
    [
        (_pay_in("received", 1), (), (False, True), "not_allocated_yet"),
        (_pay_in("suspense", 2, reason_code="no_beneficiary"), (), (False, True), "no_beneficiary"),
        (_pay_in(payouts_expected=2), (_payout(),), (True, False), "payout_not_opened"),
        (
            _pay_in(payouts_expected=1),
            (_payout(state="claimable", reason_code="no_method"),),
            (True, False),
            "no_method",
        ),
        (
            _pay_in(payouts_expected=1),
            (_payout(state="state_of_a_later_release"),),
            (True, False),
            None,
        ),
    ],
)
def test_an_unfinished_payment_says_what_it_waits_for(
    pay_in: PayIn, payouts: tuple[Payout, ...], flags: tuple[bool, bool], reason: str | None
) -> None:
    payment = Payment("pin_1", pay_in, payouts)
    assert (payment.allocated, payment.payouts_ended) == flags
    assert not payment.complete
    assert [waiting.reason_code for waiting in payment.waiting()] == [reason]


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_payment_whose_payouts_have_ended_waits_for_nobody(state: str) -> None:
    payment = Payment("pin_1", _pay_in(payouts_expected=1), (_payout(state=state),))
    assert payment.complete
    assert payment.waiting() == ()


states = st.sampled_from(["paid", "returned", "failed", "claimable", "submitted", "unheard_of"])


@given(st.lists(st.tuples(st.integers(1, 10**9), states), max_size=5), st.integers(0, 10**9))
def test_money_of_a_payment_is_neither_lost_nor_shown_twice(
    parts: list[tuple[int, str]], kept: int
) -> None:
    usd = Money.parse("0.01", "USD").currency
    total = Money(sum(minor for minor, _ in parts) + kept, usd)
    payouts = tuple(
        _payout(f"po_{n}", amount=Money(minor, usd), state=state)
        for n, (minor, state) in enumerate(parts)
    )
    (flow,) = Payment("pin_1", _pay_in(amount=total), payouts).flows()
    assert flow.received == total
    assert flow.resting is not None
    assert flow.paid_out + flow.under_way + flow.resting == total
    came_back = sum(minor for minor, state in parts if state in {"returned", "failed"})
    assert flow.resting.minor == kept + came_back


def test_every_account_a_hop_names_is_known_by_its_id() -> None:
    hops = [
        _hop("a", legs=[["acc_1", "acc_2", "1.00", "USD", "x"]], legs_total=1),
        _hop("b", allocations=[["acc_3", "ann", "beneficiary", "1.00", True]]),
        _hop("c", debit="acc_4", credit="acc_5"),
        _hop("d", account="acc_6"),
    ]
    assert accounts_of(hops) == {f"acc_{n}" for n in range(1, 7)}
