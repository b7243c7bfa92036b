"""What waits for a person, across all tenants."""

from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection as Session

_STANDING = """
SELECT (SELECT count(*) FROM approval WHERE state = 'open') AS approvals,
       (SELECT min(changed_at) FROM approval WHERE state = 'open') AS oldest_approval,
       (SELECT count(*) FROM party WHERE state = 'unclaimed') AS unclaimed
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Approvals nobody has decided, since when the oldest, and payees nobody has claimed."""

    approvals: int
    oldest_approval: datetime | None
    unclaimed: int


async def standing(conn: Session) -> Standing:
    """Count what waits; to be asked in a transaction, since it names all tenants for itself."""
    await conn.execute("SELECT set_config('tally.tenant', '*', true)")
    row = await conn.fetchrow(_STANDING)
    assert row is not None, "a query without FROM has one row"
    return Standing(row["approvals"], row["oldest_approval"], row["unclaimed"])
