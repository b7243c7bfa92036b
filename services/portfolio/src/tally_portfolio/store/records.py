"""Things at rest as their newest facts tell them, by index alone."""

from collections.abc import Iterable, Sequence

from tally_portfolio.domain.records import Record
from tally_portfolio.store.looking import columns
from tally_portfolio.store.views import Place
from tally_postgres import Connection

_COLUMNS = ", ".join(Record._fields)
_SAVE = f"""
INSERT INTO record AS r ({_COLUMNS})
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::timestamptz[], $7::jsonb[]
)
ON CONFLICT (subject, kind, part) DO UPDATE
SET under = excluded.under, version = excluded.version, at = excluded.at, told = excluded.told
WHERE r.version < excluded.version
"""
_BY_ID = f"SELECT {_COLUMNS} FROM record WHERE subject = ANY($1::text[]) AND kind = $2"
_UNDER = """
SELECT at, subject FROM record
WHERE under = $1 AND kind = $2 AND part = 1 AND (at, subject) < ($3, $4)
ORDER BY at DESC, subject DESC LIMIT $5
"""


async def save(conn: Connection, records: Iterable[Record]) -> None:
    """Take in what facts tell of things."""
    rows = [tuple(row) for row in sorted(records, key=lambda r: (r.subject, r.kind, r.part))]
    await conn.execute(_SAVE, *columns(rows))


async def by_id(conn: Connection, kind: str, subjects: Sequence[str]) -> dict[str, list[Record]]:
    """The parts of things of a kind, by the thing."""
    found: dict[str, list[Record]] = {}
    for row in await conn.fetch(_BY_ID, subjects, kind):
        found.setdefault(row["subject"], []).append(Record(*row))
    return found


async def under(conn: Connection, thing: str, kind: str, after: Place, limit: int) -> list[Place]:
    """Things of a kind that are under another, the newest first."""
    return [Place(*row) for row in await conn.fetch(_UNDER, thing, kind, *after, limit)]
