import asyncio
from decimal import Decimal

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_embedded import Stack
from tally_postgres import Pool, create_pool, is_transient
from tally_postgres.errors import SchemaNameInvalid
from tally_postgres.pool import decode_numeric, encode_numeric

from .conftest import Database

LARGEST = 10**38 - 1


@given(st.integers(-LARGEST, LARGEST))
def test_every_amount_is_written_and_read_as_the_same_int(amount: int) -> None:
    read = decode_numeric(encode_numeric(amount))
    assert read == amount
    assert type(read) is int


async def test_numeric_arrays_of_38_digits_arrive_and_return_as_ints(pool: Pool) -> None:
    amounts = [0, 1, -1, 9, 10_000, 2**63, LARGEST, -LARGEST, *(10**k for k in range(38))]
    rows = await pool.fetch("SELECT a FROM unnest($1::numeric[]) WITH ORDINALITY u(a, n)", amounts)
    assert [row["a"] for row in rows] == amounts
    back = await pool.fetchval("SELECT $1::numeric[]", [*amounts, None])
    assert back == [*amounts, None]
    assert {type(value) for value in back} == {int, type(None)}


async def test_a_statement_prepared_on_a_small_table_reads_by_its_index_once_it_is_large(
    provisioned: Database,
) -> None:
    provisioned.as_admin(
        "CREATE TABLE pgtest_alpha.thing (id bigint PRIMARY KEY) WITH (autovacuum_enabled = off);"
        "GRANT SELECT ON pgtest_alpha.thing TO tally_pgtest_alpha;"
        "INSERT INTO pgtest_alpha.thing VALUES (0); ANALYZE pgtest_alpha.thing"
    )
    pool = await create_pool(
        provisioned.dsn("pgtest_alpha"), schema="pgtest_alpha", application_name="test", max_size=1
    )
    query = "SELECT id FROM thing WHERE id = ANY($1::bigint[])"
    try:
        for _ in range(10):  # after five the plan is kept
            assert await pool.fetch(query, [1]) == []
        provisioned.as_admin("INSERT INTO pgtest_alpha.thing SELECT generate_series(1, 10000)")
        assert len(await pool.fetch(query, [1, 2])) == 2
        await pool.fetchval("SELECT pg_stat_force_next_flush()")
        read = "SELECT seq_tup_read, idx_scan FROM pg_stat_user_tables WHERE relname = 'thing'"
        row = await pool.fetchrow(read)
    finally:
        await pool.close()
    assert row is not None
    assert row["seq_tup_read"] == 0
    assert row["idx_scan"] > 0


async def test_a_columns_scale_decides_between_int_and_decimal(pool: Pool) -> None:
    row = await pool.fetchrow("SELECT 5::numeric(38,0) AS whole, 5::numeric(20,2) AS scaled")
    assert row is not None
    assert (row["whole"], type(row["whole"])) == (5, int)
    assert (str(row["scaled"]), type(row["scaled"])) == ("5.00", Decimal)


@pytest.mark.parametrize("value", [1.0, float("nan"), True, "1"])
async def test_floats_flags_and_texts_are_no_amounts(pool: Pool, value: object) -> None:
    with pytest.raises(asyncpg.DataError, match="NUMERIC takes int or Decimal"):
        await pool.fetchval("SELECT $1::numeric", value)


async def test_jsonb_holds_python_objects(pool: Pool) -> None:
    value = {"text": "naïve \U0001f9fe", "list": [1, None, True], "big": LARGEST}
    assert await pool.fetchval("SELECT $1::jsonb", value) == value
    with pytest.raises(asyncpg.DataError):
        await pool.fetchval("SELECT $1::jsonb", {"nan": float("nan")})


async def test_every_session_has_its_schema_and_its_limits(pool: Pool) -> None:
    for name, expected in {
        "search_path": "public",
        "application_name": "pgtest",
        "statement_timeout": "30s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "1min",
        "TimeZone": "UTC",
    }.items():
        assert await pool.fetchval("SELECT current_setting($1)", name) == expected


async def test_a_schema_name_cannot_smuggle_settings() -> None:
    with pytest.raises(SchemaNameInvalid):
        await create_pool("postgresql://x/y", schema="public, other", application_name="x")


async def test_a_pool_outlives_a_killed_database(stack: Stack, pool: Pool) -> None:
    if stack.origin.value != "embedded":
        pytest.skip("only an embedded server may be killed")
    assert await pool.fetchval("SELECT 1") == 1
    await asyncio.to_thread(stack.postgres.kill)
    with pytest.raises(Exception) as down:  # noqa: PT011 - which class it is, the kernel decides
        await pool.fetchval("SELECT 1")
    assert is_transient(down.value)
    await asyncio.to_thread(stack.postgres.start)
    async with asyncio.timeout(10):
        assert await pool.fetchval("SELECT 2") == 2


async def pids_of_two_sessions(pool: Pool) -> set[int]:
    async with pool.acquire() as first, pool.acquire() as second:
        return {await session.fetchval("SELECT pg_backend_pid()") for session in (first, second)}


async def test_sessions_ended_by_the_server_fail_as_transient_and_are_replaced(
    database: Database, pool: Pool
) -> None:
    before = await pids_of_two_sessions(pool)
    for pid in before:
        database.as_admin(f"SELECT pg_terminate_backend({pid}, 5000)")
    async with asyncio.timeout(10):
        while True:
            try:
                after = await pids_of_two_sessions(pool)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                assert is_transient(error)  # noqa: PT017 - how often it happens is a race
            else:
                break
    assert not after & before
