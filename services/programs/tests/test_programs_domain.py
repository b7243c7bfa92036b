"""What programs decide: examples and properties, without a database."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tally_money import Money, Percent, currency, iso_currencies
from tally_programs.domain import budgets, payables
from tally_programs.domain.budgets import Available, Budget, BudgetMoved, draw
from tally_programs.domain.endpoints import CLASS_OF, EndpointClass
from tally_programs.domain.fees import Bearer, Fee, FeeLine, fee_of
from tally_programs.domain.payables import (
    Document,
    Payable,
    PayableState,
    SettledBy,
    Settlement,
    decide_settle,
)
from tally_programs.domain.periods import Asked, Period, decide_period, in_force
from tally_programs.domain.policy import (
    ApprovalLevel,
    Limit,
    Policy,
    Request,
    Restriction,
    approvals_needed,
    evaluate,
    options,
)
from tally_programs.domain.refusal import Refusal

AT = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
CURRENCIES = st.sampled_from(sorted(iso_currencies()))
MINORS = st.integers(min_value=0, max_value=10**20)


def money(text: str, code: str = "USD") -> Money:
    return Money.parse(text, code)


def codes(policy: Policy, rail: str, amount: str = "10.00", **more) -> list[str]:
    unit = more.pop("currency", "USD")
    request = Request(rail, money(amount, unit), **{"country": "US", **more})
    return [closed.code for closed in evaluate(policy, request)]


@pytest.mark.parametrize(
    ("policy", "asked", "expected"),
    [
        ({}, {"rail": "ach"}, []),
        ({"rails": {"giftcard"}}, {"rail": "ach"}, ["rail_forbidden_by_program"]),
        ({"rails": {"ach"}}, {"rail": "ach"}, []),
        ({}, {"rail": "pigeon"}, ["rail_class_unknown"]),
        ({"classes": {"closed_loop"}}, {"rail": "ach"}, ["class_forbidden_by_program"]),
        ({"classes": {"closed_loop"}}, {"rail": "giftcard"}, []),
        ({"countries": {"CA"}}, {"rail": "ach"}, ["country_forbidden_by_program"]),
        ({"countries": {"US"}}, {"rail": "ach", "country": None}, ["country_unknown"]),
        ({"currencies": {"EUR"}}, {"rail": "ach"}, ["currency_forbidden_by_program"]),
    ],
)
def test_f41_policy_closes_what_it_does_not_allow(policy, asked, expected):
    sets = {name: frozenset(values) for name, values in policy.items()}
    assert codes(Policy(1, **sets), **asked) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.99", ["amount_below_minimum"]),
        ("1.00", []),
        ("5.00", []),
        ("5.01", ["amount_above_maximum"]),
    ],
)
def test_limits_hold_to_the_minor_unit_and_bind_their_currency_alone(amount, expected):
    policy = Policy(1, limits=(Limit(money("1.00"), money("5.00")),))
    assert codes(policy, "ach", amount) == expected
    assert codes(policy, "ach", amount, currency="EUR") == []


@pytest.mark.parametrize(
    ("restriction", "request_", "expected"),
    [
        ({"sources": {"opex"}}, {"source": "opex"}, ["class_forbidden_for_source"]),
        ({"sources": {"opex"}}, {"source": "cards"}, []),
        ({"sources": {"opex"}}, {}, []),
        ({"kinds": {"loyalty"}}, {"kind": "loyalty"}, ["class_forbidden_for_kind"]),
        ({"countries": {"US"}}, {}, ["class_forbidden_in_country"]),
        ({"countries": {"IN"}}, {}, []),
        ({"countries": {"IN"}}, {"country": None}, ["class_forbidden_in_country"]),
        ({"countries": {"IN"}, "sources": {"opex"}}, {"source": "opex"}, []),
    ],
)
def test_f42_operating_funds_or_a_market_forbid_cash_and_leave_the_rest_open(
    restriction, request_, expected
):
    sets = {name: frozenset(values) for name, values in restriction.items()}
    policy = Policy(3, restrictions=(Restriction(frozenset({"cash"}), **sets),))
    assert codes(policy, "ach", **request_) == expected
    assert codes(policy, "prepaid", **request_) == []
    closed = evaluate(policy, Request("wire", money("1.00"), "US", "opex", "loyalty"))
    assert {(c.policy_version, c.remedy) for c in closed} <= {
        (3, "choose cash_like or closed_loop")
    }


def test_f39_options_tell_of_every_rail_why_it_is_closed():
    policy = Policy(4, classes=frozenset({"cash"}), countries=frozenset({"CA"}))
    found = options(policy, Request("", money("1.00"), "US"))
    assert set(found) == set(CLASS_OF)
    assert [c.code for c in found["ach"]] == ["country_forbidden_by_program"]
    assert [c.code for c in found["giftcard"]] == [
        "class_forbidden_by_program",
        "country_forbidden_by_program",
    ]


@given(
    rails=st.frozensets(st.sampled_from(sorted(CLASS_OF))),
    classes=st.frozensets(st.sampled_from(list(EndpointClass))),
    rail=st.sampled_from(sorted(CLASS_OF)),
)
def test_a_rail_is_open_exactly_when_nothing_forbids_it(rails, classes, rail):
    allowed = (not rails or rail in rails) and (not classes or CLASS_OF[rail] in classes)
    assert (codes(Policy(1, rails, classes), rail) == []) == allowed


@pytest.mark.parametrize(
    ("amount", "code", "expected"),
    [("10.00", "USD", 0), ("10.01", "USD", 1), ("99.99", "USD", 1), ("100.01", "USD", 2),
     ("0.01", "EUR", 2)],
)  # fmt: skip
def test_approvals_rise_with_the_amount_and_an_unnamed_currency_needs_the_most(
    amount, code, expected
):
    levels = (ApprovalLevel(money("10.00"), 1), ApprovalLevel(money("100.00"), 2))
    assert approvals_needed(Policy(1, approvals=levels), money(amount, code)) == expected
    assert approvals_needed(Policy(1), money(amount, code)) == 0


@given(st.lists(st.tuples(st.integers(-3, 20), st.none() | st.integers(-3, 25)), max_size=12))
def test_x8_at_any_time_one_version_is_in_force_and_a_new_one_never_changes_the_past(asked):
    known: list[Period] = []
    moments = [AT + timedelta(hours=hour) for hour in range(-5, 30)]
    for step, (begins, ends) in enumerate(asked):
        now = AT + timedelta(hours=step)
        before = [in_force(known, moment) for moment in moments if moment < now]
        period = decide_period(
            len(known),
            known,
            Asked(
                len(known) + 1,
                AT + timedelta(hours=begins),
                None if ends is None else AT + timedelta(hours=ends),
            ),
            now,
        )
        if isinstance(period, Period):
            assert period.begins >= now
            known.append(period)
        assert [in_force(known, moment) for moment in moments if moment < now] == before
    for one in known:
        for other in known:
            assert one is other or one.begins != other.begins


LINES = st.builds(
    lambda fixed, percent, bearer, share: (fixed, percent, bearer, share),
    st.integers(0, 10**6),
    st.decimals("0", "100", places=4),
    st.sampled_from(list(Bearer)),
    st.decimals("0", "100", places=2),
)


@given(
    code=CURRENCIES,
    minor=st.integers(1, 10**20),
    line=LINES,
    bounds=st.lists(st.integers(0, 10**6), min_size=2, max_size=2),
)
def test_fee_is_exact_in_every_currency_and_its_parts_add_up(code, minor, line, bounds):
    unit = currency(code)
    fixed, percent, bearer, share = line
    floor, cap = sorted(bounds)
    amount = Money(minor, unit)
    schedule = FeeLine(
        None,
        Money(fixed, unit),
        Percent(percent),
        Money(floor, unit),
        Money(cap, unit),
        bearer,
        Percent(share) if bearer is Bearer.SHARED else None,
    )
    exact = fixed + Decimal(minor) * percent / 100
    fee = fee_of([schedule], "ach", amount)
    if isinstance(fee, Refusal):
        assert fee.code == "fee_exceeds_amount"
        assert bearer is not Bearer.PAYER
        return
    assert fee.payer + fee.payee == fee.total
    assert floor <= fee.total.minor <= cap
    if floor < fee.total.minor < cap:
        assert abs(fee.total.minor - exact) <= Decimal("0.5")
    assert fee.payee < amount
    assert (fee.payee.minor == 0) or bearer is not Bearer.PAYER
    assert (fee.payer.minor == 0) or bearer is not Bearer.PAYEE


def test_fee_line_of_the_rail_goes_before_the_line_for_all_and_no_line_is_no_fee():
    def line(rail: str | None, fixed: str) -> FeeLine:
        return FeeLine(rail, money(fixed), Percent(Decimal(0)), None, None, Bearer.PAYER)

    lines = [line(None, "1.00"), line("ach", "0.25")]
    none = Money(0, currency("USD"))
    assert fee_of(lines, "ach", money("10.00")) == Fee(money("0.25"), none)
    assert fee_of(lines, "wire", money("10.00")) == Fee(money("1.00"), none)
    assert fee_of(lines, "ach", money("10.00", "EUR")).total.minor == 0


@pytest.mark.parametrize(("amount", "expected"), [("0.10", 0), ("0.30", 2), ("0.50", 2)])
def test_percentage_is_rounded_half_to_even(amount, expected):
    line = FeeLine(None, money("0.00"), Percent(Decimal(5)), None, None, Bearer.PAYER)
    fee = fee_of([line], "ach", money(amount))
    assert fee.total.minor == expected


@given(
    code=CURRENCIES,
    asked=MINORS,
    left=st.lists(st.tuples(MINORS, st.booleans()), max_size=8),
)
def test_f60_draws_add_up_in_order_and_never_take_more_than_is_there(code, asked, left):
    unit, other = currency(code), currency("JPY" if code != "JPY" else "USD")
    sources = [
        Available(f"b{n}", f"w{n}", Money(minor, unit if same else other))
        for n, (minor, same) in enumerate(left)
    ]
    draws, missing = draw(Money(asked, unit), sources)
    assert sum(d.amount.minor for d in draws) + missing.minor == asked
    by_id = {source.budget_id: source for source in sources}
    assert all(0 < d.amount.minor <= by_id[d.budget_id].left.minor for d in draws)
    assert all(d.amount.currency == unit for d in draws)
    usable = [s.budget_id for s in sources if s.left.currency == unit and s.left.minor]
    assert [d.budget_id for d in draws] == usable[: len(draws)]
    assert all(d.amount == by_id[d.budget_id].left for d in draws[:-1])
    assert not missing or len(draws) == len(usable)


ACTS = st.tuples(
    st.sampled_from(["allocate", "take_back", "reserve", "use", "release"]),
    st.integers(0, 2),
    st.integers(0, 120),
)


@given(acts=st.lists(ACTS, max_size=40))
def test_f17_whatever_is_done_no_budget_is_exceeded_and_money_is_where_it_was_given(acts):
    usd = currency("USD")
    nothing = Money(0, usd)

    def child(name: str, parent: str) -> Budget:
        return Budget(name, "t", "p", parent, (parent,), name, "w", *(nothing,) * 4)

    tiers = {
        "b0": Budget("b0", "t", "p", None, (), "b0", "w", Money(100, usd), *(nothing,) * 3),
        "b1": child("b1", "b0"),
        "b2": child("b2", "b1"),
    }
    reservations: list[budgets.Reservation] = []
    for step, (act, tier, minor) in enumerate(acts):
        budget, amount = tiers[f"b{tier}"], Money(minor, usd)
        parent = None if budget.parent is None else tiers[budget.parent]
        mine = [r for r in reservations if r.budget_id == budget.id and r.open]
        if act in {"allocate", "take_back"}:
            back = act == "take_back"
            done = budgets.decide_allocate(budget, parent, amount, "s", take_back=back)
            moved = () if isinstance(done, Refusal) else done
        elif act == "reserve":
            done = budgets.decide_reserve(budget, f"r{step}", amount, "ref")
            moved = () if isinstance(done, Refusal) else done[:1]
        elif not mine:
            continue
        elif act == "use":
            done = budgets.decide_use(budget, mine[0], amount, "s")
            moved = () if isinstance(done, Refusal) else done[:1]
        else:
            done = budgets.decide_release(budget, mine[0], "s")
            moved = () if isinstance(done, Refusal) else done[:1]
        for change in moved:
            assert isinstance(change, BudgetMoved)
            assert change.budget.sequence == tiers[change.budget.id].sequence + 1
            tiers[change.budget.id] = change.budget
        if not isinstance(done, Refusal) and act in {"reserve", "use", "release"}:
            reservations = [r for r in reservations if r.id != done[1].id] + [done[1]]
        for budget_ in tiers.values():
            assert budget_.left.minor >= 0
            held = sum(r.left.minor for r in reservations if r.budget_id == budget_.id)
            used = sum(r.used.minor for r in reservations if r.budget_id == budget_.id)
            assert (budget_.reserved.minor, budget_.used.minor) == (held, used)
            below = sum(b.limit.minor for b in tiers.values() if b.parent == budget_.id)
            assert budget_.allocated.minor == below


FACTS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(0, 150)), max_size=30)


@given(owed=st.integers(1, 200), facts=FACTS, code=CURRENCIES)
def test_f65_state_follows_from_the_newest_word_about_each_payment(owed, facts, code):
    unit = currency(code)
    payable = Payable(
        "pbl", "t", "p", "rebates", Document.INVOICE, "1", "payer", "payee", Money(owed, unit),
        date(2026, 3, 1), "payables", SettledBy.PAYOUT, Money(0, unit),
    )  # fmt: skip
    newest: dict[int, Settlement] = {}
    sequence = 1
    for source, word, minor in facts:
        money_ = Settlement(
            "pbl", str(source), "t", SettledBy.PAYOUT, "payer", Money(minor, unit), word
        )
        decided = decide_settle(payable, newest.get(source), money_)
        if isinstance(decided, Payable):
            newest[source], payable = money_, decided
            sequence += 1
        elif decided == "settlement_stale":
            assert newest[source].sequence >= word
        else:
            assert decided == "settlement_known"
    paid = sum(money_.amount.minor for money_ in newest.values())
    assert payable.paid.minor == paid
    assert payable.sequence == sequence
    assert payable.state is {
        (False, False): PayableState.OPEN,
        (True, False): PayableState.PART_PAID,
    }.get((paid > 0, paid >= owed), PayableState.PAID if paid == owed else PayableState.OVER_PAID)


def test_f65_money_of_the_wrong_company_kind_or_currency_does_not_count():
    payable = Payable(
        "pbl", "t", "p", "rebates", Document.INVOICE, "1", "payer", "payee", money("1.00"),
        date(2026, 3, 1), "payables", SettledBy.PAY_IN, money("0.00"),
    )  # fmt: skip
    for wrong, code in (
        ({"settled_by": SettledBy.PAYOUT}, "settled_by_other_money"),
        ({"company": "payer"}, "settled_by_other_company"),
        ({"amount": money("1.00", "EUR")}, "settled_in_other_currency"),
    ):
        told = {
            "settled_by": SettledBy.PAY_IN,
            "company": "payee",
            "amount": money("1.00"),
            **wrong,
        }
        settlement = Settlement("pbl", "pin", "t", sequence=1, **told)
        assert decide_settle(payable, None, settlement) == code
    assert payables.decide_cancel(payable).state is PayableState.CANCELLED


@given(st.integers(1, 100), st.integers(0, 100))
def test_partly_granted_reservation_keeps_what_was_granted(amount, keep):
    assume(keep <= amount)
    usd = currency("USD")
    nothing = Money(0, usd)
    budget = Budget("b", "t", "p", None, (), "h", "w", Money(100, usd), *(nothing,) * 3)
    moved, reservation = budgets.decide_reserve(budget, "r", Money(amount, usd), "ref")
    after, kept = budgets.decide_release(moved.budget, reservation, "s", Money(keep, usd))
    assert after.budget.reserved.minor == kept.left.minor == keep
    assert kept.open == bool(keep)
