"""Exact money: see README.md."""

from tally_money.amounts import MAX_DIGITS, MAX_MINOR, Money
from tally_money.currencies import MAX_EXPONENT, AssetKind, Currency, currency, iso_currencies
from tally_money.errors import (
    AmountFormat,
    AmountTooLarge,
    CurrencyMismatch,
    InvalidCurrency,
    InvalidShare,
    MoneyError,
    SplitError,
    SplitExceedsTotal,
    SplitNoRemainder,
    TooManyDecimals,
    UnknownCurrency,
)
from tally_money.shares import (
    PERCENT_DECIMALS,
    Fixed,
    Percent,
    Remainder,
    Rounding,
    Share,
    Weight,
    allocate,
    split,
)

__all__ = [
    "MAX_DIGITS",
    "MAX_EXPONENT",
    "MAX_MINOR",
    "PERCENT_DECIMALS",
    "AmountFormat",
    "AmountTooLarge",
    "AssetKind",
    "Currency",
    "CurrencyMismatch",
    "Fixed",
    "InvalidCurrency",
    "InvalidShare",
    "Money",
    "MoneyError",
    "Percent",
    "Remainder",
    "Rounding",
    "Share",
    "SplitError",
    "SplitExceedsTotal",
    "SplitNoRemainder",
    "TooManyDecimals",
    "UnknownCurrency",
    "Weight",
    "allocate",
    "currency",
    "iso_currencies",
    "split",
]
