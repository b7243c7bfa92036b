"""Whose rows a transaction sees, and who may change the tree while others fold."""

from collections.abc import Iterable, Sequence

from tally_postgres import Connection

ALL_TENANTS = "*"
"""What a transaction names to see every tenant's rows."""

_SEE = "SELECT set_config('tally.tenant', $1, true)"
# Of the schema, so that a rebuild beside the live tables waits for nobody.
_KEY = "hashtextextended('portfolio_fold:' || current_schema(), 0)"
_FOLD = f"SELECT set_config('tally.tenant', '*', true), pg_advisory_xact_lock_shared({_KEY})"
_RESTRUCTURE = f"SELECT set_config('tally.tenant', '*', true), pg_advisory_xact_lock({_KEY})"
# No snapshot is taken before it is held: a reader sees all tables before a swap, or all after it.
_READ = "LOCK TABLE balance IN ACCESS SHARE MODE"


async def see(conn: Connection, tenant: str) -> None:
    """Let the transaction see this tenant's rows from now on."""
    await conn.execute(_SEE, tenant)


async def begin_reading(conn: Connection, tenant: str) -> None:
    """Begin a reading transaction: the tables of one moment, the rows of one tenant."""
    await conn.execute(_READ)
    await see(conn, tenant)


async def begin_fold(conn: Connection, *, restructures: bool) -> None:
    """Begin writing what a batch says; whoever changes the tree is alone with it."""
    await conn.execute(_RESTRUCTURE if restructures else _FOLD)


def given(*types: str) -> str:
    """A query for the rows whose columns are the statement's first parameters, as `columns` makes them.

    Not unnested in FROM: there each column is kept whole before its first row is read, which costs a
    twentieth of what it costs to insert the row.
    """
    return "SELECT " + ", ".join(f"unnest(${n}::{type_}[])" for n, type_ in enumerate(types, 1))


def columns(rows: Sequence[tuple[object, ...]]) -> Iterable[list[object]]:
    """Rows as one list for each column, for `unnest`."""
    return map(list, zip(*rows, strict=True))
