"""F15: a return is divided exactly, and no allocation gives back more than it got."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.answers.refusal import Refusal
from tally_funding.refunds.domain import (
    Holding,
    LegAnswer,
    LegState,
    Method,
    ReturnKind,
    Terms,
    decide_leg,
    decide_return,
    decide_settlement,
    shown_state,
)
from tally_money import Money, currency

USD = currency("USD")
OWNERS = ("aggregator", "co_1", "pty_1")


def usd(minor: int) -> Money:
    return Money(minor, USD)


def holdings(*minor: int, returned: Sequence[int] = ()) -> list[Holding]:
    gone = [*returned, *[0] * len(minor)]
    return [
        Holding(
            position,
            OWNERS[position % 3],
            f"acc_{position}",
            usd(amount),
            usd(gone[position]),
            usd(gone[position]),
        )
        for position, amount in enumerate(minor)
    ]


def portions(found: object) -> dict[str, int]:
    assert isinstance(found, tuple), found
    return {portion.owner: portion.amount.minor for portion in found}


PROPORTIONAL = Terms(Method.PROPORTIONAL)


def test_f15_a_whole_refund_gives_back_every_allocation_whole() -> None:
    found = decide_return(holdings(250, 30, 9720), usd(10_000), PROPORTIONAL)
    assert portions(found) == {"aggregator": 250, "co_1": 30, "pty_1": 9720}


def test_f15_a_part_is_borne_in_proportion_and_zero_portions_are_left_out() -> None:
    found = decide_return(holdings(250, 30, 9720), usd(100), PROPORTIONAL)
    assert portions(found) == {"aggregator": 3, "pty_1": 97}


@given(
    amounts=st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
)
def test_f15_partial_returns_sum_to_the_pay_in_and_never_exceed_an_allocation(
    amounts: list[int], cuts: list[int]
) -> None:
    gone = [0] * len(amounts)
    for cut in [*cuts, sum(amounts)]:
        left = sum(amounts) - sum(gone)
        asked = min(cut, left)
        if not asked:
            break
        found = decide_return(holdings(*amounts, returned=gone), usd(asked), PROPORTIONAL)
        assert isinstance(found, tuple)
        assert sum(portion.amount.minor for portion in found) == asked
        for portion in found:
            gone[portion.position] += portion.amount.minor
        assert all(g <= a for g, a in zip(gone, amounts, strict=True))
    assert sum(gone) <= sum(amounts)


def test_money_given_back_once_is_not_taken_by_reversing_its_transfer_again() -> None:
    zero = usd(0)
    (found,) = decide_return(
        [Holding(0, "pty_1", "acc_0", usd(100), zero, usd(60))], usd(40), PROPORTIONAL
    )
    assert found.by_reversal
    (again,) = decide_return(
        [Holding(0, "pty_1", "acc_0", usd(100), zero, usd(60))], usd(41), PROPORTIONAL
    )
    assert not again.by_reversal


def test_f15_exact_shares_are_taken_as_they_are() -> None:
    terms = Terms(Method.EXACT, exact=(("pty_1", usd(90)), ("co_1", usd(10))))
    found = decide_return(holdings(250, 30, 9720), usd(100), terms)
    assert portions(found) == {"co_1": 10, "pty_1": 90}


def test_f15_an_order_is_followed_as_far_as_each_allocation_goes() -> None:
    terms = Terms(Method.IN_ORDER, order=("co_1", "pty_1", "aggregator"))
    found = decide_return(holdings(250, 30, 9720, returned=[0, 10]), usd(100), terms)
    assert portions(found) == {"co_1": 20, "pty_1": 80}


@pytest.mark.parametrize(
    ("amount", "terms", "code", "field"),
    [
        (10_001, PROPORTIONAL, "return_exceeds_pay_in", "/amount"),
        (100, Terms(Method.EXACT, (("pty_1", usd(99)),)), "shares_differ", "/shares"),
        (100, Terms(Method.EXACT), "shares_differ", "/shares"),
        (31, Terms(Method.EXACT, (("co_1", usd(31)),)), "share_exceeds_allocation", "/shares/0"),
        (9, Terms(Method.EXACT, (("pty_9", usd(9)),)), "share_exceeds_allocation", "/shares/0"),
        (
            40,
            Terms(Method.EXACT, (("co_1", usd(20)), ("co_1", usd(20)))),
            "share_exceeds_allocation",
            "/shares/1",
        ),
        (31, Terms(Method.IN_ORDER, order=("co_1",)), "share_exceeds_allocation", "/order"),
        (31, Terms(Method.IN_ORDER), "share_exceeds_allocation", "/order"),
    ],
)
def test_f15_a_return_nobody_can_bear_is_refused_with_its_place(
    amount: int, terms: Terms, code: str, field: str
) -> None:
    found = decide_return(holdings(250, 30, 9720), usd(amount), terms)
    assert isinstance(found, Refusal)
    assert (found.code, found.field) == (code, field)
    assert found.remedy


@pytest.mark.parametrize(
    ("state", "refused_with", "answer"),
    [
        (LegState.REVERSING, None, LegAnswer.REVERSED),
        (LegState.REVERSING, "insufficient_funds", LegAnswer.MUST_OWE),
        (LegState.REVERSING, "account_frozen", LegAnswer.MUST_OWE),
        (LegState.REVERSING, "journal_unknown", LegAnswer.STRANDED),
        (LegState.OWING, None, LegAnswer.OWED),
        (LegState.OWING, "account_mismatch", LegAnswer.STRANDED),
        (LegState.REVERSED, None, LegAnswer.STALE),
        (LegState.OWED, "insufficient_funds", LegAnswer.STALE),
    ],
)
def test_the_ledgers_answer_moves_a_leg(
    state: LegState, refused_with: str | None, answer: LegAnswer
) -> None:
    assert decide_leg(state, asked="j1", journal_id="j1", refused_with=refused_with) is answer
    other = decide_leg(state, asked="j1", journal_id="j0", refused_with=refused_with)
    assert other is LegAnswer.STALE


def test_f15_how_a_pay_in_stands_after_a_return() -> None:
    assert shown_state(ReturnKind.REFUND, usd(100), usd(99)) == "partly_refunded"
    assert shown_state(ReturnKind.REFUND, usd(100), usd(100)) == "refunded"
    assert shown_state(ReturnKind.CHARGEBACK, usd(100), usd(50)) == "charged_back"


def test_f7_nobody_but_the_owner_settles_from_its_wallet() -> None:
    assert decide_settlement(usd(50), usd(50), owner="pty_1", by="pty_1") is None
    refused = decide_settlement(usd(50), usd(50), owner="pty_1", by="co_1")
    assert refused is not None
    assert refused.code == "not_the_owner"
    more = decide_settlement(usd(50), usd(51), owner="pty_1", by="pty_1")
    assert more is not None
    assert more.code == "settlement_exceeds_receivable"
    foreign = decide_settlement(usd(50), Money(5, currency("EUR")), owner="p", by="p")
    assert foreign is not None
    assert foreign.code == "currency_mismatch"
