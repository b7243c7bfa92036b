"""Months of entry and log: made ahead, protected like the rest, and no month missed stops money."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import psycopg
import pytest

from tally_ledger import store
from tally_ledger.partitions import (
    PartitionMetrics,
    PartitionWorker,
    ensure_months,
    months_ahead,
)
from tally_runtime import FixedClock, Metrics

from .conftest import LedgerFixture
from .ledger_builders import NOW, account, identify, journal, leg

FUNDING = journal(
    "j0",
    leg("l0", "cards", "ann", "10.00"),
    opens=[account("cards", guarded=False), account("ann")],
)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
TABLES = ("entry", "log")


def partitions(ledger: LedgerFixture, table: str) -> dict[str, str]:
    """Bounds by name."""
    rows = ledger.as_admin(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)"
        " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        f" WHERE i.inhparent = 'ledger.{table}'::regclass ORDER BY 1"
    )
    return dict(rows)


async def entries(ledger: LedgerFixture, partition: str) -> int:
    return int(await ledger.pool.fetchval(f"SELECT count(*) FROM {partition}"))


@pytest.fixture
async def monthly(ledger: LedgerFixture) -> LedgerFixture:
    assert await ensure_months(ledger.transactor)
    return ledger


def at(ledger: LedgerFixture, moment: datetime) -> None:
    ledger.clock.advance(moment - ledger.clock.now())


async def test_months_are_made_ahead_once(monthly: LedgerFixture) -> None:
    for table in TABLES:
        made = partitions(monthly, table)
        assert list(made) == [
            *(f"{table}_2026_{month:02}" for month in (3, 4, 5, 6)),
            f"{table}_past",
            f"{table}_rest",
        ]
        assert made[f"{table}_2026_04"] == (
            "FOR VALUES FROM ('2026-04-01 00:00:00+00') TO ('2026-05-01 00:00:00+00')"
        )
        assert made[f"{table}_rest"] == "FOR VALUES FROM ('2026-07-01 00:00:00+00') TO (MAXVALUE)"
    before = [partitions(monthly, table) for table in TABLES]
    assert await ensure_months(monthly.transactor)
    assert [partitions(monthly, table) for table in TABLES] == before


async def test_an_entry_lies_in_the_month_it_was_recorded_in(monthly: LedgerFixture) -> None:
    await monthly.apply(FUNDING)
    for moment, name in ((APRIL - timedelta(microseconds=1), "j1"), (APRIL, "j2")):
        at(monthly, moment)
        await monthly.apply(journal(name, leg(name, "ann", "cards", "1.00")))
    assert await entries(monthly, "entry_2026_03") == 4
    assert await entries(monthly, "entry_2026_04") == 2
    assert await monthly.pool.fetchval("SELECT count(*) FROM log_2026_04") == 1
    assert await monthly.balance("ann") == (800, 800)


async def test_recorded_time_never_goes_back_though_a_clock_does(monthly: LedgerFixture) -> None:
    at(monthly, APRIL)
    await monthly.apply(FUNDING)
    behind = replace(monthly, transactor=replace(monthly.transactor, clock=FixedClock(NOW)))
    (fact,) = await behind.apply(journal("j1", leg("l1", "ann", "cards", "1.00")))
    assert fact.body["occurred_at"] == "2026-04-01T00:00:00Z"
    rows = await monthly.pool.fetch(
        "SELECT seq, recorded_at FROM entry WHERE account = $1 ORDER BY recorded_at, seq",
        identify("acc", "ann"),
    )
    assert list(map(tuple, rows)) == [(1, APRIL), (2, APRIL)]


async def test_a_missed_month_stops_no_money_and_becomes_a_partition(
    monthly: LedgerFixture,
) -> None:
    await monthly.apply(FUNDING)
    at(monthly, datetime(2026, 9, 15, tzinfo=UTC))
    await monthly.apply(journal("j1", leg("l1", "ann", "cards", "1.00")))
    assert await entries(monthly, "entry_rest") == 2
    assert await ensure_months(monthly.transactor)
    assert await entries(monthly, "entry_from_2026_07") == 2
    assert await entries(monthly, "entry_rest") == 0
    made = partitions(monthly, "entry")
    assert made["entry_from_2026_07"].endswith("TO ('2026-10-01 00:00:00+00')")
    assert {"entry_2026_10", "entry_2026_11", "entry_2026_12"} <= set(made)
    await monthly.apply(journal("j2", leg("l2", "ann", "cards", "1.00")))
    assert await monthly.balance("ann") == (800, 800)
    async with monthly.pool.acquire() as conn:
        assert await store.balance_at(conn, identify("acc", "ann"), NOW) == (1000, 0, 1)


async def test_books_without_any_month_go_on(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    assert await ensure_months(ledger.transactor)
    assert await entries(ledger, "entry_past") == 2
    await ledger.apply(journal("j1", leg("l1", "ann", "cards", "1.00")))
    at(ledger, APRIL)
    await ledger.apply(journal("j2", leg("l2", "ann", "cards", "1.00")))
    assert await entries(ledger, "entry_past") == 4
    assert await entries(ledger, "entry_2026_04") == 2


async def test_every_partition_is_insert_only_and_written_through_its_table(
    monthly: LedgerFixture,
) -> None:
    at(monthly, datetime(2026, 9, 15, tzinfo=UTC))
    await monthly.apply(FUNDING)
    await ensure_months(monthly.transactor)
    for table in TABLES:
        names = [*partitions(monthly, table)]
        assert len(names) > 6
        for name in names:
            for statement in (
                f"UPDATE {name} SET seq = seq",
                f"DELETE FROM {name}",
                f"TRUNCATE {name}",
                f"INSERT INTO {name} SELECT * FROM {name}",
                f"DROP TABLE {name}",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await monthly.pool.execute(statement)
            for statement in (
                f"UPDATE ledger.{name} SET seq = seq",
                f"DELETE FROM ledger.{name}",
                f"TRUNCATE ledger.{name}",
            ):
                with pytest.raises(psycopg.errors.RestrictViolation, match="insert-only"):
                    monthly.as_admin(statement)


async def test_months_can_be_made_for_the_two_tables_only(ledger: LedgerFixture) -> None:
    for given in (("transfer", 1), ("entry; DROP TABLE log", 1), ("entry", 25), ("entry", -1)):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await ledger.pool.fetchval("SELECT ensure_partitions($1, now(), $2)", *given)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ledger.pool.fetchval("SELECT protect_partition('account')")


async def test_a_long_reader_is_not_waited_for(monthly: LedgerFixture) -> None:
    at(monthly, APRIL)
    async with monthly.pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT FROM entry")
        assert not await ensure_months(monthly.transactor)
        await monthly.apply(FUNDING)
    assert await ensure_months(monthly.transactor)
    assert "entry_2026_07" in partitions(monthly, "entry")


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        (None, -1),
        (datetime(2026, 3, 1, tzinfo=UTC), -1),
        (datetime(2026, 4, 1, tzinfo=UTC), 0),
        (datetime(2026, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))), 1),
        (datetime(2027, 4, 1, tzinfo=UTC), 12),
    ],
)
def test_months_ahead_are_counted_behind_this_one(begins: datetime | None, expected: int) -> None:
    for moment in (NOW, datetime(2026, 3, 1, tzinfo=UTC), APRIL - timedelta(microseconds=1)):
        assert months_ahead(store.Rest(begins, used=False), moment) == expected


async def test_a_month_that_is_missing_and_rows_without_one_are_measured(
    ledger: LedgerFixture,
) -> None:
    worker = PartitionWorker(PartitionMetrics.of(Metrics("test")))

    async def measured() -> list[tuple[float, float]]:
        await worker.measure(ledger.pool, ledger.clock.now())
        of = worker.metrics
        return [
            (of.months_ahead(table)._value.get(), of.rest_used(table)._value.get())
            for table in TABLES
        ]

    assert await measured() == [(-1, 0)] * 2, "none was made yet"
    await ensure_months(ledger.transactor)
    assert await measured() == [(3, 0)] * 2
    at(ledger, datetime(2026, 6, 30, 23, tzinfo=UTC))
    assert await measured() == [(0, 0)] * 2, "the next month is missing"
    at(ledger, datetime(2026, 7, 1, tzinfo=UTC))
    await ledger.apply(FUNDING)
    assert await measured() == [(-1, 1)] * 2
    await ensure_months(ledger.transactor)
    assert await measured() == [(3, 0)] * 2
