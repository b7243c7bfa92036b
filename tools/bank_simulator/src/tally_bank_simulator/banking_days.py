"""Banking days of the US Federal Reserve, and the date and time of this machine.

Source: the holiday schedule of the Federal Reserve Banks. A holiday on a Sunday is kept on the
Monday after it; one on a Saturday is not moved, the Friday before it is a banking day.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6
_JUNETEENTH_SINCE = 2022
BANK_ZONE = "America/New_York"


def system_now() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - a process of its own: it shares no code with tally_runtime


def system_date() -> date:
    """The calendar date at the bank."""
    return system_now().astimezone(ZoneInfo(BANK_ZONE)).date()


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


@lru_cache(maxsize=64)
def holidays_of(year: int) -> frozenset[date]:
    """The weekdays of a year on which the Federal Reserve Banks are closed."""
    fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)]
    if year >= _JUNETEENTH_SINCE:
        fixed.append(date(year, 6, 19))
    kept = {day + timedelta(days=day.weekday() == _SUNDAY) for day in fixed}
    floating = {
        _nth(year, 1, _MONDAY, 3),
        _nth(year, 2, _MONDAY, 3),
        _nth(year, 6, _MONDAY, 1) - timedelta(days=7),
        _nth(year, 9, _MONDAY, 1),
        _nth(year, 10, _MONDAY, 2),
        _nth(year, 11, _THURSDAY, 4),
    }
    return frozenset(kept | floating)


def is_banking_day(day: date) -> bool:
    """Whether the Federal Reserve settles on this day."""
    return day.weekday() < _SATURDAY and day not in holidays_of(day.year)


def banking_day_from(day: date) -> date:
    """The day itself, or the first banking day after it."""
    while not is_banking_day(day):
        day += timedelta(days=1)
    return day


def add_banking_days(day: date, count: int) -> date:
    """The banking day `count` banking days after `day` (0 = the first from `day` on)."""
    day = banking_day_from(day)
    for _ in range(count):
        day = banking_day_from(day + timedelta(days=1))
    return day
