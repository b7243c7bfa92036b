"""How sure it is that money is what somebody expects; pure.

Confidence is a whole number of percent. A reference counts only as a whole word: part of another
number is no match.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tally_money import Money

VIRTUAL_ACCOUNT: Final = "virtual_account"
_KEY_CHARS_MIN: Final = 4
_WORDS_MAX: Final = 400
_CANDIDATES_MAX: Final = 16
_EDGES: Final = ".,;:()[]<>'\"!?#*"
_PARTS: Final = re.compile(r"[:;,=()/|+]")

CERTAIN: Final = 100
_REFERENCE_AND_AMOUNT: Final = 98
_REFERENCE_AND_PAYER: Final = 92
_REFERENCE: Final = 85
_PAYER_AND_AMOUNT: Final = 75
_AMOUNT: Final = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """Money in suspense: what its payer wrote, as words, and the payer's own reference."""

    amount: Money
    words: frozenset[str]
    payer: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What somebody expects. `left` None: any amount, any number of times."""

    expectation_id: str
    kind: str
    reference: str
    left: Money | None
    payer: str | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An expectation that money may be for, why, and how sure that is."""

    expectation_id: str
    reference: str
    confidence: int
    reasons: tuple[str, ...]


def key_of(reference: str) -> str:
    """A reference as it is compared: banks print in capitals."""
    return reference.upper()


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Every word that may be a reference, as compared; with and without what it is joined to."""
    found: set[str] = set()
    for word in _words(texts):
        found.add(word)
        if len(found) >= _WORDS_MAX:
            break
    return frozenset(found)


def _words(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for raw in key_of(text).split():
            for word in (raw, *_PARTS.split(raw)):
                bare = word.strip(_EDGES)
                if len(bare) >= _KEY_CHARS_MIN:
                    yield bare


def candidates(seen: Seen, expected: Iterable[Expected]) -> tuple[Candidate, ...]:
    """What the money may be for, the surest first; expectations in another currency are none."""
    found = (_candidate(seen, one) for one in expected)
    ranked = sorted(
        (one for one in found if one is not None),
        key=lambda one: (-one.confidence, one.expectation_id),
    )
    return tuple(ranked[:_CANDIDATES_MAX])


def _candidate(seen: Seen, one: Expected) -> Candidate | None:
    if one.left is not None and one.left.currency != seen.amount.currency:
        return None
    named = key_of(one.reference) in seen.words
    amount = one.left is not None and one.left == seen.amount
    payer = one.payer is not None and one.payer == seen.payer
    if named and one.kind == VIRTUAL_ACCOUNT:
        return Candidate(one.expectation_id, one.reference, CERTAIN, (VIRTUAL_ACCOUNT,))
    confidence = _confidence(named=named, amount=amount, payer=payer, open_end=one.left is None)
    if confidence is None:
        return None
    said = {"reference": named, "amount": amount, "payer": payer}
    reasons = tuple(reason for reason, holds in said.items() if holds)
    return Candidate(one.expectation_id, one.reference, confidence, reasons)


def _confidence(*, named: bool, amount: bool, payer: bool, open_end: bool) -> int | None:
    """An expectation of any amount is met by its reference as by reference and amount."""
    if named and (amount or open_end):
        return _REFERENCE_AND_AMOUNT
    if named:
        return _REFERENCE_AND_PAYER if payer else _REFERENCE
    if amount:
        return _PAYER_AND_AMOUNT if payer else _AMOUNT
    return None


def sure(found: Sequence[Candidate], from_confidence: int) -> Candidate | None:
    """The one candidate that needs no person: sure enough, and no other is as sure."""
    if not found or found[0].confidence < from_confidence:
        return None
    if len(found) > 1 and found[1].confidence == found[0].confidence:
        return None
    return found[0]


def paid_standing(expected: Money, received: Money) -> str:
    """How an expectation stands: part_paid, paid or over_paid (F65)."""
    if received.minor < expected.minor:
        return "part_paid"
    return "paid" if received == expected else "over_paid"
