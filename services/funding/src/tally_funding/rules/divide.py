"""A rule compiled for one currency: integers alone, no search, no fractions.

Percentages of the whole without bounds are rounded together: their sum once, then shared out by
largest remainder, ties to the earlier line. Every other line is rounded on its own. Lines are
served in order and never beyond the pay-in; weights share what is left by largest remainder.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias, assert_never

from tally_funding.rules.model import WHOLE, Fixed, Line, Percent, Shortfall, Tier, Tiered, Weight
from tally_money import MAX_MINOR, Rounding

Claim: TypeAlias = Callable[[int], int]
"""From a basis in minor units to the minor units a line asks for."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to do with a total; positions are those of the rule's lines."""

    fixed: tuple[int, ...]
    plain: tuple[tuple[int, int], ...]
    plain_sum: int
    own: tuple[tuple[int, Claim], ...]
    of_left: tuple[tuple[int, Claim], ...]
    takers: tuple[tuple[int, int], ...]
    weights: int
    rounded: Claim
    suspends: bool

    def divide(self, total: int) -> list[int] | None:
        """Minor units by line, adding up to `total`; None if the lines exceed it and must not."""
        amounts = list(self.fixed)
        if self.plain:
            self._share_percentages(total, amounts)
        for position, claim in self.own:
            amounts[position] = claim(total)
        for position, claim in self.of_left:
            amounts[position] = claim(max(total - sum(amounts[:position]), 0))
        left = total - sum(amounts)
        if left < 0:
            if self.suspends:
                return None
            _serve_in_order(total, amounts)
        elif left:
            self._give_away(left, amounts)
        assert sum(amounts) == total, "lines add up to the pay-in"
        return amounts

    def _share_percentages(self, total: int, amounts: list[int]) -> None:
        remainders: list[tuple[int, int]] = []
        given = 0
        for position, rate in self.plain:
            part, remainder = divmod(total * rate, WHOLE)
            amounts[position] = part
            given += part
            if remainder:
                remainders.append((-remainder, position))
        if remainders:
            _hand_out(self.rounded(total * self.plain_sum) - given, remainders, amounts)

    def _give_away(self, left: int, amounts: list[int]) -> None:
        if len(self.takers) == 1:
            amounts[self.takers[0][0]] = left
            return
        remainders: list[tuple[int, int]] = []
        given = 0
        for position, weight in self.takers:
            part, remainder = divmod(left * weight, self.weights)
            amounts[position] = part
            given += part
            remainders.append((-remainder, position))
        _hand_out(left - given, remainders, amounts)


def _hand_out(units: int, remainders: list[tuple[int, int]], amounts: list[int]) -> None:
    """One unit each to the largest remainders; `remainders` are negative, so that ties go by line."""
    if units:
        remainders.sort()
        for _, position in remainders[:units]:
            amounts[position] += 1


def _serve_in_order(total: int, amounts: list[int]) -> None:
    left = total
    for position, asked in enumerate(amounts):
        amounts[position] = min(asked, left)
        left -= amounts[position]


def compile_lines(
    lines: Sequence[Line], rounding: Rounding, shortfall: Shortfall, code: str
) -> Program:
    """The program of a rule's lines for money of one currency that the rule covers."""
    rounded = _ROUNDED[rounding]
    fixed = [0] * len(lines)
    plain: list[tuple[int, int]] = []
    own: list[tuple[int, Claim]] = []
    of_left: list[tuple[int, Claim]] = []
    takers: list[tuple[int, int]] = []
    for position, line in enumerate(lines):
        match line.share:
            case Fixed(amounts):
                fixed[position] = amounts[code]
            case Weight(weight):
                takers.append((position, weight))
            case Percent(rate) if line.plain_rate is not None:
                plain.append((position, rate))
            case Percent() | Tiered():
                claim = compile_claim(line, rounding, code)
                (of_left if line.of_left else own).append((position, claim))
            case _:
                assert_never(line.share)
    return Program(
        fixed=tuple(fixed),
        plain=tuple(plain),
        plain_sum=sum(rate for _, rate in plain),
        own=tuple(own),
        of_left=tuple(of_left),
        takers=tuple(takers),
        weights=sum(weight for _, weight in takers),
        rounded=rounded,
        suspends=shortfall is Shortfall.SUSPEND,
    )


def compile_claim(line: Line, rounding: Rounding, code: str) -> Claim:
    """What a line that takes no rest asks for, rounded on its own."""
    rounded = _ROUNDED[rounding]
    match line.share:
        case Fixed(amounts):
            fixed = amounts[code]
            return lambda _basis: fixed
        case Percent(rate):
            return _percentage(rate, rounded, *_bounds(line, code))
        case Tiered(tiers):
            return _tiered(tiers[code], rounded, *_bounds(line, code))
        case Weight():
            raise ValueError("a weight asks for nothing of its own")
        case _:
            assert_never(line.share)


def _bounds(line: Line, code: str) -> tuple[int, int]:
    """Floor and cap of a line, those that bound nothing where it has none."""
    floor = 0 if line.floor is None else line.floor[code]
    return floor, MAX_MINOR if line.cap is None else line.cap[code]


def _percentage(rate: int, rounded: Claim, floor: int, cap: int) -> Claim:
    def claim(basis: int) -> int:
        asked = rounded(basis * rate)
        return cap if asked > cap else max(asked, floor)

    return claim


def _tiered(tiers: Sequence[Tier], rounded: Claim, floor: int, cap: int) -> Claim:
    """The slices up to a basis, from sums made once; a basis at a bound belongs to the tier below."""
    bounds = [tier.up_to for tier in tiers if tier.up_to is not None]
    lowers = [0, *bounds]
    rates = [tier.rate for tier in tiers]
    whole_slices: Iterable[int] = (
        (upper - lower) * rate for lower, upper, rate in zip(lowers, bounds, rates, strict=False)
    )
    sums = list(accumulate(whole_slices, initial=0))

    def claim(basis: int) -> int:
        tier = bisect_left(bounds, basis)
        asked = rounded(sums[tier] + (basis - lowers[tier]) * rates[tier])
        return cap if asked > cap else max(asked, floor)

    return claim


def _down(parts: int) -> int:
    return parts // WHOLE


def _half_up(parts: int) -> int:
    return (2 * parts + WHOLE) // (2 * WHOLE)


def _half_even(parts: int) -> int:
    quotient, remainder = divmod(2 * parts + WHOLE, 2 * WHOLE)
    return quotient - (remainder == 0 and quotient % 2)


_ROUNDED: dict[Rounding, Claim] = {
    Rounding.DOWN: _down,
    Rounding.HALF_UP: _half_up,
    Rounding.HALF_EVEN: _half_even,
}
