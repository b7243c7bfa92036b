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
_OPENED = """
SELECT EXISTS (
           SELECT FROM consent WHERE party_id = $1 AND company = $2 AND given) AS consent,
       EXISTS (
           SELECT FROM wallet w JOIN wallet_grant g ON g.wallet = w.wallet_id
           WHERE w.owner = $1 AND g.to_party = $2 AND NOT g.revoked
             AND 'contacts' = ANY(g.fields)) AS granted
"""
_CONTACTS = f"""
WITH RECURSIVE became AS (
    SELECT $1::text COLLATE "C" AS party_id
    UNION
    SELECT p.party_id FROM became b JOIN party p ON p.merged_into = b.party_id
)
SELECT c.contact_id, c.tenant, c.channel, c.token, c.sealed, c.verified_at
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
    """A contact that is not forgotten, sealed for the tenant it came in."""

    contact_id: str
    tenant: str
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
    """Whether the party's own word opens its contacts to the viewer."""
    row = await conn.fetchrow(_OPENED, party_id, viewer)
    assert row is not None, "a query without FROM has one row"
    return Opened(consent=row["consent"], grant=row["granted"])


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
