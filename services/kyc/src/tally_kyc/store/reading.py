"""Reads all that a batch may need: each question is one statement for all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from tally_kyc.domain.policy import Level, PartyKind, Standing
from tally_kyc.domain.tables import TableKind, Version
from tally_kyc.domain.tasks import Shown, Task, TaskKind, TaskState
from tally_kyc.domain.world import Connection, Party, Shelf, World
from tally_postgres import Connection as Session
from tally_postgres import Record

# One batch, or the clock, decides at a time: what a level is derived from must hold when it is saved.
_TURN: Final = 7_030_001
_TAKE_TURN = f"SELECT set_config('tally.tenant', '*', true), pg_advisory_xact_lock({_TURN})"

_ANSWERS = """
SELECT command_id, digest, answer, refusal FROM command WHERE command_id = ANY($1::text[])
"""
# Each party that is named, itself or by a task, with what it became and all that became it.
_PARTIES = """
WITH RECURSIVE found AS (
    SELECT p.* FROM party p
    WHERE p.party_id IN (
        SELECT unnest($1::text[])
        UNION ALL
        SELECT t.party_id FROM task t WHERE t.task_id = ANY($2::text[]))
    UNION
    SELECT p.* FROM found f CROSS JOIN LATERAL (
        SELECT * FROM party WHERE party_id = f.merged_into
        UNION ALL
        SELECT * FROM party WHERE merged_into = f.party_id) AS p
)
SELECT party_id, tenant, kind, country, merged_into, is_registered, sequence, level, may_remit,
       reasons, valid_until, policy_version
FROM found
"""
# What a party did long ago is of no use to a decision: only what waits or counts, and what is named.
_TASKS = """
SELECT task_id, tenant, party_id, kind, state, reason, opened_at, evidence, submitted_by,
       decided_by, expires_at, is_warned
FROM task
WHERE task_id = ANY($2::text[])
    OR (party_id = ANY($1::text[]) AND state NOT IN ('failed', 'expired'))
"""
_CONNECTIONS = """
SELECT connection_id, from_party, to_party, tenant, manages
FROM connection WHERE to_party = ANY($1::text[]) AND manages
"""
_VERSIONS = """
SELECT kind, table_name, number, jurisdictions, valid_from, valid_until FROM table_version
"""
_DUE = """
SELECT party_id FROM (
    SELECT party_id FROM task
    WHERE state IN ('passed', 'waived') AND expires_at <= $2
        AND (NOT is_warned OR expires_at <= $1)
    UNION
    SELECT party_id FROM party WHERE policy_version < $3 AND merged_into IS NULL
) AS due ORDER BY party_id LIMIT $4
"""


class Answer(NamedTuple):
    """How a command was answered; `refusal` is the whole of one."""

    digest: bytes
    event_type: str
    refusal: dict[str, Any] | None


@dataclass(slots=True)
class Asked:
    """What a batch names; `tables`: it publishes some."""

    parties: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)
    tables: bool = False


async def take_turn(conn: Session) -> None:
    """Wait until no other unit decides; see all tenants, until the unit ends."""
    await conn.execute(_TAKE_TURN)


async def answers(conn: Session, command_ids: Sequence[str]) -> dict[str, Answer]:
    """How commands were answered that came before."""
    rows = await conn.fetch(_ANSWERS, command_ids) if command_ids else []
    return {row["command_id"]: Answer(row["digest"], row["answer"], row["refusal"]) for row in rows}


async def due(
    conn: Session, over: datetime, soon: datetime, policy_version: int, limit: int
) -> list[str]:
    """Parties with something that is over or soon will be, or whose level an older policy made."""
    rows = await conn.fetch(_DUE, over, soon, policy_version, limit)
    return [row["party_id"] for row in rows]


async def read(conn: Session, asked: Asked) -> World:
    """The rows a batch may work on."""
    parties = {
        row["party_id"]: _party(row)
        for row in await conn.fetch(_PARTIES, list(asked.parties), list(asked.tasks))
    }
    ids = list(parties)
    return World(
        parties=Shelf(parties),
        tasks=Shelf(
            {
                row["task_id"]: task_of(row)
                for row in await conn.fetch(_TASKS, ids, list(asked.tasks))
            }
        ),
        connections=Shelf(
            {row["connection_id"]: Connection(**row) for row in await conn.fetch(_CONNECTIONS, ids)}
        ),
        versions=Shelf(
            {
                version.key: version
                for version in map(_version, await conn.fetch(_VERSIONS) if asked.tables else [])
            }
        ),
    )


def _party(row: Record) -> Party:
    standing = None
    if row["sequence"]:
        standing = Standing(
            Level(row["level"]),
            row["may_remit"],
            tuple(row["reasons"]),
            row["valid_until"],
            row["policy_version"],
        )
    return Party(
        row["party_id"],
        row["tenant"],
        PartyKind(row["kind"]),
        row["country"],
        row["merged_into"],
        row["is_registered"],
        standing,
        row["sequence"],
    )


def task_of(row: Record) -> Task:
    """A row of the table of tasks."""
    return Task(
        **{
            **row,
            "kind": TaskKind(row["kind"]),
            "state": TaskState(row["state"]),
            "evidence": tuple(Shown(**each) for each in row["evidence"]),
        }
    )


def _version(row: Record) -> Version:
    return Version(
        TableKind(row["kind"]),
        row["table_name"],
        row["number"],
        frozenset(row["jurisdictions"]),
        row["valid_from"],
        row["valid_until"],
    )
