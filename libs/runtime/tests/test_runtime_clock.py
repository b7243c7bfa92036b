from datetime import UTC, datetime, timedelta, timezone

import pytest

from tally_runtime import FixedClock, SystemClock


def test_system_time_is_aware_utc_and_the_counter_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    first = clock.monotonic()
    assert clock.monotonic() >= first


def test_fixed_clock_moves_both_clocks_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == clock.now() == datetime(2026, 1, 1, 10, tzinfo=UTC)
    clock.advance(timedelta(seconds=90))
    assert clock.now() == datetime(2026, 1, 1, 10, 1, 30, tzinfo=UTC)
    assert clock.monotonic() == 90.0


def test_fixed_clock_refuses_naive_times_and_steps_back() -> None:
    with pytest.raises(ValueError, match="tzinfo=UTC"):
        FixedClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the case under test
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="positive"):
        clock.advance(timedelta(seconds=-1))
