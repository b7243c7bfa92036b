"""Limits over windows of the UTC calendar."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_gates import (
    Act,
    Answer,
    EndpointClass,
    GateBook,
    GateRow,
    Level,
    LimitRow,
    LimitTable,
    PartyKind,
    Question,
    Window,
    binding,
    exceeded,
    window_ends,
    window_starts,
)
from tally_money import Money, currency

AT = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
USD, EUR = currency("USD"), currency("EUR")
ASKED = Question(
    frozenset({"US"}),
    PartyKind.PERSON,
    Level.BASIC,
    Act.EXIT,
    EndpointClass.CASH,
    Money(500, USD),
    AT,
)
ANY = EndpointClass.ANY


def limit(window, minor, level=Level.BASIC, found=ANY, unit=USD):
    return LimitRow(level, Act.EXIT, found, window, Money(minor, unit))


def of(minor):
    return replace(ASKED, amount=Money(minor, USD))


def limits(*rows, asked=ASKED):
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    return binding(GateBook(limits=(LimitTable("l", 3, frozenset("*"), begins, rows),)), asked)


@pytest.mark.parametrize(
    ("window", "starts", "ends"),
    [
        (Window.ITEM, AT, None),
        (Window.DAY, datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.MONTH, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.YEAR, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.LIFETIME, None, None),
    ],
)
def test_windows_are_those_of_the_calendar_in_utc(window, starts, ends):
    assert (window_starts(window, AT), window_ends(window, AT)) == (starts, ends)
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert (window_starts(window, elsewhere), window_ends(window, elsewhere)) == (starts, ends)


def test_limit_is_reached_by_what_is_used_with_the_item_and_not_before():
    found = limits(limit(Window.DAY, 1_000))
    used = {(Window.DAY, ANY): Money(500, USD)}
    assert exceeded(found, of(500), used) is None
    over = exceeded(found, of(501), used)
    assert over is not None
    assert (over[1].code, over[1].ruling.table, over[1].ruling.version) == (
        "limit_day_exceeded",
        "l",
        3,
    )
    assert exceeded(found, of(1_001), {}) is not None


def test_whoever_is_limited_can_rise_a_company_too():
    found = limits(limit(Window.DAY, 100), limit(Window.ITEM, 900))
    for kind, must_act in ((PartyKind.PERSON, "payee"), (PartyKind.COMPANY, "company")):
        over = exceeded(found, replace(of(101), party_kind=kind), {})
        assert over is not None
        assert over[1].who_must_act == must_act
        assert over[1].remedy.endswith(
            "open and finish the tasks that the party's identity lists as missing"
        )


def test_item_counts_nothing_before_it():
    used = {(Window.ITEM, ANY): Money(5_000, USD)}
    assert exceeded(limits(limit(Window.ITEM, 500)), of(500), used) is None


def test_of_two_exceeded_the_one_that_lasts_longer_is_told():
    found = limits(limit(Window.DAY, 100), limit(Window.LIFETIME, 100), limit(Window.MONTH, 100))
    over = exceeded(found, of(101), {})
    assert over is not None
    assert over[0].window is Window.LIFETIME


def test_limit_of_a_class_and_of_all_bind_both():
    found = limits(
        limit(Window.DAY, 100, found=EndpointClass.CASH),
        limit(Window.DAY, 900),
        limit(Window.DAY, 1, found=EndpointClass.CLOSED_LOOP),
    )
    assert [one.endpoint_class for one in found] == [ANY, EndpointClass.CASH]


def test_higher_level_keeps_the_higher_limit_and_one_in_the_same_currency_goes_first():
    rows = (
        limit(Window.DAY, 900, Level.NONE),
        limit(Window.DAY, 100),
        limit(Window.DAY, 70, Level.STANDARD, unit=EUR),
        limit(Window.DAY, 5_000, Level.ADVANCED),
    )
    advanced = replace(ASKED, level=Level.STANDARD)
    for order in (rows, rows[::-1]):
        assert [one.limit for one in limits(*order, asked=advanced)] == [Money(900, USD)]


def test_limit_of_higher_levels_alone_binds_those_below_by_the_lowest_of_them():
    rows = (
        limit(Window.DAY, 900, Level.ADVANCED),
        limit(Window.DAY, 500, Level.STANDARD),
        limit(Window.MONTH, 70, Level.NONE),
    )
    for order in (rows, rows[::-1]):
        for level, day in ((Level.NONE, 500), (Level.STANDARD, 500), (Level.ADVANCED, 900)):
            found = {
                one.window: one.limit for one in limits(*order, asked=replace(ASKED, level=level))
            }
            assert found == {Window.DAY: Money(day, USD), Window.MONTH: Money(70, USD)}


def test_limit_in_another_currency_alone_closes():
    over = exceeded(limits(limit(Window.YEAR, 10**9, unit=EUR)), of(1), {})
    assert over is not None
    assert over[1].code == "currency_not_convertible"


ROWS = st.lists(
    st.builds(
        limit,
        st.sampled_from(list(Window)),
        st.integers(1, 500),
        st.sampled_from(list(Level)),
        st.sampled_from([ANY, EndpointClass.CASH]),
        st.sampled_from([USD, EUR]),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 2), st.integers(1, 500))
def test_a_higher_level_never_exceeds_what_a_lower_does_not(rows, below, minor):
    levels = list(Level)
    lower, higher = (
        limits(*rows, asked=replace(ASKED, level=level)) for level in levels[below : below + 2]
    )
    if exceeded(lower, of(minor), {}) is None:
        assert exceeded(higher, of(minor), {}) is None


def test_row_has_a_ceiling_when_and_only_when_it_is_open_to_one():
    fields = (PartyKind.PERSON, Level.NONE, Act.EXIT, ANY)
    with pytest.raises(ValueError, match="limit None"):
        GateRow(*fields, Answer.OPEN_TO)
    with pytest.raises(ValueError, match=r"limit 0\.01 USD"):
        GateRow(*fields, Answer.OPEN, Money(1, USD))
