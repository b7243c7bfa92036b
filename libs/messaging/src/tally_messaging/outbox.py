"""The outbox: a gap-free sequence per lane, written in the transaction of the change it tells of."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic_core import from_json, to_json

from tally_postgres import Connection, Pool

_ENSURE_LANES = """
WITH lanes AS (SELECT generate_series(0, $1 - 1)::smallint AS lane),
     heads AS (INSERT INTO outbox_lane (lane) SELECT lane FROM lanes ON CONFLICT DO NOTHING)
INSERT INTO relay (lane) SELECT lane FROM lanes ON CONFLICT DO NOTHING
"""

# The row lock on the lane is held to the commit: sequence order is commit order, without gaps. Rows are
# unnested in the list, where the server keeps them in no store of their own, and none comes back.
_APPEND = """
WITH drawn AS (
    UPDATE outbox_lane SET head = head + $2 WHERE lane = $1 RETURNING head - $2 AS base
),
appended AS (
    INSERT INTO outbox (lane, seq, event_id, topic, record_key, headers, payload, recorded_at)
    SELECT $1, base + generate_series(1, $2), unnest($3::uuid[]), unnest($4::text[]),
           unnest($5::text[]), unnest($6::text[]), unnest($7::bytea[]), $8
    FROM drawn
)
SELECT base + 1 FROM drawn
"""

_PAGE = """
SELECT seq, topic, record_key, headers, payload
FROM outbox WHERE lane = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""

# Leases are measured by the database's clock: the one clock all relays share.
_LEASE = """
UPDATE relay SET owner = $2, lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE lane = $1 AND (owner = $2 OR lease_until < clock_timestamp())
RETURNING position
"""

_ADVANCE = """
UPDATE relay
SET position = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE lane = $1 AND owner = $2 AND position <= $3
RETURNING position
"""

_GIVE_UP = "UPDATE relay SET lease_until = '-infinity' WHERE owner = $1"

# The next record of each lane is looked up by its number: joined freely, a plan kept from when the
# outbox was empty goes through all of it.
_DEPTH = """
SELECT sum(l.head - r.position)::bigint AS depth, min(o.recorded_at) AS oldest
FROM outbox_lane l JOIN relay r USING (lane)
LEFT JOIN LATERAL (
    SELECT n.recorded_at FROM outbox n WHERE n.lane = r.lane AND n.seq = r.position + 1 OFFSET 0
) AS o ON true
"""


class OutgoingRecord(NamedTuple):
    """An event on its way to the outbox."""

    event_id: uuid.UUID
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes


class StoredRecord(NamedTuple):
    """An event as it is published."""

    seq: int
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes


async def ensure_lanes(pool: Pool, lanes: int) -> None:
    """Create the rows of lanes 0 … lanes-1 where they are missing."""
    await pool.execute(_ENSURE_LANES, lanes)


async def append(
    conn: Connection, lane: int, records: Sequence[OutgoingRecord], now: datetime
) -> int:
    """Append records in order; the first one's sequence number, the others follow without a gap.

    The lane stays locked until the transaction ends.
    """
    first: int | None = await conn.fetchval(
        _APPEND,
        lane,
        len(records),
        [record.event_id for record in records],
        [record.topic for record in records],
        [record.key for record in records],
        [to_json(record.headers).decode() for record in records],
        [record.payload for record in records],
        now,
    )
    assert first is not None, f"there is no outbox lane {lane}"
    return first


async def page(pool: Pool, lane: int, after: int, limit: int) -> list[StoredRecord]:
    """The next records of a lane, oldest first."""
    rows = await pool.fetch(_PAGE, lane, after, limit)
    return [
        StoredRecord(seq, topic, key, from_json(headers), payload)
        for seq, topic, key, headers, payload in rows
    ]


async def lease(pool: Pool, lane: int, owner: str, seconds: int) -> int | None:
    """Take or extend the lane's lease; the position published up to, or None if another holds it."""
    return await pool.fetchval(_LEASE, lane, owner, seconds)  # type: ignore[no-any-return]


async def advance(pool: Pool, lane: int, owner: str, position: int, seconds: int) -> bool:
    """Record what was acknowledged; False when the lease was lost meanwhile."""
    return await pool.fetchval(_ADVANCE, lane, owner, position, seconds) is not None


async def give_up(pool: Pool, owner: str) -> None:
    """End this owner's leases at once, so that another need not wait them out."""
    await pool.execute(_GIVE_UP, owner)


async def depth(pool: Pool) -> tuple[int, datetime | None]:
    """How many records wait for publication, and since when the oldest does."""
    row = await pool.fetchrow(_DEPTH)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return int(row["depth"] or 0), row["oldest"]
