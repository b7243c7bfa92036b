"""The SQL of the gateway, one module for each question. `scoped` comes first in every transaction."""

from tally_postgres import Connection

EVERY_TENANT = "*"
"""Of the gateway's own work, and of the operator."""

_SCOPE = "SELECT set_config('tally.tenant', $1, true)"


async def scoped(conn: Connection, tenant: str) -> Connection:
    """Let the rest of the transaction see this tenant's rows alone; without it, it sees none."""
    await conn.fetchval(_SCOPE, tenant)
    return conn
