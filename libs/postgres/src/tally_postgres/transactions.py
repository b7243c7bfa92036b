"""One unit of work in one transaction, tried again when Postgres asks for it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import stamina

from tally_postgres.connection import Connection, Pool

T = TypeVar("T")

ATTEMPTS_MAX = 6
ACQUIRE_TIMEOUT_S = 10.0
_WAIT_INITIAL_S = 0.01
_WAIT_MAX_S = 0.5

# serialization_failure, deadlock_detected: the server undid everything and invites a retry.
_RETRY_STATES = frozenset({"40001", "40P01"})
_READ_ONLY_STATE = "25006"
_TRANSIENT_STATES = frozenset({
    *_RETRY_STATES,
    _READ_ONLY_STATE,  # the primary became a standby
    "25P03",  # idle_in_transaction_session_timeout: the process was paused
    "25P04",  # transaction_timeout
    "55P03",  # lock_not_available
    "57014",  # query_canceled: statement_timeout under load
})  # fmt: skip
# Connection, insufficient resources, operator intervention (shut-down), system error.
_TRANSIENT_CLASSES = frozenset({"08", "53", "57", "58"})
_DATABASE_DROPPED = "57P04"


async def in_transaction(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in a transaction and commit it; any exception rolls everything back.

    The whole of `work` runs again, at most `ATTEMPTS_MAX` times with jitter, when the transaction
    fails with 40001 or 40P01: it must have no effect outside the connection it is given. All other
    errors pass through; `is_transient` tells which of them a later try may heal.
    """
    async for attempt in stamina.retry_context(
        on=_invites_retry,
        attempts=ATTEMPTS_MAX,
        timeout=None,
        wait_initial=_WAIT_INITIAL_S,
        wait_max=_WAIT_MAX_S,
        wait_jitter=_WAIT_INITIAL_S,
    ):
        with attempt:
            try:
                async with (
                    pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection,
                    connection.transaction(),
                ):
                    return await work(connection)
            except asyncpg.ReadOnlySQLTransactionError:
                # Every session of the pool may point at the demoted server.
                await pool.expire_connections()
                raise
    raise AssertionError("the last attempt returns or raises")


def is_transient(error: BaseException) -> bool:
    """Tell whether the same work may succeed later: the fault lies with the database or the way to it.

    True for lost or refused connections, a restarting, read-only or overloaded server, time-outs
    and exhausted pools; False for everything the statement or its data caused.
    """
    state = getattr(error, "sqlstate", None)
    if isinstance(error, asyncpg.PostgresError) and isinstance(state, str):
        if state == _DATABASE_DROPPED:
            return False
        return state in _TRANSIENT_STATES or state[:2] in _TRANSIENT_CLASSES
    if isinstance(error, asyncpg.InterfaceError):
        # The driver has one class for misuse and for sessions that died under it.
        return "closed" in str(error) or "connection has been released" in str(error)
    if isinstance(error, asyncpg.InternalClientError):
        # A session cut amid an exchange confuses the driver; the data has no part in it.
        return True
    return isinstance(error, asyncpg.TargetServerAttributeNotMatched | OSError)


def _invites_retry(error: Exception) -> bool:
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _RETRY_STATES
