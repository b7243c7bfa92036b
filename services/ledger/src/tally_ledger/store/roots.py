"""SQL of daily roots and of what a proof is made from."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import NamedTuple

from tally_ledger.proofs.days import DayRoot
from tally_postgres import Connection, Record

_PAGE = 5000

_STOP_BEFORE = """
UPDATE shard_state SET version = version + 1, recorded_at = $2
WHERE shard = $1 AND recorded_at < $2
"""

_RECORDED_AT = "SELECT recorded_at FROM shard_state WHERE shard = $1"

_FIRST_RECORDED = "SELECT recorded_at FROM log WHERE shard = $1 ORDER BY seq LIMIT 1"

_DAYS = """
SELECT shard, day, first_log, last_log, root, head, previous, signed_at, key_id, signature
FROM daily_root
"""
_LAST_DAY = f"{_DAYS} WHERE shard = $1 ORDER BY day DESC LIMIT 1"
_DAY_OF_BATCH = f"{_DAYS} WHERE shard = $1 AND $2 BETWEEN first_log AND last_log"
_ALL_DAYS = f"{_DAYS} WHERE $1::text IS NULL OR shard = $1 ORDER BY shard, day"

_LAST_BEFORE = """
SELECT coalesce(max(seq), $2) FROM log WHERE shard = $1 AND seq > $2 AND recorded_at < $3
"""

_ROOTS = """
SELECT seq, root FROM log WHERE shard = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
"""

_ADD_DAY = """
INSERT INTO daily_root (shard, day, first_log, last_log, root, head, previous, signed_at, key_id,
                        record_hash, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (shard, day) DO NOTHING RETURNING true
"""

_ADD_KEY = """
INSERT INTO signing_key (id, public_key, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""

_KEYS = "SELECT id, public_key, since FROM signing_key ORDER BY since, id"

_JOURNAL = """
SELECT j.shard, j.log_seq, j.first_transfer, j.id, j.operation, j.reference, j.request_hash,
       j.effective_at, j.recorded_at, j.who_actor, j.who_principal, j.where_channel,
       j.where_country, j.why_program, j.why_event, j.why_reason
FROM journal j
WHERE j.id = coalesce((SELECT journal_id FROM transfer WHERE id = $1), $1)
"""

_TRANSFERS = """
SELECT seq, id, kind, pending_id, debit, credit, asset, amount, code, remaining, expires_at
FROM transfer WHERE shard = $1 AND seq >= $2 AND journal_id = $3 ORDER BY seq LIMIT $4
"""
_TRANSFERS_MAX = 1000

_CHANGE = """
SELECT shard, log_seq, seq, id, account, operation, frozen_in, frozen_out, closed, request_hash,
       recorded_at, who_actor, who_principal, why_program, why_event, why_reason
FROM account_change WHERE id = $1
"""

_BATCHES = """
SELECT seq, first_transfer, last_transfer, root, previous_root, recorded_at, form, leaves
FROM log WHERE shard = $1 AND seq >= $2 ORDER BY seq LIMIT $3
"""


class SignedDay(NamedTuple):
    """A day's root with its signature."""

    of: DayRoot
    signature: bytes


async def stop_before(conn: Connection, shard: str, moment: datetime) -> None:
    """See to it that nothing is recorded with a time before `moment` any more.

    A batch under way that was decided earlier finds the shard moved on, and starts again.
    """
    await conn.execute(_STOP_BEFORE, shard, moment)


async def recorded_at(conn: Connection, shard: str) -> datetime | None:
    """The time that nothing is recorded before."""
    moment: datetime | None = await conn.fetchval(_RECORDED_AT, shard)
    return moment


async def first_recorded(conn: Connection, shard: str) -> datetime | None:
    """When a shard's first batch was recorded."""
    moment: datetime | None = await conn.fetchval(_FIRST_RECORDED, shard)
    return moment


async def last_day(conn: Connection, shard: str) -> SignedDay | None:
    """The last day that was closed."""
    row = await conn.fetchrow(_LAST_DAY, shard)
    return None if row is None else _day(row)


async def day_of_batch(conn: Connection, shard: str, log_seq: int) -> SignedDay | None:
    """The closed day that a batch is of; None while its day is open."""
    row = await conn.fetchrow(_DAY_OF_BATCH, shard, log_seq)
    return None if row is None else _day(row)


async def days(conn: Connection, shard: str | None) -> list[SignedDay]:
    """All closed days, of one shard or of every one."""
    return [_day(row) for row in await conn.fetch(_ALL_DAYS, shard)]


async def last_before(conn: Connection, shard: str, after: int, moment: datetime) -> int:
    """The last batch behind `after` recorded before `moment`; `after` itself if there is none."""
    return int(await conn.fetchval(_LAST_BEFORE, shard, after, moment))


async def roots(conn: Connection, shard: str, first: int, last: int) -> AsyncIterator[list[bytes]]:
    """The roots of batches `first` to `last`, in pages."""
    after = first - 1
    while after < last:
        page = await conn.fetch(_ROOTS, shard, after, last, _PAGE)
        assert page, "the log has no gaps"
        yield [row["root"] for row in page]
        after = page[-1]["seq"]


async def add_day(conn: Connection, day: DayRoot, signature: bytes) -> bool:
    """Keep a day's root; false if another replica has closed the day."""
    added = await conn.fetchval(_ADD_DAY, *day, day.record_hash, signature)
    return added is not None


async def add_key(conn: Connection, key_id: str, public_key: bytes, since: datetime) -> None:
    """Keep a public key, once."""
    await conn.execute(_ADD_KEY, key_id, public_key, since)


async def keys(conn: Connection) -> Sequence[tuple[str, bytes, datetime]]:
    """Every key that roots were signed with: id, public key, since when."""
    return [(row[0], row[1], row[2]) for row in await conn.fetch(_KEYS)]


async def journal(conn: Connection, id_: str) -> tuple[Record, Sequence[Record]] | None:
    """A journal by its id or a transfer's, and its transfers."""
    row = await conn.fetchrow(_JOURNAL, id_)
    if row is None:
        return None
    return row, await conn.fetch(
        _TRANSFERS, row["shard"], row["first_transfer"], row["id"], _TRANSFERS_MAX
    )


async def change(conn: Connection, id_: str) -> Record | None:
    """An account change by its id; without `log_seq` if it was made before changes were leaves."""
    return await conn.fetchrow(_CHANGE, id_)


async def batches(conn: Connection, shard: str, first: int, limit: int) -> Sequence[Record]:
    """Log rows from `first` on."""
    return await conn.fetch(_BATCHES, shard, first, limit)


def _day(row: Record) -> SignedDay:
    *of, signature = tuple(row)
    day: date = of[1]
    assert isinstance(day, date), "a day is a date"
    return SignedDay(DayRoot(*of), signature)
