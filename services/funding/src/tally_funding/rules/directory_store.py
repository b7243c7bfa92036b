"""The directory's word on groups and relations, and on whose tree a company is in, in SQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tally_postgres import Connection

_TENANTS = """
SELECT party_id, tenant FROM party_place WHERE party_id = ANY($1::text[]) AND tenant <> '*'
"""

_KIND = "SELECT kind FROM party_place WHERE party_id = $1"

_GROUPS_OF = """
SELECT party, group_id, tenant FROM known_member
WHERE member AND party = ANY($1::text[]) AND group_id = ANY($2::text[])
"""

_MEMBERS = """
SELECT asked.group_id, m.party, m.tenant, v.version
FROM unnest($1::text[]) AS asked (group_id) CROSS JOIN LATERAL (
    SELECT k.party, k.tenant FROM known_member k
    WHERE k.group_id = asked.group_id AND k.member ORDER BY k.party LIMIT $2) m
CROSS JOIN LATERAL (
    SELECT max(k.version) AS version FROM known_member k WHERE k.group_id = asked.group_id) v
"""

_RELATIONS = """
SELECT other, relation, party, tenant FROM known_relation
WHERE NOT ended AND other = ANY($1::text[]) AND relation = ANY($2::text[])
ORDER BY party
"""

_SET_RELATIONS = """
INSERT INTO known_relation AS known (other, relation, party, tenant, ended, changed_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[])
ON CONFLICT (other, relation, party) DO UPDATE
SET ended = EXCLUDED.ended, changed_at = EXCLUDED.changed_at
WHERE EXCLUDED.changed_at >= known.changed_at
"""

_SET_MEMBERS = """
INSERT INTO known_member AS known (group_id, party, tenant, member, version)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[])
ON CONFLICT (group_id, party) DO UPDATE
SET member = EXCLUDED.member, version = EXCLUDED.version
WHERE EXCLUDED.version > known.version
"""


async def tenants(conn: Connection, parties: Collection[str]) -> Mapping[str, str]:
    """The tenant of each party that the directory knows."""
    return {row[0]: row[1] for row in await conn.fetch(_TENANTS, sorted(parties))}


async def kind(conn: Connection, party: str) -> str | None:
    """What the directory says a party is; None where it said so before that was kept."""
    found = await conn.fetchval(_KIND, party)
    return None if found is None else str(found)


async def groups_of(
    conn: Connection, parties: Collection[str], groups: Collection[str]
) -> Sequence[tuple[str, str, str]]:
    """Which of these parties are in which of these groups: (party, group, tenant)."""
    rows = await conn.fetch(_GROUPS_OF, sorted(parties), sorted(groups))
    return [(row[0], row[1], row[2]) for row in rows]


async def members(
    conn: Connection, groups: Collection[str], limit: int
) -> Sequence[tuple[str, str, str, int]]:
    """The members of groups, at most `limit` each, by id: (group, party, tenant, group's version)."""
    return [
        (row[0], row[1], row[2], row[3])
        for row in await conn.fetch(_MEMBERS, sorted(groups), limit)
    ]


async def relations(
    conn: Connection, others: Collection[str], names: Collection[str]
) -> Sequence[tuple[str, str, str, str]]:
    """Who stands in these relations to these parties: (other, relation, party, tenant)."""
    rows = await conn.fetch(_RELATIONS, sorted(others), sorted(names))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def set_relations(
    conn: Connection, rows: Mapping[tuple[str, str, str], tuple[str, bool, datetime]]
) -> None:
    """Keep relations: (other, relation, party) -> (tenant, ended, since)."""
    ordered = [(*key, *rows[key]) for key in sorted(rows)]
    await conn.execute(_SET_RELATIONS, *_columns(ordered))


async def set_members(
    conn: Connection, rows: Mapping[tuple[str, str], tuple[str, bool, int]]
) -> None:
    """Keep memberships: (group, party) -> (tenant, member, the group's version)."""
    ordered = [(*key, *rows[key]) for key in sorted(rows)]
    await conn.execute(_SET_MEMBERS, *_columns(ordered))


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
