"""A line's share in words, as a dry run shows it."""

from typing import assert_never

from tally_funding.rules.model import Fixed, Line, Percent, Tiered, Weight
from tally_money import Currency, Money

_RATE = 10**6


def describe(line: Line, unit: Currency) -> str:
    """For example: 2.5 % of the whole, at least 0.50 EUR, at most 5.00 EUR."""
    basis = "what is left" if line.of_left else "the whole"
    match line.share:
        case Fixed(amounts):
            return str(Money(amounts[unit.code], unit))
        case Weight(weight):
            return f"weight {weight} of the rest"
        case Percent(rate):
            words = f"{percent(rate)} % of {basis}"
        case Tiered(tiers):
            steps = [
                f"{percent(tier.rate)} % "
                + ("above" if tier.up_to is None else f"up to {Money(tier.up_to, unit)}")
                for tier in tiers[unit.code][:5]
            ]
            more = len(tiers[unit.code]) - len(steps)
            words = f"of {basis} {', '.join(steps)}" + (f" and {more} more tiers" if more else "")
        case _:
            assert_never(line.share)
    if line.floor is not None:
        words += f", at least {Money(line.floor[unit.code], unit)}"
    if line.cap is not None:
        words += f", at most {Money(line.cap[unit.code], unit)}"
    return words


def percent(rate: int) -> str:
    """A rate as a percentage, without zeros at its end."""
    text = f"{rate // _RATE}.{rate % _RATE:06d}"
    return text.rstrip("0").removesuffix(".")
