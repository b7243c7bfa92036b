"""The dormancy clock: dated periods by jurisdiction and property, and what each state leads to (F31)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from tally_funding.claims.domain.estate import is_claimable
from tally_money import Money

ELSEWHERE: Final = "elsewhere"
"""The jurisdiction of holders and owners whose own is not in the table."""


class Property(StrEnum):
    """What is held: a payment to somebody nobody knows, or the balance of a known owner's wallet."""

    PAYMENT = "payment"
    WALLET = "wallet"


class Dormancy(StrEnum):
    """Where a wallet's clock stands. CLAIMED: the money has another owner, and no clock runs."""

    ACTIVE = "active"
    DORMANT = "dormant"
    NOTICE_SENT = "notice_sent"
    REPORTABLE = "reportable"
    ESCHEATED = "escheated"
    RECLAIMED = "reclaimed"
    CLAIMED = "claimed"


WAITING: Final = frozenset(
    {Dormancy.ACTIVE, Dormancy.DORMANT, Dormancy.NOTICE_SENT, Dormancy.REPORTABLE}
)
"""States that a sign of the owner sets back."""

GONE: Final = frozenset({Dormancy.ESCHEATED, Dormancy.RECLAIMED})
"""States in which new money starts a clock of its own."""


@dataclass(frozen=True, slots=True)
class Period:
    """A dated row: after how many years without a sign of the owner money is dormant.

    `notice_days` lie between the notice to the owner and the day the money is reportable.
    `files`: whether the jurisdiction takes unclaimed money; elsewhere it stays where it is.
    """

    jurisdiction: str
    held: Property
    years: int
    notice_days: int
    files: bool
    valid_from: date
    valid_to: date | None
    source: str

    @property
    def label(self) -> str:
        """Names the row for ever."""
        return f"{self.jurisdiction}:{self.held}:{self.valid_from.isoformat()}"


_ALWAYS: Final = date(2000, 1, 1)

# Every row is to be verified before production, by a lawyer first.
PERIODS: Final[Sequence[Period]] = (
    Period(
        jurisdiction="us",
        held=Property.PAYMENT,
        years=3,
        notice_days=90,
        files=True,
        valid_from=_ALWAYS,
        valid_to=None,
        source="state unclaimed property acts, 3 to 5 years, notice 60 to 120 days: the strictest",
    ),
    Period(
        jurisdiction="us",
        held=Property.WALLET,
        years=3,
        notice_days=90,
        files=True,
        valid_from=_ALWAYS,
        valid_to=None,
        source="state unclaimed property acts on stored value, 3 to 5 years: the strictest",
    ),
    *(
        Period(
            jurisdiction=ELSEWHERE,
            held=held,
            years=5,
            notice_days=90,
            files=False,
            valid_from=_ALWAYS,
            valid_to=None,
            source="default where no law is entered",
        )
        for held in Property
    ),
)


def property_of(owner: str) -> Property:
    """What a wallet of this owner is."""
    return Property.PAYMENT if is_claimable(owner) else Property.WALLET


def period_of(periods: Sequence[Period], country: str | None, held: Property, day: date) -> Period:
    """The row for a country and property on a day; the default where the country has none."""
    wanted = (country or ELSEWHERE).lower()
    for jurisdiction in (wanted, ELSEWHERE):
        for period in periods:
            holds = period.valid_from <= day and (period.valid_to is None or day < period.valid_to)
            if (period.jurisdiction, period.held) == (jurisdiction, held) and holds:
                return period
    raise AssertionError(f"the table has no default for {held} on {day.isoformat()}")


def takes_filings(periods: Sequence[Period], jurisdiction: str, day: date) -> bool:
    """Whether a jurisdiction takes unclaimed money on a day, of whatever property."""
    return any(
        period.jurisdiction == jurisdiction
        and period.files
        and period.valid_from <= day
        and (period.valid_to is None or day < period.valid_to)
        for period in periods
    )


def runs_out(period: Period, last_activity_at: datetime) -> datetime:
    """When the clock runs out: the same day so many years later, 28 for a 29 February."""
    year = last_activity_at.year + period.years
    try:
        return last_activity_at.replace(year=year)
    except ValueError:
        return last_activity_at.replace(year=year, day=28)


def reportable_at(period: Period, notice_at: datetime) -> datetime | None:
    """When money is reportable after a notice that nobody answers; None where nobody takes it."""
    return notice_at + timedelta(days=period.notice_days) if period.files else None


def is_other_money(state: Dormancy, before: Money, after: Money) -> bool:
    """Whether what a wallet holds came after all that its clock ran for had left."""
    if after.minor <= 0:
        return False
    return state in GONE or (state in WAITING and before.minor <= 0)


NEXT: Final[Mapping[Dormancy, Dormancy]] = {
    Dormancy.ACTIVE: Dormancy.DORMANT,
    Dormancy.DORMANT: Dormancy.NOTICE_SENT,
    Dormancy.NOTICE_SENT: Dormancy.REPORTABLE,
}
"""What time makes of each state; a filing alone leads on from reportable."""
