"""Files, entries and what the bank left for us, at rest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from tally_postgres import Connection, Pool, Record
from tally_rails.rails.ach.client import Listed

MODIFIERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

_COUNTER = """
INSERT INTO ach_counter AS c (odfi, sequence, cycle) VALUES ($1, 0, 0)
ON CONFLICT (odfi) DO UPDATE SET odfi = c.odfi
RETURNING sequence, cycle
"""

_ADVANCE = "UPDATE ach_counter SET sequence = $2, cycle = $3 WHERE odfi = $1"

_USED = """
SELECT count(*) FROM ach_file WHERE origin = $1 AND created_on = $2 AND created_time = $3
"""

_ADD_FILE = """
INSERT INTO ach_file (id, origin, created_on, created_time, modifier, name, content, sha256,
                      entries, effective_date, state, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'stored', $11)
"""

_ADD_ENTRIES = """
INSERT INTO ach_entry (trace, cycle, file_id, batch_number, attempt_id, rdfi, amount)
SELECT e.trace, $5, $6, 1, e.attempt_id, e.rdfi, e.amount
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[]) AS e (trace, attempt_id, rdfi, amount)
"""

_FILE = """
SELECT id, origin, created_on, created_time, modifier, name, content, effective_date, state, sent_at,
       doubt_since
FROM ach_file
"""

_MARK = """
UPDATE ach_file SET state = $2, changed_at = $3 WHERE id = $1 AND state = ANY($4::text[])
"""

_SENDING = """
UPDATE ach_file
SET state = 'in_doubt', sent_at = $2, doubt_since = coalesce(doubt_since, $2), changed_at = $2
WHERE id = $1
"""

_NOT_SENT = """
UPDATE ach_file SET state = 'stored', sent_at = NULL, doubt_since = NULL, changed_at = $2
WHERE id = $1
"""

_ENTRIES = """
SELECT trace, batch_number, attempt_id, rdfi, amount FROM ach_entry WHERE file_id = $1
ORDER BY trace
"""

_BY_TRACE = """
SELECT trace, batch_number, attempt_id, rdfi, amount FROM ach_entry
WHERE trace = ANY($1::text[]) ORDER BY trace, cycle
"""

_KNOWN = """
SELECT l.name FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS l (name, size, modified_at)
JOIN ach_incoming i USING (name, size, modified_at)
"""

_ADD_INCOMING = """
INSERT INTO ach_incoming AS i (name, sha256, size, modified_at, outcome, content, processed_at)
VALUES ($1, $2, $3, $4, 'applied', $5, $6)
ON CONFLICT (name, sha256) DO UPDATE SET modified_at = excluded.modified_at
RETURNING xmax = 0
"""

_OUTCOME = "UPDATE ach_incoming SET outcome = $3 WHERE name = $1 AND sha256 = $2"


class FileState(StrEnum):
    """STORED: has not left. IN_DOUBT: it is being sent, or may have left. UPLOADED: it is there."""

    STORED = "stored"
    IN_DOUBT = "in_doubt"
    UPLOADED = "uploaded"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


OPEN: Final = (FileState.STORED, FileState.IN_DOUBT)
ANSWERED: Final = (FileState.ACKNOWLEDGED, FileState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file as it is sent, however often.

    `created_time` is HHMM at the bank; `sent_at` is when it was sent last, `doubt_since` when first.
    """

    id: str
    origin: str
    created_on: date
    created_time: str
    modifier: str
    name: str
    content: bytes
    effective_date: date
    state: FileState = FileState.STORED
    sent_at: datetime | None = None
    doubt_since: datetime | None = None

    @property
    def identity(self) -> str:
        """As the bank writes it in its acknowledgement."""
        return f"{self.origin}-{self.created_on:%y%m%d}-{self.created_time}-{self.modifier}"


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """Which attempt a trace is; `rdfi` is the first eight digits of the receiving bank."""

    trace: str
    batch_number: int
    attempt_id: str
    rdfi: str
    amount_minor: int


async def lock_counter(conn: Connection, odfi: str) -> tuple[int, int]:
    """Lock the counter of traces; gives the last sequence used and its cycle."""
    row = await conn.fetchrow(_COUNTER, odfi)
    assert row is not None, "an upsert returns its row"
    return row[0], row[1]


async def advance_counter(conn: Connection, odfi: str, sequence: int, cycle: int) -> None:
    """Keep the last sequence used."""
    await conn.execute(_ADVANCE, odfi, sequence, cycle)


async def files_of_minute(
    conn: Connection, origin: str, created_on: date, created_time: str
) -> int:
    """How many files were cut in this minute; the n-th has the n-th modifier."""
    number: int = await conn.fetchval(_USED, origin, created_on, created_time)
    return number


async def add_file(
    conn: Connection,
    file: StoredFile,
    entries: Sequence[StoredEntry],
    *,
    sha256: str,
    cycle: int,
    now: datetime,
) -> None:
    """Keep a file and what its traces are."""
    await conn.execute(
        _ADD_FILE,
        file.id,
        file.origin,
        file.created_on,
        file.created_time,
        file.modifier,
        file.name,
        file.content,
        sha256,
        len(entries),
        file.effective_date,
        now,
    )
    rows = [(entry.trace, entry.attempt_id, entry.rdfi, entry.amount_minor) for entry in entries]
    await conn.execute(_ADD_ENTRIES, *zip(*rows, strict=True), cycle, file.id)


async def lock_file(conn: Connection, file_id: str) -> StoredFile:
    """Lock and read a file by its id."""
    row = await conn.fetchrow(f"{_FILE} WHERE id = $1 FOR UPDATE", file_id)
    assert row is not None, f"file {file_id} has a job, so it has a row"
    return _file(row)


async def lock_file_named(conn: Connection, name: str) -> StoredFile | None:
    """Lock and read a file by its upload name."""
    row = await conn.fetchrow(f"{_FILE} WHERE name = $1 FOR UPDATE", name)
    return None if row is None else _file(row)


async def mark_sending(conn: Connection, file_id: str, now: datetime) -> None:
    """Say before it happens that a file is sent: if nobody can say more, it may have left."""
    await conn.execute(_SENDING, file_id, now)


async def mark_not_sent(conn: Connection, file_id: str, now: datetime) -> None:
    """Say that nothing of a file has ever left."""
    await conn.execute(_NOT_SENT, file_id, now)


async def mark_file(
    conn: Connection, file_id: str, state: FileState, before: Collection[FileState], now: datetime
) -> bool:
    """Move a file on from one of the states before; False when it has moved on already."""
    return await conn.execute(_MARK, file_id, state, now, list(before)) == "UPDATE 1"


async def entries_of(conn: Connection, file_id: str) -> list[StoredEntry]:
    """The entries of a file, by trace."""
    return [StoredEntry(*row) for row in await conn.fetch(_ENTRIES, file_id)]


async def entries_by_trace(
    conn: Connection, traces: Collection[str]
) -> dict[str, list[StoredEntry]]:
    """Every entry that ever had one of these traces."""
    found: dict[str, list[StoredEntry]] = {}
    if traces:
        for row in await conn.fetch(_BY_TRACE, sorted(traces)):
            found.setdefault(row[0], []).append(StoredEntry(*row))
    return found


async def unknown_of(conn: Pool, listed: Sequence[Listed]) -> list[Listed]:
    """Those of the bank's files that were not taken yet, as far as name, size and time tell."""
    if not listed:
        return []
    rows = await conn.fetch(
        _KNOWN,
        [item.name for item in listed],
        [item.size for item in listed],
        [item.modified_at for item in listed],
    )
    known = {row[0] for row in rows}
    return [item for item in listed if item.name not in known]


async def add_incoming(
    conn: Connection, item: Listed, content: bytes, sha256: str, now: datetime
) -> bool:
    """Keep a file of the bank; False when the same one was processed before."""
    return bool(
        await conn.fetchval(
            _ADD_INCOMING, item.name, sha256, item.size, item.modified_at, content, now
        )
    )


async def mark_incoming(conn: Connection, name: str, sha256: str, outcome: str) -> None:
    """Say that a kept file could not be applied."""
    await conn.execute(_OUTCOME, name, sha256, outcome)


def _file(row: Record) -> StoredFile:
    (
        file_id, origin, created_on, created_time, modifier, name, content, effective_date, state,
        sent_at, doubt_since,
    ) = row  # fmt: skip
    return StoredFile(
        id=file_id,
        origin=origin,
        created_on=created_on,
        created_time=created_time,
        modifier=modifier,
        name=name,
        content=content,
        effective_date=effective_date,
        state=FileState(state),
        sent_at=sent_at,
        doubt_since=doubt_since,
    )
