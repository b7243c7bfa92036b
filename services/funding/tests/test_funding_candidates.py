"""F14, F65: how sure a match is, and when a person must decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.matching.domain import (
    Candidate,
    Expected,
    Seen,
    candidates,
    paid_standing,
    sure,
    words_of,
)
from tally_money import Money, currency

EUR = currency("EUR")


def eur(minor: int) -> Money:
    return Money(minor, EUR)


def seen(text: str = "", amount: int = 1000, payer: str = "cust-1") -> Seen:
    return Seen(eur(amount), words_of([text]), payer)


def expected(
    number: int = 1,
    reference: str = "INV-2026-0107",
    left: int | None = 1000,
    payer: str | None = None,
    kind: str = "invoice",
) -> Expected:
    amount = None if left is None else eur(left)
    return Expected(f"exp_{number}", kind, reference, amount, payer)


@pytest.mark.parametrize(
    ("money", "one", "confidence", "reasons"),
    [
        (seen("inv-2026-0107"), expected(), 98, ("reference", "amount")),
        (seen("Rg.: INV-2026-0107, danke"), expected(), 98, ("reference", "amount")),
        (seen("REF:INV-2026-0107"), expected(), 98, ("reference", "amount")),
        (seen("INV-2026-0107", 900), expected(), 85, ("reference",)),
        (seen("INV-2026-0107", 900), expected(payer="cust-1"), 92, ("reference", "payer")),
        (seen("INV-2026-0107"), expected(left=None), 98, ("reference",)),
        (seen("thanks"), expected(payer="cust-1"), 75, ("amount", "payer")),
        (seen("thanks"), expected(payer="cust-2"), 50, ("amount",)),
        (
            seen("VA100200300", 5),
            expected(reference="VA100200300", left=None, kind="virtual_account"),
            100,
            ("virtual_account",),
        ),
    ],
)
def test_f14_confidence_follows_from_what_agrees(
    money: Seen, one: Expected, confidence: int, reasons: tuple[str, ...]
) -> None:
    assert candidates(money, [one]) == (
        Candidate(one.expectation_id, one.reference, confidence, reasons),
    )


@pytest.mark.parametrize(
    "money",
    [
        seen("INV-2026-01070", 900),
        seen("XINV-2026-0107", 900),
        seen("INV-2026", 900),
        seen("", 900),
        Seen(Money(1000, currency("USD")), words_of(["INV-2026-0107"]), "cust-1"),
    ],
)
def test_f14_part_of_a_reference_or_another_currency_is_no_match(money: Seen) -> None:
    assert candidates(money, [expected()]) == ()


def test_f14_two_that_are_as_sure_need_a_person() -> None:
    two = [expected(1, "INV-1001"), expected(2, "INV-1002")]
    found = candidates(seen("INV-1001 INV-1002"), two)
    assert [one.confidence for one in found] == [98, 98]
    assert sure(found, 95) is None
    assert sure(found[:1], 95) == found[0]
    assert sure(found[:1], 99) is None
    assert sure((), 50) is None


@given(st.lists(st.text(max_size=300), max_size=8))
def test_any_text_is_read_as_a_bounded_number_of_words(texts: list[str]) -> None:
    assert len(words_of(texts)) <= 400


@pytest.mark.parametrize(
    ("received", "standing"), [(999, "part_paid"), (1000, "paid"), (1001, "over_paid")]
)
def test_f65_paid_part_paid_and_over_paid_are_told_apart(received: int, standing: str) -> None:
    assert paid_standing(eur(1000), eur(received)) == standing
