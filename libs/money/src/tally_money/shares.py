"""Dividing an amount so that the parts always add up to it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from tally_money.amounts import Money
from tally_money.currencies import Currency
from tally_money.errors import (
    CurrencyMismatch,
    InvalidShare,
    SplitExceedsTotal,
    SplitNoRemainder,
    shown,
)

PERCENT_DECIMALS: Final = 6
_PERCENT_UNIT: Final = 10**PERCENT_DECIMALS
_WHOLE: Final = 100 * _PERCENT_UNIT


class Rounding(StrEnum):
    """How an exact share between two minor units becomes one of them."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Fixed:
    """This amount, whatever the total is; never negative."""

    amount: Money

    def __post_init__(self) -> None:
        if self.amount.minor < 0:
            raise InvalidShare(f"fixed share {self.amount} is negative; give zero or more")


@dataclass(frozen=True, slots=True)
class Percent:
    """This part of the total, 0 to 100 with at most six decimals."""

    percent: Decimal

    def __post_init__(self) -> None:
        exact = type(self.percent) is Decimal and self.percent.is_finite()
        if not exact or self.percent.is_signed() or self.percent > 100:  # noqa: PLR2004 - a percentage
            raise InvalidShare(f"percent {shown(self.percent)} is not a Decimal from 0 to 100")
        exponent = self.percent.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -PERCENT_DECIMALS:
            raise InvalidShare(
                f"percent {shown(self.percent)} has more than {PERCENT_DECIMALS} decimals; round it"
            )


@dataclass(frozen=True, slots=True)
class Weight:
    """A part, in proportion to the other weights, of what fixed and percent shares leave."""

    weight: int

    def __post_init__(self) -> None:
        _require_weight(self.weight)


@dataclass(frozen=True, slots=True)
class Remainder:
    """All that fixed and percent shares leave; at most one, and not beside weights."""


Share: TypeAlias = Fixed | Percent | Weight | Remainder


def split(
    total: Money, shares: Sequence[Share], rounding: Rounding = Rounding.HALF_EVEN
) -> tuple[Money, ...]:
    """Divide `total` into one amount per share, in the order given, never negative.

    Percentages are of the total; their sum is rounded once and then shared out by largest
    remainder, so 100 % in any number of parts is always the whole. Weights or the remainder take
    what fixed and percent shares leave.

    Raises SplitExceedsTotal when fixed and percent shares need more than the total,
    SplitNoRemainder when something is left and nobody takes it, InvalidShare when the shares
    contradict each other or the total is negative, CurrencyMismatch for a foreign fixed share.
    """
    if total.minor < 0:
        raise InvalidShare(f"total {total} is negative; split the absolute amount")
    asked = _sorted_by_kind(total.currency, shares)

    minor = dict(asked.fixed)
    percents_minor = _divide(total.minor * sum(asked.percents.values()), _WHOLE, rounding)
    minor |= _by_largest_remainder(total.minor, asked.percents, _WHOLE, percents_minor)
    left = total.minor - sum(minor.values())
    if left < 0:
        raise SplitExceedsTotal(f"fixed and percent shares need more than {total}; lower them")
    if left and not any(asked.takers.values()):
        raise SplitNoRemainder(
            f"{Money(left, total.currency)} of {total} is given to nobody; "
            "add a remainder or a weight above zero"
        )
    minor |= _by_weight(left, asked.takers)
    return tuple(Money(minor[position], total.currency) for position in range(len(shares)))


def allocate(total: Money, weights: Sequence[int]) -> tuple[Money, ...]:
    """Divide `total` in proportion to `weights` by largest remainder, ties to the earlier.

    Raises InvalidShare for a negative total or weight, or when no weight is above zero.
    """
    if total.minor < 0:
        raise InvalidShare(f"total {total} is negative; allocate the absolute amount")
    for weight in weights:
        _require_weight(weight)
    if not any(weights):
        raise InvalidShare("no weight is above zero; give at least one")
    parts = _by_weight(total.minor, dict(enumerate(weights)))
    return tuple(Money(part, total.currency) for part in parts.values())


@dataclass(frozen=True, slots=True)
class _SharesByKind:
    """Shares by their position: minor units, millionths of a percent, and weights."""

    fixed: dict[int, int]
    percents: dict[int, int]
    takers: dict[int, int]


def _sorted_by_kind(unit: Currency, shares: Sequence[Share]) -> _SharesByKind:
    asked = _SharesByKind({}, {}, {})
    remainders = 0
    for position, share in enumerate(shares):
        match share:
            case Fixed(amount):
                if amount.currency != unit:
                    raise CurrencyMismatch(
                        f"fixed share {amount} is not in {unit.code}, the currency of the total; "
                        "convert it by a quoted rate first"
                    )
                asked.fixed[position] = amount.minor
            case Percent(percent):
                numerator, denominator = percent.as_integer_ratio()
                asked.percents[position] = numerator * _PERCENT_UNIT // denominator
            case Weight(weight):
                asked.takers[position] = weight
            case Remainder():
                asked.takers[position] = 1
                remainders += 1
            case _:
                assert_never(share)
    if remainders and len(asked.takers) > 1:
        raise InvalidShare(
            "a remainder stands beside another remainder or weights; "
            "give one remainder, or weights alone"
        )
    return asked


def _require_weight(weight: int) -> None:
    if type(weight) is not int or weight < 0:
        raise InvalidShare(f"weight {shown(weight)} is not a whole number; give an int, 0 or more")


def _by_weight(total: int, weights: dict[int, int]) -> dict[int, int]:
    return _by_largest_remainder(total, weights, sum(weights.values()) or 1, total)


def _by_largest_remainder(
    whole: int, weights: dict[int, int], denominator: int, target: int
) -> dict[int, int]:
    """Whole parts, each less than one from whole * weight / denominator, adding up to `target`.

    `target` is the sum of the exact parts, rounded to an integer by any rule.
    """
    parts: dict[int, int] = {}
    remainders: dict[int, int] = {}
    for key, weight in weights.items():
        parts[key], remainders[key] = divmod(whole * weight, denominator)
    left = target - sum(parts.values())
    # sorted() is stable, so equal remainders keep their order and the earlier share wins.
    for key in sorted(remainders, key=remainders.__getitem__, reverse=True)[:left]:
        parts[key] += 1
    assert not weights or sum(parts.values()) == target
    return parts


def _divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    quotient, remainder = divmod(numerator, denominator)
    match rounding:
        case Rounding.DOWN:
            return quotient
        case Rounding.HALF_UP:
            return quotient + (2 * remainder >= denominator)
        case Rounding.HALF_EVEN:
            above = 2 * remainder > denominator
            tie_to_even = 2 * remainder == denominator and quotient % 2 == 1
            return quotient + (above or tie_to_even)
        case _:
            assert_never(rounding)
