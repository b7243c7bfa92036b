"""Proof that a rule's lines never ask for more than a pay-in it matches, before it is published."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from tally_funding.rules.model import WHOLE, Fixed, Line, Percent, Span, Tiered, Weight
from tally_funding.rules.reference import exact_claim


def exceeded_by(lines: Sequence[Line], code: str, span: Span) -> int | None:
    """An amount in the span (minor units) that the lines of the whole exceed; None if there is none.

    What lines ask for, less the amount, is piecewise linear in the amount: it is at most zero
    everywhere if it is at the ends and at every bend. Rounding apart: lines are served in order.
    """
    asking = [line for line in lines if not line.of_left and not isinstance(line.share, Weight)]
    least = Fraction(max(span.least, 1))
    most = None if span.below is None else Fraction(span.below - 1)
    bends = {bend for line in asking for bend in _bends(line, code)}
    inside = [bend for bend in bends if bend > least and (most is None or bend < most)]
    ends = [least] if most is None else [least, most]
    for amount in sorted({*ends, *inside}):
        if sum((exact_claim(line, amount, code) for line in asking), Fraction(0)) > amount:
            # In whole units: from this amount on, or up to it, the lines ask for too much.
            return int(amount)
    if most is None and sum(_last_rate(line, code) for line in asking) > WHOLE:
        return _far_out(asking, code, max([least, *inside]))
    return None


def _far_out(asking: Sequence[Line], code: str, start: Fraction) -> int:
    """Doubling reaches an amount that is exceeded, since the last rates sum to more than the whole."""
    amount = start
    while sum((exact_claim(line, amount, code) for line in asking), Fraction(0)) <= amount:
        amount *= 2
    return int(amount)


def _bends(line: Line, code: str) -> Iterator[Fraction]:
    """Amounts at which a line's claim changes its slope."""
    share = line.share
    bounds = [limit[code] for limit in (line.cap, line.floor) if limit is not None]
    if isinstance(share, Percent):
        for bound in bounds:
            if share.rate:
                yield Fraction(bound * WHOLE, share.rate)
    if isinstance(share, Tiered):
        lower, reached = 0, Fraction(0)
        for tier in share.tiers[code]:
            for bound in bounds:
                if tier.rate and bound >= reached:
                    # In the slice, or beyond its end, where it does no harm.
                    yield lower + (bound - reached) * WHOLE / Fraction(tier.rate)
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
