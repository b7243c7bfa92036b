"""Currencies and other units of value.

Exponents come from ISO 4217 list one through the `iso4217` package, never from a locale database:
those state how many decimals people like to see, which is another number for thirteen currencies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Final

import iso4217

from tally_money.errors import InvalidCurrency, UnknownCurrency, shown

MAX_EXPONENT: Final = 18
_CODE: Final = re.compile(r"[A-Z][A-Z0-9]{2,11}")


class AssetKind(StrEnum):
    FIAT = "fiat"
    CRYPTO = "crypto"
    CLOSED_LOOP = "closed_loop"


@dataclass(frozen=True, slots=True)
class Currency:
    """A unit of value: one whole unit is 10**exponent minor units.

    Raises InvalidCurrency for a code that is not 3-12 characters of A-Z and 0-9 starting with a
    letter, or an exponent outside 0..18.
    """

    code: str
    exponent: int
    kind: AssetKind

    def __post_init__(self) -> None:
        if _CODE.fullmatch(self.code) is None:
            raise InvalidCurrency(
                f"currency code {shown(self.code)} is not 3-12 characters of A-Z and 0-9 starting "
                "with a letter; give the code in capitals"
            )
        if not 0 <= self.exponent <= MAX_EXPONENT:
            raise InvalidCurrency(
                f"exponent {self.exponent} of {self.code} is outside 0..{MAX_EXPONENT}; "
                "give the number of decimals of one unit"
            )


@cache
def iso_currencies() -> Mapping[str, Currency]:
    """All active ISO 4217 currencies with minor units, by code; metals and test codes have none."""
    return MappingProxyType(
        {
            entry.code: Currency(entry.code, entry.exponent, AssetKind.FIAT)
            for entry in iso4217.Currency
            if entry.exponent is not None
        }
    )


def currency(code: str) -> Currency:
    """The active ISO 4217 currency of this code; raises UnknownCurrency for anything else."""
    try:
        return iso_currencies()[code]
    except (KeyError, TypeError):  # TypeError: a list or dict from unchecked JSON cannot be a key
        raise UnknownCurrency(
            f"currency {shown(code)} is not an active ISO 4217 code with minor units; "
            "give three capital letters such as EUR"
        ) from None
