"""Parties and their contacts as the directory's facts tell of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection

_PLACE = """
INSERT INTO party_place AS known (party_id, tenant, path, country, registered, changed_at, kind)
SELECT p.party_id, p.tenant, string_to_array(p.path, ' '), p.country, p.registered, $7, p.kind
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[])
    AS p (party_id, tenant, path, country, registered, kind)
ON CONFLICT (party_id) DO UPDATE
SET tenant = EXCLUDED.tenant, path = EXCLUDED.path, country = EXCLUDED.country,
    registered = EXCLUDED.registered, changed_at = EXCLUDED.changed_at, kind = EXCLUDED.kind
RETURNING party_id, tenant, awaited
"""

# Everybody below moves along: their paths start with the party's former path and the party.
_MOVE = """
UPDATE party_place
SET path = $2::text[] || path[cardinality($3::text[]) + 1 :], changed_at = $4
WHERE party_id = $1 OR (path @> ARRAY[$1::text] AND path[cardinality($3::text[]) + 1] = $1)
"""

_SET_CONTACTS = """
INSERT INTO party_contact AS known
    (contact_id, party_id, contact, tenant, verified, changed_at)
SELECT c.contact_id, coalesce(was.merged_into, c.party_id), c.contact, c.tenant, c.verified, $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[])
    AS c (contact_id, party_id, contact, tenant, verified)
    LEFT JOIN party_level was ON was.party_id = c.party_id
ON CONFLICT (contact_id) DO UPDATE
SET party_id = EXCLUDED.party_id, contact = EXCLUDED.contact, verified = EXCLUDED.verified,
    changed_at = EXCLUDED.changed_at
"""

_FORGET_CONTACT = "DELETE FROM party_contact WHERE contact_id = $1"

_MERGE = "UPDATE party_contact SET party_id = $1, changed_at = $3 WHERE party_id = $2"

_PLACES = """
SELECT p.party_id, p.tenant, p.path, p.country, root.country AS root_country
FROM party_place p LEFT JOIN party_place root ON root.party_id = p.tenant AND root.registered
WHERE p.party_id = ANY($1::text[]) AND p.registered
"""

_WITH_COUNTRIES_BELOW = """
SELECT DISTINCT tenant FROM party_place
WHERE path && $1::text[] AND registered AND country IS NOT NULL AND kind IS DISTINCT FROM 'person'
"""

_VERIFIED = """
SELECT party_id, contact FROM party_contact WHERE party_id = ANY($1::text[]) AND verified
"""

_SHOWN = "SELECT DISTINCT contact FROM party_contact WHERE contact = ANY($1::text[]) AND verified"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a party stands: `path` holds its ancestors, root first; empty for a root."""

    party_id: str
    tenant: str
    path: tuple[str, ...]
    country: str | None
    registered: bool = True
    kind: str | None = None
    root_country: str | None = None

    @property
    def seat(self) -> str | None:
        """The country it is in, or where it does not say, that of the root of its tree."""
        return self.country or self.root_country


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of a party; `contact` is the directory's token of it."""

    contact_id: str
    party_id: str
    contact: str
    tenant: str
    verified: bool


async def place(conn: Connection, places: Sequence[Place], now: datetime) -> Mapping[str, str]:
    """Enter parties, or what is known of them since; the tenants of those that money named before."""
    newest = {p.party_id: p for p in places}
    rows = [
        (p.party_id, p.tenant, " ".join(p.path), p.country, p.registered, p.kind)
        for _, p in sorted(newest.items())
    ]
    placed = await conn.fetch(_PLACE, *map(list, zip(*rows, strict=True)), now)
    return {row["party_id"]: row["tenant"] for row in placed if row["awaited"]}


async def move(
    conn: Connection,
    party_id: str,
    *,
    path: Sequence[str],
    previous: Sequence[str],
    now: datetime,
) -> None:
    """Hang a party, and all below it, under another path."""
    await conn.execute(_MOVE, party_id, list(path), list(previous), now)


async def set_contacts(conn: Connection, contacts: Sequence[Contact], now: datetime) -> None:
    """Enter contacts, or whether they are verified since.

    Those of a party that was merged are of the one that is kept; the caller shares the lock on merges.
    """
    newest = {c.contact_id: c for c in contacts}
    rows = [(c.contact_id, c.party_id, c.contact, c.tenant, c.verified) for c in newest.values()]
    await conn.execute(_SET_CONTACTS, *map(list, zip(*rows, strict=True)), now)


async def forget_contact(conn: Connection, contact_id: str) -> None:
    """A contact is its party's no longer."""
    await conn.execute(_FORGET_CONTACT, contact_id)


async def merge(conn: Connection, kept: str, merged: str, now: datetime) -> None:
    """What was a contact of `merged` is one of `kept`."""
    await conn.execute(_MERGE, kept, merged, now)


async def places(conn: Connection, party_ids: Collection[str]) -> Mapping[str, Place]:
    """Those of the parties that are registered, by id."""
    return {
        row[0]: Place(row[0], row[1], tuple(row[2] or ()), row[3], root_country=row[4])
        for row in await conn.fetch(_PLACES, sorted(party_ids))
    }


async def with_countries_below(conn: Connection, roots: Collection[str]) -> frozenset[str]:
    """Those of the roots below which a party that is no person names a country."""
    return frozenset(row[0] for row in await conn.fetch(_WITH_COUNTRIES_BELOW, sorted(roots)))


async def verified_contacts(
    conn: Connection, party_ids: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """The verified contacts of each party."""
    found: dict[str, set[str]] = {party: set() for party in party_ids}
    for party, contact in await conn.fetch(_VERIFIED, sorted(party_ids)):
        found[party].add(contact)
    return {party: frozenset(contacts) for party, contacts in found.items()}


async def shown(conn: Connection, contacts: Collection[str]) -> frozenset[str]:
    """Those of the contacts that some party has shown to be its own."""
    return frozenset(row[0] for row in await conn.fetch(_SHOWN, sorted(contacts)))
