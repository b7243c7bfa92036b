"""The inbox: which events this consumer has seen, in the transaction that applied them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from tally_postgres import Connection

_CLAIM = """
INSERT INTO inbox (consumer, event_key, body_hash, received_at)
SELECT $1, i.event_key, i.body_hash, $4
FROM unnest($2::uuid[], $3::bytea[]) AS i (event_key, body_hash), retention r
WHERE i.event_key >= r.inbox_from
ON CONFLICT DO NOTHING
RETURNING event_key
"""

_HASHES = (
    "SELECT event_key, body_hash FROM inbox WHERE consumer = $1 AND event_key = ANY($2::uuid[])"
)


async def claim(
    conn: Connection,
    consumer: str,
    keys: Sequence[uuid.UUID],
    hashes: Sequence[bytes],
    now: datetime,
) -> set[uuid.UUID]:
    """Enter events; what comes back is new.

    Everything else was seen before, or is older than the inbox remembers; `hashes` tells them apart.

    Waits for a concurrent transaction that is entering the same event, so a zombie and the new
    owner of its partition cannot both apply it.
    """
    rows = await conn.fetch(_CLAIM, consumer, keys, hashes, now)
    # asyncpg's UUID class compares equal to uuid.UUID and hashes the same.
    return {row[0] for row in rows}


async def hashes(
    conn: Connection, consumer: str, keys: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, bytes]:
    """The body hashes these events were entered with."""
    return {row[0]: row[1] for row in await conn.fetch(_HASHES, consumer, keys)}
