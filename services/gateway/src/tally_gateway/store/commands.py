"""Commands taken in, the keys that made them, and what became of them."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection, Record


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key of a principal, the hash of the request it came with, and what it made."""

    tenant: str
    principal: str
    key: str
    request_hash: bytes
    made: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it stands. `state`: accepted, succeeded, refused."""

    id: str
    event_id: uuid.UUID
    tenant: str
    principal: str
    actor: str
    type: str
    subject: str
    correlation_id: str
    state: str
    accepted_at: datetime
    decided_at: datetime | None = None
    outcome_id: uuid.UUID | None = None
    outcome_type: str | None = None
    outcome: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The first fact a command led to."""

    event_id: uuid.UUID
    state: str
    fact_id: uuid.UUID
    fact_type: str
    payload: bytes


_CLAIM = """
INSERT INTO idempotency (tenant, principal, idempotency_key, request_hash, made, created_at)
SELECT tenant, principal, idempotency_key, request_hash, made, $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[])
     AS c (tenant, principal, idempotency_key, request_hash, made)
ORDER BY principal, idempotency_key
ON CONFLICT DO NOTHING
RETURNING principal, idempotency_key
"""

_CLAIMED = """
SELECT i.tenant, i.principal, i.idempotency_key, i.request_hash, i.made
FROM unnest($1::text[], $2::text[]) AS c (principal, idempotency_key)
JOIN idempotency i USING (principal, idempotency_key)
"""

_INSERT = """
INSERT INTO command (command_id, event_id, tenant, principal, actor, type, subject, correlation_id,
                     state, accepted_at)
SELECT command_id, event_id, tenant, principal, actor, type, subject, correlation_id, 'accepted', $9
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[])
     AS c (command_id, event_id, tenant, principal, actor, type, subject, correlation_id)
"""

_COLUMNS = """
command_id, event_id, tenant, principal, actor, type, subject, correlation_id, state, accepted_at,
decided_at, outcome_id, outcome_type, outcome
"""

_FIND = f"SELECT {_COLUMNS} FROM command WHERE command_id = ANY($1)"

_STATE = "SELECT state FROM command WHERE command_id = $1"

# The type stands here, not in a parameter: the index holds commands of this type alone.
_REGISTERING = """
SELECT principal, subject FROM command
WHERE type = 'directory.party.register.v1' AND subject = ANY($1) AND state <> 'refused'
"""

_OF_PRINCIPAL = f"""
SELECT {_COLUMNS} FROM command
WHERE principal = $1 AND command_id < $2 ORDER BY command_id DESC LIMIT $3
"""

# The first fact stands, whatever follows from the same command.
_DECIDE = """
UPDATE command c
SET state = o.state, decided_at = $6, outcome_id = o.fact_id, outcome_type = o.fact_type,
    outcome = o.payload
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bytea[])
     AS o (event_id, state, fact_id, fact_type, payload)
WHERE c.event_id = o.event_id AND c.state = 'accepted'
RETURNING c.command_id
"""

_FORGET = """
DELETE FROM idempotency WHERE (principal, idempotency_key) IN (
    SELECT principal, idempotency_key FROM idempotency
    WHERE created_at < $1 ORDER BY created_at LIMIT $2
)
"""


async def claim(conn: Connection, claims: Sequence[Claim], now: datetime) -> set[tuple[str, str]]:
    """Take keys nobody used yet; returns (principal, key) of those that were taken now."""
    rows = await conn.fetch(
        _CLAIM,
        [each.tenant for each in claims],
        [each.principal for each in claims],
        [each.key for each in claims],
        [each.request_hash for each in claims],
        [each.made for each in claims],
        now,
    )
    return {(row["principal"], row["idempotency_key"]) for row in rows}


async def claimed(
    conn: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Claim]:
    """What was made with these (principal, key) before."""
    rows = await conn.fetch(_CLAIMED, [key[0] for key in keys], [key[1] for key in keys])
    return {
        (row["principal"], row["idempotency_key"]): Claim(
            row["tenant"],
            row["principal"],
            row["idempotency_key"],
            row["request_hash"],
            row["made"],
        )
        for row in rows
    }


async def insert(conn: Connection, commands: Sequence[Command], now: datetime) -> None:
    """Keep accepted commands."""
    await conn.execute(
        _INSERT,
        [each.id for each in commands],
        [each.event_id for each in commands],
        [each.tenant for each in commands],
        [each.principal for each in commands],
        [each.actor for each in commands],
        [each.type for each in commands],
        [each.subject for each in commands],
        [each.correlation_id for each in commands],
        now,
    )


async def find(conn: Connection, ids: Collection[str]) -> dict[str, Command]:
    """Commands by id."""
    return {row["command_id"]: _command(row) for row in await conn.fetch(_FIND, list(ids))}


async def is_decided(conn: Connection, command_id: str) -> bool:
    """Whether a command has an outcome."""
    return await conn.fetchval(_STATE, command_id) not in {None, "accepted"}


async def registering(conn: Connection, ids: Collection[str]) -> frozenset[tuple[str, str]]:
    """Of ids that are no party yet those that are asked to become one: who asked, and the id."""
    rows = await conn.fetch(_REGISTERING, list(ids)) if ids else []
    return frozenset((row["principal"], row["subject"]) for row in rows)


async def of_principal(
    conn: Connection, principal: str, before: str, limit: int
) -> Sequence[Command]:
    """A principal's commands, newest first, older than `before`."""
    return [_command(row) for row in await conn.fetch(_OF_PRINCIPAL, principal, before, limit)]


async def decide(conn: Connection, outcomes: Sequence[Outcome], now: datetime) -> list[str]:
    """Give commands their outcome where they have none; returns the ids of those that got it."""
    rows = await conn.fetch(
        _DECIDE,
        [each.event_id for each in outcomes],
        [each.state for each in outcomes],
        [each.fact_id for each in outcomes],
        [each.fact_type for each in outcomes],
        [each.payload for each in outcomes],
        now,
    )
    return [row["command_id"] for row in rows]


async def forget(conn: Connection, before: datetime, limit: int) -> bool:
    """Forget old keys; True when there may be more of them."""
    done = await conn.execute(_FORGET, before, limit)
    return int(done.rpartition(" ")[2]) >= limit


def _command(row: Record) -> Command:
    return Command(
        id=row["command_id"],
        event_id=row["event_id"],
        tenant=row["tenant"],
        principal=row["principal"],
        actor=row["actor"],
        type=row["type"],
        subject=row["subject"],
        correlation_id=row["correlation_id"],
        state=row["state"],
        accepted_at=row["accepted_at"],
        decided_at=row["decided_at"],
        outcome_id=row["outcome_id"],
        outcome_type=row["outcome_type"],
        outcome=row["outcome"],
    )
