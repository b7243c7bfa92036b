"""Two writers of one shard: one wins, the other starts again with fresh state, nothing is doubled."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tally_ledger.handlers import apply_commands
from tally_messaging import UnitOfWork
from tally_postgres import Connection

from .conftest import LedgerFixture
from .ledger_builders import Event, account, capture, journal, leg, place

CLEARING = account("cards", guarded=False)
WALLET = account("ann")
FUNDING = journal("j0", leg("l0", "cards", "ann", "10.00"), opens=[CLEARING, WALLET])


class WatchedConnection:
    """A connection that counts statements and lets something happen before the shard is advanced."""

    def __init__(self, conn: Connection, before_advance: Callable[[], Awaitable[None]]) -> None:
        self._conn = conn
        self._before_advance = before_advance
        self.statements: list[str] = []

    async def execute(self, query: str, *args: object) -> str:
        if "advance_shard" in query:
            await self._before_advance()
        self.statements.append(query)
        return await self._conn.execute(query, *args)

    async def fetch(self, query: str, *args: object) -> Any:
        self.statements.append(query)
        return await self._conn.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> Any:
        self.statements.append(query)
        return await self._conn.fetchrow(query, *args)


async def nothing() -> None:
    return None


async def apply_watched(
    ledger: LedgerFixture, *events: Event, before_advance: Callable[[], Awaitable[None]] = nothing
) -> list[WatchedConnection]:
    """Apply a batch; the connection of each attempt."""
    messages = [ledger.received(event) for event in events]
    attempts: list[WatchedConnection] = []

    async def unit(uow: UnitOfWork) -> None:
        attempts.append(WatchedConnection(uow.conn, before_advance))
        watched = replace(uow, conn=attempts[-1])  # type: ignore[arg-type]
        await apply_commands(watched, messages)

    await ledger.transactor.run(unit)
    return attempts


class Once:
    """Runs something at the first call only."""

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work: Callable[[], Awaitable[object]] | None = work

    async def __call__(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            await work()


async def test_a_writer_with_stale_state_starts_again_and_decides_anew(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    spend, spend_too = (journal(f"j{n}", leg(f"l{n}", "ann", "cards", "8.00")) for n in (1, 2))
    attempts = await apply_watched(
        ledger, spend, before_advance=Once(lambda: ledger.apply(spend_too))
    )
    assert len(attempts) == 2
    codes = [row["code"] for row in await ledger.pool.fetch("SELECT code FROM rejection")]
    assert codes == ["insufficient_funds"], "decided on what the winner left"
    assert await ledger.balance("ann") == (200, 200)


async def test_the_same_command_in_two_hands_has_one_effect(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    spend = journal("j1", leg("l1", "ann", "cards", "8.00"))
    attempts = await apply_watched(ledger, spend, before_advance=Once(lambda: ledger.apply(spend)))
    assert len(attempts) == 2
    assert not any("advance_shard" in query for query in attempts[1].statements)
    assert await ledger.balance("ann") == (200, 200)


async def test_a_refusal_on_stale_state_is_not_kept(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    spend = journal("j1", leg("l1", "ann", "cards", "15.00"))
    more = journal("j2", leg("l2", "cards", "ann", "10.00"))
    await apply_watched(ledger, spend, before_advance=Once(lambda: ledger.apply(more)))
    assert await ledger.balance("ann") == (500, 500)
    assert (await ledger.dump())["rejection"] == []


async def test_many_writers_at_once_lose_and_double_nothing(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    batches = [
        [
            journal(f"in{writer}-{turn}", leg(f"in{writer}-{turn}", "cards", "ann", "1.00")),
            place(f"h{writer}-{turn}", "ann", "cards", "0.50"),
            capture(f"c{writer}-{turn}", f"h{writer}-{turn}", "0.50"),
        ]
        for turn in range(5)
        for writer in range(3)
    ]

    async def write(mine: list[list[Event]]) -> None:
        for batch in mine:
            await apply_watched(ledger, *batch)
            await apply_watched(ledger, *batch)

    await asyncio.gather(*(write(batches[writer::3]) for writer in range(3)))
    assert await ledger.balance("ann") == (1000 + 15 * 100 - 15 * 50,) * 2
    row = await ledger.pool.fetchrow(
        "SELECT (SELECT count(*) FROM transfer), (SELECT max(seq) FROM transfer),"
        " (SELECT count(*) FROM log), (SELECT log_seq FROM shard_state WHERE shard = 'main')"
    )
    assert row is not None
    assert tuple(row) == (46, 46, 16, 16)


@pytest.mark.parametrize("size", [20, 400])
async def test_the_number_of_statements_does_not_grow_with_the_batch(
    ledger: LedgerFixture, size: int
) -> None:
    names = [account(f"w{n}") for n in range(20)]
    await ledger.apply(FUNDING, journal("jw", leg("lw", "cards", "w0", "1.00"), opens=names))
    await ledger.apply(*(place(f"old{n}", "ann", "cards", "0.01") for n in range(size // 4)))
    events: list[Event] = []
    for n in range(size // 4):
        opens = [account(f"new{n}")]
        events += (
            journal(f"a{n}", leg(f"a{n}", "cards", f"w{n % 20}", "1.00"), opens=opens),
            journal(f"b{n}", leg(f"b{n}", "ann", "cards", "999.00")),
            place(f"c{n}", "cards", "ann", "0.01"),
            capture(f"d{n}", f"old{n}", "0.01"),
        )
    (attempt,) = await apply_watched(ledger, *events)
    assert len(attempt.statements) == 11
    reads = [query for query in attempt.statements if query.strip().startswith("SELECT")]
    assert len(reads) == 3, "the books, the holds and the compare-and-set"
