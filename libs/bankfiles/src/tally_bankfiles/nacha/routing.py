"""ABA routing numbers: eight digits that name a bank, one that checks them."""

import re
from typing import Final

ROUTING_LENGTH: Final = 9
_DIGITS: Final = re.compile(r"[0-9]+").fullmatch
_WEIGHTS: Final = (3, 7, 1, 3, 7, 1, 3, 7)


def routing_check_digit(identification: str) -> int:
    """The ninth digit of a routing number from its first eight (weights 3-7-1).

    Raises ValueError unless given exactly eight ASCII digits.
    """
    if len(identification) != len(_WEIGHTS) or not _DIGITS(identification):
        raise ValueError(f"eight digits expected, given {identification[:20]!a}")
    return -sum(map(int.__mul__, _WEIGHTS, map(int, identification))) % 10


def is_routing_number(text: str) -> bool:
    """Whether the check digit holds; all zeros passes the sum and is refused all the same.

    Two swapped neighbours that differ by 5 pass too: this validates no account.
    """
    if len(text) != ROUTING_LENGTH or not _DIGITS(text) or text == "0" * ROUTING_LENGTH:
        return False
    return routing_check_digit(text[:8]) == int(text[8])
