"""Events as parties see them: each party's own log, numbered from 1 without a gap."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection


@dataclass(frozen=True, slots=True)
class EventCopy:
    """A fact as one tenant keeps it; the payload as it was published."""

    tenant: str
    id: uuid.UUID
    type: str
    occurred_at: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a party's log; `tenant` is that of the copy it shows."""

    party: str
    tenant: str
    event_id: uuid.UUID
    type: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log as it is read."""

    number: int
    event_id: uuid.UUID
    type: str
    occurred_at: datetime
    payload: bytes


# Heads are locked in the order of their parties: two writers never wait for each other in a ring.
_DRAW = """
INSERT INTO party_log AS l (party, tenant, head)
SELECT party, tenant, lines
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n (party, tenant, lines)
ORDER BY party
ON CONFLICT (party) DO UPDATE SET head = l.head + excluded.head
RETURNING party, head
"""

_COPIES = """
INSERT INTO event (tenant, event_id, type, occurred_at, payload)
SELECT tenant, event_id, type, occurred_at, payload
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bytea[])
     AS e (tenant, event_id, type, occurred_at, payload)
ON CONFLICT DO NOTHING
"""

_KNOWN = """
SELECT event_id FROM event JOIN unnest($1::text[], $2::uuid[]) AS k (tenant, event_id)
USING (tenant, event_id)
"""

_ENTRIES = """
INSERT INTO party_event (party, number, tenant, event_id, type)
SELECT party, number, tenant, event_id, type
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::uuid[], $5::text[])
     AS p (party, number, tenant, event_id, type)
"""

# Numbers have no gap, so the page is bounded on both sides: whatever the planner knows of the table,
# it reads no more lines than it returns.
_PAGE = """
SELECT p.number, p.event_id, p.type, e.occurred_at, e.payload
FROM party_event p JOIN event e USING (tenant, event_id)
WHERE p.party = $1 AND p.number > $2 AND p.number <= $2 + $3
ORDER BY p.number
"""

# Compared as pairs, lines come in the order of one index only, whatever the planner knows: no more of
# each type are read than the page may have. Else a type that is rare would cost the whole log.
_PAGE_OF_TYPES = """
SELECT p.number, p.event_id, p.type, e.occurred_at, e.payload
FROM (
    SELECT o.number, o.tenant, o.event_id, o.type
    FROM unnest($4::text[]) AS t (type) CROSS JOIN LATERAL (
        SELECT l.number, l.tenant, l.event_id, l.type FROM party_event l
        WHERE l.party = $1 AND (l.type, l.number) > (t.type, $2)
              AND (l.type, l.number) <= (t.type, 9223372036854775807)
        ORDER BY l.type, l.number LIMIT $3
    ) AS o
    ORDER BY o.number LIMIT $3
) AS p JOIN event e USING (tenant, event_id)
ORDER BY p.number
"""

_HEAD = "SELECT head FROM party_log WHERE party = $1"


async def append(
    conn: Connection,
    copies: Sequence[EventCopy],
    entries: Sequence[Entry],
    tenants: dict[str, str],
) -> None:
    """Write copies and the lines that show them; `tenants` are the parties' own, by party."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.party] = counts.get(entry.party, 0) + 1
    parties = sorted(counts)
    rows = await conn.fetch(
        _DRAW, parties, [tenants[party] for party in parties], [counts[party] for party in parties]
    )
    following = {row["party"]: row["head"] - counts[row["party"]] + 1 for row in rows}
    numbers = []
    for entry in entries:
        numbers.append(following[entry.party])
        following[entry.party] += 1
    await conn.execute(
        _COPIES,
        [each.tenant for each in copies],
        [each.id for each in copies],
        [each.type for each in copies],
        [each.occurred_at for each in copies],
        [each.payload for each in copies],
    )
    await conn.execute(
        _ENTRIES,
        [entry.party for entry in entries],
        numbers,
        [entry.tenant for entry in entries],
        [entry.event_id for entry in entries],
        [entry.type for entry in entries],
    )


async def known(conn: Connection, tenants: Mapping[uuid.UUID, str]) -> frozenset[uuid.UUID]:
    """Those of the events that logs of their tenant have."""
    rows = await conn.fetch(_KNOWN, list(tenants.values()), list(tenants))
    return frozenset(row["event_id"] for row in rows)


async def page(
    conn: Connection, party: str, after: int, types: Sequence[str] | None, limit: int
) -> list[Line]:
    """The next lines of a party's log."""
    if types is None:
        rows = await conn.fetch(_PAGE, party, after, limit)
    else:
        rows = await conn.fetch(_PAGE_OF_TYPES, party, after, limit, sorted(set(types)))
    return [
        Line(row["number"], row["event_id"], row["type"], row["occurred_at"], row["payload"])
        for row in rows
    ]


async def head(conn: Connection, party: str) -> int:
    """The number of the newest line of a party's log; 0 before the first."""
    return await conn.fetchval(_HEAD, party) or 0
