"""What the reader and the writer of this bank both know of a NACHA record.

Positions are those of the NACHA file specification, written here as Python slices (position 4-12
of the specification is `[3:12]`).
"""

from datetime import date

RECORD_CHARS = 94
BLOCK_LINES = 10
HASH_MODULUS = 10**10
AMOUNT_CENTS_MAX = 10**10 - 1
PAD_RECORD = "9" * RECORD_CHARS

CREDIT_CODES = frozenset({"22", "23", "24", "32", "33", "34"})
DEBIT_CODES = frozenset({"27", "28", "29", "37", "38", "39"})
PRENOTE_CODES = frozenset({"23", "28", "33", "38"})
REMITTANCE_CODES = frozenset({"24", "29", "34", "39"})

_WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7)
_CENTURY = 2000


def check_digit(routing8: str) -> str:
    """The ninth digit of a routing number from its first eight."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, routing8, strict=True))
    return str(-total % 10)


def is_digits(text: str) -> bool:
    """ASCII digits only, at least one."""
    return text.isascii() and text.isdigit()


def is_routing(text: str) -> bool:
    """Nine digits, not all zero, with a right check digit."""
    return (
        len(text) == len(_WEIGHTS) + 1
        and is_digits(text)
        and text.strip("0") != ""
        and check_digit(text[:8]) == text[8]
    )


def read_yymmdd(text: str) -> date | None:
    """A date of the years 2000-2099, None when it is not one."""
    if not is_digits(text):
        return None
    try:
        return date(_CENTURY + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        return None


def write_yymmdd(day: date) -> str:
    """A date as a NACHA field."""
    return day.strftime("%y%m%d")
