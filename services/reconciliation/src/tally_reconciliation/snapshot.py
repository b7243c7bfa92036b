"""One look at the database: a single read-only snapshot over every schema."""

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from tally_postgres import Connection, Record, create_pool

ROWS_AHEAD = 5000
"""Rows a server-side cursor fetches at a time: what bounds the memory of a pass over a table."""


_ANSWER_TIMEOUT_S = 3600.0
"""A question about a large table takes its time; nobody waits for this session."""


class _Patient(Protocol):
    """The session's own calls, with a time-out of the caller's."""

    def fetch(self, query: str, *args: object, timeout: float) -> Awaitable[list[Record]]: ...
    def fetchrow(self, query: str, *args: object, timeout: float) -> Awaitable[Record | None]: ...
    def fetchval(self, query: str, *args: object, timeout: float) -> Awaitable[Any]: ...
    def execute(self, query: str, *args: object, timeout: float) -> Awaitable[str]: ...
    def cursor(
        self, query: str, *args: object, prefetch: int, timeout: float
    ) -> AsyncIterator[Record]: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Questions to the database, all answered as of one moment."""

    conn: Connection
    schemas: frozenset[str]

    @property
    def _patient(self) -> _Patient:
        return cast("_Patient", self.conn)

    def rows(self, query: str, *args: object) -> AsyncIterator[Record]:
        """Stream rows, however many there are."""
        return self._patient.cursor(query, *args, prefetch=ROWS_AHEAD, timeout=_ANSWER_TIMEOUT_S)

    async def all(self, query: str, *args: object) -> list[Record]:
        """Rows of a question whose answer is small."""
        return await self._patient.fetch(query, *args, timeout=_ANSWER_TIMEOUT_S)

    async def row(self, query: str, *args: object) -> Record:
        """The one row of an aggregate."""
        row = await self._patient.fetchrow(query, *args, timeout=_ANSWER_TIMEOUT_S)
        assert row is not None, "an aggregate without GROUP BY has one row"
        return row

    async def value(self, query: str, *args: object) -> Any:
        """The one value of an aggregate."""
        return await self._patient.fetchval(query, *args, timeout=_ANSWER_TIMEOUT_S)

    async def execute(self, statement: str, *args: object) -> None:
        """Write to the session's own temporary tables; anything else is refused by the server."""
        await self._patient.execute(statement, *args, timeout=_ANSWER_TIMEOUT_S)


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
        # Row level security binds everybody but a superuser: unsaid, all rows of tenants seem lost.
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        await conn.execute(f"SET LOCAL statement_timeout = '{_ANSWER_TIMEOUT_S:.0f}s'")
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
