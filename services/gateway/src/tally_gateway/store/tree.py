"""The gateway's projection of parties, connections and things: what access is decided by."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_gateway.domain.access import Connection as Granted
from tally_gateway.domain.access import Node, Thing
from tally_postgres import Connection

_THINGS = "SELECT thing_id, tenant, parties, data FROM thing WHERE thing_id = ANY($1)"

# Ids come as parties or as other references of them: a contact, a party that was merged. Each is looked
# up: joined freely, a plan kept from when parties were few compares every id with every party. CASE, not
# COALESCE: Postgres takes the latter for something that could leak a row, and would test whose each party
# is before it looked for the one.
_NODES = """
SELECT a.id, n.party_id, n.tenant, n.kind, n.path
FROM unnest($1::text[]) AS a (id)
LEFT JOIN LATERAL (
    SELECT r.party_id FROM party_reference r WHERE r.reference = a.id OFFSET 0
) AS r ON true
CROSS JOIN LATERAL (
    SELECT * FROM party_node p
    WHERE p.party_id = CASE WHEN r.party_id IS NULL THEN a.id ELSE r.party_id END OFFSET 0
) AS n
"""

_CONNECTIONS = """
SELECT from_party, to_party, access FROM connection
WHERE state = 'accepted' AND from_party = ANY($1) AND to_party = ANY($2)
"""

_SAVE_NODES = """
INSERT INTO party_node (party_id, tenant, kind, path, known_at)
SELECT party_id, tenant, kind, string_to_array(path, ' '), $5
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (party_id, tenant, kind, path)
ON CONFLICT (party_id) DO UPDATE
SET tenant = excluded.tenant, kind = excluded.kind, path = excluded.path
"""

# A party's new line replaces the old one at the head of every path that leads through it.
_MOVE = """
UPDATE party_node
SET path = $2::text[] || path[array_position(path, $1):]
WHERE path @> ARRAY[$1]
"""

_MOVE_ITSELF = "UPDATE party_node SET path = $2::text[] WHERE party_id = $1"

# Merges come in any order: what is told of a party that has become another leads to that one.
_SAVE_REFERENCES = """
INSERT INTO party_reference (reference, tenant, party_id)
SELECT r.reference, coalesce(k.tenant, r.tenant), coalesce(k.party_id, r.party_id)
FROM unnest($1::text[], $2::text[], $3::text[]) AS r (reference, tenant, party_id)
LEFT JOIN party_reference AS k ON k.reference = r.party_id
ON CONFLICT (reference) DO UPDATE SET tenant = excluded.tenant, party_id = excluded.party_id
"""

# What led to a merged party leads where its own id does: to the one it became, or that one's end.
_REPOINT = """
UPDATE party_reference AS r SET party_id = m.party_id, tenant = m.tenant
FROM party_reference AS m
WHERE m.reference = $1 AND r.party_id = $1
"""

_SAVE_CONNECTIONS = """
INSERT INTO connection (connection_id, tenant, from_party, to_party, access, state, changed_at)
SELECT connection_id, tenant, from_party, to_party, access, state, $7
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS c (connection_id, tenant, from_party, to_party, access, state)
ON CONFLICT (connection_id) DO UPDATE
SET access = excluded.access, state = excluded.state, changed_at = excluded.changed_at
"""

_SAVE_THINGS = """
INSERT INTO thing (thing_id, tenant, parties, data)
SELECT thing_id, tenant, string_to_array(parties, ' '), data
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) AS t (thing_id, tenant, parties, data)
ORDER BY thing_id
ON CONFLICT (thing_id) DO UPDATE
SET parties = ARRAY(SELECT DISTINCT p FROM unnest(thing.parties || excluded.parties) AS p),
    data = thing.data || excluded.data
"""


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """A connection in any state; `tenant` is that of `from_party`."""

    id: str
    tenant: str
    from_party: str
    to_party: str
    access: str
    state: str


async def things(conn: Connection, ids: Collection[str]) -> dict[str, Thing]:
    """The things of these ids that are known."""
    if not ids:
        return {}
    return {
        row["thing_id"]: Thing(row["thing_id"], row["tenant"], tuple(row["parties"]), row["data"])
        for row in await conn.fetch(_THINGS, list(ids))
    }


async def nodes(conn: Connection, ids: Collection[str]) -> dict[str, Node]:
    """Parties by the ids or references they were asked for by; a merged one is the one it became."""
    if not ids:
        return {}
    return {
        row["id"]: Node(row["party_id"], row["tenant"], row["kind"], tuple(row["path"]))
        for row in await conn.fetch(_NODES, list(ids))
    }


async def connections(
    conn: Connection, principals: Collection[str], parties: Collection[str]
) -> list[Granted]:
    """Accepted connections of these principals to these parties."""
    if not principals or not parties:
        return []
    rows = await conn.fetch(_CONNECTIONS, list(principals), list(parties))
    return [Granted(row["from_party"], row["to_party"], row["access"]) for row in rows]


async def save_nodes(conn: Connection, found: Sequence[Node], now: datetime) -> None:
    """Enter or replace parties."""
    await conn.execute(
        _SAVE_NODES,
        [node.party for node in found],
        [node.tenant for node in found],
        [node.kind for node in found],
        [" ".join(node.path) for node in found],
        now,
    )


async def move(conn: Connection, party: str, path: Sequence[str]) -> None:
    """Hang a party and all below it elsewhere; `path` is its new line of ancestors."""
    await conn.execute(_MOVE, party, list(path))
    await conn.execute(_MOVE_ITSELF, party, list(path))


async def save_references(conn: Connection, references: Sequence[tuple[str, str, str]]) -> None:
    """Enter references as (reference, tenant, party)."""
    await conn.execute(_SAVE_REFERENCES, *map(list, zip(*references, strict=True)))


async def repoint(conn: Connection, merged: str) -> None:
    """Let references of a merged party lead to the one it is now, in whose tenant they are then.

    The merged id is a reference by then. One by one: the next may go on from where this one led.
    """
    await conn.execute(_REPOINT, merged)


async def save_connections(
    conn: Connection, found: Sequence[StoredConnection], now: datetime
) -> None:
    """Enter connections or their new state."""
    await conn.execute(
        _SAVE_CONNECTIONS,
        [each.id for each in found],
        [each.tenant for each in found],
        [each.from_party for each in found],
        [each.to_party for each in found],
        [each.access for each in found],
        [each.state for each in found],
        now,
    )


async def save_things(conn: Connection, found: Sequence[Thing]) -> None:
    """Enter things, or add to whose they are and what is known of them. Each id once."""
    await conn.execute(
        _SAVE_THINGS,
        [thing.id for thing in found],
        [thing.tenant for thing in found],
        [" ".join(thing.parties) for thing in found],
        [dict(thing.data) for thing in found],
    )
