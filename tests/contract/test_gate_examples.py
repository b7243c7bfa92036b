"""The example tables of docs/reference/gates: publishable as they are, and they decide as they say."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tally_contracts.kyc import GateTablePublished, LimitTablePublished
from tally_gates import (
    GATES,
    LIMITS,
    Act,
    EndpointClass,
    GateBook,
    Level,
    PartyKind,
    Question,
    StoredTable,
    ask,
    binding,
    book_of,
)
from tally_kyc.domain.tables import Amount, Gate, Limit, check_gates, check_limits
from tally_money import Money

EXAMPLES = Path(__file__).parents[2] / "docs" / "reference" / "gates"
AT = datetime(2026, 12, 1, tzinfo=UTC)


def published() -> GateBook:
    tables = []
    for path in sorted(EXAMPLES.glob("*.json")):
        kind, fact_type = (
            (GATES, GateTablePublished)
            if path.stem.startswith("gates")
            else (LIMITS, LimitTablePublished)
        )
        fact = {
            "tenant": "main",
            "who": {"actor": "user:op", "principal": "operator"},
            "occurred_at": "2026-12-01T00:00:00Z",
            "table": path.stem,
            "valid_from": "2026-12-01T00:00:00Z",
            "valid_until": None,
        }
        told = fact_type.model_validate(fact | json.loads(path.read_text()))
        tables.append(StoredTable.of(kind, told))
    return book_of(tables)


def asked(country, level, amount, found=EndpointClass.CASH, *, kind=PartyKind.PERSON):
    money = Money.parse(*amount.split())
    return Question(frozenset({country}), kind, level, Act.EXIT, found, money, AT)


@pytest.mark.parametrize(
    ("question", "answer", "table"),
    [
        (asked("US", Level.NONE, "5.00 USD"), "Closed", "gates-default"),
        (asked("US", Level.BASIC, "5.00 USD"), "OpenTo", "gates-default"),
        (asked("US", Level.STANDARD, "5000.00 USD"), "Open", "gates-default"),
        (asked("FR", Level.BASIC, "5.00 EUR"), "Closed", "gates-eea"),
        (asked("FR", Level.BASIC, "5.00 EUR", EndpointClass.CLOSED_LOOP), "OpenTo", "gates-eea"),
        (asked("IS", Level.ADVANCED, "5.00 EUR"), "Open", "gates-eea"),
        (asked("FR", Level.NONE, "5.00 EUR", kind=PartyKind.COMPANY), "Closed", "gates-eea"),
    ],
)
def test_examples_decide_as_they_say(question, answer, table):
    said = ask(published(), question)
    assert (type(said).__name__, said.ruling.table) == (answer, table)


def test_examples_say_that_their_figures_are_to_be_verified():
    paths = list(EXAMPLES.glob("*.json"))
    assert len(paths) == 4
    for path in paths:
        assert "(verify before production)" in json.loads(path.read_text())["source"]


def test_limits_of_an_example_rise_with_the_level():
    found = [
        {one.window: one.limit for one in binding(published(), asked("US", level, "5.00 USD"))}
        for level in Level
    ]
    for lower, higher in itertools.pairwise(found):
        assert all(higher[window] >= lower[window] for window in lower)
    assert found[0] != found[2]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_examples_are_tables_that_kyc_takes(path):
    rows = json.loads(path.read_text())["rows"]
    for row in rows:
        row["limit"] = Amount(**row["limit"]) if "limit" in row else None
    if path.stem.startswith("gates"):
        optional = dict.fromkeys(("code", "remedy", "who_must_act"))
        check_gates([Gate(**(optional | row)) for row in rows])
    else:
        check_limits([Limit(**row) for row in rows])
