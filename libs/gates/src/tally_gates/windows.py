"""Where the windows of limits begin and end: days, months and years of the calendar in UTC."""

from datetime import UTC, datetime, timedelta

from tally_gates.rows import Window


def window_starts(window: Window, at: datetime) -> datetime | None:
    """The first moment of the window `at` lies in; None where nothing before `at` is left out.

    An item counts by itself: its window starts at `at`.
    """
    moment = at.astimezone(UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case Window.ITEM:
            return moment
        case Window.DAY:
            return midnight
        case Window.MONTH:
            return midnight.replace(day=1)
        case Window.YEAR:
            return midnight.replace(month=1, day=1)
        case Window.LIFETIME:
            return None


def window_ends(window: Window, at: datetime) -> datetime | None:
    """The first moment after the window `at` lies in; None where time alone gives no room back."""
    start = window_starts(window, at)
    if start is None or window is Window.ITEM:
        return None
    if window is Window.DAY:
        return start + timedelta(days=1)
    if window is Window.MONTH:
        return (start + timedelta(days=32)).replace(day=1)
    return start.replace(year=start.year + 1)
