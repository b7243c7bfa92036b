"""Contacts as they are read back: what opens them, the rows themselves, and the log of looks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tally_directory.domain.sharing import Opened
from tally_postgres import Connection as Session

CONTACTS_MAX: Final = 200
"""One answer holds this many contacts at most, the oldest first."""

_TURN_CLASS: Final = 7_020
_SEE = "SELECT set_config('tally.tenant', '*', true)"
_TAKE_TURN = f"SELECT pg_advisory_xact_lock({_TURN_CLASS}, hashtext($1))"
# What the party says of a viewer goes before what those said whom it became of, and so on down. A consent
# it took over says nothing more: it is by the one that gave it that its contacts are open.
_OPENED = """
WITH RECURSIVE became AS (
    SELECT $1::text COLLATE "C" AS party_id, NULL::text COLLATE "C" AS merged_into
    UNION ALL
    SELECT p.party_id, p.merged_into FROM became b JOIN party p ON p.merged_into = b.party_id
), said AS (
    SELECT b.party_id, b.merged_into, c.given, EXISTS (
        SELECT FROM wallet w JOIN wallet_grant g ON g.wallet = w.wallet_id
        WHERE w.owner = b.party_id AND g.to_party = $2 AND NOT g.revoked
          AND 'contacts' = ANY(g.fields)) AS granted
    FROM became b
    LEFT JOIN consent c ON c.party_id = b.party_id AND c.company = $2 AND NOT c.carried
), opened AS (
    SELECT party_id, given, granted FROM said WHERE merged_into IS NULL
    UNION ALL
    SELECT s.party_id, COALESCE(o.given, s.given), o.granted OR s.granted
    FROM opened o JOIN said s ON s.merged_into = o.party_id
)
SELECT party_id, COALESCE(given, false) AS consent, granted FROM opened
"""
_CONTACTS = f"""
WITH RECURSIVE became AS (
    SELECT $1::text COLLATE "C" AS party_id
    UNION
    SELECT p.party_id FROM became b JOIN party p ON p.merged_into = b.party_id
)
SELECT c.contact_id, c.tenant, c.party_id, c.channel, c.token, c.sealed, c.verified_at
FROM became JOIN contact c USING (party_id)
WHERE c.sealed IS NOT NULL ORDER BY c.contact_id LIMIT {CONTACTS_MAX}
"""
_NTH_LAST = """
SELECT viewed_at FROM contact_view WHERE viewer = $1 AND viewed_at > $2
ORDER BY viewed_at DESC OFFSET $3 LIMIT 1
"""
_LOG = """
INSERT INTO contact_view (
    view_id, tenant, party_id, viewer, actor, basis, purpose, tokens, viewed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text[], $9)
"""


class KeptContact(NamedTuple):
    """A contact that is not forgotten, sealed for the tenant it came in; `party_id` entered it."""

    contact_id: str
    tenant: str
    party_id: str
    channel: str
    token: str
    sealed: str
    verified_at: datetime | None


class ContactView(NamedTuple):
    """One look, as it is kept."""

    view_id: str
    tenant: str
    party_id: str
    viewer: str
    actor: str
    basis: str
    purpose: str
    tokens: list[str]
    viewed_at: datetime


async def see_all_tenants(conn: Session) -> None:
    """Let the unit of work see every tenant's rows."""
    await conn.execute(_SEE)


async def take_turn_of(conn: Session, viewer: str) -> None:
    """Wait until no other look of this viewer is under way, and let none begin until the unit ends."""
    await conn.execute(_TAKE_TURN, viewer)


async def opened(conn: Session, party_id: str, viewer: str) -> Opened:
    """Which contacts the party's own word opens to the viewer, by the ids they were entered under."""
    rows = await conn.fetch(_OPENED, party_id, viewer)
    return Opened(
        consent=frozenset(row["party_id"] for row in rows if row["consent"]),
        grant=frozenset(row["party_id"] for row in rows if row["granted"]),
    )


async def contacts_of(conn: Session, party_id: str) -> Sequence[KeptContact]:
    """The contacts of the party and of whom was merged into it, CONTACTS_MAX at most."""
    return [KeptContact(*row.values()) for row in await conn.fetch(_CONTACTS, party_id)]


async def nth_last_view(
    conn: Session, viewer: str, since: datetime, number: int
) -> datetime | None:
    """When the viewer took its last look but `number` less one, if that was after `since`."""
    found: datetime | None = await conn.fetchval(_NTH_LAST, viewer, since, number - 1)
    return found


async def log_view(conn: Session, view: ContactView) -> None:
    """Keep a look."""
    await conn.execute(_LOG, *view)
