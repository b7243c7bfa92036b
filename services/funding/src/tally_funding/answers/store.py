"""Answers at rest, and the digest that tells a repeated command from another under its id."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Event
from tally_contracts.registry import BY_TYPE
from tally_postgres import Connection

_KNOWN = """
SELECT command_id, tenant, digest, topic, record_key, event_type, payload
FROM command_answer WHERE command_id = ANY($1::text[])
"""

_REMEMBER = """
INSERT INTO command_answer
    (command_id, tenant, digest, topic, record_key, event_type, payload, answered_at)
SELECT a.*, $8 FROM unnest(
    $1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS a (command_id, tenant, digest, topic, record_key, event_type, payload)
"""

_EVERY_TENANT = "SELECT set_config('tally.tenant', '*', true)"


@dataclass(frozen=True, slots=True)
class Answer:
    """The fact a command led to first, and where it was published."""

    command_id: str
    tenant: str
    digest: bytes
    topic: str
    key: str
    event: Event


def digest(command: Event) -> bytes:
    """Digest of all a command says but when it was sent."""
    content = command.model_dump(mode="json", exclude={"occurred_at"})
    text = json.dumps([command.TYPE, content], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"tally-command").digest()


async def for_every_tenant(conn: Connection) -> None:
    """Let this transaction see the rows of every tenant."""
    await conn.execute(_EVERY_TENANT)


async def known(conn: Connection, command_ids: Sequence[str]) -> Mapping[str, Answer]:
    """The answers of those commands that were answered before."""
    return {
        row["command_id"]: Answer(
            command_id=row["command_id"],
            tenant=row["tenant"],
            digest=row["digest"],
            topic=row["topic"],
            key=row["record_key"],
            event=BY_TYPE[row["event_type"]].model_validate_json(row["payload"]),
        )
        for row in await conn.fetch(_KNOWN, command_ids)
    }


async def remember(conn: Connection, answers: Sequence[Answer], now: datetime) -> None:
    """Keep answers; a known id fails the transaction."""
    rows = [
        (
            answer.command_id,
            answer.tenant,
            answer.digest,
            answer.topic,
            answer.key,
            answer.event.TYPE,
            answer.event.model_dump_json(),
        )
        for answer in answers
    ]
    await conn.execute(_REMEMBER, *map(list, zip(*rows, strict=True)), now)
