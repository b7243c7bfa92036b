"""Statements that run while the next is built: in order, one at a time, no error lost."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tally_ledger.store.writes import Writes
from tally_postgres import Connection

from .conftest import LedgerFixture


class Slow:
    """A connection whose statements take some turns of the loop."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def execute(self, query: str, *_: object) -> str:
        self.told.append(f"begin {query}")
        for _turn in range(5):
            await asyncio.sleep(0)
        self.told.append(f"end {query}")
        return query


async def test_a_statement_is_sent_before_its_successor_is_built() -> None:
    conn: Any = Slow()
    async with Writes(conn) as writes:
        await writes.write("a")
        assert conn.told == ["begin a"], "the caller goes on while it runs"
        await writes.write("b")
    assert conn.told == ["begin a", "end a", "begin b", "end b"]


async def write_all(conn: Connection, *queries: str, then: Exception | None = None) -> None:
    """Write the queries as one block, and fail in it if told to."""
    async with Writes(conn) as writes:
        for query in queries:
            await writes.write(query)
        if then is not None:
            raise then


@pytest.mark.parametrize("queries", [("SELECT 1 / 0",), ("SELECT 1 / 0", "SELECT 1")])
async def test_a_failing_statement_fails_the_block(
    ledger: LedgerFixture, queries: tuple[str, ...]
) -> None:
    async with ledger.pool.acquire() as conn:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await write_all(conn, *queries)


async def test_a_block_that_fails_leaves_a_connection_that_can_be_used(
    ledger: LedgerFixture,
) -> None:
    async with ledger.pool.acquire() as conn:
        with pytest.raises(KeyError, match="while building"):
            await write_all(conn, "SELECT pg_sleep(0.05)", then=KeyError("while building"))
        assert await conn.fetchval("SELECT 1") == 1
