"""The only source of time: everything else is handed a `Clock`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time and a steady counter."""

    def now(self) -> datetime:
        """Return the present time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point, never going back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the clock everybody else uses

    def monotonic(self) -> float:
        return time.monotonic()


class FixedClock:
    """A clock that stands still until told to move: for tests and simulation."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("FixedClock needs an aware datetime: pass tzinfo=UTC")
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Move both clocks forward; a negative step is refused."""
        if by < timedelta(0):
            raise ValueError("FixedClock only moves forward: pass a positive timedelta")
        self._now += by
        self._monotonic += by.total_seconds()
