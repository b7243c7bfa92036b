"""What payers write on a bank transfer, and whose money it is then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_contracts.funding import Beneficiary
from tally_funding.statements.matching import Match, creditor_references, match

PARTY = "pty_01m3250v00e008000000000002"


def party(name: str, program: str = "p") -> Match:
    return Match(program, Beneficiary(party=name))


def event(reference: str) -> Match:
    return Match("refs", Beneficiary(event_reference=reference))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["TALLY:p:pty_1"], party("pty_1")),
        (["Invoice 7, TALLY:p:pty_1, thanks"], party("pty_1")),
        (["(TALLY:p:pty_1)."], party("pty_1")),
        (["tally:P:pty_1"], party("pty_1")),
        (["TALLY:SUPPLIER-PAYMENTS:" + PARTY.upper()], party(PARTY, "supplier-payments")),
        (["TALLY:p:Customer/7"], party("Customer/7")),
        (["TALLY:p:pty_1", "again TALLY:p:pty_1"], party("pty_1")),
        (["TALLY:p:pty_1 TALLY:p:pty_2"], None),
        (["TALLY:p:pty_1", "TALLY:q:pty_1"], None),
        (["TALLY:p:"], None),
        (["TALLY::pty_1"], None),
        (["NOTTALLY:p:pty_1"], None),
        (["nothing"], None),
        ([], None),
        (["RF18539007547034"], event("RF18539007547034")),
        (["RF18 5390 0754 7034"], event("RF18539007547034")),
        (["invoice RF18539007547034 SEPT"], event("RF18539007547034")),
        (["RF19539007547034"], None),
        (["RF18539007547034", "RF18000000000539007547034"], None),
        (["RF18539007547034 TALLY:p:pty_1"], party("pty_1")),
        # Cut by the bank after 27 characters: half an id is nobody's.
        (["TALLY:p:pty_01m3250v00e0080", "00000000002 invoice 7"], party(PARTY)),
        (["invoice 7 TALLY:p:payee-123", "45"], None),
        (["invoice 7 TALLY:p:payee-12", "45"], party("payee-12")),
        (["invoice 7 TALLY:p:payee-123"], party("payee-123")),
    ],
)
def test_a_credit_is_matched_by_exactly_one_whole_reference(
    lines: list[str], found: Match | None
) -> None:
    assert match(lines, "refs") == found


def test_creditor_references_name_nobody_unless_the_settings_give_them_a_program() -> None:
    assert match(["RF18539007547034"], None) is None


@given(st.integers(0, 10**21 - 1))
def test_one_wrong_digit_in_a_creditor_reference_is_always_found(body: int) -> None:
    digits = 98 - int(f"{body}271500") % 97
    reference = f"RF{digits:02}{body}"
    assert creditor_references(reference) == (reference,)
    last = str((int(reference[-1]) + 1) % 10)
    assert creditor_references(reference[:-1] + last) == ()


@given(st.lists(st.text(max_size=150), max_size=5))
def test_any_text_is_read_without_an_error(lines: list[str]) -> None:
    found = match(lines, "refs")
    assert found is None or found.beneficiary.owner
