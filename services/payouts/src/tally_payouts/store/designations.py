"""Whose the money of unknown owners is since, at rest."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tally_money import Money, currency
from tally_payouts.domain.designation import Designation, Release
from tally_payouts.store.methods import Key
from tally_postgres import Connection

# A payout that opens under an unknown owner and a word that its money moved wait for each other here,
# before either looks: whoever is second sees the first.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('payouts.designation'))"

# Where the new owner is unknown too, on to the end: a designation never leads in a circle.
_LOCK = """
SELECT owner, currency, to_owner, left_over, asked_at FROM designation
WHERE owner IN (
    WITH RECURSIVE led (owner) AS (
        SELECT o COLLATE "C" FROM unnest($1::text[]) AS o
        UNION
        SELECT d.to_owner FROM designation d JOIN led USING (owner))
    SELECT owner FROM led)
ORDER BY owner, currency FOR UPDATE
"""

_WAITING = """
SELECT DISTINCT owner, currency FROM payout WHERE owner = ANY($1::text[]) AND state = 'claimable'
"""

_SAVE = """
INSERT INTO designation (owner, currency, to_owner, left_over, asked_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::timestamptz[])
ON CONFLICT (owner, currency) DO UPDATE
SET to_owner = excluded.to_owner, left_over = excluded.left_over, asked_at = excluded.asked_at
"""

_RELEASES = """
SELECT owner, currency, asked_at, left_over FROM restricted_release
WHERE owner = ANY($1::text[]) AND asked_at >= $2
"""

_SAVE_RELEASES = """
INSERT INTO restricted_release (owner, currency, asked_at, left_over)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::numeric[])
ON CONFLICT (owner, currency, asked_at) DO UPDATE SET left_over = excluded.left_over
"""


async def lock(conn: Connection, owners: Collection[str]) -> dict[Key, Designation]:
    """The designations of these owners, and of those they lead to, locked."""
    if not owners:
        return {}
    await conn.execute(_ONE_AT_A_TIME)
    return {
        (row[0], row[1]): Designation(row[0], row[2], Money(int(row[3]), currency(row[1])), row[4])
        for row in await conn.fetch(_LOCK, sorted(owners))
    }


async def waiting(conn: Connection, owners: Collection[str]) -> Sequence[Key]:
    """Owner and currency of the payouts that wait under these owners."""
    if not owners:
        return []
    return [(row[0], row[1]) for row in await conn.fetch(_WAITING, sorted(owners))]


async def save(conn: Connection, changed: Mapping[Key, Designation]) -> None:
    """Write designations as they stand."""
    if not changed:
        return
    rows = [(*key, d.to_owner, d.left.minor, d.asked_at) for key, d in sorted(changed.items())]
    await conn.execute(_SAVE, *zip(*rows, strict=True))


async def releases(
    conn: Connection, owners: Collection[str], since: datetime | None
) -> dict[Key, dict[datetime, Release]]:
    """The releases of these owners' restricted money that were asked for since, by that moment.

    Whoever reads them has locked the designations they belong to.
    """
    found: dict[Key, dict[datetime, Release]] = {}
    if not owners or since is None:
        return found
    for owner, code, asked_at, left in await conn.fetch(_RELEASES, sorted(owners), since):
        release = Release(asked_at, Money(int(left), currency(code)))
        found.setdefault((owner, code), {})[asked_at] = release
    return found


async def save_releases(conn: Connection, changed: Mapping[tuple[Key, datetime], Release]) -> None:
    """Write what is left of releases."""
    if changed:
        rows = [(*key, at, one.left.minor) for (key, at), one in sorted(changed.items())]
        await conn.execute(_SAVE_RELEASES, *zip(*rows, strict=True))
