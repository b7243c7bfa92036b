"""Whether the primary can be written to, for readiness probes."""

from tally_postgres.connection import Pool
from tally_postgres.errors import PostgresError

_ACQUIRE_TIMEOUT_S = 2.0


class NotPrimary(PostgresError):  # noqa: N818 - named for what it says
    """The server answers and takes no writes."""

    code = "postgres_not_primary"
    retryable = True


async def require_primary(pool: Pool) -> None:
    """Raise unless a session can be had and its server takes writes."""
    async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
        if await connection.fetchval("SHOW transaction_read_only") != "off":
            raise NotPrimary(
                "the database server is read-only: wait for the failover to finish, or point the "
                "DSN at the primary"
            )
