"""Which payees were merged into which: kept beside what is known of them."""

from collections.abc import Collection

from tally_payouts.domain.designation import is_unknown
from tally_payouts.domain.families import Families
from tally_payouts.store.methods import Key
from tally_postgres import Connection

# A payout that opens and a merge wait for each other: whoever is second sees the first, so that nothing
# waits under the one that was merged beside a method of the one that is kept.
_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtext('payouts.merges'))"
_HAVE_ALONE = "SELECT pg_advisory_xact_lock(hashtext('payouts.merges'))"

# References of those asked for too: what is told now may merge one of them.
_FAMILIES = """
WITH asked (owner) AS (SELECT * FROM unnest($1::text[])), family AS (
    SELECT l.owner, l.merged_into FROM party_level l
    WHERE l.merged_into IN (
        SELECT COALESCE(m.merged_into, a.owner)
        FROM asked a LEFT JOIN party_level m ON m.owner = a.owner)
)
SELECT owner, merged_into, false FROM family
UNION ALL
SELECT owner, party_id, true FROM party_owner
WHERE party_id IN (SELECT owner FROM asked UNION SELECT owner FROM family)
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


async def families(conn: Connection, parties: Collection[str]) -> Families:
    """All that stands for any of these parties; references of money that waits for its owner do not."""
    became: dict[str, str] = {}
    references: dict[str, str] = {}
    for owner, party_id, is_reference in await conn.fetch(_FAMILIES, sorted(parties)):
        if not is_reference:
            became[owner] = party_id
        elif not is_unknown(owner):
            references[owner] = party_id
    return Families(became, references)


async def save(conn: Connection, found: Families) -> None:
    """Keep what ids became."""
    owners = sorted(found.became)
    await conn.execute(_SAVE, owners, [found.became[owner] for owner in owners])


async def waiting(conn: Connection, owners: Collection[str]) -> set[Key]:
    """Owner and currency of what waits for a method of these."""
    return {(row[0], row[1]) for row in await conn.fetch(_WAITING, sorted(owners))}
