"""The oracle and batches of transfers: each item is judged like a journal that came alone."""

from collections.abc import AsyncIterator

import pytest

from tally_contracts.base import AskedAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_contracts.ledger_batches import BatchItem, PostBatch
from tally_ledger.app import SCHEMA as LEDGER
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_reconciliation.snapshot import session
from tally_runtime import FixedClock, derived_id
from tally_testkit import Databases

from .conftest import Day
from .platform_bench import START, Bench

_WHO, _WHERE = Who(actor="cli", principal="acme"), Where(channel="cli")
_WHY = Why(program="royalties", event="run-1", reason="Royalties of January")
_BATCHES = "headers LIKE '%ledger.batch.answered.v1%'"


def _leg(name: str, debit: str, credit: str, amount: str) -> Leg:
    return Leg(
        id=derived_id("tr", name),
        debit=derived_id("acc", debit),
        credit=derived_id("acc", credit),
        amount=AskedAmount(currency="EUR", amount=amount),
        code="royalty",
    )


def _account(name: str, *, guarded: bool) -> AccountSpec:
    return AccountSpec(
        id=derived_id("acc", name),
        owner=name,
        purpose="wallet" if guarded else "clearing",
        path=f"wallet/{name}",
        currency="EUR",
        guarded=guarded,
    )


def _funding() -> PostJournal:
    return PostJournal(
        journal_id=derived_id("jrn", "funding"),
        ledger="main",
        reference=derived_id("pin", "funding"),
        open_accounts=(
            _account("cards", guarded=False),
            _account("rich", guarded=True),
            _account("ann", guarded=True),
        ),
        legs=(_leg("funding", "cards", "rich", "100.00"),),
        effective_at=START,
        who=_WHO,
        where=_WHERE,
        why=_WHY,
        occurred_at=START,
    )


def _run(*amounts: tuple[str, str]) -> PostBatch:
    return PostBatch(
        batch_id=derived_id("bat", "run"),
        ledger="main",
        reference=derived_id("run", "run"),
        items=tuple(
            BatchItem(
                journal_id=derived_id("jrn", name),
                reference=derived_id("po", name),
                leg=_leg(name, "rich", "ann", amount),
            )
            for name, amount in amounts
        ),
        effective_at=START,
        who=_WHO,
        where=_WHERE,
        why=_WHY,
        occurred_at=START,
    )


@pytest.fixture
async def books(databases: Databases) -> AsyncIterator[Day]:
    """A ledger that was given batches: new, the same again, and one that claims a used id."""
    database = databases.clone(LEDGER)
    bench = Bench(database, FixedClock(START))
    await bench.start("ledger", build_ledger, LedgerSettings)
    asked = _run(("a", "10.00"), ("b", "1.001"), ("c", "900.00"), ("d", "5.00"))
    commands = (_funding(), asked, asked, _run(("e", "1.00"), ("a", "11.00")))
    for number, command in enumerate(commands):
        bench.publish("ledger.commands.v1", command, key="main", event_id=f"cmd-{number}")
        await bench.settle()
    await bench.stop()
    async with session(database.admin_dsn) as conn:
        undone = conn.transaction(isolation="repeatable_read")
        await undone.start()
        yield Day(conn, bench.broker, ("ledger",))
        await undone.rollback()
    databases.drop(database)


async def test_o14_batches_asked_once_and_again_are_sound(books: Day) -> None:
    report = await books.judge()
    assert {check.id: check.faults for check in report.checks if check.faults} == {}


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"log_seq":2', '"log_seq":3'),
        ('"code":"insufficient_funds"', '"code":"account_closed"'),
        (derived_id("jrn", "d"), derived_id("jrn", "nobody")),
        ('"channel":"cli"', '"channel":"web"'),
    ],
    ids=["place in the log", "reason of a refusal", "journal", "where"],
)
async def test_o14_an_item_that_differs_from_its_row_is_told(
    books: Day, said: str, instead: str
) -> None:
    await books.spoil(
        "UPDATE ledger.outbox SET payload = convert_to("
        f"replace(convert_from(payload, 'UTF8'), '{said}', '{instead}'), 'UTF8')"
        f" WHERE {_BATCHES} AND convert_from(payload, 'UTF8') LIKE '%{said}%'"
    )
    told = {fault.what for fault in (await books.judge()).check("O14").faults}
    assert told & {"row_differs_from_fact", "fact_without_row"}


async def test_o14_an_item_without_an_answer_is_told(books: Day) -> None:
    await books.spoil(
        "UPDATE ledger.outbox SET payload = convert_to(jsonb_set(convert_from(payload, 'UTF8')::jsonb,"
        f" '{{answers}}', '[]')::text, 'UTF8') WHERE {_BATCHES}"
    )
    told = {fault.what for fault in (await books.judge()).check("O14").faults}
    assert told == {"answers_to_other_items"}
