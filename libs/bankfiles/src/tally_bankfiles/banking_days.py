"""Days on which the Federal Reserve settles ACH.

Holidays are those of the Reserve Banks' own calendar: one that falls on a Sunday is kept on Monday,
one on a Saturday is not moved, so the Friday before is a banking day (unlike in federal offices).
"""

from datetime import date, timedelta
from functools import cache
from typing import Final

import holidays

_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)


def is_banking_day(day: date) -> bool:
    """Whether the Reserve Banks are open: neither weekend nor one of their holidays."""
    return day.weekday() < _SATURDAY and day not in _reserve_bank_holidays(day.year)


def add_banking_days(day: date, count: int) -> date:
    """The `count`-th banking day after `day`, or before it where `count` is negative.

    Zero gives `day` itself, or the next banking day where it is none.
    """
    if count == 0:
        return day if is_banking_day(day) else add_banking_days(day, 1)
    step = _DAY if count > 0 else -_DAY
    for _ in range(abs(count)):
        day += step
        while not is_banking_day(day):
            day += step
    return day


@cache
def _reserve_bank_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.financial_holidays("XFED", years=year))
