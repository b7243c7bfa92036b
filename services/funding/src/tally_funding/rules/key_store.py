"""Owners' keys and the consents they gave, in SQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_funding.rules.store import Edition
from tally_postgres import Connection

_KEYS = """
SELECT owner, public_key, tenant, state, proposed_by, proposed_for FROM owner_key
WHERE owner = $1 FOR UPDATE
"""

_PUT_KEY = """
INSERT INTO owner_key (
    owner, public_key, tenant, state, proposed_by, proposed_for, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (owner, public_key) DO UPDATE
SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at
"""

_REPLACE_KEYS = """
UPDATE owner_key SET state = 'replaced', changed_at = $3
WHERE owner = $1 AND public_key <> $2 AND state <> 'replaced'
"""

_KEYS_IN_FORCE = """
SELECT owner, public_key, tenant FROM owner_key
WHERE owner = ANY($1::text[]) AND state = 'registered'
"""

_USED_NONCES = """
SELECT c.owner, c.nonce FROM owner_consent c
JOIN unnest($1::text[], $2::text[]) AS given (owner, nonce) USING (owner, nonce)
"""

_ADD_CONSENTS = """
INSERT INTO owner_consent (owner, nonce, tenant, rule_id, version, given_at)
SELECT g.*, $3, $4, $5, $6 FROM unnest($1::text[], $2::text[]) AS g (owner, nonce)
"""


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """A key that an owner signs with, or is proposed to."""

    owner: str
    public_key: str
    tenant: str
    state: str
    proposed_by: str
    proposed_for: str


async def keys_of(conn: Connection, owner: str) -> Sequence[OwnerKey]:
    """All keys of an owner, locked."""
    return [OwnerKey(*row) for row in await conn.fetch(_KEYS, owner)]


async def put_key(conn: Connection, key: OwnerKey, now: datetime) -> None:
    """Enter a key or change its state; one that is registered replaces all others (a statement more)."""
    if key.state == "registered":
        await conn.execute(_REPLACE_KEYS, key.owner, key.public_key, now)
    await conn.execute(
        _PUT_KEY,
        key.owner,
        key.public_key,
        key.tenant,
        key.state,
        key.proposed_by,
        key.proposed_for,
        now,
    )


async def keys_in_force(conn: Connection, owners: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """The public key and the tenant of each owner that has a key in force."""
    return {
        row["owner"]: (row["public_key"], row["tenant"])
        for row in await conn.fetch(_KEYS_IN_FORCE, sorted(owners))
    }


async def used_nonces(
    conn: Connection, given: Sequence[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """Which of these (owner, nonce) have served before."""
    rows = await conn.fetch(_USED_NONCES, [one[0] for one in given], [one[1] for one in given])
    return frozenset((row[0], row[1]) for row in rows)


async def add_consents(
    conn: Connection, given: Sequence[tuple[str, str]], edition: Edition, now: datetime
) -> None:
    """Let these (owner, nonce) never serve again."""
    await conn.execute(
        _ADD_CONSENTS,
        [one[0] for one in given],
        [one[1] for one in given],
        edition.tenant,
        edition.rule_id,
        edition.version,
        now,
    )
