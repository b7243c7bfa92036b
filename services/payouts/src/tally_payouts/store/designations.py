"""Whose the money of unknown owners is since, at rest."""

from collections.abc import Collection, Mapping, Sequence

from tally_money import Money, currency
from tally_payouts.domain.designation import Designation
from tally_payouts.store.methods import Key
from tally_postgres import Connection

# A payout that opens under an unknown owner and a word that its money moved wait for each other here,
# before either looks: whoever is second sees the first.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('payouts.designation'))"

# Where the new owner is unknown too, on to the end: a designation never leads in a circle.
_LOCK = """
SELECT owner, currency, to_owner, left_over FROM designation
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
INSERT INTO designation (owner, currency, to_owner, left_over)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[])
ON CONFLICT (owner, currency) DO UPDATE
SET to_owner = excluded.to_owner, left_over = excluded.left_over
"""


async def lock(conn: Connection, owners: Collection[str]) -> dict[Key, Designation]:
    """The designations of these owners, and of those they lead to, locked."""
    if not owners:
        return {}
    await conn.execute(_ONE_AT_A_TIME)
    return {
        (row[0], row[1]): Designation(row[0], row[2], Money(int(row[3]), currency(row[1])))
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
    rows = [(*key, d.to_owner, d.left.minor) for key, d in sorted(changed.items())]
    await conn.execute(_SAVE, *zip(*rows, strict=True))
