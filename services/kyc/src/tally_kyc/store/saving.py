"""Saves what a batch decided: one statement for each table that has changed, parties first."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from tally_kyc.domain.tasks import Task
from tally_kyc.domain.world import Party, World
from tally_postgres import Connection as Session

Row = tuple[object, ...]

# Lists travel as one text each: arrays of arrays are even.
_PARTIES = """
INSERT INTO party (
    party_id, tenant, kind, country, merged_into, is_registered, sequence, level, may_remit,
    reasons, valid_until, policy_version, changed_at)
SELECT p.party_id, p.tenant, p.kind, p.country, p.merged_into, p.is_registered, p.sequence,
       p.level, p.may_remit, p.reasons::jsonb, p.valid_until, p.policy_version, $13
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::bigint[],
    $8::text[], $9::boolean[], $10::text[], $11::timestamptz[], $12::integer[])
    AS p (party_id, tenant, kind, country, merged_into, is_registered, sequence, level, may_remit,
          reasons, valid_until, policy_version)
ON CONFLICT (party_id) DO UPDATE SET
    tenant = EXCLUDED.tenant, country = EXCLUDED.country, merged_into = EXCLUDED.merged_into,
    is_registered = EXCLUDED.is_registered, sequence = EXCLUDED.sequence, level = EXCLUDED.level,
    may_remit = EXCLUDED.may_remit, reasons = EXCLUDED.reasons, valid_until = EXCLUDED.valid_until,
    policy_version = EXCLUDED.policy_version, changed_at = EXCLUDED.changed_at
"""
_TASKS = """
INSERT INTO task (
    task_id, tenant, party_id, kind, state, reason, opened_at, evidence, submitted_by, decided_by,
    expires_at, is_warned, changed_at)
SELECT t.task_id, t.tenant, t.party_id, t.kind, t.state, t.reason, t.opened_at,
       t.evidence::jsonb, t.submitted_by, t.decided_by, t.expires_at, t.is_warned, $13
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
    $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::boolean[])
    AS t (task_id, tenant, party_id, kind, state, reason, opened_at, evidence, submitted_by,
          decided_by, expires_at, is_warned)
ON CONFLICT (task_id) DO UPDATE SET
    tenant = EXCLUDED.tenant, state = EXCLUDED.state, reason = EXCLUDED.reason,
    evidence = EXCLUDED.evidence, submitted_by = EXCLUDED.submitted_by,
    decided_by = EXCLUDED.decided_by, expires_at = EXCLUDED.expires_at,
    is_warned = EXCLUDED.is_warned, changed_at = EXCLUDED.changed_at
"""
_CONSENTS = """
INSERT INTO consent (party_id, company, tenant, is_given, changed_at)
SELECT c.*, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[]) AS c
ON CONFLICT (party_id, company) DO UPDATE SET
    is_given = EXCLUDED.is_given, changed_at = EXCLUDED.changed_at
"""
_CONNECTIONS = """
INSERT INTO connection (connection_id, from_party, to_party, tenant, manages, changed_at)
SELECT c.*, $6 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[]) AS c
ON CONFLICT (connection_id) DO UPDATE SET
    manages = EXCLUDED.manages, changed_at = EXCLUDED.changed_at
"""
_VERSIONS = """
INSERT INTO table_version (
    kind, table_name, number, jurisdictions, valid_from, valid_until, source, content, published_at)
SELECT v.kind, v.table_name, v.number,
       string_to_array(v.jurisdictions, ','), v.valid_from, v.valid_until, v.source,
       v.content::jsonb, $9
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[],
            $6::timestamptz[], $7::text[], $8::text[])
    AS v (kind, table_name, number, jurisdictions, valid_from, valid_until, source, content)
"""
_ANSWERS = """
INSERT INTO command (command_id, tenant, digest, answer, refusal, decided_at)
SELECT a.*, $6 FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::jsonb[]) AS a
"""


async def save(conn: Session, world: World, now: datetime) -> None:
    """Save every row that was decided on."""
    tables: Sequence[tuple[str, Sequence[Row]]] = (
        (_PARTIES, [_party(party) for party in world.parties.changed.values()]),
        # What no longer waits before what does: a party has one waiting task of a kind, row by row.
        (_TASKS, sorted(map(_task, world.tasks.changed.values()), key=_is_waiting)),
        (
            _CONSENTS,
            [(*key, c.tenant, c.is_given) for key, c in world.consents.changed.items()],
        ),
        (
            _CONNECTIONS,
            [
                (c.connection_id, c.from_party, c.to_party, c.tenant, c.manages)
                for c in world.connections.changed.values()
            ],
        ),
        (
            _VERSIONS,
            [
                (v.kind, v.table, v.number, ",".join(sorted(v.jurisdictions)), v.valid_from, v.valid_until,
                 v.source, json.dumps(v.rows))
                for v in world.versions.changed.values()
            ],
        ),
    )  # fmt: skip
    for statement, rows in tables:
        if rows:
            await conn.execute(statement, *_columns(rows), now)


async def keep_answers(conn: Session, rows: Sequence[Row], now: datetime) -> None:
    """Keep (command, tenant, digest, type of the answer, refusal if it is one) for ever."""
    await conn.execute(_ANSWERS, *_columns(rows), now)


def _party(party: Party) -> Row:
    standing = party.standing
    assert standing is not None, f"{party.party_id} is told of before it is saved"
    return (
        party.party_id,
        party.tenant,
        party.kind,
        party.country,
        party.merged_into,
        party.is_registered,
        party.sequence,
        standing.level,
        standing.may_remit,
        json.dumps(standing.reasons),
        standing.valid_until,
        standing.policy_version,
    )


def _task(task: Task) -> Row:
    return (
        task.task_id,
        task.tenant,
        task.party_id,
        task.kind,
        task.state,
        task.reason,
        task.opened_at,
        json.dumps([asdict(shown) for shown in task.evidence]),
        task.submitted_by,
        task.decided_by,
        task.expires_at,
        task.is_warned,
    )


_STATE = 4


def _is_waiting(row: Row) -> bool:
    return row[_STATE] in {"open", "submitted", "in_review"}


def _columns(rows: Sequence[Row]) -> list[list[object]]:
    """Rows as the columns that unnest takes."""
    return [list(column) for column in zip(*rows, strict=True)]
