"""The Reserve Banks' calendar."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bankfiles import add_banking_days, is_banking_day


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 7, 3),  # Independence Day falls on Saturday and is not moved to Friday
        date(2027, 12, 24),  # nor is Christmas
        date(2027, 12, 31),  # nor New Year's Day 2028
        date(2021, 6, 18),  # nor Juneteenth
        date(2026, 3, 3),
    ],
)
def test_open_days(day: date) -> None:
    assert is_banking_day(day)


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 3, 7),
        date(2026, 3, 8),
        date(2026, 1, 1),
        date(2026, 1, 19),
        date(2026, 2, 16),
        date(2026, 5, 25),
        date(2026, 6, 19),
        date(2026, 9, 7),
        date(2026, 10, 12),
        date(2026, 11, 11),
        date(2026, 11, 26),
        date(2026, 12, 25),
        date(2027, 7, 5),  # the fourth is a Sunday: kept on Monday
        date(2023, 1, 2),
    ],
)
def test_closed_days(day: date) -> None:
    assert not is_banking_day(day)


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [
        (date(2026, 7, 2), 1, date(2026, 7, 3)),
        (date(2026, 7, 3), 1, date(2026, 7, 6)),
        (date(2026, 7, 4), 0, date(2026, 7, 6)),
        (date(2026, 7, 3), 0, date(2026, 7, 3)),
        (date(2026, 12, 31), 2, date(2027, 1, 5)),
        (date(2026, 1, 2), -1, date(2025, 12, 31)),
        (date(2026, 7, 5), -1, date(2026, 7, 3)),
    ],
)
def test_counting_skips_closed_days(day: date, count: int, expected: date) -> None:
    assert add_banking_days(day, count) == expected


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(1, 30))
def test_counting_passes_exactly_that_many_banking_days(day: date, count: int) -> None:
    end = add_banking_days(day, count)
    between = (day + timedelta(days=n) for n in range(1, (end - day).days + 1))
    assert sum(map(is_banking_day, between)) == count
    assert is_banking_day(end)
    if is_banking_day(day):
        assert add_banking_days(end, -count) == day
