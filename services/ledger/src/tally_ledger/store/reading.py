"""What an account held at any past moment, by one index probe: recorded time, never effective time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tally_postgres import Connection

PAGE_MAX = 1000

# The key of entry is (account, recorded_at, seq): months are visited from the latest back and the
# first row found is the answer.
_BALANCE_AT = """
SELECT posted_after, pending_after, seq FROM entry
WHERE account = $1 AND recorded_at <= $2
ORDER BY recorded_at DESC, seq DESC LIMIT 1
"""

_BALANCE_BEFORE = _BALANCE_AT.replace("<= $2", "< $2")

_PAGE = """
SELECT recorded_at, seq, transfer_id, log_seq, amount, pending, posted_after, pending_after FROM entry
WHERE account = $1 AND recorded_at >= $2 AND recorded_at < $3 AND (recorded_at, seq) > ($2, $4)
ORDER BY recorded_at, seq LIMIT $5
"""


class PastBalance(NamedTuple):
    """Credits minus debits in minor units, and the number of the last entry that made it (0: none)."""

    posted: int
    pending: int
    seq: int


class Line(NamedTuple):
    """A movement of a statement, in minor units, with both balances after it.

    Of one transfer, or (aggregated accounts) of all transfers of a batch, the log row `log_seq`.
    """

    recorded_at: datetime
    seq: int
    transfer_id: str | None
    log_seq: int | None
    amount: int
    pending: int
    posted_after: int
    pending_after: int


class Place(NamedTuple):
    """Where a page ended; give it to go on behind it."""

    recorded_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A page of movements: `opening` and its lines give `closing`; `more` is where the next begins."""

    opening: PastBalance
    lines: Sequence[Line]
    closing: PastBalance
    more: Place | None


NOTHING = PastBalance(0, 0, 0)


async def balance_at(conn: Connection, account: str, moment: datetime) -> PastBalance:
    """The balance after everything recorded until `moment`, that moment included."""
    row = await conn.fetchrow(_BALANCE_AT, account, moment)
    return NOTHING if row is None else PastBalance(*row)


async def statement(
    conn: Connection,
    account: str,
    start: datetime,
    end: datetime,
    *,
    after: Place | None = None,
    limit: int = 100,
) -> Statement:
    """Movements recorded from `start` on and before `end`, at most `limit` (1 to `PAGE_MAX`).

    The next page opens with what this one closes with. What is recorded meanwhile comes at the end,
    so that pages never shift.
    """
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"limit is 1 to {PAGE_MAX}, not {limit}")
    since = Place(start, 0) if after is None else after
    rows = await conn.fetch(_PAGE, account, since.recorded_at, end, since.seq, limit + 1)
    lines = [Line(*row) for row in rows[:limit]]
    if lines:
        first, last = lines[0], lines[-1]
        opening = PastBalance(
            first.posted_after - first.amount, first.pending_after - first.pending, first.seq - 1
        )
        closing = PastBalance(last.posted_after, last.pending_after, last.seq)
        more = Place(last.recorded_at, last.seq) if len(rows) > limit else None
        return Statement(opening, lines, closing, more)
    row = await conn.fetchrow(_BALANCE_BEFORE, account, start)
    opening = NOTHING if row is None else PastBalance(*row)
    if after is not None:
        opening = await balance_at(conn, account, after.recorded_at)
    return Statement(opening, (), opening, None)
