# ruff: noqa: N818 - the names say what is wrong; `except UnknownCurrency` needs no suffix
"""What can be wrong with an amount, a currency or a split; none of it heals by trying again."""

from typing import ClassVar


class MoneyError(ValueError):
    """Base of all errors here; `code` is a stable slug for APIs, events and metrics."""

    code: ClassVar[str] = "money_error"
    retryable: ClassVar[bool] = False


class UnknownCurrency(MoneyError):
    code = "unknown_currency"


class InvalidCurrency(MoneyError):
    """A `Currency` was built from an impossible code or exponent."""

    code = "invalid_currency"


class AmountFormat(MoneyError):
    code = "amount_format"


class TooManyDecimals(MoneyError):
    code = "too_many_decimals"


class AmountTooLarge(MoneyError):
    code = "amount_too_large"


class CurrencyMismatch(MoneyError):
    code = "currency_mismatch"


class SplitError(MoneyError):
    """Base of the reasons why a total cannot be divided as asked."""

    code = "split_error"


class SplitExceedsTotal(SplitError):
    code = "split_exceeds_total"


class SplitNoRemainder(SplitError):
    code = "split_no_remainder"


class InvalidShare(SplitError):
    code = "split_invalid_share"


def shown(value: object) -> str:
    """A short, plain-ASCII picture of a refused value, safe to log or to send back."""
    limit = 40
    picture = ascii(value[: limit + 1] if isinstance(value, str) else value)
    return picture if len(picture) <= limit else f"{picture[:limit]}..."
