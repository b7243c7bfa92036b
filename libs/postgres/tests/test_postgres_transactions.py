import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tally_postgres import (
    Connection,
    NotPrimary,
    Pool,
    create_pool,
    in_transaction,
    is_transient,
    require_primary,
)
from tally_postgres.transactions import ATTEMPTS_MAX

from .conftest import Database

Work = Callable[[Connection], Awaitable[object]]


@pytest.fixture
async def account(pool: Pool) -> Pool:
    await pool.execute("CREATE TABLE account (id integer PRIMARY KEY, balance numeric NOT NULL)")
    await pool.execute("INSERT INTO account VALUES (1, 100), (2, 100)")
    return pool


async def raise_state(connection: Connection, state: str) -> None:
    await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")


async def balances(pool: Pool) -> list[int]:
    return [row["balance"] for row in await pool.fetch("SELECT balance FROM account ORDER BY id")]


async def test_work_commits_and_its_answer_comes_back(account: Pool) -> None:
    async def work(connection: Connection) -> str:
        return await connection.execute("UPDATE account SET balance = 7 WHERE id = 1")

    assert await in_transaction(account, work) == "UPDATE 1"
    assert await balances(account) == [7, 100]


async def test_any_exception_undoes_everything_and_is_not_retried(account: Pool) -> None:
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("UPDATE account SET balance = 7 WHERE id = 1")
        await connection.execute("INSERT INTO account VALUES (2, 1)")

    with pytest.raises(asyncpg.UniqueViolationError):
        await in_transaction(account, work)
    assert tries == 1
    assert await balances(account) == [100, 100]


async def test_a_real_deadlock_ends_with_both_units_applied_once(account: Pool) -> None:
    both_hold_one = asyncio.Barrier(2)
    tries = 0

    def move(first: int, second: int) -> Work:
        waited = False

        async def work(connection: Connection) -> None:
            nonlocal tries, waited
            tries += 1
            add = "UPDATE account SET balance = balance + 1 WHERE id = $1"
            await connection.execute("SET LOCAL deadlock_timeout = '50ms'")
            await connection.execute(add, first)
            if not waited:
                waited = True
                await both_hold_one.wait()
            await connection.execute(add, second)

        return work

    await asyncio.gather(in_transaction(account, move(1, 2)), in_transaction(account, move(2, 1)))
    assert tries == 3
    assert await balances(account) == [102, 102]


async def test_a_real_serialization_failure_runs_the_whole_unit_again(account: Pool) -> None:
    both_have_read = asyncio.Barrier(2)

    def add_sum() -> Work:
        waited = False

        async def work(connection: Connection) -> None:
            nonlocal waited
            await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            total = await connection.fetchval("SELECT sum(balance) FROM account")
            if not waited:
                waited = True
                await both_have_read.wait()
            await connection.execute(
                "INSERT INTO account SELECT n::integer, n FROM (SELECT $1::numeric) AS t (n)", total
            )

        return work

    await asyncio.gather(in_transaction(account, add_sum()), in_transaction(account, add_sum()))
    assert await balances(account) == [100, 100, 200, 400]


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_retries_are_bounded(pool: Pool, state: str) -> None:
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await raise_state(connection, state)

    with pytest.raises(asyncpg.PostgresError) as raised:
        await in_transaction(pool, work)
    assert tries == ATTEMPTS_MAX
    assert is_transient(raised.value)


async def test_a_read_only_server_is_left_by_the_whole_pool(account: Pool) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("UPDATE account SET balance = 0")

    before = await account.fetchval("SELECT pg_backend_pid()")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as raised:
        await in_transaction(account, work)
    assert is_transient(raised.value)
    assert await account.fetchval("SELECT pg_backend_pid()") != before


async def transient_among(pool: Pool, *states: str) -> list[str]:
    found = []
    for state in states:
        with pytest.raises(asyncpg.PostgresError) as raised:
            async with pool.acquire() as connection:
                await raise_state(connection, state)
        assert raised.value.sqlstate == state
        if is_transient(raised.value):
            found.append(state)
    return found


async def test_faults_of_the_database_are_transient(pool: Pool) -> None:
    states = [
        "08006",
        "08003",
        "25006",
        "25P03",
        "40001",
        "40P01",
        "53300",
        "53100",
        "55P03",
        "57014",
        "57P01",
        "57P02",
        "57P03",
        "58030",
    ]
    assert await transient_among(pool, *states) == states


async def test_faults_of_the_statement_or_its_data_are_not_transient(pool: Pool) -> None:
    states = ["22P05", "23505", "23503", "23514", "42601", "42501", "42P01", "57P04", "P0001"]
    assert await transient_among(pool, *states) == []


async def test_a_text_with_a_nul_byte_is_the_datas_fault(pool: Pool) -> None:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await pool.fetchval("SELECT $1::jsonb", {"text": "\0"})
    assert not is_transient(raised.value)


async def test_waits_that_ran_out_are_transient(database: Database) -> None:
    pool = await create_pool(
        database.admin_dsn, schema="public", application_name="pgtest", max_size=1
    )
    try:
        async with pool.acquire() as connection:
            with pytest.raises(TimeoutError) as no_session:
                async with pool.acquire(timeout=0.05):
                    pytest.fail("a pool of one gave two sessions")
            await connection.execute("SET statement_timeout = '20ms'")
            with pytest.raises(asyncpg.QueryCanceledError) as too_long:
                await connection.execute("SELECT pg_sleep(5)")
        assert is_transient(no_session.value)
        assert is_transient(too_long.value)
    finally:
        await pool.close()
    with pytest.raises(asyncpg.InterfaceError) as closed:
        await pool.fetchval("SELECT 1")
    assert is_transient(closed.value)


def test_a_driver_confused_by_a_session_cut_amid_an_exchange_is_transient() -> None:
    assert is_transient(asyncpg.InternalClientError("got result for unknown protocol state 3"))


async def test_a_refused_connection_is_transient(unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionRefusedError) as refused:
        await create_pool(
            f"postgresql://u:p@127.0.0.1:{unused_tcp_port}/d", schema="x", application_name="x"
        )
    assert is_transient(refused.value)


async def test_misuse_of_the_driver_is_not_transient(pool: Pool) -> None:
    with pytest.raises(asyncpg.InterfaceError) as raised:
        await pool.fetchval("SELECT $1::integer", 1, 2)
    assert not is_transient(raised.value)
    assert not is_transient(ValueError("closed"))


async def test_only_a_writable_server_is_ready(database: Database, pool: Pool) -> None:
    await require_primary(pool)
    await pool.execute("SET default_transaction_read_only = on")
    database.as_admin(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
        "current_database()); END $$"
    )
    await pool.expire_connections()
    with pytest.raises((NotPrimary, asyncpg.TargetServerAttributeNotMatched)) as raised:
        await require_primary(pool)
    assert is_transient(raised.value) or raised.value.retryable
