"""A clock for what takes months, in tests of running services."""

from datetime import datetime, timedelta

from tally_runtime import SystemClock


class ShiftedClock(SystemClock):
    """The machine's clock, set forward by a test."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift
