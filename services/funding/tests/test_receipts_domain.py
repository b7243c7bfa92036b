"""What the gate at receiving says, and what it makes of money that is here: pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tally_funding.claims.domain.estate import (
    Asked,
    Estate,
    Moved,
    Movement,
    Reason,
    decide_answer,
    decide_follow,
    start,
)
from tally_funding.receipts.domain import Gate, asks, fits
from tally_gates import (
    Act,
    Answer,
    EndpointClass,
    GateBook,
    GateRow,
    GateTable,
    Level,
    Party,
    PartyKind,
)
from tally_money import Money

NOW = datetime(2026, 9, 21, tzinfo=UTC)
OWNER, RESTRICTED = "party_anna", "restricted:party_anna"


def money(text: str, code: str = "EUR") -> Money:
    return Money.parse(text, code)


def row(
    level: Level, answer: Answer, limit: Money | None = None, act: Act = Act.RECEIVE
) -> GateRow:
    return GateRow(PartyKind.PERSON, level, act, EndpointClass.ANY, answer, limit)


def book(*rows: GateRow, places: tuple[str, ...] = ("FR",)) -> GateBook:
    return GateBook((GateTable("eea", 1, frozenset(places), NOW, rows),))


def anna(
    level: Level, country: str | None = "FR", valid_until: datetime | None = None
) -> dict[str, Party]:
    return {OWNER: Party(OWNER, PartyKind.PERSON, level, country, valid_until)}


CLOSED = row(Level.NONE, Answer.CLOSED)
FROM_BASIC = (CLOSED, row(Level.BASIC, Answer.OPEN))


@pytest.mark.parametrize(
    ("parties", "places", "closed"),
    [
        (anna(Level.NONE), ("FR",), True),
        (anna(Level.BASIC), ("FR",), False),
        (anna(Level.ADVANCED), ("FR",), False),
        (anna(Level.BASIC, valid_until=NOW), ("FR",), True),
        (anna(Level.NONE, "NZ"), ("FR",), False),
        (anna(Level.NONE, "NZ"), ("*",), True),
        (anna(Level.NONE, None), ("*",), True),
        ({}, ("FR",), False),
        ({}, ("*",), True),
    ],
)
def test_f27_x4_gate_goes_by_level_and_residence_and_else_by_the_table_of_all_others(
    parties: dict[str, Party], places: tuple[str, ...], closed: bool
) -> None:
    gate = Gate(book(*FROM_BASIC, places=places), parties, NOW)
    assert (gate.closing(OWNER, money("1.00")) is not None) is closed


def test_amount_above_what_a_gate_is_open_to_is_closed_and_so_is_another_currency() -> None:
    gate = Gate(book(row(Level.NONE, Answer.OPEN_TO, money("50.00"))), anna(Level.NONE), NOW)
    assert gate.closing(OWNER, money("50.00")) is None
    over = gate.closing(OWNER, money("50.01"))
    assert over is not None
    assert over.code == "limit_item_exceeded"
    other = gate.closing(OWNER, money("1.00", "USD"))
    assert other is not None
    assert other.code == "currency_not_convertible"


def test_tables_of_exits_alone_ask_nothing_of_money_that_comes_in() -> None:
    assert not asks(book(row(Level.NONE, Answer.CLOSED, act=Act.EXIT)))
    assert asks(book(CLOSED))


def test_reference_that_leaves_no_room_for_the_mark_is_told_apart() -> None:
    assert fits("x" * 117)
    assert not fits("x" * 118)


def held(*held_back: str) -> Estate:
    balances = {"EUR": money("5.00"), "USD": money("7.00", "USD")}
    return Estate(RESTRICTED, balances, to_owner=OWNER, held_back=frozenset(held_back))


def test_what_may_be_received_is_released_and_the_rest_stays_for_its_payee() -> None:
    change = decide_follow(held("USD"), "mov_1", NOW)
    assert change is not None
    (asked,) = change.effects
    assert isinstance(asked, Asked)
    assert (asked.movement.reason, asked.movement.to_owner) == (Reason.RELEASED, OWNER)
    assert asked.movement.amounts == (money("5.00"),)
    paid = replace(change.estate, balances={"USD": money("7.00", "USD")})
    settled = decide_answer(paid, movement_id="mov_1", refused=None, follow_id="mov_2", now=NOW)
    assert settled is not None
    assert [type(effect) for effect in settled.effects] == [Moved], "USD is held back still"


def test_refused_release_waits() -> None:
    change = decide_follow(held(), "mov_1", NOW)
    assert change is not None
    back = decide_answer(
        change.estate, movement_id="mov_1", refused="account_frozen", follow_id="mov_2", now=NOW
    )
    assert back is not None
    assert decide_follow(back.estate, "mov_2", NOW + timedelta(minutes=59)) is None
    assert decide_follow(back.estate, "mov_2", NOW + timedelta(minutes=65)) is not None


@pytest.mark.parametrize(("closed_to", "to"), [({OWNER}, RESTRICTED), ({"other"}, OWNER)])
def test_x3_money_that_is_claimed_goes_to_who_may_receive_it_or_stands_apart(
    closed_to: set[str], to: str
) -> None:
    estate = Estate("event:expo", {"EUR": money("5.00")}, closed_to=frozenset(closed_to))
    movement = Movement("mov_1", OWNER, Reason.CLAIMED, estate.amounts)
    change = start(estate, movement, None)
    assert change.estate.movement is not None
    assert change.estate.movement.to_owner == to
    settled = decide_answer(
        replace(change.estate, balances={}),
        movement_id="mov_1",
        refused=None,
        follow_id="mov_2",
        now=NOW,
    )
    assert settled is not None
    assert settled.estate.to_owner == OWNER, "what comes later is asked about anew"
