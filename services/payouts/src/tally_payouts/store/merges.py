"""Which payees were merged into which: kept beside what is known of them."""

from collections.abc import Collection

from tally_payouts.domain.families import Families
from tally_payouts.store.methods import Key
from tally_postgres import Connection

# A payout that opens and a merge wait for each other: whoever is second sees the first, so that nothing
# waits under the one that was merged beside a method of the one that is kept.
_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtext('payouts.merges'))"
_HAVE_ALONE = "SELECT pg_advisory_xact_lock(hashtext('payouts.merges'))"

_FAMILIES = """
SELECT l.owner, l.merged_into FROM party_level l
WHERE l.merged_into IN (
    SELECT COALESCE(m.merged_into, o.owner)
    FROM unnest($1::text[]) AS o (owner) LEFT JOIN party_level m ON m.owner = o.owner)
"""

# What is known of a level stays as it is.
_SAVE = """
INSERT INTO party_level (owner, party_kind, level, sequence, merged_into)
SELECT m.owner, 'person', 'none', 0, m.kept
FROM unnest($1::text[], $2::text[]) AS m (owner, kept) ORDER BY m.owner
ON CONFLICT (owner) DO UPDATE SET merged_into = excluded.merged_into
"""

_WAITING = """
SELECT DISTINCT owner, currency FROM payout WHERE owner = ANY($1::text[]) AND state = 'claimable'
"""


async def lock(conn: Connection, *, alone: bool) -> None:
    """Take the lock on merges: shared to go by them, alone to take one in."""
    await conn.execute(_HAVE_ALONE if alone else _SHARE)


async def families(conn: Connection, owners: Collection[str]) -> Families:
    """All that stands for any of these owners."""
    rows = await conn.fetch(_FAMILIES, sorted(owners))
    return Families({row[0]: row[1] for row in rows})


async def save(conn: Connection, found: Families) -> None:
    """Keep what ids became."""
    owners = sorted(found.became)
    await conn.execute(_SAVE, owners, [found.became[owner] for owner in owners])


async def waiting(conn: Connection, owners: Collection[str]) -> set[Key]:
    """Owner and currency of what waits for a method of these."""
    return {(row[0], row[1]) for row in await conn.fetch(_WAITING, sorted(owners))}
