"""How often a credential may ask: a bucket of requests that fills evenly, counted in whole numbers.

The bucket is shared by all replicas. Each draws requests in blocks and gives back what it did not
need, so that a request costs no look at what is shared.
"""

from dataclasses import dataclass
from typing import Final

MICROSECONDS: Final = 1_000_000
_MINUTE_US: Final = 60 * MICROSECONDS
_BLOCKS_A_MINUTE: Final = 30


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn. Times are microseconds of the clock of `draw`.

    `requests` may pass; `left` more are in the bucket, which is full again at `full_at_us`. When
    there was none to draw, the next is there at `next_at_us`.
    """

    requests: int
    left: int
    full_at_us: int
    next_at_us: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `per_minute` requests when full, which it is again at `full_at_us`.

    The fill is kept as a time, so that nothing is rounded however often it is drawn from.
    """

    per_minute: int
    full_at_us: int = 0

    @property
    def block(self) -> int:
        """How many requests to draw at once: what fills in within two seconds."""
        return max(1, self.per_minute // _BLOCKS_A_MINUTE)

    def draw(self, now_us: int, wanted: int, given_back: int = 0) -> Drawn:
        """Draw up to `wanted` requests; `given_back` were drawn earlier and not needed."""
        cost_us = _MINUTE_US // self.per_minute
        empty_at_us = now_us + cost_us * self.per_minute
        full_at_us = max(self.full_at_us - given_back * cost_us, now_us)
        there = max(0, empty_at_us - full_at_us) // cost_us
        requests = min(wanted, there)
        full_at_us += requests * cost_us
        next_at_us = max(now_us, full_at_us + cost_us * (1 - self.per_minute))
        return Drawn(requests, there - requests, full_at_us, next_at_us)


@dataclass(slots=True)
class Purse:
    """What one replica has of a credential's bucket; times are microseconds of its steady counter."""

    held: int = 0
    left: int = 0
    full_at_us: int = 0
    none_until_us: int = 0

    def put(self, drawn: Drawn, offset_us: int) -> None:
        """Put in what was drawn; `offset_us` leads from the bucket's clock to the counter."""
        self.held = drawn.requests
        self.left = drawn.left
        self.full_at_us = drawn.full_at_us + offset_us
        self.none_until_us = 0 if drawn.requests else drawn.next_at_us + offset_us


@dataclass(frozen=True, slots=True)
class Pace:
    """What a caller is told of its limit: `remaining` may follow at once; full again in `reset_s`."""

    per_minute: int
    remaining: int
    reset_s: int


def seconds(microseconds: int) -> int:
    """Whole seconds, enough of them; 0 for a time that has passed."""
    return max(0, -(-microseconds // MICROSECONDS))
