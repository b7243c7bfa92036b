"""How many payments and claims wait, and since when."""

from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection, Pool, in_transaction
from tally_programs.store.table import across_tenants

_STANDING = """
SELECT 'payment_' || state, count(*), min(changed_at) FROM payment
WHERE state IN ('proposed', 'approved') GROUP BY state
UNION ALL
SELECT 'claim_' || state, count(*), min(changed_at) FROM claim
WHERE state = 'submitted' GROUP BY state
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Things that wait; `since` is the last change of the one that has waited longest, if known."""

    what: str
    number: int
    since: datetime | None


async def standing(pool: Pool) -> list[Standing]:
    """All that waits, of every tenant, counted."""

    async def count(conn: Connection) -> list[Standing]:
        await across_tenants(conn)
        return [Standing(*row) for row in await conn.fetch(_STANDING)]

    return await in_transaction(pool, count)
