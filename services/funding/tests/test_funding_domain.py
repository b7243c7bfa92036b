"""The decisions alone: exact shares for every currency and rule, and the state machine."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.domain import (
    ALLOWED,
    COMPANY,
    NEXT,
    OWNER_CHARS_MAX,
    Beneficiary,
    Content,
    PartOfPayIn,
    PayInState,
    Reason,
    Repeat,
    Rule,
    RuleShare,
    Settled,
    Standing,
    Suspense,
    after,
    decide_allocation,
    decide_repeat,
    decide_settlement,
)
from tally_funding.rule_document import bundled_rule, parse_rule
from tally_money import Money, Percent, Remainder, Rounding, currency, iso_currencies

PAYEE = Beneficiary("party", "pty_1")
CODES = sorted(iso_currencies())


def decide(rule: Rule, amount: Money, **changes: Any) -> tuple[PartOfPayIn, ...] | Suspense:
    terms: dict[str, Any] = {"program": "p", "company": "co_1", "beneficiary": PAYEE, **changes}
    return decide_allocation(rule, amount=amount, **terms)


def percent_rule(*percents: str, **changes: Any) -> Rule:
    shares = [
        RuleShare(f"r{n}", COMPANY, pay_out=False, part=Percent(Decimal(percent)))
        for n, percent in enumerate(percents)
    ]
    rest = RuleShare("beneficiary", None, pay_out=True, part=Remainder())
    terms: dict[str, Any] = {
        "name": "r",
        "version": 1,
        "programs": None,
        "currencies": None,
        "rounding": Rounding.HALF_EVEN,
        **changes,
    }
    return Rule(shares=(*shares, rest), **terms)


@st.composite
def rules(draw: st.DrawFn, code: str) -> Rule:
    """A rule that lint lets pass: percentages under the whole, fixed amounts, one remainder."""
    millionths = draw(st.lists(st.integers(0, 20_000_000), max_size=5))
    shares = [
        RuleShare(
            f"p{n}", draw(st.sampled_from([COMPANY, "agg"])), False, Percent(Decimal(value) / 10**6)
        )
        for n, value in enumerate(millionths)
    ]
    for n, minor in enumerate(draw(st.lists(st.integers(0, 10**6), max_size=3))):
        part = {code: Money(minor, currency(code))}
        shares.append(RuleShare(f"f{n}", "agg", False, part))
    rest = RuleShare("beneficiary", None, True, Remainder())
    shares.insert(draw(st.integers(0, len(shares))), rest)
    return Rule(
        "r", 1, None, frozenset({code}), tuple(shares), draw(st.sampled_from(list(Rounding)))
    )


@given(st.data(), st.sampled_from(CODES), st.integers(1, 10**38 - 1) | st.integers(1, 10**5))
def test_f23_shares_sum_exactly_for_every_currency_and_rule(
    data: st.DataObject, code: str, minor: int
) -> None:
    rule = data.draw(rules(code))
    amount = Money(minor, currency(code))
    decision = decide(rule, amount)
    if isinstance(decision, Suspense):
        assert decision.reason is Reason.RULE_EXCEEDS_AMOUNT
        fixed = sum(s.part[code].minor for s in rule.shares if isinstance(s.part, Mapping))
        assert fixed > 0, "percentages under the whole never exceed it"
        return
    assert sum(part.amount.minor for part in decision) == minor
    assert all(part.amount.minor > 0 and part.amount.currency.code == code for part in decision)
    roles = [share.role for share in rule.shares]
    assert sorted(decision, key=lambda part: roles.index(part.role)) == list(decision)


@given(st.sampled_from(CODES), st.integers(1, 10**9))
def test_the_bundled_rule_divides_or_suspends_every_amount(code: str, minor: int) -> None:
    rule = parse_rule(bundled_rule()).rule
    amount = Money(minor, currency(code))
    decision = decide(rule, amount)
    if not rule.covers_currency(code):
        assert isinstance(decision, Suspense)
        assert decision.reason is Reason.CURRENCY_NOT_COVERED
    elif isinstance(decision, Suspense):
        fixed = sum(s.part[code].minor for s in rule.shares if isinstance(s.part, Mapping))
        assert minor <= fixed + fixed // 10 + 1, "only amounts around the fixed fee are too small"
    else:
        assert sum(part.amount.minor for part in decision) == minor


@pytest.mark.parametrize(
    ("amount", "code", "parts"),
    [
        ("100.00", "USD", ["2.50", "0.30", "97.20"]),
        ("10000", "JPY", ["250", "30", "9720"]),
        ("1.250", "KWD", ["0.031", "0.100", "1.119"]),
        ("0.31", "USD", ["0.01", "0.30"]),
    ],
)
def test_the_bundled_rule_by_hand(amount: str, code: str, parts: list[str]) -> None:
    decision = decide(parse_rule(bundled_rule()).rule, Money.parse(amount, code))
    assert isinstance(decision, tuple)
    assert [part.amount.wire_amount for part in decision] == parts


def test_shares_that_come_to_zero_are_left_out() -> None:
    decision = decide(percent_rule("2.5", "0"), Money.parse("0.01", "USD"))
    assert decision == (PartOfPayIn("beneficiary", "pty_1", Money.parse("0.01", "USD"), True),)


@pytest.mark.parametrize(
    ("changes", "terms", "reason"),
    [
        ({"programs": frozenset({"q"})}, {}, Reason.UNKNOWN_PROGRAM),
        ({"currencies": frozenset({"EUR"})}, {}, Reason.CURRENCY_NOT_COVERED),
        ({}, {"beneficiary": None}, Reason.NO_BENEFICIARY),
        (
            {},
            {"beneficiary": Beneficiary("event", "event:" + "x" * OWNER_CHARS_MAX)},
            Reason.BENEFICIARY_TOO_LONG,
        ),
        (
            {},
            {"beneficiary": Beneficiary("party", "contact:ct_1")},
            Reason.BENEFICIARY_AMBIGUOUS,
        ),
    ],
)
def test_f14_money_that_matches_nothing_is_suspended_with_reason_and_remedy(
    changes: dict[str, Any], terms: dict[str, Any], reason: Reason
) -> None:
    decision = decide(percent_rule("1", **changes), Money.parse("5.00", "USD"), **terms)
    assert isinstance(decision, Suspense)
    assert decision.reason is reason
    assert 0 < len(decision.remedy) <= 500


def test_a_rule_without_a_beneficiary_needs_none() -> None:
    rest = RuleShare("company", COMPANY, pay_out=False, part=Remainder())
    rule = Rule("r", 1, None, None, (rest,), Rounding.DOWN)
    decision = decide(rule, Money.parse("5.00", "USD"), beneficiary=None)
    assert decision == (PartOfPayIn("company", "co_1", Money.parse("5.00", "USD"), False),)


@pytest.mark.parametrize("state", list(PayInState))
@pytest.mark.parametrize("posted", [True, False])
@pytest.mark.parametrize("journal_id", ["jrn_asked", "jrn_other"])
def test_an_answer_moves_only_the_pay_in_that_waits_for_it(
    state: PayInState, posted: bool, journal_id: str
) -> None:
    settled = decide_settlement(Standing(state, "jrn_asked"), journal_id=journal_id, posted=posted)
    waits = state in {PayInState.ALLOCATING, PayInState.SUSPENDING} and journal_id == "jrn_asked"
    assert (settled is Settled.STALE) == (not waits)
    if settled in NEXT:
        assert after(state, settled) in ALLOWED[state]


def test_f14_no_state_is_a_dead_end_before_the_money_is_in_an_account() -> None:
    ends = {state for state, following in ALLOWED.items() if not following}
    assert ends == {PayInState.ALLOCATED, PayInState.SUSPENSE}
    assert set(ALLOWED) == set(PayInState)


@pytest.mark.parametrize(
    ("known", "again", "repeat"),
    [
        (("a", 1, False), ("a", 1, False), Repeat.SAME),
        (("a", 1, False), ("b", 1, False), Repeat.CONFLICT),
        (("a", 1, False), ("b", 1, True), Repeat.SAME),
        (("a", 1, True), ("b", 1, False), Repeat.SAME),
        (("a", 1, False), ("b", 2, True), Repeat.CONFLICT),
        (("a", 1, True), ("b", 1, True), Repeat.CONFLICT),
    ],
)
def test_a_repeat_is_the_same_content_or_a_conflict(
    known: tuple[str, int, bool], again: tuple[str, int, bool], repeat: Repeat
) -> None:
    def content(digest: str, minor: int, by_statement: bool) -> Content:
        return Content(digest.encode(), Money(minor, currency("USD")), by_statement)

    assert decide_repeat(content(*known), content(*again)) is repeat
