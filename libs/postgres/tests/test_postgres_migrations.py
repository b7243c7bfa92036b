import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tally_postgres import (
    MigrationEdited,
    MigrationFailed,
    MigrationFileInvalid,
    MigrationLockTimeout,
    MigrationSource,
    MigrationsPending,
    Schema,
    create_pool,
    migrate,
    pending,
    verify_version,
)
from tally_postgres.errors import SchemaNameInvalid
from tally_postgres.migration_files import read_files

from .conftest import Database

Write = Callable[..., MigrationSource]

TRANSFER = """
CREATE TABLE transfer (
    id bigint PRIMARY KEY,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    note text NOT NULL DEFAULT '100%'
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transfer is append only; add a reversal';
END;
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transfer
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE ON transfer FROM tally_pgtest_alpha;
"""
INBOX = "CREATE TABLE inbox (id uuid PRIMARY KEY);"


@pytest.fixture
def alpha(write_source: Write) -> Schema:
    return Schema(
        "pgtest_alpha",
        (
            write_source("messaging", inbox=INBOX),
            write_source("ledger", transfer=TRANSFER, more="ALTER TABLE transfer ADD why text;"),
        ),
    )


def edit(source: MigrationSource, name: str, sql: str) -> Path:
    path = source.directory / name
    path.write_text(sql, encoding="utf-8")
    return path


def tables(database: Database) -> set[object]:
    rows = database.as_admin(
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'pgtest_alpha' AND relkind = 'r' AND relname NOT LIKE 'migration%'"
    )
    return {row[0] for row in rows}


def test_all_sources_are_applied_in_order_and_only_once(
    provisioned: Database, alpha: Schema
) -> None:
    expected = ["messaging/0001_inbox.sql", "ledger/0001_transfer.sql", "ledger/0002_more.sql"]
    assert pending(provisioned.admin_dsn, alpha) == expected
    assert migrate(provisioned.admin_dsn, alpha) == expected
    assert migrate(provisioned.admin_dsn, alpha) == []
    assert tables(provisioned) == {"inbox", "transfer"}
    assert provisioned.as_admin(
        "SELECT number, name FROM pgtest_alpha.migration_ledger ORDER BY number"
    ) == [(1, "0001_transfer.sql"), (2, "0002_more.sql")]
    assert provisioned.as_admin("SELECT count(*) FROM pgtest_alpha.migration_messaging") == [(1,)]


def test_everything_belongs_to_the_schemas_owner(provisioned: Database, alpha: Schema) -> None:
    migrate(provisioned.admin_dsn, alpha)
    owners = provisioned.as_admin(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
        " WHERE relnamespace = 'pgtest_alpha'::regnamespace"
        " UNION SELECT pg_get_userbyid(proowner) FROM pg_proc"
        " WHERE pronamespace = 'pgtest_alpha'::regnamespace"
    )
    assert owners == [("tally_pgtest_alpha_owner",)]


async def test_a_migration_can_take_rights_from_the_service(
    provisioned: Database, alpha: Schema
) -> None:
    migrate(provisioned.admin_dsn, alpha)
    pool = await create_pool(
        provisioned.dsn("pgtest_alpha"), schema="pgtest_alpha", application_name="pgtest"
    )
    try:
        await pool.execute("INSERT INTO transfer (id, amount) VALUES (1, 5)")
        assert await pool.fetchval("SELECT note FROM transfer") == "100%"
        for statement in ("UPDATE transfer SET amount = 6", "DELETE FROM transfer"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM migration_ledger")
    finally:
        await pool.close()


def test_runners_at_the_same_time_apply_each_file_once(
    provisioned: Database, alpha: Schema
) -> None:
    applied: list[str] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            applied.extend(migrate(provisioned.admin_dsn, alpha))
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert failures == []
    assert sorted(applied) == [
        "ledger/0001_transfer.sql", "ledger/0002_more.sql", "messaging/0001_inbox.sql",
    ]  # fmt: skip


def test_a_runner_gives_up_on_one_that_never_ends(provisioned: Database, alpha: Schema) -> None:
    with psycopg.connect(provisioned.admin_dsn) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('tally_migrate:pgtest_alpha', 0))")
        with pytest.raises(MigrationLockTimeout) as raised:
            migrate(provisioned.admin_dsn, alpha, wait_s=0.2)
    assert raised.value.retryable
    assert tables(provisioned) == set()


def test_an_edited_file_is_named_and_nothing_is_applied(
    provisioned: Database, alpha: Schema
) -> None:
    migrate(provisioned.admin_dsn, alpha)
    messaging, ledger = alpha.migrations
    edited = edit(messaging, "0001_inbox.sql", INBOX + "-- a harmless remark\n")
    edit(ledger, "0003_new.sql", "CREATE TABLE new (id bigint PRIMARY KEY);")
    with pytest.raises(MigrationEdited) as raised:
        migrate(provisioned.admin_dsn, alpha)
    assert raised.value.path == edited
    assert "0001_inbox.sql" in str(raised.value)
    assert tables(provisioned) == {"inbox", "transfer"}
    with pytest.raises(MigrationEdited):
        pending(provisioned.admin_dsn, alpha)


def test_a_file_that_failed_on_some_data_is_mended_where_it_names_the_one_before(
    provisioned: Database, alpha: Schema
) -> None:
    before = hashlib.sha256(INBOX.encode()).hexdigest()
    migrate(provisioned.admin_dsn, alpha)
    messaging = alpha.migrations[0]
    edit(messaging, "0001_inbox.sql", f"-- tally: mends {before}\n{INBOX}-- what failed, mended\n")
    assert migrate(provisioned.admin_dsn, alpha) == []
    assert pending(provisioned.admin_dsn, alpha) == []
    edit(messaging, "0001_inbox.sql", f"-- tally: mends {'0' * 64}\n{INBOX}")
    with pytest.raises(MigrationEdited):
        migrate(provisioned.admin_dsn, alpha)


def test_line_ends_of_another_system_are_no_edit(provisioned: Database, alpha: Schema) -> None:
    migrate(provisioned.admin_dsn, alpha)
    path = alpha.migrations[1].directory / "0001_transfer.sql"
    path.write_bytes(TRANSFER.replace("\n", "\r\n").encode())
    assert migrate(provisioned.admin_dsn, alpha) == []


def test_a_failing_file_leaves_nothing_of_itself_and_is_tried_again(
    provisioned: Database, alpha: Schema
) -> None:
    ledger = alpha.migrations[1]
    broken = edit(ledger, "0002_more.sql", "CREATE TABLE half (id bigint); SELECT 1 / 0;")
    with pytest.raises(MigrationFailed, match="division by zero") as raised:
        migrate(provisioned.admin_dsn, alpha)
    assert raised.value.path == broken
    assert tables(provisioned) == {"inbox", "transfer"}
    edit(ledger, "0002_more.sql", "CREATE TABLE half (id bigint);")
    assert migrate(provisioned.admin_dsn, alpha) == ["ledger/0002_more.sql"]


def test_an_older_release_leaves_newer_versions_alone(provisioned: Database, alpha: Schema) -> None:
    migrate(provisioned.admin_dsn, alpha)
    (alpha.migrations[1].directory / "0002_more.sql").unlink()
    assert pending(provisioned.admin_dsn, alpha) == []
    assert migrate(provisioned.admin_dsn, alpha) == []


def test_every_file_runs_under_bounded_waits_in_its_own_schema(
    provisioned: Database, write_source: Write
) -> None:
    seen = (
        "CREATE TABLE seen AS SELECT current_setting('lock_timeout') l,"
        " current_setting('statement_timeout') s, current_setting('search_path') p"
    )
    changing = "SET search_path = public; SET lock_timeout = 0;"
    source = write_source("ledger", changing=changing, seen=seen)
    migrate(provisioned.admin_dsn, Schema("pgtest_alpha", (source,)))
    assert provisioned.as_admin("SELECT l, s, p FROM pgtest_alpha.seen") == [
        ("5s", "15min", "pgtest_alpha")
    ]


def test_an_index_can_be_built_without_blocking_writers(
    provisioned: Database, write_source: Write
) -> None:
    index = (
        "-- tally: no-transaction\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS transfer_amount ON transfer (amount);"
    )
    schema = Schema("pgtest_alpha", (write_source("ledger", transfer=TRANSFER, index=index),))
    assert migrate(provisioned.admin_dsn, schema) == [
        "ledger/0001_transfer.sql", "ledger/0002_index.sql",
    ]  # fmt: skip
    assert provisioned.as_admin(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'pgtest_alpha.transfer_amount'::regclass"
    ) == [(True,)]
    assert migrate(provisioned.admin_dsn, schema) == []


async def test_a_service_starts_only_on_the_schema_its_code_was_written_for(
    provisioned: Database, alpha: Schema
) -> None:
    dsn = provisioned.dsn("pgtest_alpha")
    pool = await create_pool(dsn, schema="pgtest_alpha", application_name="pgtest")
    try:
        with pytest.raises(MigrationsPending) as raised:
            await verify_version(pool, alpha)
        assert raised.value.names == pending(dsn, alpha)
        assert len(raised.value.names) == 3
        migrate(provisioned.admin_dsn, alpha)
        await verify_version(pool, alpha)
        assert pending(dsn, alpha) == []
        edit(alpha.migrations[0], "0001_inbox.sql", "SELECT 1;")
        with pytest.raises(MigrationEdited):
            await verify_version(pool, alpha)
    finally:
        await pool.close()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "no migrations"),
        (["0002_b.sql"], "should be 0001"),
        (["0001_a.sql", "0003_c.sql"], "should be 0002"),
        (["0001_a.sql", "0001_b.sql"], "should be 0002"),
        (["1_a.sql"], "name it like"),
        (["0001_A.sql"], "name it like"),
        (["0001_a-b.sql"], "name it like"),
    ],
)
def test_a_folder_with_gaps_twins_or_odd_names_is_refused(
    tmp_path: Path, names: list[str], problem: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationFileInvalid, match=problem):
        read_files(MigrationSource("ledger", tmp_path))


@pytest.mark.parametrize("word", ["BEGIN;", "commit ;", "  ROLLBACK;", "START TRANSACTION;"])
def test_a_file_that_ends_the_runners_transaction_is_refused(
    write_source: Write, word: str
) -> None:
    source = write_source("ledger", sneaky=f"SELECT 1;\n{word}\nSELECT 2;")
    with pytest.raises(MigrationFileInvalid, match="the runner holds the transaction"):
        read_files(source)


@pytest.mark.parametrize("name", ["", "Ledger", "a b", "a;drop", "1a", "a" * 41, "a-b", 'a"'])
def test_only_plain_names_reach_sql(tmp_path: Path, name: str) -> None:
    with pytest.raises(SchemaNameInvalid):
        Schema(name, ())
    with pytest.raises(SchemaNameInvalid):
        MigrationSource(name, tmp_path)
