"""How often a credential may ask: a bucket of requests that fills evenly, counted in whole numbers."""

from dataclasses import dataclass
from typing import Final

MICROSECONDS: Final = 1_000_000
_MINUTE_US: Final = 60 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Allowed:
    """The request may pass; `left` more may follow at once."""

    left: int


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The request must wait this many whole seconds, at least one."""

    retry_after_s: int


@dataclass(slots=True)
class Bucket:
    """Holds `per_minute` requests when full. Times are microseconds of a steady counter.

    The fill is kept as a time, so that nothing is rounded however often it is asked.
    """

    per_minute: int
    full_at_us: int = 0

    def take(self, now_us: int) -> Allowed | Exceeded:
        """Take one request out of the bucket, or say when there will be one."""
        cost_us = _MINUTE_US // self.per_minute
        full_at = max(self.full_at_us, now_us) + cost_us
        beyond = full_at - now_us - cost_us * self.per_minute
        if beyond > 0:
            return Exceeded(max(1, -(-beyond // MICROSECONDS)))
        self.full_at_us = full_at
        return Allowed(-beyond // cost_us)
