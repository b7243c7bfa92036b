"""The quarantine: records set aside with their raw bytes, and how an operator lets them go."""

import base64
import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_messaging.records import Record
from tally_postgres import Connection, Pool

PARKED = "parked"
"""Code of a record that is sound itself and waits behind a blocked one of its key."""

RELAY_CONSUMER = "relay"
"""Stands for the consumer where an outgoing event could not be published; its lane is the partition,
its sequence in the outbox the offset."""

_INSERT = """
WITH incoming AS (
    SELECT * FROM unnest(
        $1::uuid[], $3::text[], $4::int[], $5::bigint[], $6::bytea[], $7::text[], $8::bytea[],
        $9::bytea[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bool[]
    ) WITH ORDINALITY AS i (id, topic, partition, "offset", record_key, headers, payload,
            fingerprint, event_key, code, field, detail, trace, blocks, n)
), judged AS (
    -- A copy is of a record set aside before, or of an earlier one among these.
    SELECT i.*, coalesce((
        SELECT q.id FROM quarantine q
        WHERE q.consumer = $2 AND q.fingerprint = i.fingerprint AND q.duplicate_of IS NULL
          AND (q.topic, q.partition, q."offset") <> (i.topic, i.partition, i."offset")
        ORDER BY q.quarantined_at LIMIT 1
    ), (
        SELECT e.id FROM incoming e WHERE e.fingerprint = i.fingerprint AND e.n < i.n
        ORDER BY e.n LIMIT 1
    )) AS original
    FROM incoming i
)
INSERT INTO quarantine (
    id, consumer, topic, partition, "offset", record_key, headers, payload, fingerprint, event_key,
    code, field, detail, trace, blocks, duplicate_of, state, quarantined_at
)
SELECT id, $2, topic, partition, "offset", record_key, headers::jsonb, payload, fingerprint,
       event_key, code, field, detail, trace, blocks AND original IS NULL, original,
       CASE WHEN original IS NULL THEN 'open' ELSE 'duplicate' END, $16
FROM judged
ON CONFLICT ON CONSTRAINT quarantine_once_per_record DO NOTHING
RETURNING topic, partition, "offset", state
"""

_BLOCKED = """
SELECT DISTINCT topic, record_key FROM quarantine
WHERE consumer = $1 AND state = 'open' AND blocks
"""

_COLUMNS = """
id, consumer, topic, partition, "offset", record_key, headers, payload, event_key, code, field,
detail, trace, blocks, state, quarantined_at, resolved_at, resolved_by
"""

_LIST = f"""
SELECT {_COLUMNS} FROM quarantine
WHERE ($1::text IS NULL OR code = $1) AND ($2::text IS NULL OR state = $2)
  AND ($3::text IS NULL OR topic = $3)
ORDER BY quarantined_at, topic, partition, "offset" LIMIT $4
"""

_GET = f"SELECT {_COLUMNS} FROM quarantine WHERE id = $1"
_LOCK = f"{_GET} FOR UPDATE"

_WAITING_BEHIND = f"""
SELECT {_COLUMNS} FROM quarantine
WHERE consumer = $1 AND topic = $2 AND record_key IS NOT DISTINCT FROM $3
  AND state = 'open' AND code = 'parked' AND partition = $4 AND "offset" > $5
ORDER BY "offset" FOR UPDATE
"""

_RESOLVE = """
UPDATE quarantine SET state = $2, resolved_at = $3, resolved_by = $4
WHERE id = $1 AND state = 'open' RETURNING id
"""

_COUNTS = """
SELECT code, field, state, count(*)::bigint FROM quarantine GROUP BY code, field, state
"""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record to quarantine, and why."""

    record: Record
    code: str
    field: str | None
    detail: str
    blocks: bool
    event_key: uuid.UUID | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A quarantined record as stored; also a `Record`, so that it can be applied again."""

    id: uuid.UUID
    consumer: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
    event_key: uuid.UUID | None
    code: str
    field: str | None
    detail: str
    trace: str | None
    blocks: bool
    state: str
    quarantined_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None


def fingerprint(record: Record) -> bytes:
    """The same for every copy of a record, wherever it stands: topic, key, headers and value."""
    digest = hashlib.blake2b(digest_size=16, person=b"tally-record")
    for part in (record.topic.encode(), record.key, *_flat(record.headers), record.value):
        digest.update(b"\0" if part is None else b"\1%d:" % len(part) + part)
    return digest.digest()


async def insert(
    conn: Connection,
    consumer: str,
    records: Sequence[SetAside],
    ids: Sequence[uuid.UUID],
    now: datetime,
) -> set[tuple[str, int, int]]:
    """Set records aside; the positions (topic, partition, offset) that are new and no mere copies."""
    rows = await conn.fetch(
        _INSERT,
        ids,
        consumer,
        [item.record.topic for item in records],
        [item.record.partition for item in records],
        [item.record.offset for item in records],
        [item.record.key for item in records],
        [_headers_to_json(item.record.headers) for item in records],
        [item.record.value for item in records],
        [fingerprint(item.record) for item in records],
        [item.event_key for item in records],
        [item.code for item in records],
        [None if item.field is None else _storable(item.field) for item in records],
        [_storable(item.detail) for item in records],
        [None if item.trace is None else _storable(item.trace) for item in records],
        [item.blocks for item in records],
        now,
    )
    return {(row[0], row[1], row[2]) for row in rows if row[3] == "open"}


async def blocked_keys(conn: Connection, consumer: str) -> set[tuple[str, bytes | None]]:
    """(topic, key) pairs behind which later records wait."""
    return {(row[0], row[1]) for row in await conn.fetch(_BLOCKED, consumer)}


async def find(
    pool: Pool, *, code: str | None, state: str | None, topic: str | None, limit: int
) -> list[QuarantinedRecord]:
    """Quarantined records, oldest first; None leaves a filter open."""
    return [_read(row) for row in await pool.fetch(_LIST, code, state, topic, limit)]


async def get(pool: Pool, record_id: uuid.UUID) -> QuarantinedRecord | None:
    """One record, whole."""
    row = await pool.fetchrow(_GET, record_id)
    return None if row is None else _read(row)


async def lock(conn: Connection, record_id: uuid.UUID) -> QuarantinedRecord | None:
    """One record, locked against a second operator."""
    row = await conn.fetchrow(_LOCK, record_id)
    return None if row is None else _read(row)


async def waiting_behind(conn: Connection, record: QuarantinedRecord) -> list[QuarantinedRecord]:
    """Parked records of the same key, in order, locked."""
    rows = await conn.fetch(
        _WAITING_BEHIND, record.consumer, record.topic, record.key, record.partition, record.offset
    )
    return [_read(row) for row in rows]


async def resolve(
    conn: Connection, record_id: uuid.UUID, state: str, now: datetime, actor: str
) -> None:
    """Mark an open record `replayed` or `dropped`."""
    updated = await conn.fetchval(_RESOLVE, record_id, state, now, actor)
    assert updated is not None, f"quarantined record {record_id} was locked open"


async def counts(pool: Pool) -> dict[tuple[str, str | None, str], int]:
    """How many records by (code, field, state)."""
    return {(row[0], row[1], row[2]): row[3] for row in await pool.fetch(_COUNTS)}


def _flat(headers: Sequence[tuple[str, bytes | None]]) -> list[bytes | None]:
    return [
        part for name, value in headers for part in (name.encode("utf-8", "surrogatepass"), value)
    ]


def _headers_to_json(headers: Sequence[tuple[str, bytes | None]]) -> str:
    # Base64, since a header's bytes may be anything and jsonb refuses NUL.
    return json.dumps(
        [
            [
                base64.b64encode(name.encode("utf-8", "surrogatepass")).decode(),
                None if value is None else base64.b64encode(value).decode(),
            ]
            for name, value in headers
        ]
    )


def _headers_from_json(stored: Any) -> tuple[tuple[str, bytes | None], ...]:
    return tuple(
        (
            base64.b64decode(name).decode("utf-8", "surrogatepass"),
            None if value is None else base64.b64decode(value),
        )
        for name, value in stored
    )


def _storable(text: str) -> str:
    """Text as Postgres takes it: no NUL, no lone surrogate."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _read(row: Any) -> QuarantinedRecord:
    return QuarantinedRecord(
        id=uuid.UUID(bytes=row["id"].bytes),
        consumer=row["consumer"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["record_key"],
        headers=_headers_from_json(row["headers"]),
        value=row["payload"],
        event_key=row["event_key"],
        code=row["code"],
        field=row["field"],
        detail=row["detail"],
        trace=row["trace"],
        blocks=row["blocks"],
        state=row["state"],
        quarantined_at=row["quarantined_at"],
        resolved_at=row["resolved_at"],
        resolved_by=row["resolved_by"],
    )
