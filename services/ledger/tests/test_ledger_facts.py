"""Facts that are constructed without validation are what validation would have made of them."""

from dataclasses import dataclass

import pytest

from tally_contracts.ledger import CaptureHold, HoldPlaced, JournalPosted, PlaceHold, PostJournal
from tally_ledger.domain import Answer, Books, Done, Transfer, TransferKind
from tally_ledger.wire import fact_of
from tally_money import iso_currencies

from .ledger_builders import NOW, capture, identify, journal, leg, place


@dataclass(frozen=True)
class Case:
    """A command, and the transfer its answer remembers."""

    event: PostJournal | PlaceHold | CaptureHold
    kind: TransferKind | None


CASES = {
    "journal": Case(
        journal("j", leg("a", "ann", "bob", "1.50"), leg("b", "bob", "ann", "1")), None
    ),
    "hold": Case(place("h", "ann", "bob", "2.00"), TransferKind.PENDING),
    "hold that ends": Case(place("h", "ann", "bob", "2", expires_at=NOW), TransferKind.PENDING),
    "capture": Case(capture("c", "h", "0.50"), TransferKind.POST),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fact_reads_back_as_it_was_made(case: Case) -> None:
    # From its bytes, as it comes in.
    event = type(case.event).model_validate_json(case.event.model_dump_json())
    transfer = case.kind and Transfer(
        identify("tr", "c"),
        case.kind,
        identify("hld", "h"),
        identify("acc", "ann"),
        identify("acc", "bob"),
        "EUR",
        50,
        "allocation",
        150,
    )
    answer = Answer(Done(7, transfer), NOW)
    fact = fact_of(event, answer, Books("main"), iso_currencies())
    text = fact.model_dump_json()
    again = type(fact).model_validate_json(text)
    assert again == fact
    assert again.model_dump_json() == text, "no field is missing, added or in another place"


def test_the_fields_of_a_fact_are_those_of_its_contract() -> None:
    for name, model in (("journal", JournalPosted), ("hold", HoldPlaced)):
        event, kind = CASES[name].event, CASES[name].kind
        transfer = kind and Transfer("t", kind, None, "a", "b", "EUR", 1, "c", 1)
        fact = fact_of(event, Answer(Done(7, transfer), NOW), Books("main"), iso_currencies())
        assert type(fact) is model
        assert set(fact.model_dump()) == set(model.model_fields)
