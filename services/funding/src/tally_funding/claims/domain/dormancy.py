"""The dormancy clock: dated periods by jurisdiction, and when a wallet's clock runs out (F31)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

ELSEWHERE: Final = "elsewhere"
"""The jurisdiction of holders whose own is not in the table."""


@dataclass(frozen=True, slots=True)
class Period:
    """After how many years without a sign of the owner money is dormant, in the days it holds."""

    jurisdiction: str
    years: int
    valid_from: date
    valid_to: date | None
    source: str

    @property
    def label(self) -> str:
        """Names the row for ever."""
        return f"{self.jurisdiction}:{self.valid_from.isoformat()}"


PERIODS: Final[Sequence[Period]] = (
    # The strictest of the states' periods for payments; verify before production.
    Period("us", 3, date(2000, 1, 1), None, "state unclaimed property acts, 3 to 5 years"),
    Period(ELSEWHERE, 5, date(2000, 1, 1), None, "default where no law is entered"),
)


def period_of(periods: Sequence[Period], country: str | None, day: date) -> Period:
    """The row for a holder's country on a day; the default where the country has none."""
    wanted = (country or ELSEWHERE).lower()
    for jurisdiction in (wanted, ELSEWHERE):
        for period in periods:
            holds = period.valid_from <= day and (period.valid_to is None or day < period.valid_to)
            if period.jurisdiction == jurisdiction and holds:
                return period
    raise AssertionError(f"the table has no default on {day.isoformat()}")


def runs_out(period: Period, last_activity_at: datetime) -> datetime:
    """When the clock runs out: the same day so many years later, 28 for a 29 February."""
    year = last_activity_at.year + period.years
    try:
        return last_activity_at.replace(year=year)
    except ValueError:
        return last_activity_at.replace(year=year, day=28)
