"""Whose money a bank credit is, from what the payer wrote on it.

Two marks are read, in creditor references and in free text:

- `TALLY:<program>:<party>`: the party's money, in this program; any case;
- `RF` and a creditor reference with good check digits (ISO 11649): money for whoever the reference
  turns out to name, in the program that the settings give to such money.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tally_bankfiles.camt import EntryTransaction
from tally_contracts.funding import Beneficiary

_TOKEN: Final = re.compile(
    r"\bTALLY:(?P<program>[a-z][a-z0-9_.-]{0,63})"
    r":(?P<party>[a-z0-9](?:[a-z0-9_.+/-]{0,126}[a-z0-9])?)",
    re.IGNORECASE,
)
_TYPE_ID: Final = re.compile(r"[a-z]{1,16}_[0-7][0-9a-hjkmnp-tv-z]{25}")
_CREDITOR_REFERENCE: Final = re.compile(r"\bRF[0-9]{2}[0-9A-Z ]{1,40}")
_CREDITOR_REFERENCE_CHARS_MAX: Final = 25
_MODULUS: Final = 97
# Where formats cut free text: MT940 sub-fields and lines, SWIFT lines, ISO 20022's Max140Text.
_CUT_WIDTHS: Final = frozenset({27, 35, 65, 140})


@dataclass(frozen=True, slots=True)
class Match:
    """The program and the beneficiary that a credit names."""

    program: str
    beneficiary: Beneficiary


def match(lines: Sequence[str], reference_program: str | None) -> Match | None:
    """The one beneficiary these lines name; None where they name none, several or perhaps half of one.

    A TALLY mark wins over creditor references. `reference_program` None leaves money with only a
    creditor reference unmatched.
    """
    marked = set(_marks(lines))
    if marked:
        return marked.pop() if len(marked) == 1 else None
    references = {reference for line in lines for reference in creditor_references(line)}
    if reference_program is None or len(references) != 1:
        return None
    return Match(reference_program, Beneficiary(event_reference=references.pop()))


def lines_of(transaction: EntryTransaction) -> tuple[str, ...]:
    """All that a payer can write on one payment."""
    structured = [
        text
        for remittance in transaction.structured
        for text in (remittance.reference, *remittance.additional)
        if text is not None
    ]
    return (*structured, *transaction.unstructured)


def creditor_references(text: str) -> tuple[str, ...]:
    """Creditor references in a text with good check digits, printed in groups or without blanks."""
    return tuple(
        reference
        for found in _CREDITOR_REFERENCE.finditer(text)
        for reference in _readings(found.group().split())
        if _checks(reference)
    )


def _readings(words: Sequence[str]) -> Iterator[str]:
    """A reference may end at any blank: only the check digits tell where."""
    for end in range(1, len(words) + 1):
        reading = "".join(words[:end])
        if len("RF00") < len(reading) <= _CREDITOR_REFERENCE_CHARS_MAX:
            yield reading


def _checks(reference: str) -> bool:
    turned = reference[4:] + reference[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % _MODULUS == 1


def _marks(lines: Sequence[str]) -> Iterator[Match | None]:
    """Every TALLY mark; None for one that may be cut off."""
    for position, line in enumerate(lines):
        following = lines[position + 1] if position + 1 < len(lines) else None
        for found in _TOKEN.finditer(line):
            at_end = found.end() == len(line) and len(line) in _CUT_WIDTHS
            if at_end and following is not None:
                yield _uncut(found, line + following)
            else:
                yield _read(found)


def _uncut(found: re.Match[str], joined: str) -> Match | None:
    """Only an id of fixed length shows whether it goes on in the next line."""
    whole = _TOKEN.match(joined, found.start())
    assert whole is not None, "the mark is there without the next line too"
    for reading in (found, whole):
        if _TYPE_ID.fullmatch(reading["party"].lower()):
            return _read(reading)
    return None


def _read(found: re.Match[str]) -> Match:
    party = found["party"]
    # Banks print remittance in capitals; ids are lower case, other references keep their case.
    if _TYPE_ID.fullmatch(party.lower()):
        party = party.lower()
    return Match(found["program"].lower(), Beneficiary(party=party))
