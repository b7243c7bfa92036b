"""Balances and statements of the past: one probe of the index, pages that add up."""

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tally_ledger import store
from tally_ledger.partitions import ensure_months
from tally_ledger.store import reading

from .conftest import LedgerFixture
from .ledger_builders import NOW, account, identify, journal, leg, place

ANN = identify("acc", "ann")
FUNDING = journal(
    "j0",
    leg("l0", "cards", "ann", "10.00"),
    opens=[account("cards", guarded=False), account("ann")],
)
DAY = timedelta(days=1)


@pytest.fixture
async def history(ledger: LedgerFixture) -> LedgerFixture:
    """10.00 on day 0, a hold of 2.00 on day 20, and 1.00 + 0.50 out on day 40 in one batch."""
    await ensure_months(ledger.transactor)
    await ledger.apply(FUNDING)
    ledger.clock.advance(DAY * 20)
    await ledger.apply(place("h1", "ann", "cards", "2.00"))
    ledger.clock.advance(DAY * 20)
    await ledger.apply(
        journal("j1", leg("l1", "ann", "cards", "1.00")),
        journal("j2", leg("l2", "ann", "cards", "0.50")),
    )
    return ledger


async def test_the_balance_at_a_moment_counts_what_was_recorded_until_then(
    history: LedgerFixture,
) -> None:
    tick = timedelta(microseconds=1)
    async with history.pool.acquire() as conn:
        for moment, expected in (
            (NOW - tick, (0, 0, 0)),
            (NOW, (1000, 0, 1)),
            (NOW + DAY * 20 - tick, (1000, 0, 1)),
            (NOW + DAY * 20, (1000, -200, 2)),
            (NOW + DAY * 40, (850, -200, 4)),
            (NOW + DAY * 4000, (850, -200, 4)),
        ):
            assert await store.balance_at(conn, ANN, moment) == expected
        assert await store.balance_at(conn, "nobody", NOW) == (0, 0, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_a_statement_add_up_and_join(history: LedgerFixture, limit: int) -> None:
    async with history.pool.acquire() as conn:
        pages: list[store.Statement] = []
        place: store.Place | None = None
        while not pages or place is not None:
            page = await store.statement(conn, ANN, NOW, NOW + DAY * 41, after=place, limit=limit)
            assert len(page.lines) <= limit
            assert page.opening.posted + sum(n.amount for n in page.lines) == page.closing.posted
            assert page.opening.pending + sum(n.pending for n in page.lines) == page.closing.pending
            assert not pages or page.opening == pages[-1].closing
            pages.append(page)
            place = page.more
    assert [line.seq for page in pages for line in page.lines] == [1, 2, 3, 4]
    assert pages[0].opening == (0, 0, 0)
    assert pages[-1].closing == (850, -200, 4)


async def test_a_period_without_movements_closes_as_it_opened(history: LedgerFixture) -> None:
    async with history.pool.acquire() as conn:
        quiet = await store.statement(conn, ANN, NOW + DAY * 21, NOW + DAY * 40)
        ended = await store.statement(
            conn, ANN, NOW, NOW + DAY * 41, after=store.Place(NOW + DAY * 40, 4)
        )
        for limit in (0, reading.PAGE_MAX + 1):
            with pytest.raises(ValueError, match="limit"):
                await store.statement(conn, ANN, NOW, NOW + DAY, limit=limit)
    assert quiet == store.Statement((1000, -200, 2), (), (1000, -200, 2), None)  # type: ignore[arg-type]
    assert ended == store.Statement((850, -200, 4), (), (850, -200, 4), None)  # type: ignore[arg-type]


def plan(ledger: LedgerFixture, query: str, *values: object) -> dict[str, Any]:
    """The plan as it ran, warm."""
    text = query
    for position in range(len(values), 0, -1):
        value = values[position - 1]
        literal = str(value) if isinstance(value, int) else f"'{value}'"
        text = text.replace(f"${position}", literal)
    with psycopg.connect(ledger.database.admin_dsn) as session:
        session.execute("SET search_path = ledger")
        session.execute("ANALYZE entry")
        session.execute(text.encode())
        row = session.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) {text}".encode()
        ).fetchone()
    assert row is not None
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return dict(found[0]["Plan"])


def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node.get("Plans", []) for below in nodes(child))]


def ran(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for found in nodes(node) if found["Actual Loops"]]


async def grow(ledger: LedgerFixture, rows: int, since: datetime) -> None:
    """A long history in one statement."""
    await ledger.pool.execute(
        "INSERT INTO entry (account, recorded_at, seq, transfer_id, amount, pending, posted_after,"
        " pending_after) SELECT $1, $2::timestamptz + n * interval '1 second', 4 + n, 't', 1, 0,"
        " 850 + n, -200 FROM generate_series(1, $3::int) n",
        ANN,
        since,
        rows,
    )


async def test_a_past_balance_is_one_probe_however_long_the_history(
    history: LedgerFixture,
) -> None:
    last = NOW + DAY * 40
    await grow(history, 20_000, last)
    buffers = []
    for moment in (last + timedelta(seconds=50), last + timedelta(seconds=19_950)):
        top = plan(history, reading._BALANCE_AT, ANN, moment)
        probes = [node for node in ran(top) if "Scan" in node["Node Type"]]
        assert [node["Node Type"] for node in probes] == ["Index Scan"]
        assert [(node["Actual Loops"], node["Actual Rows"]) for node in probes] == [(1, 1)]
        assert not any("Sort" in node["Node Type"] for node in nodes(top))
        buffers.append(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
    assert buffers[0] == buffers[1] <= 6


async def test_a_page_reads_its_own_rows_only(history: LedgerFixture) -> None:
    last = NOW + DAY * 40
    await grow(history, 20_000, last)
    buffers = []
    for second in (50, 19_000):
        since = last + timedelta(seconds=second)
        top = plan(history, reading._PAGE, ANN, since, last + DAY, 0, 100)
        scans = [node for node in ran(top) if "Scan" in node["Node Type"]]
        assert {node["Node Type"] for node in scans} == {"Index Scan"}
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= 101
        buffers.append(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
    assert max(buffers) <= 15
