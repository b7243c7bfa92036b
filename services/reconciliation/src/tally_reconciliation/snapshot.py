"""One look at the database: a single read-only snapshot over every schema."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tally_postgres import Connection, Record, create_pool

ROWS_AHEAD = 5000
"""Rows a server-side cursor fetches at a time: what bounds the memory of a pass over a table."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Questions to the database, all answered as of one moment."""

    conn: Connection
    schemas: frozenset[str]

    def rows(self, query: str, *args: object) -> AsyncIterator[Record]:
        """Stream rows, however many there are."""
        return self.conn.cursor(query, *args, prefetch=ROWS_AHEAD)

    async def all(self, query: str, *args: object) -> list[Record]:
        """Rows of a question whose answer is small."""
        return await self.conn.fetch(query, *args)

    async def row(self, query: str, *args: object) -> Record:
        """The one row of an aggregate."""
        row = await self.conn.fetchrow(query, *args)
        assert row is not None, "an aggregate without GROUP BY has one row"
        return row

    async def value(self, query: str, *args: object) -> Any:
        """The one value of an aggregate."""
        return await self.conn.fetchval(query, *args)

    async def execute(self, statement: str, *args: object) -> None:
        """Write to the session's own temporary tables; anything else is refused by the server."""
        await self.conn.execute(statement, *args)


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator[Connection]:
    """One session, for temporary tables and the snapshot after them."""
    pool = await create_pool(dsn, schema="public", application_name="tally_verify", max_size=1)
    try:
        async with pool.acquire() as conn:
            yield conn
    finally:
        await pool.close()


@asynccontextmanager
async def snapshot(conn: Connection, wanted: Iterable[str]) -> AsyncIterator[Snapshot]:
    """Read everything as of now, able to change nothing."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        # A check over a large table takes its time; nothing waits for this session.
        await conn.execute("SET LOCAL statement_timeout = 0")
        rows = await conn.fetch(
            "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY($1::text[])", list(wanted)
        )
        yield Snapshot(conn, frozenset(row[0] for row in rows))


async def fill(
    conn: Connection, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[object]]
) -> None:
    """Add rows to a temporary table; `columns` are names and types."""
    if rows:
        given = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), 1))
        await conn.execute(
            f"INSERT INTO pg_temp.{table} ({', '.join(columns)}) SELECT * FROM unnest({given})",
            *zip(*rows, strict=True),
        )
