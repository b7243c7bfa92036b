"""Proof that a rule's lines never ask for more than a pay-in it matches, before it is published."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from tally_funding.rules.model import WHOLE, Fixed, Line, Percent, Span, Tiered, Weight
from tally_funding.rules.reference import exact_claim


def exceeded_by(lines: Sequence[Line], code: str, span: Span) -> int | None:
    """An amount in the span (minor units) that the lines of the whole exceed; None if there is none.

    What lines ask for is piecewise linear in the amount: it stays below the amount everywhere if it
    does at the ends and at every bend, which are walked once. Rounding apart: lines are served in
    order.
    """
    asking = [line for line in lines if not line.of_left and not isinstance(line.share, Weight)]
    least = Fraction(max(span.least, 1))
    most = None if span.below is None else Fraction(span.below - 1)
    asked = sum((exact_claim(line, least, code) for line in asking), Fraction(0))
    steeper: dict[Fraction, Fraction] = defaultdict(Fraction)
    for line in asking:
        for bend, change in _changes_of_slope(line, code, least):
            steeper[bend] += change
    amount, slope = least, steeper.pop(least, Fraction(0))
    ends = [] if most is None else [most]
    for following in sorted({*steeper, *ends}):
        if asked > amount or (most is not None and following > most):
            break
        asked += slope * (following - amount)
        amount = following
        slope += steeper.get(following, Fraction(0))
    if asked > amount:
        return int(amount)
    if most is None and slope > 1:
        return int(amount + (amount - asked) / (slope - 1)) + 1
    return None


def _changes_of_slope(
    line: Line, code: str, least: Fraction
) -> Iterator[tuple[Fraction, Fraction]]:
    """From `least` on: where a line's claim changes its slope, and by how much."""
    points = [least, *sorted(bend for bend in set(_bends(line, code)) if bend > least)]
    claims = [exact_claim(line, point, code) for point in points]
    before = Fraction(0)
    for (start, end), (low, high) in zip(pairwise(points), pairwise(claims), strict=True):
        slope = (high - low) / (end - start)
        yield start, slope - before
        before = slope
    yield points[-1], Fraction(_last_rate(line, code), WHOLE) - before


def _bends(line: Line, code: str) -> Iterator[Fraction]:
    """Amounts at which a line's claim may change its slope."""
    share = line.share
    bounds = [limit[code] for limit in (line.cap, line.floor) if limit is not None]
    if isinstance(share, Percent) and share.rate:
        yield from (Fraction(bound * WHOLE, share.rate) for bound in bounds)
    if isinstance(share, Tiered):
        lower, reached = 0, Fraction(0)
        for tier in share.tiers[code]:
            upper = None if tier.up_to is None else Fraction(tier.up_to)
            for bound in bounds:
                if tier.rate and bound >= reached:
                    bend = lower + (bound - reached) * WHOLE / Fraction(tier.rate)
                    if upper is None or bend <= upper:
                        yield bend
            if tier.up_to is not None:
                yield Fraction(tier.up_to)
                reached += Fraction((tier.up_to - lower) * tier.rate, WHOLE)
                lower = tier.up_to


def _last_rate(line: Line, code: str) -> int:
    """The slope of a line's claim for the largest amounts."""
    if line.cap is not None or isinstance(line.share, Fixed | Weight):
        return 0
    if isinstance(line.share, Percent):
        return line.share.rate
    return line.share.tiers[code][-1].rate
