"""Gate tables, levels of parties, what limits have been used of, and whom to ask about again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from tally_gates import EndpointClass, Level, Party, PartyKind, StoredTable, Window
from tally_payouts.domain.states import LEAVING
from tally_postgres import Connection, Pool, Record

# Whoever asks shares it and whoever publishes a table has it alone: what is held by the tables before
# is there to be seen when the new one is.
_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtext('payouts.gates'))"
_HAVE_ALONE = "SELECT pg_advisory_xact_lock(hashtext('payouts.gates'))"

# What is in force or will be; of each table the newest begun stays, also where it has ended.
_TABLES = """
SELECT t.kind, t.name, t.version, t.valid_from, t.valid_until, t.document::text
FROM gate_table t
WHERE t.valid_from > $1 OR (t.valid_from, t.version) = (
    SELECT n.valid_from, n.version FROM gate_table n
    WHERE n.kind = t.kind AND n.name = t.name AND n.valid_from <= $1
    ORDER BY n.valid_from DESC, n.version DESC LIMIT 1)
"""

_SAVE_TABLES = """
INSERT INTO gate_table (kind, name, version, valid_from, valid_until, document)
SELECT t.kind, t.name, t.version, t.valid_from, t.valid_until, t.document::jsonb
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::text[])
    AS t (kind, name, version, valid_from, valid_until, document)
ON CONFLICT DO NOTHING
"""

# Whose a payout is never changes: it may be read before the payout is locked.
_OWNERS = "SELECT DISTINCT owner FROM payout WHERE id = ANY($1::text[])"

_EXPECT = """
INSERT INTO party_level (owner, party_kind, level, sequence)
SELECT o, 'person', 'none', 0 FROM unnest($1::text[]) AS o ORDER BY o
ON CONFLICT DO NOTHING
"""

# `owner` of this table is a party's id. The lock makes those who weigh a party's exits, and a word about its level, wait for each other.
_LOCK = """
SELECT owner, party_kind, level, jurisdiction, valid_until, sequence
FROM party_level WHERE owner = ANY($1::text[]) ORDER BY owner FOR UPDATE
"""

_READ = """
SELECT owner, party_kind, level, jurisdiction, valid_until, sequence
FROM party_level WHERE owner = ANY($1::text[])
"""

_SAVE_PARTIES = """
UPDATE party_level p
SET party_kind = r.party_kind, level = r.level, jurisdiction = r.jurisdiction,
    valid_until = r.valid_until, sequence = r.sequence
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])
    AS r (owner, party_kind, level, jurisdiction, valid_until, sequence)
WHERE p.owner = r.owner AND p.sequence < r.sequence
"""

_SAVE_OWNERS = """
INSERT INTO party_owner (owner, party_id)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING
"""

# What a party uses counts by whatever reference its money has named it.
_USED = f"""
WITH theirs (owner, party_id) AS (
    SELECT * FROM unnest($1::text[] || $2::text[], $2::text[] || $2::text[])
    UNION
    SELECT owner, party_id FROM party_owner WHERE party_id = ANY($2::text[])
)
SELECT t.party_id, p.currency, p.asked_class,
       sum(p.amount) FILTER (WHERE p.asked_at >= $3) AS day,
       sum(p.amount) FILTER (WHERE p.asked_at >= $4) AS month,
       sum(p.amount) FILTER (WHERE p.asked_at >= $5) AS year,
       sum(p.amount) AS lifetime
FROM theirs t JOIN payout p ON p.owner = t.owner
WHERE p.state IN ({", ".join(f"'{state}'" for state in sorted(LEAVING))}) AND p.asked_at >= $6
GROUP BY t.party_id, p.currency, p.asked_class
"""
_WINDOWS = (Window.DAY, Window.MONTH, Window.YEAR, Window.LIFETIME)

_ASK_AGAIN = """
INSERT INTO exit_due (owner, at)
SELECT d.owner, d.at FROM unnest($1::text[], $2::timestamptz[]) AS d (owner, at)
ORDER BY d.at, d.owner
ON CONFLICT DO NOTHING
"""

_ASK_ALL_AGAIN = """
INSERT INTO exit_due (owner, at)
SELECT DISTINCT owner, $1::timestamptz FROM payout WHERE state = 'held' ORDER BY owner
ON CONFLICT DO NOTHING
"""

_TAKE_DUE = """
DELETE FROM exit_due d
USING (SELECT at, owner FROM exit_due WHERE at <= $1 ORDER BY at, owner LIMIT $2
       FOR UPDATE SKIP LOCKED) AS due
WHERE d.at = due.at AND d.owner = due.owner
RETURNING d.owner
"""

UsedRow = tuple[str, str, EndpointClass, Mapping[Window, int]]
"""Party, currency, class, and minor units by window."""


async def lock_tables(conn: Connection, *, alone: bool) -> None:
    """Take the lock on the tables, shared to ask or alone to publish; before any other lock."""
    await conn.execute(_HAVE_ALONE if alone else _SHARE)


async def load_tables(conn: Connection, now: datetime) -> list[StoredTable]:
    """The versions that decide at this moment, and those that will."""
    return [StoredTable(*row) for row in await conn.fetch(_TABLES, now)]


async def save_tables(conn: Connection, tables: Sequence[StoredTable], now: datetime) -> None:
    """Keep versions, and have everything that is held asked about again."""
    if not tables:
        return
    rows = [(t.kind, t.name, t.version, t.valid_from, t.valid_until, t.document) for t in tables]
    await conn.execute(_SAVE_TABLES, *zip(*rows, strict=True))
    await conn.execute(_ASK_ALL_AGAIN, now)


async def owners_of(conn: Connection, payouts: Collection[str]) -> set[str]:
    """Whose these payouts are."""
    if not payouts:
        return set()
    return {row[0] for row in await conn.fetch(_OWNERS, list(payouts))}


async def lock_parties(conn: Connection, parties: Collection[str]) -> dict[str, Party]:
    """Lock and read what is known of parties; those nobody has told of are at level `none`."""
    if not parties:
        return {}
    wanted = sorted(parties)
    await conn.execute(_EXPECT, wanted)
    return _parties(await conn.fetch(_LOCK, wanted))


async def save_owners(conn: Connection, parties: Mapping[str, str]) -> None:
    """Keep which party each owner names, where it is not the owner itself."""
    named = sorted((owner, party) for owner, party in parties.items() if owner != party)
    if named:
        await conn.execute(_SAVE_OWNERS, *zip(*named, strict=True))


async def read_parties(conn: Connection, parties: Collection[str]) -> dict[str, Party]:
    """What was told of these parties, without a lock."""
    if not parties:
        return {}
    return _parties(await conn.fetch(_READ, sorted(parties)))


def _parties(rows: Iterable[Record]) -> dict[str, Party]:
    return {
        owner: Party(owner, PartyKind(kind), Level(level), *rest)
        for owner, kind, level, *rest in rows
    }


async def save_parties(conn: Connection, parties: Collection[Party]) -> None:
    """Write what is known of parties that `lock_parties` has locked."""
    if not parties:
        return
    rows = [(p.owner, p.kind, p.level, p.jurisdiction, p.valid_until, p.sequence) for p in parties]
    await conn.execute(_SAVE_PARTIES, *zip(*rows, strict=True))


async def load_used(
    conn: Connection, owners: Mapping[str, str], starts: Mapping[Window, datetime], since: datetime
) -> list[UsedRow]:
    """What has passed the gates and not come back, by the windows beginning there; none before `since`.

    Of the parties that these owners name: of each, by all references of it that are known.
    """
    if not owners:
        return []
    named = [list(column) for column in zip(*sorted(owners.items()), strict=True)]
    begins = [starts[window] for window in (Window.DAY, Window.MONTH, Window.YEAR)]
    return [
        (owner, code, EndpointClass(found), _by_window(sums))
        for owner, code, found, *sums in await conn.fetch(_USED, *named, *begins, since)
    ]


def _by_window(sums: Iterable[int | None]) -> dict[Window, int]:
    return {window: int(sum_ or 0) for window, sum_ in zip(_WINDOWS, sums, strict=True)}


async def ask_again(conn: Connection, due: Collection[tuple[str, datetime]]) -> None:
    """Have the held payouts of these parties asked about again, each at its moment."""
    if due:
        await conn.execute(_ASK_AGAIN, *zip(*sorted(due), strict=True))


async def take_due(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Take up to `limit` notes that are due; the parties or owners they name, some twice perhaps."""
    return [row[0] for row in await conn.fetch(_TAKE_DUE, now, limit)]


async def tables_known(pool: Pool) -> bool:
    """Whether any table has ever been published."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT 1 FROM gate_table)"))
