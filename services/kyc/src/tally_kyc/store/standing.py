"""Tasks that wait, across all tenants."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection as Session

_STANDING = """
SELECT state, count(*) AS number, min(changed_at) AS since FROM task
WHERE state IN ('open', 'submitted', 'in_review') GROUP BY state
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait in a state, and since when the oldest."""

    number: int
    since: datetime


async def standing(conn: Session) -> Mapping[str, Waiting]:
    """What waits by state; to be asked in a transaction, since it names all tenants for itself."""
    await conn.execute("SELECT set_config('tally.tenant', '*', true)")
    rows = await conn.fetch(_STANDING)
    return {row["state"]: Waiting(row["number"], row["since"]) for row in rows}
