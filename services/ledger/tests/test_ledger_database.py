"""What the database itself refuses, whoever asks."""

from pathlib import Path

import asyncpg
import psycopg
import pytest

import tally_ledger
from tally_ledger.store import loading
from tally_postgres import lint

from .conftest import LedgerFixture
from .ledger_builders import account, identify, journal, leg, place

INSERT_ONLY = ("journal", "transfer", "entry", "rejection", "log")
FUNDING = journal(
    "j0",
    leg("l0", "cards", "ann", "10.00"),
    opens=[account("cards", guarded=False), account("ann")],
)


@pytest.fixture
async def funded(ledger: LedgerFixture) -> LedgerFixture:
    await ledger.apply(FUNDING, place("h1", "ann", "cards", "4.00"))
    await ledger.apply(journal("j9", leg("l9", "ann", "cards", "99.00")))
    return ledger


def changes(table: str) -> tuple[str, str, str]:
    column = "id" if table in {"journal", "rejection"} else "seq"
    return f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"


async def test_the_service_may_not_change_what_is_booked(funded: LedgerFixture) -> None:
    for table in INSERT_ONLY:
        for statement in changes(table):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await funded.pool.execute(statement)


async def test_nor_may_the_owner_or_a_superuser(funded: LedgerFixture) -> None:
    connection = await asyncpg.connect(funded.database.admin_dsn)
    try:
        await connection.execute("SET search_path = ledger")
        for role in ("tally_ledger_owner", "NONE"):
            await connection.execute(f"SET ROLE {role}")
            for table in INSERT_ONLY:
                for statement in changes(table):
                    with pytest.raises(asyncpg.RestrictViolationError, match="insert-only"):
                        await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_service_may_not_remove_accounts_holds_heads_or_assets(
    funded: LedgerFixture,
) -> None:
    for table in ("account", "hold", "shard_state", "asset"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await funded.pool.execute(statement)


async def test_the_scale_of_an_asset_cannot_change(funded: LedgerFixture) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await funded.pool.execute("UPDATE asset SET scale = 3 WHERE code = 'EUR'")


async def test_the_database_keeps_a_guarded_account_above_its_floor_counting_holds(
    funded: LedgerFixture,
) -> None:
    ann = identify("acc", "ann")
    # Ann has 10.00 and 4.00 of it are held.
    await funded.pool.execute("UPDATE account SET debits_posted = 600 WHERE id = $1", ann)
    with pytest.raises(asyncpg.CheckViolationError, match="account_floor"):
        await funded.pool.execute("UPDATE account SET debits_posted = 601 WHERE id = $1", ann)
    with pytest.raises(asyncpg.CheckViolationError, match="account_floor"):
        await funded.pool.execute("UPDATE account SET debits_pending = 1001 WHERE id = $1", ann)


async def test_no_counter_is_negative(funded: LedgerFixture) -> None:
    cards = identify("acc", "cards")
    for counter in ("debits_posted", "credits_posted", "debits_pending", "credits_pending"):
        with pytest.raises(psycopg.errors.CheckViolation):
            funded.as_admin(
                "ALTER TABLE ledger.account DISABLE TRIGGER account_goes_forward;"
                f" UPDATE ledger.account SET {counter} = -1 WHERE id = '{cards}'"
            )


async def test_a_malformed_transfer_is_refused(funded: LedgerFixture) -> None:
    good = {
        "shard": "'main'",
        "seq": "99",
        "log_seq": "9",
        "id": "'t'",
        "journal_id": "'j'",
        "kind": "'single'",
        "debit": "'a'",
        "credit": "'b'",
        "asset": "'EUR'",
        "amount": "1",
        "code": "'c'",
    }
    for bad, constraint in (
        ({"amount": "0"}, "transfer_amount_check"),
        ({"amount": "-1"}, "transfer_amount_check"),
        ({"credit": "'a'"}, "transfer_two_accounts"),
        ({"kind": "'post'"}, "transfer_follows_on"),
        ({"kind": "'reversed'", "remaining": "1"}, "transfer_kind_check"),
        ({"kind": "'reverse'"}, "transfer_follows_on"),
        ({"expires_at": "now()"}, "transfer_follows_on"),
        ({"remaining": "1"}, "transfer_follows_on"),
        ({"seq": "0"}, "transfer_seq_check"),
    ):
        row = {**good, **bad}
        with pytest.raises(asyncpg.CheckViolationError, match=constraint):
            await funded.pool.execute(
                f"INSERT INTO transfer ({', '.join(row)}) VALUES ({', '.join(row.values())})"
            )


async def test_ids_and_entry_numbers_are_used_once(funded: LedgerFixture) -> None:
    for table in INSERT_ONLY:
        with pytest.raises(asyncpg.UniqueViolationError):
            await funded.pool.execute(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1")


async def test_a_hold_is_open_while_it_reserves_and_never_more_than_its_amount(
    funded: LedgerFixture,
) -> None:
    for change, constraint in (
        ("remaining = 401", "hold_only_shrinks"),
        ("remaining = 400", "hold_only_shrinks"),
        ("remaining = -1", "hold_remaining_in_bounds"),
        ("remaining = 0", "hold_resolved_once_empty"),
        ("state = 'released', remaining = 1", "hold_resolved_once_empty"),
        ("state = 'captured', remaining = 0, expires_at = now()", "hold_expires_while_open"),
        ("remaining = 1, expires_at = now()", "hold_expires_while_open"),
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=constraint):
            await funded.pool.execute(f"UPDATE hold SET {change}")


async def test_a_resolved_hold_never_opens_again(funded: LedgerFixture) -> None:
    await funded.pool.execute(
        "UPDATE hold SET state = 'released', remaining = 0, expires_at = NULL"
    )
    for change in ("state = 'open', remaining = 1", "state = 'captured'"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="hold_only_shrinks"):
            await funded.pool.execute(f"UPDATE hold SET {change}")


async def test_posted_counters_and_entry_numbers_never_go_back(funded: LedgerFixture) -> None:
    for change in ("seq", "debits_posted", "credits_posted"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="account_goes_forward"):
            # Above zero, so that no other constraint is in the way.
            await funded.pool.execute(
                f"UPDATE account SET {change} = {change} - 1 WHERE {change} > 0"
            )


async def test_what_an_account_or_a_hold_is_never_changes(funded: LedgerFixture) -> None:
    for table, columns in (
        ("account", ("id", "shard", "asset", "owner", "guarded", "opened_at")),
        ("hold", ("id", "shard", "debit", "credit", "asset", "amount", "reference")),
        ("shard_state", ("shard",)),
    ):
        for column in columns:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await funded.pool.execute(f"UPDATE {table} SET {column} = {column}")


async def test_the_head_of_a_shard_only_goes_forward(funded: LedgerFixture) -> None:
    for change in (
        "version = version",
        "version = version + 1, log_seq = log_seq - 1",
        "version = version + 1, log_seq = log_seq + 2, transfer_seq = transfer_seq + 2",
        "version = version + 1, log_seq = log_seq + 1, transfer_seq = transfer_seq - 1",
        "version = version + 1, transfer_seq = transfer_seq + 1",
        "version = version + 1, head = sha256('')",
        "version = version + 1, recorded_at = recorded_at - interval '1 microsecond'",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="head_goes_forward"):
            await funded.pool.execute(f"UPDATE shard_state SET {change} WHERE shard = 'main'")


async def test_a_log_row_is_the_head_it_was_made_with(funded: LedgerFixture) -> None:
    for column, value in (
        ("seq", "seq + 1"),
        ("seq", "seq - 1"),
        ("root", "sha256('')"),
        ("last_transfer", "last_transfer + 1"),
        ("recorded_at", "recorded_at + interval '40 days'"),
    ):
        columns = await funded.pool.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'ledger' AND table_name = 'log' ORDER BY ordinal_position"
        )
        row = ", ".join(value if name == column else name for (name,) in columns)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="not its head"):
            await funded.pool.execute(
                f"INSERT INTO log SELECT {row} FROM log WHERE shard = 'main'"
                " ORDER BY seq DESC LIMIT 1"
            )


async def test_the_chain_of_a_shard_starts_from_zero(funded: LedgerFixture) -> None:
    await funded.pool.execute(
        "UPDATE shard_state SET version = 1, log_seq = 1, transfer_seq = 2, head = sha256(''),"
        " recorded_at = '2026-03-01' WHERE shard = 'second'"
    )
    for first, previous in ((1, b"\x01" * 32), (2, bytes(32))):
        with pytest.raises(asyncpg.CheckViolationError, match="log_chain_starts_from_zero"):
            await funded.pool.execute(
                "INSERT INTO log (shard, seq, first_transfer, last_transfer, root, previous_root,"
                " recorded_at) VALUES ('second', 1, $1, 2, sha256(''), $2, '2026-03-01')",
                first,
                previous,
            )


async def test_the_first_entry_of_an_account_starts_from_zero(funded: LedgerFixture) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="entry_starts_from_zero"):
        await funded.pool.execute(
            "INSERT INTO entry (account, seq, recorded_at, transfer_id, amount, pending,"
            " posted_after, pending_after) VALUES ('a', 1, '2026-03-01', 't', 1, 0, 2, 0)"
        )


async def test_a_writer_with_an_old_version_is_told_to_start_again(funded: LedgerFixture) -> None:
    version = await funded.pool.fetchval("SELECT version FROM shard_state WHERE shard = 'main'")
    stale = "SELECT advance_shard('main', $1, 1, now(), sha256(''), sha256(''))"
    before = await funded.dump()
    with pytest.raises(asyncpg.SerializationError, match="has moved on"):
        await funded.pool.execute(stale, version - 1)
    assert await funded.dump() == before


async def test_an_account_belongs_to_an_open_ledger_and_a_known_asset(
    funded: LedgerFixture,
) -> None:
    for column, value in (("shard", "nowhere"), ("asset", "XXX")):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            funded.as_admin(f"UPDATE ledger.account SET {column} = '{value}'")


async def test_look_ups_use_their_index_even_while_tables_are_small(
    funded: LedgerFixture,
) -> None:
    with psycopg.connect(funded.database.admin_dsn) as session:
        session.execute("SET search_path = ledger")
        session.execute("SET enable_seqscan = off")
        for query in (
            loading._KNOWN,
            loading._BOOKS,
            loading._AS_TEXT,
            loading._HOLDS,
            loading._DUE_HOLDS,
        ):
            plan = session.execute(f"EXPLAIN (GENERIC_PLAN) {query}".encode()).fetchall()
            assert "Index" in str(plan)
            assert "Seq Scan" not in str(plan)


@pytest.mark.parametrize("folder", ["migrations", "transfers/migrations"])
def test_migrations_pass_the_linter(folder: str) -> None:
    files = sorted((Path(tally_ledger.__file__).parent / folder).glob("*.sql"))
    assert files
    assert lint(files) == []
