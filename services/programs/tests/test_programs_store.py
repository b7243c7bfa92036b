"""Statements, locks, tenants and constraints on the real database."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tally_contracts.programs import BudgetChanged, PaymentChanged
from tally_postgres import in_transaction, lint
from tally_programs import app as programs_app
from tally_programs.errors import StaleRow
from tally_programs.service.apply import ProgramService
from tally_programs.service.desk import Books
from tally_programs.store.budgets import load_budgets, save_budgets
from tally_programs.store.table import across_tenants

MIGRATIONS = Path(programs_app.__file__).parent / "migrations"
OWN = frozenset(
    {"program", "document", "budget", "reservation", "payable", "settlement", "payment", "claim",
     "wallet", "answer"}
)  # fmt: skip
STATEMENTS_MAX = 22


class Counting:
    """A connection that counts statements."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._conn, name)
        if name not in {"execute", "fetch", "fetchrow", "fetchval"}:
            return method

        async def counted(query: str, *args: Any) -> Any:
            self.statements += 1
            return await method(query, *args)

        return counted


async def statements_of(world, *events) -> int:
    """How many statements the service needs for these events as one batch."""
    counting: list[Counting] = []

    async def work(uow):
        counting.append(Counting(uow.conn))
        uow.conn = counting[0]
        records = [world.received(event) for event in events]
        await ProgramService(Books("main", "main")).apply(uow, records)
        uow.conn = counting[0]._conn

    await world.processor.transactor.run(work)
    return counting[0].statements


def everything(make, ids, run: str, times: int) -> list[Any]:
    """Each kind of command and fact, so often."""
    names = [f"{run}-{n}" for n in range(times)]
    company = ids("party", "company")
    otto = make.by("user:otto", company)
    events = [make.payable(name, "1.00") for name in names]
    events += [make.budget(name, "1.00", parent="top") for name in names]
    events += [make.reserve(name, name, "0.50") for name in names]
    events += [make.use(name, name, name, "0.25") for name in names]
    events += [make.claim(name, name, "0.25") for name in names]
    events += [otto.decide(name) for name in names]
    events += [make.propose(name, "0.10") for name in names]
    events += [otto.approve(name) for name in names]
    events += [make.payout(name, ids("pbl", name), "1.00") for name in names]
    events += [make.posted(name) for name in names]
    return events


async def test_number_of_statements_does_not_depend_on_the_size_of_a_batch(world, make, ids):
    await world.begin(approvals=1)
    few = await statements_of(world, *everything(make, ids, "few", 1))
    many = await statements_of(world, *everything(make, ids, "many", 20))
    assert few == many <= STATEMENTS_MAX
    paid = [p for p in await world.facts(PaymentChanged) if p.state == "paid"]
    assert len(paid) == 21


async def test_changes_of_a_budget_are_counted_without_a_gap_in_batches_and_alone(world, make, ids):
    await world.begin(approvals=1)
    await world.feed(*everything(make, ids, "batch", 3))
    await world.ask(*everything(make, ids, "alone", 3))
    top = [b for b in await world.facts(BudgetChanged) if b.budget_id == ids("bud", "top")]
    assert [b.sequence for b in top] == list(range(1, len(top) + 1))


async def test_two_appliers_never_spend_a_budget_twice(world, make, ids):
    await world.begin()
    commands = [make.reserve(f"r{n}", "top", "9.99") for n in range(20)]
    records = [world.raw(command) for command in commands]
    await asyncio.gather(*(world.feed(*records[n::4]) for n in range(4)))
    last = (await world.facts(BudgetChanged))[-1]
    assert last.reserved.amount == "99.90"
    assert last.sequence == 11


async def test_row_saved_over_a_newer_one_is_refused(world, make, ids):
    await world.begin()
    async with world.pool.acquire() as conn, conn.transaction():
        await across_tenants(conn)
        [old] = (await load_budgets(conn, [ids("bud", "top")], [])).values()
    await world.ask(make.reserve("r", "top", "1.00"))

    async def save(conn):
        await across_tenants(conn)
        await save_budgets(conn, [old])

    with pytest.raises(StaleRow, match="another applier"):
        await in_transaction(world.pool, save)


async def test_every_table_of_the_service_belongs_to_tenants_and_says_so_by_force(world):
    rows = await world.pool.fetch("""
        SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, p.polcmd,
               pg_get_expr(p.polqual, p.polrelid) AS using, a.attnotnull
        FROM pg_class c
        LEFT JOIN pg_policy p ON p.polrelid = c.oid
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
        WHERE c.relnamespace = 'programs'::regnamespace AND c.relkind = 'r'
    """)
    found = {row["relname"]: row for row in rows}
    machinery = ("inbox", "outbox", "quarantine", "relay", "retention", "migration_")
    assert {name for name in found if not name.startswith(machinery)} == OWN
    for name in OWN:
        row = found[name]
        assert (row["relrowsecurity"], row["relforcerowsecurity"], row["attnotnull"]) == (
            True,
            True,
            True,
        ), name
        assert row["polcmd"] == b"*", name
        assert "current_setting('tally.tenant'::text, true)" in row["using"], name


@pytest.mark.parametrize("tenant", [None, "", "party_nobody"])
async def test_f17_who_names_no_tenant_or_another_sees_and_changes_nothing(
    world, make, ids, tenant
):
    await world.begin(approvals=1)
    await world.feed(*everything(make, ids, "x", 1), make.wallet_opened(ids("acc", "more")))
    async with world.pool.acquire() as conn, conn.transaction():
        if tenant is not None:
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", tenant)
        for table in OWN:
            assert await conn.fetchval(f"SELECT count(*) FROM {table}") == 0, table
            assert await conn.execute(f"DELETE FROM {table}") == "DELETE 0"


async def test_f17_tenant_sees_its_own_rows(world, make, ids):
    await world.begin()
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', $1, true)", ids("party", "tenant"))
        assert await conn.fetchval("SELECT count(*) FROM budget") == 1


async def test_database_refuses_what_must_never_be(world, make, ids):
    await world.begin(approvals=1)
    await world.feed(*everything(make, ids, "x", 1))
    await world.ask(make.propose("waiting", "0.10"))
    for change in (
        "UPDATE budget SET used = amount + 1",
        "UPDATE budget SET reserved = -1",
        "UPDATE reservation SET used = amount + 1",
        "UPDATE claim SET granted = amount + 1",
        "UPDATE payable SET paid = -1",
        "UPDATE payment SET state = 'approved'",
    ):
        async with world.pool.acquire() as conn, conn.transaction():
            await across_tenants(conn)
            with pytest.raises(Exception, match="violates check constraint"):
                await conn.execute(change)


def test_migrations_are_clean():
    assert lint(sorted(MIGRATIONS.glob("*.sql"))) == []
