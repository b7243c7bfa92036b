"""Money: a whole number of minor units of one currency."""

import re
from dataclasses import dataclass
from typing import Final, Self

from tally_money.currencies import Currency, currency
from tally_money.errors import (
    AmountFormat,
    AmountTooLarge,
    CurrencyMismatch,
    TooManyDecimals,
    shown,
)

MAX_DIGITS: Final = 38
MAX_MINOR: Final = 10**MAX_DIGITS - 1
"""The largest number of minor units a NUMERIC(38,0) column holds."""

_match_amount: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?").fullmatch


def parse_minor(amount: str, unit: Currency) -> int:
    """The minor units of a wire amount, a plain decimal such as "1.250", in any unit of value.

    Raises AmountFormat, TooManyDecimals or AmountTooLarge as `Money.parse` does.
    """
    try:
        match = _match_amount(amount)
    except TypeError:
        match = None
    if match is None:
        raise AmountFormat(
            f"amount {shown(amount)} is not a plain decimal; "
            'give a string such as "12.50": digits, at most one point, no sign, no exponent'
        )
    whole, decimals = match.groups("")
    exponent = unit.exponent
    if len(decimals) > exponent:
        raise TooManyDecimals(
            f"amount {shown(amount)} has {len(decimals)} decimals, {unit.code} has {exponent}; "
            "round it before sending"
        )
    if len(whole) + exponent > MAX_DIGITS and whole != "0":
        raise AmountTooLarge(
            f"amount {shown(amount)} in {unit.code} has more than {MAX_DIGITS} digits "
            "of minor units; send smaller amounts"
        )
    return int(whole + decimals.ljust(exponent, "0"))


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`minor` units of `currency`, signed, at most 38 digits.

    Amounts of two currencies are never equal, and adding or ordering them raises CurrencyMismatch.
    """

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        # An exact type check: True and 1.0 equal 1, but neither is an amount.
        if type(self.minor) is not int:
            raise AmountFormat(
                f"minor units {shown(self.minor)} are not an integer; "
                "pass int minor units, or parse a decimal string with Money.parse"
            )
        if not -MAX_MINOR <= self.minor <= MAX_MINOR:
            raise AmountTooLarge(
                f"amount in {self.currency.code} has more than {MAX_DIGITS} digits of minor units"
            )

    @classmethod
    def parse(cls, amount: str, code: str) -> Self:
        """Read a wire amount, a plain decimal such as "1.250", in an ISO 4217 currency.

        Raises UnknownCurrency, AmountFormat (sign, exponent, space, separators, leading zero,
        digits other than 0-9, not a string), TooManyDecimals or AmountTooLarge.
        """
        unit = currency(code)
        return cls(parse_minor(amount, unit), unit)

    @property
    def wire_amount(self) -> str:
        """The decimal string for the wire, with exactly the currency's decimals.

        Raises AmountFormat for a negative amount: on the wire the event's type says the direction.
        """
        if self.minor < 0:
            raise AmountFormat(
                f"amount {self} is negative and has no wire form; "
                "send the absolute amount under an event type that says the direction"
            )
        return self._decimal(self.minor)

    def _decimal(self, magnitude: int) -> str:
        exponent = self.currency.exponent
        digits = str(magnitude)
        if exponent == 0:
            return digits
        digits = digits.zfill(exponent + 1)
        return f"{digits[:-exponent]}.{digits[-exponent:]}"

    def __str__(self) -> str:
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{self._decimal(abs(self.minor))} {self.currency.code}"

    def __bool__(self) -> bool:
        return self.minor != 0

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __add__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        self._require_same_currency(other)
        return self.minor < other.minor

    def __le__(self, other: "Money") -> bool:
        self._require_same_currency(other)
        return self.minor <= other.minor

    def __gt__(self, other: "Money") -> bool:
        self._require_same_currency(other)
        return self.minor > other.minor

    def __ge__(self, other: "Money") -> bool:
        self._require_same_currency(other)
        return self.minor >= other.minor

    def _require_same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(
                f"{self} and {other} are in different currencies; convert one by a quoted rate first"
            )
