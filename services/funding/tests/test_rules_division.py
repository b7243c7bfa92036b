"""Dividing money by rules: exact in every currency, and the compiled program against fractions."""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.domain import (
    OWNER_CHARS_MAX,
    Beneficiary,
    PartOfPayIn,
    Reason,
    Suspense,
)
from tally_funding.errors import RuleInvalid
from tally_funding.rule_document import bundled_rule, parse_rule
from tally_funding.rules.choose import Chosen, compile_rule
from tally_funding.rules.decide import decide_allocation
from tally_funding.rules.divide import compile_lines
from tally_funding.rules.lint import read_document
from tally_funding.rules.match import Facts
from tally_funding.rules.model import Fixed, Line, Rule, Shortfall, Weight
from tally_funding.rules.reference import divide_by_the_book, exact_claim
from tally_money import (
    Fixed as FixedShare,
)
from tally_money import (
    Money,
    Percent,
    Remainder,
    Rounding,
    Share,
    SplitExceedsTotal,
    currency,
    iso_currencies,
    split,
)

CODES = sorted(iso_currencies())
PAYEE = Beneficiary("party", "pty_1")
LARGEST = 10**38 - 1


def facts(amount: Money, **changes: Any) -> Facts:
    fields: dict[str, Any] = {
        "source": "cards",
        "program": "p",
        "event": "e:1",
        "kind": "payables",
        "code": amount.currency.code,
        "minor": amount.minor,
        "country": "DE",
        "company": "co_1",
        "tags": {},
        "occurred_at": datetime(2026, 9, 21, 8, tzinfo=UTC),
        **changes,
    }
    return Facts(**fields)


def decide(
    rule: Rule, amount: Money, beneficiary: Beneficiary | None = PAYEE, **changes: Any
) -> tuple[PartOfPayIn, ...] | Suspense:
    chosen = Chosen(compile_rule(rule), is_last=True)
    return decide_allocation(chosen, facts(amount, **changes), beneficiary)


def read(document: Mapping[str, Any]) -> Rule:
    return read_document(json.dumps(document).encode(), scope="party_t").rule


class Chance:
    """Documents of every kind of line, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, code: str, most: int = 10**6) -> str:
        return Money(self.random.randint(0, most), currency(code)).wire_amount

    def percent(self, most: int) -> str:
        return str(Decimal(self.random.randint(0, most * 10**6)) / 10**6)

    def line(self, code: str, most: int) -> dict[str, Any]:
        kind = self.random.choice(["percent", "percent", "bounded", "fixed", "tiers", "left"])
        line: dict[str, Any] = {"role": "fee", "to": {"party": f"pty_{self.random.randint(1, 4)}"}}
        match kind:
            case "fixed":
                return line | {"fixed": {code: self.text(code, 1000)}}
            case "tiers":
                ends = sorted(self.random.sample(range(1, 10**6), self.random.randint(0, 3)))
                tiers = [
                    {"up_to": Money(end, currency(code)).wire_amount, "percent": self.percent(most)}
                    for end in ends
                ]
                return line | {"tiers": {code: [*tiers, {"percent": self.percent(most)}]}}
            case "left":
                return line | {"percent": self.percent(most), "basis": "left"}
            case "bounded":
                low, high = sorted(self.random.randint(0, 5000) for _ in range(2))
                line |= {"percent": self.percent(most)}
                unit = currency(code)
                if self.random.random() < 0.7:
                    line["floor"] = {code: Money(low, unit).wire_amount}
                if self.random.random() < 0.7:
                    line["cap"] = {code: Money(high, unit).wire_amount}
                return line
            case _:
                return line | {"percent": self.percent(most)}

    def document(self, code: str) -> dict[str, Any]:
        number = self.random.randint(0, 19)
        lines = [self.line(code, 100 // (number + 1)) for _ in range(number)]
        takers: list[dict[str, Any]] = [{"remainder": True}]
        if self.random.random() < 0.4:
            takers = [{"weight": self.random.randint(1, 9)} for _ in range(2)]
        for taker in takers:
            line = {"role": "beneficiary", "to": {"role": "beneficiary"}, **taker}
            lines.insert(self.random.randint(0, len(lines)), line)
        return {
            "schema": 2,
            "rule": "r",
            "version": 1,
            "match": {"currencies": [code]},
            "lines": lines,
            "rounding": self.random.choice([rounding.value for rounding in Rounding]),
            "shortfall": self.random.choice([one.value for one in Shortfall]),
        }

    def rule(self, code: str) -> Rule:
        document = self.document(code)
        try:
            return read(document)
        except RuleInvalid as invalid:
            codes = {fault.code for fault in invalid.faults}
            assert codes <= {"could_exceed_amount", "floor_of_left", "whole_after_left"}
            return read(document | {"shortfall": "in_order"})

    def minor(self) -> int:
        return self.random.randint(1, 10 ** self.random.randint(1, 38) - 1)


def by_the_book(rule: Rule, code: str, minor: int) -> list[int] | None:
    shared = divide_by_the_book(rule.lines, rule.rounding, rule.shortfall, code, minor)
    return None if shared is None else [share.minor for share in shared]


def test_f23_10_000_random_rules_and_pay_ins_sum_exactly_over_every_currency() -> None:
    chance = Chance(23)
    pairs = suspended = 0
    while pairs < 10_000:
        for code in CODES:
            rule = chance.rule(code)
            program = compile_lines(rule.lines, rule.rounding, rule.shortfall, code)
            for minor in (chance.minor(), chance.minor()):
                amounts = program.divide(minor)
                assert amounts == by_the_book(rule, code, minor), (rule, minor)
                pairs += 1
                if amounts is None:
                    suspended += 1
                    assert rule.shortfall is Shortfall.SUSPEND
                else:
                    assert sum(amounts) == minor
                    assert min(amounts) >= 0
    assert 0 < suspended < pairs / 4, "most pairs are divided"


@given(st.integers(0, 2**32), st.sampled_from(CODES), st.integers(1, LARGEST))
def test_f23_the_compiled_program_is_the_book(seed: int, code: str, minor: int) -> None:
    rule = Chance(seed).rule(code)
    program = compile_lines(rule.lines, rule.rounding, rule.shortfall, code)
    assert program.divide(minor) == by_the_book(rule, code, minor)


@given(st.integers(0, 2**32), st.sampled_from(CODES), st.integers(1, 10**9))
def test_f23_a_rule_that_states_no_shortfall_never_asks_for_more_than_a_unit_a_line_too_much(
    seed: int, code: str, minor: int
) -> None:
    document = Chance(seed).document(code) | {"shortfall": "refuse"}
    try:
        rule = read(document)
    except RuleInvalid:
        return
    shared = divide_by_the_book(rule.lines, rule.rounding, rule.shortfall, code, minor)
    assert shared is not None
    for line, share in zip(rule.lines, shared, strict=True):
        if not isinstance(line.share, Weight):
            assert abs(share.exact - share.minor) < len(rule.lines), "rounding alone"


@given(st.integers(0, 2**32), st.sampled_from(CODES))
def test_a_rule_refused_as_exceeding_does_exceed_some_amount(seed: int, code: str) -> None:
    document = Chance(seed).document(code) | {"shortfall": "refuse"}
    try:
        read(document)
    except RuleInvalid as invalid:
        if [fault.code for fault in invalid.faults] != ["could_exceed_amount"]:
            return
        (remedy,) = [fault.remedy for fault in invalid.faults]
        about = Money.parse(remedy.split()[2], code).minor
        lines = read(document | {"shortfall": "in_order"}).lines
        # The amount named is a bend of the sum, cut to a whole unit.
        near = [about + Fraction(step, 1000) for step in range(-999, 1001)]
        assert any(_asked(lines, one, code) > one for one in near if one > 0)


def _asked(lines: tuple[Line, ...], amount: Fraction, code: str) -> Fraction:
    asking = [line for line in lines if not line.of_left and not isinstance(line.share, Weight)]
    return sum((exact_claim(line, amount, code) for line in asking), Fraction(0))


@st.composite
def schema_1(draw: st.DrawFn, code: str) -> dict[str, Any]:
    """A document of schema 1 that lint lets pass."""
    shares: list[dict[str, Any]] = [
        {"role": f"p{n}", "owner": "agg", "percent": str(Decimal(value) / 10**6)}
        for n, value in enumerate(draw(st.lists(st.integers(0, 20_000_000), max_size=4)))
    ]
    for n, minor in enumerate(draw(st.lists(st.integers(0, 10**6), max_size=3))):
        fixed = {code: Money(minor, currency(code)).wire_amount}
        shares.append({"role": f"f{n}", "owner": "$company", "fixed": fixed})
    rest = {"role": "beneficiary", "remainder": True, "pay_out": True}
    shares.insert(draw(st.integers(0, len(shares))), rest)
    rounding = draw(st.sampled_from([one.value for one in Rounding]))
    document = {"rule": "r", "version": 1, "programs": ["*"], "rounding": rounding}
    return {**document, "currencies": [code], "shares": shares}


def _share_of(share: Mapping[str, Any], code: str) -> Share:
    if "percent" in share:
        return Percent(Decimal(share["percent"]))
    if "fixed" in share:
        return FixedShare(Money.parse(share["fixed"][code], code))
    return Remainder()


@given(st.data(), st.sampled_from(CODES), st.integers(1, LARGEST) | st.integers(1, 10**6))
def test_f22_a_rule_of_schema_1_divides_as_it_always_did(
    data: st.DataObject, code: str, minor: int
) -> None:
    document = data.draw(schema_1(code))
    amount = Money(minor, currency(code))
    decision = decide(parse_rule(json.dumps(document).encode()).rule, amount)
    shares = [_share_of(share, code) for share in document["shares"]]
    try:
        expected = split(amount, shares, Rounding(document["rounding"]))
    except SplitExceedsTotal:
        assert isinstance(decision, Suspense)
        assert decision.reason is Reason.RULE_EXCEEDS_AMOUNT
        return
    assert not isinstance(decision, Suspense)
    assert [(part.role, part.amount) for part in decision] == [
        (share["role"], part)
        for share, part in zip(document["shares"], expected, strict=True)
        if part
    ]


@given(st.sampled_from(CODES), st.integers(1, 10**9))
def test_the_bundled_rule_divides_or_suspends_every_amount(code: str, minor: int) -> None:
    rule = parse_rule(bundled_rule()).rule
    decision = decide(rule, Money(minor, currency(code)))
    if code not in (rule.currencies or ()):
        assert isinstance(decision, Suspense)
        assert decision.reason is Reason.CURRENCY_NOT_COVERED
    elif isinstance(decision, Suspense):
        shares = [line.share for line in rule.lines]
        fixed = sum(share.amounts[code] for share in shares if isinstance(share, Fixed))
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


def lines_of(*lines: dict[str, Any], **changes: Any) -> Rule:
    """A rule for euros whose lines go to pty_0, pty_1 … in order."""
    named = [{"role": f"r{n}", "to": {"party": f"pty_{n}"}, **line} for n, line in enumerate(lines)]
    return read(
        {
            "schema": 2,
            "rule": "r",
            "version": 1,
            "rounding": "half_even",
            "match": {"currencies": ["EUR"]},
            "lines": named,
            **changes,
        }
    )


REST: dict[str, Any] = {"remainder": True}
TIERS: dict[str, Any] = {
    "tiers": {
        "EUR": [
            {"up_to": "100.00", "percent": "5"},
            {"up_to": "1000.00", "percent": "3"},
            {"percent": "1"},
        ]
    }
}


@pytest.mark.parametrize(
    ("lines", "amount", "parts"),
    [
        ([TIERS, REST], "100.00", ["5.00", "95.00"]),
        ([TIERS, REST], "100.01", ["5.00", "95.01"]),
        ([TIERS, REST], "2000.00", ["42.00", "1958.00"]),
        ([{"percent": "3", "cap": {"EUR": "5.00"}}, REST], "1000.00", ["5.00", "995.00"]),
        ([{"percent": "3", "floor": {"EUR": "1.00"}}, REST], "10.00", ["1.00", "9.00"]),
        (
            [{"percent": "10"}, {"percent": "50", "basis": "left"}, REST],
            "100.00",
            ["10.00", "45.00", "45.00"],
        ),
        ([{"weight": 1}, {"weight": 2}], "0.10", ["0.03", "0.07"]),
        ([{"percent": "33.333333"}, {"percent": "66.666667"}], "0.01", ["0.01"]),
        ([{"percent": "50"}, {"percent": "50"}], "0.03", ["0.02", "0.01"]),
        ([{"fixed": {"EUR": "7.00"}}, {"fixed": {"EUR": "7.00"}}, REST], "10.00", ["7.00", "3.00"]),
    ],
)
def test_f23_each_kind_of_share_by_hand(
    lines: list[dict[str, Any]], amount: str, parts: list[str]
) -> None:
    decision = decide(lines_of(*lines, shortfall="in_order"), Money.parse(amount, "EUR"))
    assert isinstance(decision, tuple)
    assert [part.amount.wire_amount for part in decision] == parts


def test_shares_that_come_to_zero_are_left_out() -> None:
    decision = decide(
        lines_of({"percent": "2.5"}, {"percent": "0"}, REST), Money.parse("0.01", "EUR")
    )
    assert decision == (PartOfPayIn("r2", "pty_2", Money.parse("0.01", "EUR"), False),)


@pytest.mark.parametrize(
    ("to", "changes", "owners"),
    [
        ({"role": "company"}, {}, ["co_1"]),
        ({"role": "beneficiary"}, {}, ["pty_1"]),
        ({"role": "aggregator"}, {"tenant": "party_t"}, ["party_t"]),
        ({"relation": "agent"}, {"relations": {"agent": ("party_a",)}}, ["party_a"]),
        ({"group": "party_g"}, {"members": {"party_g": ("a", "b", "c")}}, ["a", "b", "c"]),
        ({"unknown": "raffle"}, {}, ["event:raffle"]),
        ({"unknown": "$event"}, {}, ["event:e:1"]),
    ],
)
def test_f22_a_line_pays_a_party_a_role_a_relation_a_group_or_nobody_yet(
    to: dict[str, Any], changes: dict[str, Any], owners: list[str]
) -> None:
    decision = decide(lines_of({**REST, "to": to}), Money.parse("1.00", "EUR"), **changes)
    assert isinstance(decision, tuple)
    assert [part.owner for part in decision] == owners
    assert [part.amount.minor for part in decision] == ([34, 33, 33] if len(owners) == 3 else [100])


def test_f19_a_group_is_paid_by_the_weights_of_its_members() -> None:
    to = {"group": "party_g", "weights": {"b": 3, "none": 7, "c": 0, "*": 1}}
    decision = decide(
        lines_of({**REST, "to": to}),
        Money.parse("1.00", "EUR"),
        members={"party_g": ("a", "b", "c", "d")},
    )
    assert isinstance(decision, tuple)
    assert [(part.owner, part.amount.minor) for part in decision] == [
        ("a", 20),
        ("b", 60),
        ("d", 20),
    ]


@given(
    weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any),
    code=st.sampled_from(CODES),
    minor=st.integers(1, LARGEST),
)
def test_f19_shares_by_weight_sum_exactly_in_every_currency_and_follow_largest_remainder(
    weights: list[int], code: str, minor: int
) -> None:
    members = tuple(f"m{n:02}" for n in range(len(weights)))
    to = {"group": "party_g", "weights": dict(zip(members, weights, strict=True))}
    rule = lines_of({**REST, "to": to}, match={"currencies": [code]})
    decision = decide(rule, Money(minor, currency(code)), members={"party_g": members})
    assert isinstance(decision, tuple)
    found = {part.owner: part.amount.minor for part in decision}
    assert sum(found.values()) == minor
    exact = {
        member: Fraction(minor * weight, sum(weights))
        for member, weight in zip(members, weights, strict=True)
    }
    rounded_up = [m for m in members if found.get(m, 0) > exact[m]]
    assert all(abs(found.get(member, 0) - share) < 1 for member, share in exact.items())
    least = min((exact[m] % 1 for m in rounded_up), default=Fraction(1))
    cut = [m for m in members if exact[m] % 1 and m not in rounded_up]
    assert all(exact[m] % 1 <= least for m in cut), "the largest remainders get the odd units"


@pytest.mark.parametrize(
    ("to", "changes", "reason"),
    [
        ({"role": "beneficiary"}, {"beneficiary": None}, Reason.NO_BENEFICIARY),
        (
            {"role": "beneficiary"},
            {"beneficiary": Beneficiary("event", "event:" + "x" * OWNER_CHARS_MAX)},
            Reason.BENEFICIARY_TOO_LONG,
        ),
        (
            {"role": "beneficiary"},
            {"beneficiary": Beneficiary("party", "contact:ct_1")},
            Reason.BENEFICIARY_AMBIGUOUS,
        ),
        ({"role": "aggregator"}, {}, Reason.TENANT_UNKNOWN),
        ({"relation": "agent"}, {}, Reason.RELATION_UNCLEAR),
        (
            {"relation": "agent"},
            {"relations": {"agent": ("party_a", "party_b")}},
            Reason.RELATION_UNCLEAR,
        ),
        ({"group": "party_g"}, {}, Reason.GROUP_EMPTY),
        (
            {"group": "party_g"},
            {"members": {"party_g": tuple(f"pty_{n}" for n in range(65))}},
            Reason.TOO_MANY_PARTS,
        ),
        (
            {"group": "party_g", "weights": {"a": 1}},
            {"members": {"party_g": ("a", "b")}},
            Reason.GROUP_WEIGHT_MISSING,
        ),
        (
            {"group": "party_g", "weights": {"gone": 1, "*": 0}},
            {"members": {"party_g": ("a", "b")}},
            Reason.GROUP_EMPTY,
        ),
        (
            {"group": "party_g", "weights": {"pty_0": 1, "*": 0}},
            {"members": {"party_g": tuple(f"pty_{n}" for n in range(65))}},
            Reason.TOO_MANY_PARTS,
        ),
        ({"unknown": "$event"}, {"event": "e" * 128}, Reason.BENEFICIARY_TOO_LONG),
    ],
)
def test_f14_money_nobody_can_be_credited_with_is_suspended_with_reason_and_remedy(
    to: dict[str, Any], changes: dict[str, Any], reason: Reason
) -> None:
    decision = decide(lines_of({**REST, "to": to}), Money.parse("5.00", "EUR"), **changes)
    assert isinstance(decision, Suspense)
    assert decision.reason is reason
    assert 0 < len(decision.remedy) <= 500


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"programs": ["q"]}, Reason.UNKNOWN_PROGRAM),
        ({"currencies": ["EUR"]}, Reason.CURRENCY_NOT_COVERED),
        ({"kinds": ["payroll"]}, Reason.NO_RULE),
    ],
)
def test_f14_money_the_last_rule_does_not_match_is_suspended(
    match: dict[str, Any], reason: Reason
) -> None:
    rule = lines_of({**REST, "to": {"role": "beneficiary"}}, match=match)
    decision = decide(rule, Money.parse("5.00", "USD"))
    assert isinstance(decision, Suspense)
    assert decision.reason is reason


def test_a_rule_without_a_beneficiary_needs_none() -> None:
    rule = lines_of({**REST, "to": {"role": "company"}})
    decision = decide(rule, Money.parse("5.00", "EUR"), None)
    assert decision == (PartOfPayIn("r0", "co_1", Money.parse("5.00", "EUR"), False),)
