"""Challenges: made, locked to be judged, kept as judged, forgotten."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tally_gateway.domain.step_up import Bound, Challenge, State
from tally_postgres import Connection, Record

_COLUMNS = """
s.challenge_id, s.tenant, s.principal, s.idempotency_key, s.request_hash, s.code_hash, s.state,
s.attempts, s.issued_at, s.expires_at
"""

# In the order of their ids, before any key is taken: two batches never wait for each other.
_LOCK = f"""
SELECT {_COLUMNS} FROM step_up s WHERE s.challenge_id = ANY($1) ORDER BY s.challenge_id FOR UPDATE
"""

_OPEN = f"""
SELECT {_COLUMNS}
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS b (principal, idempotency_key, request_hash)
JOIN step_up s USING (principal, idempotency_key, request_hash)
WHERE s.state = 'open' AND s.issued_at > $4 AND s.expires_at > $5
ORDER BY s.challenge_id
"""

_ISSUED = """
SELECT principal, count(*)::bigint AS issued FROM step_up
WHERE principal = ANY($1) AND issued_at > $2 GROUP BY principal
"""

_INSERT = """
INSERT INTO step_up (challenge_id, tenant, principal, idempotency_key, request_hash, code_hash, state,
                     attempts, issued_at, expires_at)
SELECT challenge_id, tenant, principal, idempotency_key, request_hash, code_hash, 'open', 0, $7, $8
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
     AS c (challenge_id, tenant, principal, idempotency_key, request_hash, code_hash)
"""

_JUDGED = """
UPDATE step_up s SET state = j.state, attempts = j.attempts
FROM unnest($1::text[], $2::text[], $3::smallint[]) AS j (challenge_id, state, attempts)
WHERE s.challenge_id = j.challenge_id
"""

_FORGET = """
DELETE FROM step_up WHERE challenge_id IN (
    SELECT challenge_id FROM step_up WHERE issued_at < $1 ORDER BY issued_at LIMIT $2
)
"""


async def lock(conn: Connection, ids: Collection[str]) -> dict[str, Challenge]:
    """The challenges of these ids that there are, locked until the transaction ends."""
    return {row["challenge_id"]: _challenge(row) for row in await conn.fetch(_LOCK, list(ids))}


async def still_open(
    conn: Connection, bounds: Sequence[Bound], issued_after: datetime, now: datetime
) -> dict[Bound, Challenge]:
    """The newest open challenge of each of these requests, where there is one."""
    rows = await conn.fetch(
        _OPEN,
        [bound.principal for bound in bounds],
        [bound.key for bound in bounds],
        [bound.request_hash for bound in bounds],
        issued_after,
        now,
    )
    return {challenge.bound: challenge for challenge in map(_challenge, rows)}


async def issued(
    conn: Connection, principals: Collection[str], after: datetime
) -> Mapping[str, int]:
    """How many challenges were made for each of these principals after a moment."""
    rows = await conn.fetch(_ISSUED, list(principals), after)
    return {row["principal"]: row["issued"] for row in rows}


async def insert(
    conn: Connection, made: Sequence[Challenge], now: datetime, expires_at: datetime
) -> None:
    """Keep new challenges; all were issued `now` and end at `expires_at`."""
    await conn.execute(
        _INSERT,
        [each.id for each in made],
        [each.tenant for each in made],
        [each.bound.principal for each in made],
        [each.bound.key for each in made],
        [each.bound.request_hash for each in made],
        [each.code_hash for each in made],
        now,
        expires_at,
    )


async def save(conn: Connection, judged: Sequence[Challenge]) -> None:
    """Keep what became of challenges."""
    await conn.execute(
        _JUDGED,
        [each.id for each in judged],
        [each.state for each in judged],
        [each.attempts for each in judged],
    )


async def forget(conn: Connection, before: datetime, limit: int) -> bool:
    """Forget old challenges; True when there may be more of them."""
    done = await conn.execute(_FORGET, before, limit)
    return int(done.rpartition(" ")[2]) >= limit


def _challenge(row: Record) -> Challenge:
    return Challenge(
        id=row["challenge_id"],
        tenant=row["tenant"],
        bound=Bound(row["principal"], row["idempotency_key"], row["request_hash"]),
        code_hash=row["code_hash"],
        state=State(row["state"]),
        attempts=row["attempts"],
        issued_at=row["issued_at"],
        expires_at=row["expires_at"],
    )
