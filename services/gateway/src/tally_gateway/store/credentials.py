"""Rows of credentials."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tally_gateway.domain.rate import Bucket
from tally_postgres import Connection, Record


@dataclass(frozen=True, slots=True)
class Credential:
    """An API key or OAuth client of a party. `kind`: api_key, oauth_client."""

    id: str
    tenant: str
    party: str
    kind: str
    actor: str
    label: str
    scopes: frozenset[str]
    digest: bytes = field(repr=False)
    requests_per_minute: int
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it may be used: not revoked, not expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_COLUMNS = """
credential_id, tenant, party, kind, actor, label, scopes, secret_digest, requests_per_minute,
created_by, created_at, expires_at, revoked_at, last_used_at
"""

_INSERT = f"""
INSERT INTO credential ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

_FIND = f"""
SELECT {_COLUMNS}, full_at_us,
       (SELECT kind FROM party_node n WHERE n.party_id = c.party) AS party_kind,
       EXISTS (
           SELECT FROM party_reference r WHERE r.reference = c.party AND r.party_id <> c.party
       ) AS merged
FROM credential c WHERE credential_id = $1
"""

_FIND_TO_DRAW = f"{_FIND} FOR NO KEY UPDATE OF c"

_OF_PARTY = f"""
SELECT {_COLUMNS} FROM credential
WHERE party = $1 AND kind = $2 AND credential_id > $3 ORDER BY credential_id LIMIT $4
"""

# The earlier end stands: a key that is to end soon does not live longer by being rotated again.
_END = """
UPDATE credential SET expires_at = least(expires_at, $2) WHERE credential_id = $1
"""

_REVOKE = """
UPDATE credential SET revoked_at = coalesce(revoked_at, $2) WHERE credential_id = $1
"""

_DRAWN = """
UPDATE credential SET full_at_us = $2, last_used_at = greatest(last_used_at, $3)
WHERE credential_id = $1
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A credential, what is known of its party, and its bucket of requests.

    `party_kind` None: nothing is known of it yet. `merged`: it has become another party.
    """

    credential: Credential
    party_kind: str | None
    merged: bool
    bucket: Bucket


async def insert(conn: Connection, credential: Credential) -> None:
    """Keep a new credential."""
    await conn.execute(
        _INSERT,
        credential.id,
        credential.tenant,
        credential.party,
        credential.kind,
        credential.actor,
        credential.label,
        sorted(credential.scopes),
        credential.digest,
        credential.requests_per_minute,
        credential.created_by,
        credential.created_at,
        credential.expires_at,
        credential.revoked_at,
        credential.last_used_at,
    )


async def find(conn: Connection, credential_id: str, *, to_draw: bool = False) -> Found | None:
    """A credential; locked when requests are to be drawn from its bucket."""
    row = await conn.fetchrow(_FIND_TO_DRAW if to_draw else _FIND, credential_id)
    if row is None:
        return None
    credential = _credential(row)
    bucket = Bucket(credential.requests_per_minute, row["full_at_us"])
    return Found(credential, row["party_kind"], row["merged"], bucket)


async def drawn(conn: Connection, credential_id: str, full_at_us: int, now: datetime) -> None:
    """Requests were drawn from a credential's bucket, since it is used."""
    await conn.execute(_DRAWN, credential_id, full_at_us, now)


async def of_party(
    conn: Connection, kind: str, party: str, after: str, limit: int
) -> Sequence[Credential]:
    """A party's credentials of a kind in the order they were made, revoked ones too."""
    return [_credential(row) for row in await conn.fetch(_OF_PARTY, party, kind, after, limit)]


async def end(conn: Connection, credential_id: str, at: datetime) -> None:
    """Let a credential expire at this time, if it does not earlier."""
    await conn.execute(_END, credential_id, at)


async def revoke(conn: Connection, credential_id: str, now: datetime) -> None:
    """End a credential for good; the first time stands."""
    await conn.execute(_REVOKE, credential_id, now)


def _credential(row: Record) -> Credential:
    return Credential(
        id=row["credential_id"],
        tenant=row["tenant"],
        party=row["party"],
        kind=row["kind"],
        actor=row["actor"],
        label=row["label"],
        scopes=frozenset(row["scopes"]),
        digest=row["secret_digest"],
        requests_per_minute=row["requests_per_minute"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
