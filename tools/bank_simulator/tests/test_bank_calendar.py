"""Banking days against the schedule the Federal Reserve Banks publish."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bank_simulator.banking_days import (
    add_banking_days,
    banking_day_from,
    holidays_of,
    is_banking_day,
)

PUBLISHED = {
    2021: "01-01 01-18 02-15 05-31 07-05 09-06 10-11 11-11 11-25",
    2022: "01-17 02-21 05-30 06-20 07-04 09-05 10-10 11-11 11-24 12-26",
    2023: "01-02 01-16 02-20 05-29 06-19 07-04 09-04 10-09 11-23 12-25",
    2026: "01-01 01-19 02-16 05-25 06-19 09-07 10-12 11-11 11-26 12-25",
    2027: "01-01 01-18 02-15 05-31 07-05 09-06 10-11 11-11 11-25",
}


@pytest.mark.parametrize("year", PUBLISHED)
def test_weekday_holidays_are_the_published_ones(year) -> None:
    shown = [day.strftime("%m-%d") for day in sorted(holidays_of(year)) if day.weekday() < 5]
    assert shown == PUBLISHED[year].split()


def test_friday_before_a_saturday_holiday_is_a_banking_day() -> None:
    assert is_banking_day(date(2026, 7, 3))
    assert not is_banking_day(date(2026, 7, 4))


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(0, 30))
def test_days_added_are_exactly_so_many_banking_days_apart(day, count) -> None:
    reached = add_banking_days(day, count)
    between = (reached - day).days
    passed = sum(is_banking_day(day + timedelta(days=step)) for step in range(between))
    assert is_banking_day(reached)
    assert passed == count
    assert banking_day_from(reached) == reached
