"""What a payment costs, and who bears it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from tally_money import InvalidShare, Money, Percent, Remainder, split
from tally_programs.domain.refusal import Refusal


class Bearer(StrEnum):
    PAYER = "payer"
    PAYEE = "payee"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class FeeLine:
    """Fixed plus percent of the amount, not below `floor`, not above `cap`; in one currency.

    `rail` absent: every rail without a line of its own. `payer_percent` is there for SHARED alone.
    """

    rail: str | None
    fixed: Money
    percent: Percent
    floor: Money | None
    cap: Money | None
    bearer: Bearer
    payer_percent: Percent | None = None


@dataclass(frozen=True, slots=True)
class Fee:
    """`payer` and `payee` sum to the fee; the payee's part is taken from the amount."""

    payer: Money
    payee: Money

    @property
    def total(self) -> Money:
        return self.payer + self.payee


def fee_of(lines: Sequence[FeeLine], rail: str, amount: Money) -> Fee | Refusal:
    """The fee for paying `amount`; nothing where no line is for it.

    The percentage is rounded to the minor unit half to even, and so is the payer's part of a shared
    fee; the payee bears the rest. Refused where the payee would be left with nothing.
    """
    line = _line_for(lines, rail, amount)
    if line is None:
        return Fee(Money(0, amount.currency), Money(0, amount.currency))
    total = line.fixed + _part(amount, line.percent)
    if line.floor is not None:
        total = max(total, line.floor)
    if line.cap is not None:
        total = min(total, line.cap)
    payer = _payers_part(line, total)
    fee = Fee(payer, total - payer)
    if fee.payee >= amount:
        return Refusal(
            "fee_exceeds_amount",
            "/amount",
            f"the payee would bear a fee of {fee.payee} of {amount}",
            f"pay more than {fee.payee}",
        )
    return fee


def read_percent(text: str, field: str) -> Percent | Refusal:
    """A percentage from 0 to 100 with at most six decimals."""
    try:
        return Percent(Decimal(text))
    except (InvalidShare, InvalidOperation):
        return Refusal(
            "percent_format",
            field,
            f"{text} is not a percentage from 0 to 100 with at most six decimals",
            'give a decimal such as "12.5"',
        )


def check_lines(lines: Sequence[FeeLine]) -> Refusal | None:
    """What is wrong with a schedule: bounds, one line per rail and currency."""
    seen = set()
    for position, line in enumerate(lines):
        field = f"/lines/{position}"
        unit = line.fixed.currency
        if line.floor is not None and line.cap is not None and line.cap < line.floor:
            detail = f"the floor is {line.floor}"
            return Refusal("cap_below_floor", f"{field}/cap", detail, "give a cap of at least it")
        if (line.rail, unit) in seen:
            detail = f"{line.rail or 'every other rail'} has a line in {unit.code} already"
            return Refusal("line_twice", field, detail, "give one line per rail and currency")
        seen.add((line.rail, unit))
    return None


def _line_for(lines: Sequence[FeeLine], rail: str, amount: Money) -> FeeLine | None:
    ours = [line for line in lines if line.fixed.currency == amount.currency]
    for wanted in (rail, None):
        for line in ours:
            if line.rail == wanted:
                return line
    return None


def _payers_part(line: FeeLine, total: Money) -> Money:
    if line.bearer is Bearer.PAYER:
        return total
    if line.bearer is Bearer.PAYEE:
        return Money(0, total.currency)
    assert line.payer_percent is not None, "a shared fee says how much the payer bears"
    return _part(total, line.payer_percent)


def _part(whole: Money, percent: Percent) -> Money:
    part, _rest = split(whole, [percent, Remainder()])
    return part
