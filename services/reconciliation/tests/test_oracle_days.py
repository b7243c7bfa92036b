"""Signed days, sound and spoilt: the row at fault is named, whichever column it is in."""

import base64
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.closing import announce_key, close_next_day
from tally_ledger.proofs import SigningKey
from tally_ledger.wire import command_of
from tally_messaging import Transactor
from tally_money import iso_currencies
from tally_postgres import Connection, create_pool
from tally_reconciliation import Check, Verdict
from tally_reconciliation.checks.chain import check_chain
from tally_reconciliation.checks.days import check_days
from tally_reconciliation.snapshot import Snapshot, session
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_testkit import Databases, ServiceDatabase

pytestmark = pytest.mark.stack
KEY = SigningKey.parse(base64.b64encode(bytes(range(32))).decode())
OTHER = SigningKey.parse(base64.b64encode(bytes(range(1, 33))).decode())
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = "ledger.daily_root WHERE day = '2026-03-02'"


def _journal(name: str) -> PostJournal:
    accounts = [derived_id("acc", side) for side in ("one", "two")]
    return PostJournal(
        journal_id=derived_id("jrn", name),
        ledger="main",
        reference=derived_id("pin", name),
        open_accounts=tuple(
            AccountSpec(
                id=id_, owner="o", purpose="clearing", path="p", currency="EUR", guarded=False
            )
            for id_ in accounts
        ),
        legs=(
            Leg(
                id=derived_id("tr", name),
                debit=accounts[0],
                credit=accounts[1],
                amount=PositiveAmount(currency="EUR", amount="1.00"),
                code="fill",
            ),
        ),
        effective_at=NOW,
        who=Who(actor="test", principal="test"),
        where=Where(channel="test"),
        why=Why(program="test", event="e", reason="Because"),
        occurred_at=NOW,
    )


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[ServiceDatabase]:
    made = databases.clone(SCHEMA)
    yield made
    databases.drop(made)


async def _live(database: ServiceDatabase) -> None:
    """Two batches on the first day, one on each of the next two, and one on a day still open."""
    clock = FixedClock(NOW)
    pool = await create_pool(database.dsn("ledger"), schema="ledger", application_name="t")
    work = Transactor(pool=pool, clock=clock, ids=SeededIds(1, clock), source="/t")
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0) ON CONFLICT DO NOTHING")
    currencies = list(iso_currencies().values())
    await work.run(lambda uow: service.open_books(uow.conn, ["main"], currencies))
    await work.run(lambda uow: announce_key(uow, KEY.public))
    for names in ("ab", "c", "d", "e"):
        for name in names:
            command = command_of(_journal(name), iso_currencies())
            await work.run(
                lambda uow, command=command: service.post(uow.conn, "main", [command], uow.now, {})
            )
        clock.advance(timedelta(days=1))
        if names != "e":
            assert await close_next_day(work, "main", KEY)
    await pool.close()


@pytest.fixture
async def books(database: ServiceDatabase) -> AsyncIterator[Connection]:
    """Those books, in a transaction past triggers and constraints that ends undone."""
    async with session(database.admin_dsn) as conn:
        if not await conn.fetchval("SELECT count(*) FROM ledger.daily_root"):
            await _live(database)
        undone = conn.transaction()
        await undone.start()
        await conn.execute("SET LOCAL session_replication_role = replica")
        try:
            yield conn
        finally:
            await undone.rollback()


async def judged(conn: Connection, *trusted: SigningKey) -> Check:
    snap = Snapshot(conn, frozenset({"ledger"}))
    return await check_days(snap, tuple(key.public.raw for key in trusted))


async def test_sound_days_are_green_by_the_keys_stated_and_by_those_given(
    books: Connection,
) -> None:
    for check in (await judged(books), await judged(books, OTHER, KEY)):
        assert [str(fault) for fault in check.faults] == []
        assert check.verdict is Verdict.GREEN
    assert (await judged(books)).figures["days"] == 3
    chain = await check_chain(Snapshot(books, frozenset({"ledger"})))
    assert [fault for check in chain for fault in check.faults] == []


async def test_days_signed_by_a_key_nobody_trusts_are_named(books: Connection) -> None:
    check = await judged(books, OTHER)
    assert [fault.what for fault in check.faults] == ["key_unknown"] * 3


def flipped(column: str) -> str:
    return f"set_bit({column}, 9, 1 - get_bit({column}, 9))"


COLUMNS = {
    "shard": ("'other'", "day_missing"),
    "day": ("'2026-03-09'", "record_hash_differs"),
    "first_log": ("first_log + 1", "day_not_next"),
    "last_log": ("last_log + 1", "day_root_differs"),
    "root": (flipped("root"), "day_root_differs"),
    "head": (flipped("head"), "day_head_differs"),
    "previous": (flipped("previous"), "previous_differs"),
    "signed_at": ("signed_at + interval '1 microsecond'", "record_hash_differs"),
    "key_id": ("'0123456789abcdef'", "key_unknown"),
    "record_hash": (flipped("record_hash"), "record_hash_differs"),
    "signature": (flipped("signature"), "signature_invalid"),
}


async def test_every_column_is_spoilt_below(books: Connection) -> None:
    rows = await books.fetch(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'ledger.daily_root'::regclass"
        " AND attnum > 0 AND NOT attisdropped"
    )
    assert {row[0] for row in rows} == COLUMNS.keys()


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_changed_column_of_a_day_is_found_and_its_row_named(
    books: Connection, column: str
) -> None:
    value, what = COLUMNS[column]
    await books.execute("ALTER TABLE ledger.daily_root DROP CONSTRAINT daily_root_range")
    await books.execute(f"UPDATE {DAY.replace('WHERE', f'SET {column} = {value} WHERE')}")
    check = await judged(books)
    assert check.verdict is Verdict.RED
    said = {(fault.what, fault.row.get("daily_root")) for fault in check.faults}
    moved = {"day": "2026-03-09", "shard": "2026-03-03"}
    assert (what, moved.get(column, "2026-03-02")) in said


@pytest.mark.parametrize("column", ["root", "head", "record_hash", "previous", "signature"])
async def test_the_day_behind_a_spoilt_one_is_not_blamed(books: Connection, column: str) -> None:
    await books.execute(f"UPDATE {DAY.replace('WHERE', f'SET {column} = {flipped(column)} WHERE')}")
    check = await judged(books)
    named = {fault.row["daily_root"] for fault in check.faults}
    assert named == {"2026-03-02"}


async def test_a_day_taken_away_a_key_exchanged_and_a_batch_moved_are_found(
    books: Connection,
) -> None:
    inner = books.transaction()
    await inner.start()
    await books.execute(f"DELETE FROM {DAY}")
    assert "day_missing" in {fault.what for fault in (await judged(books)).faults}
    await inner.rollback()
    inner = books.transaction()
    await inner.start()
    await books.execute("UPDATE ledger.signing_key SET public_key = $1", OTHER.public.raw)
    assert {fault.what for fault in (await judged(books)).faults} >= {
        "key_differs_from_id",
        "signature_invalid",
    }
    await inner.rollback()
    await books.execute("UPDATE ledger.log SET recorded_at = $1 WHERE seq = 5", NOW)
    assert [str(fault) for fault in (await judged(books)).faults] == [
        "batch_in_a_closed_day shard=main log_seq=5"
    ]
