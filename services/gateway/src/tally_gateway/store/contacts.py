"""Contacts that parties have shown to be their own: where a code can reach them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tally_postgres import Connection

# A party that was merged is the one it became, in whatever order facts come.
_SAVE = """
INSERT INTO verified_contact (contact_id, tenant, party_id)
SELECT c.contact_id, coalesce(r.tenant, c.tenant), coalesce(r.party_id, c.party_id)
FROM unnest($1::text[], $2::text[], $3::text[]) AS c (contact_id, tenant, party_id)
LEFT JOIN party_reference AS r ON r.reference = c.party_id
ORDER BY contact_id
ON CONFLICT (contact_id) DO UPDATE SET tenant = excluded.tenant, party_id = excluded.party_id
"""

_FORGET = "DELETE FROM verified_contact WHERE contact_id = ANY($1)"

_REPOINT = """
UPDATE verified_contact AS c SET party_id = m.party_id, tenant = m.tenant
FROM party_reference AS m
WHERE m.reference = $1 AND c.party_id = $1
"""

_REACHED = "SELECT DISTINCT party_id FROM verified_contact WHERE party_id = ANY($1)"


@dataclass(frozen=True, slots=True)
class VerifiedContact:
    """A contact by its id, and the party whose it is."""

    id: str
    tenant: str
    party: str


async def save(conn: Connection, found: Sequence[VerifiedContact]) -> None:
    """Enter contacts that were verified. Each id once."""
    await conn.execute(
        _SAVE,
        [each.id for each in found],
        [each.tenant for each in found],
        [each.party for each in found],
    )


async def forget(conn: Connection, ids: Collection[str]) -> None:
    """Take out contacts that were removed."""
    await conn.execute(_FORGET, list(ids))


async def repoint(conn: Connection, merged: str) -> None:
    """Let a merged party's contacts be those of the one it is now, and its tenant's."""
    await conn.execute(_REPOINT, merged)


async def reached(conn: Connection, parties: Collection[str]) -> set[str]:
    """Those of the parties that a code can reach."""
    return {row["party_id"] for row in await conn.fetch(_REACHED, list(parties))}
