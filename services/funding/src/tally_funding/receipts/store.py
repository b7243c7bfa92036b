"""Gate tables, levels of parties, and restricted money that is to be asked about again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_gates import GATES, Level, Party, PartyKind, StoredTable
from tally_postgres import Connection

# Whoever asks shares it and whoever publishes a table has it alone: what is restricted by the tables
# before is there to be seen when the new one is.
_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtext('funding.gates'))"
_HAVE_ALONE = "SELECT pg_advisory_xact_lock(hashtext('funding.gates'))"

# What is in force or will be; of each table the newest begun stays, also where it has ended.
_TABLES = """
SELECT t.name, t.version, t.valid_from, t.valid_until, t.document::text
FROM gate_table t
WHERE t.valid_from > $1 OR (t.valid_from, t.version) = (
    SELECT n.valid_from, n.version FROM gate_table n
    WHERE n.name = t.name AND n.valid_from <= $1
    ORDER BY n.valid_from DESC, n.version DESC LIMIT 1)
"""

_SAVE_TABLES = """
INSERT INTO gate_table (name, version, valid_from, valid_until, document)
SELECT t.name, t.version, t.valid_from, t.valid_until, t.document::jsonb
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    AS t (name, version, valid_from, valid_until, document)
ON CONFLICT DO NOTHING
"""

_EXPECT = """
INSERT INTO party_level (party_id, party_kind, level, sequence)
SELECT p, 'person', 'none', 0 FROM unnest($1::text[]) AS p ORDER BY p
ON CONFLICT DO NOTHING
"""

# Of a party that was merged, what was told of the one it was merged into. A row that is there for its
# lock alone says nothing.
_READ = """
SELECT p.party_id, l.party_kind, l.level, l.jurisdiction, l.valid_until, l.sequence
FROM party_level p JOIN party_level l ON l.party_id = coalesce(p.merged_into, p.party_id)
WHERE p.party_id = ANY($1::text[]) AND l.sequence > 0
"""

# Whoever asks a party's gate, and a word about its level, wait for each other.
_LOCK = """
SELECT FROM party_level
WHERE party_id = ANY($1::text[])
   OR party_id IN (SELECT merged_into FROM party_level WHERE party_id = ANY($1::text[]))
ORDER BY party_id FOR UPDATE
"""

_TOLD = "SELECT party_id, sequence FROM party_level WHERE party_id = ANY($1::text[])"

# Facts about merges come in any order: who merges has the merges alone, and who enters something under a
# party's id shares them, so that each meets what the other has done.
_SHARE_MERGES = "SELECT pg_advisory_xact_lock_shared(hashtext('funding.merges'))"
_HAVE_MERGES_ALONE = "SELECT pg_advisory_xact_lock(hashtext('funding.merges'))"

_BECAME = "SELECT merged_into FROM party_level WHERE party_id = $1"

_MERGE = "UPDATE party_level SET merged_into = $1 WHERE party_id = $2 OR merged_into = $2"

_FORMERS = "SELECT merged_into, party_id FROM party_level WHERE merged_into = ANY($1::text[])"

_SAVE_LEVELS = """
UPDATE party_level p
SET party_kind = r.party_kind, level = r.level, jurisdiction = r.jurisdiction,
    valid_until = r.valid_until, sequence = r.sequence
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])
    AS r (party_id, party_kind, level, jurisdiction, valid_until, sequence)
WHERE p.party_id = r.party_id
"""

_RESTRICT = """
INSERT INTO restriction (owner, tenant, party_id, since)
SELECT r.*, $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS r (owner, tenant, party_id)
ORDER BY r.owner
ON CONFLICT DO NOTHING
"""

_DUE_BY_OWNER = """
SELECT owner, due_at FROM restriction WHERE owner = ANY($1::text[]) ORDER BY owner FOR UPDATE
"""

_SET_DUE = """
UPDATE restriction r SET due_at = d.due_at
FROM unnest($1::text[], $2::timestamptz[]) AS d (owner, due_at) WHERE r.owner = d.owner
"""

_ASK_PARTIES_AGAIN = """
UPDATE restriction r SET due_at = $2
FROM (
    SELECT owner FROM restriction
    WHERE party_id = ANY($1::text[])
       OR party_id IN (SELECT party_id FROM party_level WHERE merged_into = ANY($1::text[]))
    ORDER BY owner FOR UPDATE) AS o
WHERE r.owner = o.owner
"""

_ASK_ALL_AGAIN = """
UPDATE restriction r SET due_at = $1
FROM (SELECT owner FROM restriction ORDER BY owner FOR UPDATE) AS o
WHERE r.owner = o.owner
"""

_DUE = "SELECT owner FROM restriction WHERE due_at <= $1 ORDER BY due_at, owner LIMIT $2"


@dataclass(frozen=True, slots=True)
class Restriction:
    """Restricted money of an owner, in the tree it belongs to; `party_id`: whose level opens it."""

    owner: str
    tenant: str
    party_id: str


async def lock_tables(conn: Connection, *, alone: bool) -> None:
    """Take the lock on the tables: shared to ask, alone to publish."""
    await conn.execute(_HAVE_ALONE if alone else _SHARE)


async def load_tables(conn: Connection, now: datetime) -> list[StoredTable]:
    """The versions that decide at this moment, and those that will."""
    return [StoredTable(GATES, *row) for row in await conn.fetch(_TABLES, now)]


async def save_tables(conn: Connection, tables: Sequence[StoredTable]) -> None:
    """Keep versions; one that is known stays as it is."""
    rows = [(t.name, t.version, t.valid_from, t.valid_until, t.document) for t in tables]
    await conn.execute(_SAVE_TABLES, *zip(*rows, strict=True))


async def read_levels(conn: Connection, party_ids: Collection[str]) -> dict[str, Party]:
    """What was told of these parties, by id; those nobody told of are left out."""
    rows = await conn.fetch(_READ, sorted(party_ids))
    return {
        one: Party(one, PartyKind(kind), Level(level), *rest) for one, kind, level, *rest in rows
    }


async def lock_levels(conn: Connection, party_ids: Collection[str]) -> None:
    """Lock these parties: no other word about them is taken in before this unit ends."""
    wanted = sorted(party_ids)
    await conn.execute(_EXPECT, wanted)
    await conn.execute(_LOCK, wanted)


async def sequences(conn: Connection, party_ids: Collection[str]) -> dict[str, int]:
    """The number of the newest word about each of these parties itself."""
    return {row[0]: row[1] for row in await conn.fetch(_TOLD, sorted(party_ids))}


async def lock_merges(conn: Connection, *, alone: bool) -> None:
    """Take the lock on merges: shared to enter what is of a party, alone to merge parties."""
    await conn.execute(_HAVE_MERGES_ALONE if alone else _SHARE_MERGES)


async def kept_of(conn: Connection, party_id: str) -> str:
    """The party that this one is by now: itself, if it was not merged."""
    became: str | None = await conn.fetchval(_BECAME, party_id)
    return became or party_id


async def merge(conn: Connection, kept: str, merged: str) -> None:
    """The level of `merged`, and of what was merged into it, is that of `kept`, which is itself.

    Both are locked.
    """
    await conn.execute(_MERGE, kept, merged)


async def formers(conn: Connection, kept: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The parties that were merged into any of these, by the one they became."""
    found: dict[str, set[str]] = {}
    for became, party_id in await conn.fetch(_FORMERS, sorted(kept)):
        found.setdefault(became, set()).add(party_id)
    return {became: frozenset(ids) for became, ids in found.items()}


async def save_levels(conn: Connection, parties: Sequence[Party]) -> None:
    """Write what was told of parties that are locked."""
    rows = [(p.owner, p.kind, p.level, p.jurisdiction, p.valid_until, p.sequence) for p in parties]
    await conn.execute(_SAVE_LEVELS, *zip(*rows, strict=True))


async def restrict(conn: Connection, found: Collection[Restriction], now: datetime) -> None:
    """Note whose money is restricted; what is noted already stays."""
    rows = [(r.owner, r.tenant, r.party_id) for r in found]
    await conn.execute(_RESTRICT, *map(list, zip(*rows, strict=True)), now)


async def lock_due(conn: Connection, owners: Collection[str]) -> dict[str, datetime | None]:
    """When the restricted money of these owners is to be asked about again, locked."""
    return {row[0]: row[1] for row in await conn.fetch(_DUE_BY_OWNER, sorted(owners))}


async def set_due(conn: Connection, times: Mapping[str, datetime | None]) -> None:
    """Ask about the restricted money of these owners again then; None: once something is told."""
    owners = sorted(times)
    await conn.execute(_SET_DUE, owners, [times[owner] for owner in owners])


async def ask_parties_again(conn: Connection, party_ids: Collection[str], now: datetime) -> None:
    """Have the restricted money of these parties asked about."""
    await conn.execute(_ASK_PARTIES_AGAIN, sorted(party_ids), now)


async def ask_all_again(conn: Connection, now: datetime) -> None:
    """Have all restricted money asked about."""
    await conn.execute(_ASK_ALL_AGAIN, now)


async def due_owners(conn: Connection, now: datetime, limit: int) -> Sequence[str]:
    """Owners whose restricted money is to be asked about by now, the longest due first."""
    return [row[0] for row in await conn.fetch(_DUE, now, limit)]
