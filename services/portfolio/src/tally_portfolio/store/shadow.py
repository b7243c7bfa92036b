"""Read models made beside the live ones, put in their place in one moment, and compared with them."""

from collections.abc import Sequence
from typing import NamedTuple

from tally_postgres import Connection, MigrationSource, login_role, owner_role
from tally_postgres.migration_files import read_files

LIVE, SHADOW, BEFORE = "portfolio", "portfolio_shadow", "portfolio_before"
KEPT = frozenset({"view_log"})
"""Tables that no facts can make again: they stay as they are."""

_TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY c.relname
"""
_SET_ASIDE = """
SELECT topic, partition, "offset" FROM portfolio.quarantine
WHERE consumer = $1 AND state <> 'replayed'
"""
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('portfolio_fold:portfolio', 0))"


class Difference(NamedTuple):
    """Rows of a table that were there only before, and only after."""

    table: str
    only_before: int
    only_after: int


async def create(conn: Connection, source: MigrationSource) -> None:
    """Make the empty tables of the shadow; what an earlier rebuild left behind is dropped."""
    owner, login = owner_role(LIVE), login_role(LIVE)
    for name in (SHADOW, BEFORE):
        await conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        await conn.execute(f"CREATE SCHEMA {name} AUTHORIZATION {owner}")
        await conn.execute(f"GRANT USAGE ON SCHEMA {name} TO {login}")
    async with conn.transaction():
        await conn.execute(f"SET LOCAL ROLE {owner}")
        await conn.execute(f"SET LOCAL search_path = {SHADOW}")
        for file in read_files(source):
            await conn.execute(file.sql.decode())
        await conn.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SHADOW} TO {login}"
        )


async def set_aside(conn: Connection, consumer: str) -> frozenset[tuple[str, int, int]]:
    """Places of the records that the live tables hold nothing of, since they could not be applied."""
    rows = await conn.fetch(_SET_ASIDE, consumer)
    return frozenset((row[0], row[1], row[2]) for row in rows)


async def stop_folding(conn: Connection) -> None:
    """Let no batch change the live tables until this transaction ends; they are still read."""
    await conn.execute("SET LOCAL lock_timeout = '60s'")
    await conn.execute("SET LOCAL statement_timeout = 0")
    await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    await conn.execute(_ALONE)


async def swap(conn: Connection) -> None:
    """Put the shadow's tables in place of the live ones, for everybody at the transaction's end."""
    tables = [name for name in await _tables(conn, SHADOW) if name not in KEPT]
    # Readers take this one first: none of them is between two tables now.
    await conn.execute(f"LOCK TABLE {LIVE}.balance IN ACCESS EXCLUSIVE MODE")
    await conn.execute(f"SET LOCAL ROLE {owner_role(LIVE)}")
    for name in tables:
        await conn.execute(f"ALTER TABLE {LIVE}.{name} SET SCHEMA {BEFORE}")
        await conn.execute(f"ALTER TABLE {SHADOW}.{name} SET SCHEMA {LIVE}")


async def differences(conn: Connection) -> list[Difference]:
    """What the tables that were replaced held otherwise."""
    found = []
    async with conn.transaction():
        await conn.execute("SET LOCAL statement_timeout = 0")
        await conn.execute(f"SET LOCAL ROLE {owner_role(LIVE)}")
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        for name in await _tables(conn, BEFORE):
            counts = [
                await conn.fetchval(
                    f"SELECT count(*) FROM (TABLE {one}.{name} EXCEPT TABLE {other}.{name}) x"
                )
                for one, other in ((BEFORE, LIVE), (LIVE, BEFORE))
            ]
            if any(counts):
                found.append(Difference(name, *counts))
    return found


async def drop(conn: Connection) -> None:
    """Drop what was replaced and what is left of the shadow."""
    for name in (SHADOW, BEFORE):
        await conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


async def analyze(conn: Connection) -> None:
    """Let the planner know the new tables."""
    async with conn.transaction():
        await conn.execute(f"SET LOCAL ROLE {owner_role(LIVE)}")
        for name in await _tables(conn, SHADOW):
            await conn.execute(f"ANALYZE {SHADOW}.{name}")


async def _tables(conn: Connection, schema: str) -> Sequence[str]:
    return [row[0] for row in await conn.fetch(_TABLES, schema)]
