"""Published tables read: words a later version may use never open anything."""

import json
from datetime import UTC, datetime

import pytest

from tally_gates import (
    GATES,
    LIMITS,
    Act,
    Closed,
    EndpointClass,
    Level,
    Open,
    PartyKind,
    Question,
    Ruling,
    StoredTable,
    ask,
    binding,
    book_of,
)
from tally_money import Money

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)
ADVANCED = Question(
    frozenset({"US"}),
    PartyKind.PERSON,
    Level.ADVANCED,
    Act.EXIT,
    EndpointClass.CASH,
    Money.parse("5.00", "USD"),
    AT,
)
GATE = {
    "party_kind": "person",
    "level": "none",
    "act": "exit",
    "endpoint_class": "any",
    "answer": "open",
}
LIMIT = {
    "level": "none",
    "act": "exit",
    "endpoint_class": "any",
    "window": "day",
    "limit": {"currency": "USD", "amount": "20.00"},
}
STRANGE = [
    {"level": "platinum"},
    {"endpoint_class": "vouchers"},
    {"act": "lend"},
    {"party_kind": "trust"},
]


def book(kind, *rows):
    document = json.dumps({"jurisdictions": ["*"], "rows": rows})
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    return book_of([StoredTable(kind, "t", 1, begins, None, document)])


def ceilings(*rows):
    return {one.window: one.limit for one in binding(book(LIMITS, *rows), ADVANCED)}


@pytest.mark.parametrize("word", STRANGE)
def test_row_with_an_unknown_word_closes_what_no_other_row_opens(word):
    closed = ask(book(GATES, GATE | word), ADVANCED)
    assert isinstance(closed, Closed)
    assert closed.code == "level_not_listed"
    assert ask(book(GATES, GATE, GATE | word), ADVANCED) == Open(Ruling("t", 1))


def test_row_with_an_unknown_answer_is_closed():
    assert isinstance(ask(book(GATES, GATE | {"answer": "ask_somebody"}), ADVANCED), Closed)


@pytest.mark.parametrize("word", STRANGE[:3])
def test_limit_with_an_unknown_word_binds_where_there_is_no_other(word):
    strange = LIMIT | word
    assert ceilings(strange) == {"day": Money.parse("20.00", "USD")}
    other = LIMIT | {"limit": {"currency": "USD", "amount": "70.00"}}
    assert ceilings(strange, other) == {"day": Money.parse("70.00", "USD")}


def test_limit_of_an_unknown_window_never_widens_that_of_a_lifetime():
    rows = (
        LIMIT | {"window": "lifetime"},
        LIMIT | {"window": "decade", "limit": {"currency": "USD", "amount": "90.00"}},
    )
    for order in (rows, rows[::-1]):
        assert ceilings(*order) == {"lifetime": Money.parse("20.00", "USD")}
