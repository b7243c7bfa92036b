"""Division by the book, in fractions: what the compiled program is held against, line by line.

Slower, and written to be read beside the README's rule of rounding. Dry runs show its exact shares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import assert_never

from tally_funding.rules.model import WHOLE, Fixed, Line, Percent, Shortfall, Tier, Tiered, Weight
from tally_money import Rounding

_HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Shared:
    """One line's share: of which basis, exactly how much, and how many minor units that became."""

    basis: int
    exact: Fraction
    minor: int


def exact_claim(line: Line, basis: Fraction, code: str) -> Fraction:
    """What a line that takes no rest asks for, before rounding."""
    match line.share:
        case Fixed(amounts):
            claim = Fraction(amounts[code])
        case Percent(rate):
            claim = basis * rate / WHOLE
        case Tiered(tiers):
            claim = _slices(tiers[code], basis)
        case Weight():
            raise ValueError("a weight asks for nothing of its own")
        case _:
            assert_never(line.share)
    if line.floor is not None:
        claim = max(claim, Fraction(line.floor[code]))
    return claim if line.cap is None else min(claim, Fraction(line.cap[code]))


def _slices(tiers: Sequence[Tier], basis: Fraction) -> Fraction:
    lower = Fraction(0)
    claim = Fraction(0)
    for tier in tiers:
        upper = basis if tier.up_to is None else min(basis, Fraction(tier.up_to))
        claim += max(upper - lower, Fraction(0)) * tier.rate / WHOLE
        lower = max(lower, upper)
    return claim


def divide_by_the_book(
    lines: Sequence[Line], rounding: Rounding, shortfall: Shortfall, code: str, total: int
) -> list[Shared] | None:
    """Every line's share of `total` minor units; None where lines exceed it and must not."""
    together = _rounded_together(lines, rounding, total)
    shares: dict[int, Shared] = {}
    asked = 0
    for position, line in enumerate(lines):
        if isinstance(line.share, Weight):
            continue
        basis = max(total - asked, 0) if line.of_left else total
        exact = exact_claim(line, Fraction(basis), code)
        minor = together.get(position, _round(exact, rounding))
        shares[position] = Shared(basis, exact, minor)
        asked += minor
    if asked > total:
        if shortfall is Shortfall.SUSPEND:
            return None
        shares = _served_in_order(shares, total)
    left = max(total - asked, 0)
    weights = {
        position: Fraction(left * line.share.weight)
        for position, line in enumerate(lines)
        if isinstance(line.share, Weight)
    }
    weight = sum(line.share.weight for line in lines if isinstance(line.share, Weight))
    rests = {position: part / weight for position, part in weights.items()}
    for position, minor in _largest_remainder(rests, left if rests else 0).items():
        shares[position] = Shared(left, rests[position], minor)
    return [shares[position] for position in range(len(lines))]


def _rounded_together(lines: Sequence[Line], rounding: Rounding, total: int) -> Mapping[int, int]:
    exact = {
        position: Fraction(total * line.plain_rate, WHOLE)
        for position, line in enumerate(lines)
        if line.plain_rate is not None
    }
    return _largest_remainder(exact, _round(sum(exact.values(), Fraction(0)), rounding))


def _largest_remainder(exact: Mapping[int, Fraction], target: int) -> Mapping[int, int]:
    parts = {position: floor(share) for position, share in exact.items()}
    by_remainder = sorted(exact, key=lambda position: (parts[position] - exact[position], position))
    for position in by_remainder[: target - sum(parts.values())]:
        parts[position] += 1
    return parts


def _served_in_order(shares: Mapping[int, Shared], total: int) -> dict[int, Shared]:
    left = total
    served: dict[int, Shared] = {}
    for position, share in shares.items():
        minor = min(share.minor, left)
        served[position] = Shared(share.basis, share.exact, minor)
        left -= minor
    return served


def _round(exact: Fraction, rounding: Rounding) -> int:
    match rounding:
        case Rounding.DOWN:
            return floor(exact)
        case Rounding.HALF_UP:
            return floor(exact + _HALF)
        case Rounding.HALF_EVEN:
            return round(exact)
        case _:
            assert_never(rounding)
