"""What commands were answered: asked for again, the same answer; with other content, a refusal."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tally_postgres import Connection

AnswerKey = tuple[str, str, str]
"""Tenant, type of command, and what it was about."""

_LOAD = """
SELECT tenant, command_type, subject, content, fact_type, fact
FROM answer
WHERE (tenant, command_type, subject) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
"""

_SAVE = """
INSERT INTO answer (tenant, command_type, subject, content, fact_type, fact)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The first fact a command led to; `content` is a hash of what it asked for."""

    key: AnswerKey
    content: str
    fact_type: str
    fact: Mapping[str, Any]


async def load_answers(conn: Connection, keys: Collection[AnswerKey]) -> dict[AnswerKey, Answer]:
    """The answers given to these commands so far."""
    if not keys:
        return {}
    rows = await conn.fetch(_LOAD, *zip(*keys, strict=True))
    return {
        (tenant, command, subject): Answer((tenant, command, subject), *rest)
        for tenant, command, subject, *rest in rows
    }


async def save_answers(conn: Connection, answers: Sequence[Answer]) -> None:
    """Keep answers; the first stands."""
    if answers:
        rows = [(*a.key, a.content, a.fact_type, a.fact) for a in answers]
        await conn.execute(_SAVE, *zip(*rows, strict=True))
