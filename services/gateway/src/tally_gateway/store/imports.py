"""Imports and the answer to each of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection, Record


@dataclass(frozen=True, slots=True)
class Import:
    """An import. `state`: receiving, received, cancelled."""

    id: str
    tenant: str
    principal: str
    kind: str
    state: str
    rows_accepted: int
    rows_refused: int
    started_at: datetime
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What became of a row when it came: a command about a subject, or a code."""

    number: int
    row_hash: bytes
    command_id: str | None = None
    subject: str | None = None
    code: str | None = None
    field: str | None = None
    detail: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class RowStanding:
    """A row as it stands now: its answer, and the state and outcome of its command."""

    answer: RowAnswer
    state: str | None
    outcome: bytes | None


_BEGIN = """
INSERT INTO bulk_import (import_id, tenant, principal, kind, state, rows_accepted, rows_refused,
                         started_at)
VALUES ($1, $2, $3, $4, 'receiving', 0, 0, $5)
ON CONFLICT (import_id) DO NOTHING
"""

_COLUMNS = """
import_id, tenant, principal, kind, state, rows_accepted, rows_refused, started_at, received_at
"""

_FIND = f"SELECT {_COLUMNS} FROM bulk_import WHERE import_id = $1"

_LOCK = f"{_FIND} FOR UPDATE"

_HASHES = """
SELECT row_number, row_hash FROM bulk_row
WHERE import_id = $1 AND row_number BETWEEN $2 AND $3
"""

_ADD_ROWS = """
INSERT INTO bulk_row (import_id, row_number, tenant, row_hash, command_id, subject, code, field,
                      detail, remedy)
SELECT $1, row_number, $2, row_hash, command_id, subject, code, field, detail, remedy
FROM unnest($3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::text[])
     AS r (row_number, row_hash, command_id, subject, code, field, detail, remedy)
"""

_COUNT = """
UPDATE bulk_import
SET rows_accepted = rows_accepted + $2, rows_refused = rows_refused + $3
WHERE import_id = $1
"""

_END = """
UPDATE bulk_import SET state = 'received', received_at = coalesce(received_at, $2)
WHERE import_id = $1 AND state <> 'cancelled'
"""

_CANCEL = """
UPDATE bulk_import SET state = 'cancelled' WHERE import_id = $1 AND state = 'receiving'
"""

_OF_PRINCIPAL = f"""
SELECT {_COLUMNS} FROM bulk_import
WHERE principal = $1
ORDER BY started_at DESC, import_id DESC LIMIT $2
"""

# From the last one's place on, which the index goes to at once.
_OF_PRINCIPAL_AFTER = f"""
SELECT {_COLUMNS}
FROM (SELECT started_at AS at, import_id AS id FROM bulk_import
      WHERE import_id = $3 AND principal = $1) AS last
CROSS JOIN LATERAL (
    SELECT * FROM bulk_import
    WHERE principal = $1 AND (started_at, import_id) < (last.at, last.id)
    ORDER BY started_at DESC, import_id DESC LIMIT $2
) AS next
ORDER BY started_at DESC, import_id DESC
"""

_STANDING = """
SELECT r.row_number, r.row_hash, r.command_id, r.subject, r.code, r.field, r.detail,
       r.remedy, c.state, CASE WHEN c.state = 'refused' THEN c.outcome END AS outcome
FROM bulk_row r LEFT JOIN command c USING (command_id)
WHERE r.import_id = $1 AND r.row_number > $2
ORDER BY r.row_number LIMIT $3
"""

_PROGRESS = """
SELECT coalesce(c.state, 'invalid') AS state, count(*) AS rows
FROM bulk_row r LEFT JOIN command c USING (command_id)
WHERE r.import_id = $1 GROUP BY 1
"""


async def begin(conn: Connection, new: Import) -> Import:
    """Begin an import, or go on with it; locked, so that one upload at a time adds rows."""
    await conn.execute(_BEGIN, new.id, new.tenant, new.principal, new.kind, new.started_at)
    row = await conn.fetchrow(_LOCK, new.id)
    assert row is not None, "it was inserted, or is there"
    return _import(row)


async def find(conn: Connection, import_id: str) -> Import | None:
    """An import by id."""
    row = await conn.fetchrow(_FIND, import_id)
    return None if row is None else _import(row)


async def lock(conn: Connection, import_id: str) -> Import:
    """An import as it is once another upload of it has ended its batch."""
    row = await conn.fetchrow(_LOCK, import_id)
    assert row is not None, "it was begun"
    return _import(row)


async def hashes(conn: Connection, import_id: str, first: int, last: int) -> dict[int, bytes]:
    """Rows that came before, by number."""
    rows = await conn.fetch(_HASHES, import_id, first, last)
    return {row["row_number"]: row["row_hash"] for row in rows}


async def add_rows(
    conn: Connection, import_id: str, tenant: str, answers: Sequence[RowAnswer]
) -> None:
    """Keep the answers to rows, and count them."""
    await conn.execute(
        _ADD_ROWS,
        import_id,
        tenant,
        [each.number for each in answers],
        [each.row_hash for each in answers],
        [each.command_id for each in answers],
        [each.subject for each in answers],
        [each.code for each in answers],
        [each.field for each in answers],
        [each.detail for each in answers],
        [each.remedy for each in answers],
    )
    refused = sum(1 for each in answers if each.code is not None)
    await conn.execute(_COUNT, import_id, len(answers) - refused, refused)


async def cancel(conn: Connection, import_id: str) -> Import:
    """Let an import take in no more rows, unless it has them all; the import as it is then."""
    await conn.execute(_CANCEL, import_id)
    return await lock(conn, import_id)


async def of_principal(
    conn: Connection, principal: str, after: str | None, limit: int
) -> list[Import]:
    """A principal's imports, newest first, older than the import `after`."""
    if after is None:
        rows = await conn.fetch(_OF_PRINCIPAL, principal, limit)
    else:
        rows = await conn.fetch(_OF_PRINCIPAL_AFTER, principal, limit, after)
    return [_import(row) for row in rows]


async def end(conn: Connection, import_id: str, now: datetime) -> None:
    """The import has come to its last row."""
    await conn.execute(_END, import_id, now)


async def standing(conn: Connection, import_id: str, after: int, limit: int) -> list[RowStanding]:
    """The next rows as they stand."""
    return [
        RowStanding(
            RowAnswer(
                row["row_number"],
                row["row_hash"],
                row["command_id"],
                row["subject"],
                row["code"],
                row["field"],
                row["detail"],
                row["remedy"],
            ),
            row["state"],
            row["outcome"],
        )
        for row in await conn.fetch(_STANDING, import_id, after, limit)
    ]


async def progress(conn: Connection, import_id: str) -> Mapping[str, int]:
    """How many rows stand in which state: invalid, accepted, succeeded, refused."""
    rows = await conn.fetch(_PROGRESS, import_id)
    return {row["state"]: row["rows"] for row in rows}


def _import(row: Record) -> Import:
    return Import(
        id=row["import_id"],
        tenant=row["tenant"],
        principal=row["principal"],
        kind=row["kind"],
        state=row["state"],
        rows_accepted=row["rows_accepted"],
        rows_refused=row["rows_refused"],
        started_at=row["started_at"],
        received_at=row["received_at"],
    )
