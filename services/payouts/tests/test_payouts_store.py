"""Statements, locks and constraints on the real database."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tally_contracts.kyc import Ceiling, LimitRow
from tally_payouts import app as payouts_app
from tally_payouts.domain.payout import ExitHold, Outcome, ReturnedMoney, Route, Standing
from tally_payouts.domain.states import MustAct, PayoutState, ReturnStep
from tally_payouts.errors import StaleVersion
from tally_payouts.store import methods, payouts
from tally_payouts.store.payouts import load_payouts, save_payouts
from tally_postgres import in_transaction, lint

from .conftest import tid

MIGRATIONS = Path(payouts_app.__file__).parent / "migrations"
STATEMENTS_MAX = 31


LIMIT = LimitRow(
    level="none",
    act="exit",
    endpoint_class="any",
    window="day",
    limit=Ceiling(currency="USD", amount="25.00"),
)


class Counting:
    """A connection that counts statements."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.statements: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._conn, name)
        if name not in {"execute", "fetch", "fetchrow", "fetchval"}:
            return method

        async def counted(query: str, *args: Any) -> Any:
            self.statements.append(query)
            return await method(query, *args)

        return counted


async def statements_of(world, *events) -> int:
    """How many statements the saga needs for these events as one batch."""
    return len(await sent_by(world, *events))


async def written(world, *events) -> set[str]:
    """The tables that statements of this batch write to."""
    words = [text.split() for text in await sent_by(world, *events)]
    return {w[2] if w[0] == "INSERT" else w[1] for w in words if w[0] in {"INSERT", "UPDATE"}}


async def sent_by(world, *events) -> list[str]:
    """The statements the saga sends for these events as one batch."""
    counting: list[Counting] = []

    async def work(uow):
        counting.append(Counting(uow.conn))
        records = [world.received(event) for event in events]
        await world.processor.router.dispatch(dataclasses.replace(uow, conn=counting[-1]), records)

    await world.processor.transactor.run(work)
    return counting[-1].statements


def busy_batch(make, ids, size: int, tag: str) -> list[Any]:
    """Everything the saga reads, `size` times over, payouts in every stage among it."""
    events: list[Any] = []
    for n in range(size):
        name, owner = f"{tag}-{n}", f"{tag}-owner-{n}"
        payout = ids(name, owner)
        events += [
            make.registered(owner, instrument=name),
            make.choose(owner, instrument=name),
            make.pay_in(name, owner),
            make.pay_in(f"{name}-b", owner),
            make.request(name, owner),
            make.cancel(ids(f"{name}-b", owner)),
            make.placed(payout),
            make.attempt(payout, "paid"),
            make.captured(payout),
            make.returned(payout),
            make.posted(payout),
            make.attempt(payout, "failed"),
            make.refused(owner, instrument=name),
            make.policy(program=f"p-{name}"),
            make.level(tid("party", name), "basic"),
            make.limits(LIMIT, table=f"t-{name}", jurisdictions=("FR",)),
        ]
    return events


async def test_batch_needs_the_same_number_of_statements_whatever_its_size(world, make, ids):
    small = await statements_of(world, *busy_batch(make, ids, 1, "small"))
    large = await statements_of(world, *busy_batch(make, ids, 40, "large"))
    assert small == large <= STATEMENTS_MAX
    assert await world.pool.fetchval("SELECT count(*) FROM payout WHERE state = 'returned'") == 41


async def test_facts_of_the_happy_path_need_three_statements_and_two_to_ask_for_gates(
    world, make, ids
):
    await world.with_method()
    names = [f"p{n}" for n in range(20)]
    await world.feed(*(make.pay_in(name) for name in names))
    assert await statements_of(world, *(make.placed(ids(name)) for name in names)) == 5
    await world.feed(*(make.attempt(ids(name), "paid") for name in names))
    assert await statements_of(world, *(make.captured(ids(name)) for name in names)) == 3


async def test_batch_of_foreign_facts_needs_one_statement(world, make):
    foreign = [make.captured("pin_01h2xcejqtf2nbrexx3vqjhp41") for _ in range(20)]
    assert await statements_of(world, *foreign) == 1


async def test_journals_of_pay_ins_are_not_read(world, make):
    await world.feed(make.posted(tid("pin", "one")), make.journal_rejected(tid("pin", "two")))
    assert await world.pool.fetchval("SELECT count(*) FROM inbox") == 0
    await world.feed(make.posted(tid("po", "one")), make.journal_rejected(tid("po", "two")))
    assert await world.pool.fetchval("SELECT count(*) FROM inbox") == 2


async def test_names_that_are_kept_are_not_kept_again(world, make):
    assert "party_owner" in await written(world, make.pay_in("one"))
    assert "party_owner" not in await written(world, make.pay_in("two"))
    assert "party_owner" in await written(world, make.pay_in("three"), make.pay_in("b", "ben"))
    rows = await world.pool.fetch("SELECT owner FROM party_owner ORDER BY 1")
    assert [row[0] for row in rows] == ["ann", "ben"]


async def test_two_appliers_of_the_same_batch_have_one_effect(world, make, ids):
    await world.with_method()
    records = [world.raw(make.pay_in(f"p{n}")) for n in range(20)]
    records += [world.raw(make.placed(ids(f"p{n}"))) for n in range(20)]
    await asyncio.gather(*(world.feed(*records) for _ in range(3)))
    assert await world.quarantined() == []
    for n in range(20):
        assert await world.states(ids(f"p{n}")) == ["approved", "submitting"]
    assert len(await world.sent("rails.ach.commands.v1")) == 20


async def overlapping(world, first: list[Any], second: list[Any]) -> None:
    """Apply `first`, and `second` by another applier before the first has committed."""
    applied, go_on = asyncio.Event(), asyncio.Event()

    async def step(point: str) -> None:
        if point == "applied":
            applied.set()
            await go_on.wait()

    slow = dataclasses.replace(world, processor=dataclasses.replace(world.processor, step=step))
    async with asyncio.TaskGroup() as group:
        group.create_task(slow.feed(*first))
        await applied.wait()
        group.create_task(world.feed(*second))
        await asyncio.sleep(0.1)
        go_on.set()
    assert await world.quarantined() == []


async def test_second_applier_of_a_payout_waits_and_builds_on_the_first(world, make, ids):
    await world.with_method()
    names = [f"p{n}" for n in range(10)]
    await world.feed(*(make.pay_in(name) for name in names))
    await world.feed(*(make.placed(ids(name)) for name in names))
    submitted = [make.attempt(ids(name), "submitted") for name in names]
    paid = [make.attempt(ids(name), "paid") for name in reversed(names)]
    await overlapping(world, submitted, paid)
    await world.feed(*(make.captured(ids(name)) for name in names))
    for name in names:
        assert await world.states(ids(name)) == ["approved", "submitting", "submitted", "paid"]


@pytest.mark.parametrize("known", [True, False], ids=["known-payee", "new-payee"])
@pytest.mark.parametrize("choice_first", [True, False])
async def test_no_payout_stays_claimable_beside_a_choice_made_at_the_same_time(
    world, make, ids, known, choice_first
):
    await world.feed(make.registered())
    if known:
        await world.feed(make.pay_in("before"))
    pay_in, choice = [make.pay_in("one")], [make.choose()]
    await overlapping(world, *((choice, pay_in) if choice_first else (pay_in, choice)))
    assert (await world.states(ids("one")))[-1] == "approved"


@pytest.mark.parametrize("choice_first", [True, False])
@pytest.mark.parametrize("word", ["registered", "refused"])
async def test_choice_and_word_about_its_instrument_at_the_same_time_both_count(
    world, make, ids, word, choice_first
):
    if word == "refused":
        await world.feed(make.registered())
    choice, told = [make.choose()], [getattr(make, word)()]
    await overlapping(world, *((choice, told) if choice_first else (told, choice)))
    await world.feed(make.pay_in("one"))
    assert await world.states(ids("one")) == (
        ["approved"] if word == "registered" else ["claimable"]
    )


async def test_save_over_a_newer_version_is_refused_and_changes_nothing(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    async with world.pool.acquire() as conn, conn.transaction():
        [old] = await load_payouts(conn, [ids("one")], [])
    await world.feed(make.placed(ids("one")))
    before = await world.dump()
    failed = dataclasses.replace(
        old, payout=dataclasses.replace(old.payout, state=PayoutState.FAILED)
    )
    for stale in (failed, dataclasses.replace(failed, version=0)):
        with pytest.raises(StaleVersion, match="another applier"):
            await in_transaction(
                world.pool, lambda conn, row=stale: save_payouts(conn, [row], world.now)
            )
    assert await world.dump() == before


async def test_payout_reads_back_as_it_was_saved_in_every_stage(world, make, ids):
    await world.with_method()
    payout = ids("one")
    for event in (
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "in_transit"),
        make.attempt(payout, "paid"),
        make.returned(payout),
        make.captured(payout),
        make.posted(payout),
    ):
        await world.feed(event)
        async with world.pool.acquire() as conn, conn.transaction():
            [loaded] = await load_payouts(conn, [payout], [])
            await save_payouts(conn, [loaded], world.now)
            [again] = await load_payouts(conn, [payout], [])
        assert again.payout == loaded.payout
        assert again.circumstances == loaded.circumstances
        assert again.version == loaded.version + 1
    assert loaded.payout.returned is not None


@pytest.mark.parametrize("change", ["route", "ending", "returned", "holds"])
async def test_what_seldom_changes_is_written_where_it_has_changed(world, make, ids, change):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    changed: dict[str, Any] = {
        "route": Route(2, "wallet", tid("ins", "other"), tid("acc", "other"), "ben"),
        "ending": Outcome(PayoutState.FAILED, Standing("r03", MustAct.PAYEE)),
        "returned": ReturnedMoney("ret-1", ReturnStep.REMEMBERED, Standing("r03", MustAct.PAYEE)),
        "holds": (ExitHold("kyc", "level_too_low", "verify", MustAct.PAYEE, "default", 1),),
    }
    async with world.pool.acquire() as conn, conn.transaction():
        [loaded] = await load_payouts(conn, [ids("one")], [])
        payout = dataclasses.replace(loaded.payout, **{change: changed[change]})
        await save_payouts(conn, [dataclasses.replace(loaded, payout=payout)], world.now)
        [again] = await load_payouts(conn, [ids("one")], [])
    assert again.payout == payout != loaded.payout


async def test_payout_that_moves_on_writes_no_more_than_that(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    statements = await sent_by(world, make.placed(ids("one")))
    assert payouts._MOVE in statements
    assert payouts._SAVE not in statements


async def test_payouts_are_moved_on_by_a_plan_from_when_there_was_one(world, database, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    with psycopg.connect(database.admin_dsn, autocommit=True) as administrator:
        administrator.execute("ANALYZE payouts.payout")
    kinds = ["timestamptz", *(f"{kind}[]" for _, kind in payouts._MOVED)]
    nothing = f"EXECUTE move (now(), {', '.join(['NULL'] * len(payouts._MOVED))})"
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await conn.execute(f"PREPARE move ({', '.join(kinds)}) AS {payouts._MOVE}")
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {nothing}"))
        await conn.execute("DEALLOCATE move")
    assert "Index Cond: (id = r.id)" in plan, "all payouts are gone through to find two"
    assert "Tid Scan on payout p" in plan


async def test_database_refuses_a_paid_payout_without_a_captured_hold(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    for change in ("state = 'paid'", "must_act = NULL", "reason_code = NULL", "state = 'sent'"):
        with pytest.raises(Exception, match="violates check constraint"):
            await world.pool.execute(f"UPDATE payout SET {change}")


def test_migrations_are_clean():
    assert lint(sorted(MIGRATIONS.glob("*.sql"))) == []


async def test_choices_are_looked_up_by_a_plan_from_when_there_were_none(world) -> None:
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await conn.execute(f"PREPARE chosen (text[], text[]) AS {methods._CHOICES}")
        await conn.execute("EXECUTE chosen ('{}', '{}')")
        rows = [
            methods.Method(f"owner-{n}", "USD", 1, "wallet", f"i-{n}", methods.MethodState.ACTIVE)
            for n in range(500)
        ]
        await methods.save_methods(conn, rows, world.now)
        plan = await conn.fetch(
            "EXPLAIN (ANALYZE, TIMING OFF)"
            " EXECUTE chosen (ARRAY['owner-1', 'owner-2'], ARRAY['USD', 'USD'])"
        )
        await conn.execute("DEALLOCATE chosen")
    read = [row[0] for row in plan if "method" in row[0] and "rows=500" in row[0]]
    assert not read, "all choices are gone through to find two"
