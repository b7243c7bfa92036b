"""Ledgers in two databases, judged as one: both books, both sides of a transfer, every group's inbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest

from tally_contracts.base import AskedAmount
from tally_contracts.ledger import AccountSpec, CaptureHold, Leg, PostJournal
from tally_contracts.ledger_transfers import SettleTransit, StartTransfer
from tally_funding.app import SCHEMA as FUNDING
from tally_funding.app import build_app as build_funding
from tally_funding.settings import FundingSettings
from tally_ledger.app import SCHEMA as LEDGER
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_messaging import Service
from tally_payouts.app import SCHEMA as PAYOUTS
from tally_payouts.app import build_app as build_payouts
from tally_payouts.settings import PayoutsSettings
from tally_reconciliation import Report, Sources, Verdict
from tally_reconciliation.errors import LedgerDatabaseWrong
from tally_reconciliation.oracle import judge
from tally_reconciliation.snapshot import session
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_testkit import Databases, ServiceDatabase

from .platform_bench import START, WHERE, WHO, WHY, Bench

pytestmark = pytest.mark.stack
SCHEMAS = ("funding", "ledger", "payouts")
PLACEMENT = "core:main;west:us"
FIVE_WS = {"who": WHO, "where": WHERE, "why": WHY, "occurred_at": START}
XFR = derived_id("xfr", "t1")


@dataclass
class Two:
    """The platform with `main` in its own database, and the ledger `us` in another."""

    core: Bench
    west: Bench

    async def settle(self) -> None:
        """Until nothing moves on either side."""
        before = -1
        while before != (before := sum(len(log) for log in self.core.broker.logs.values())):
            await self.core.settle()
            await self.west.settle()

    def send(self, event: Any, event_id: str) -> None:
        self.core.publish("ledger.commands.v1", event, key=event.ledger, event_id=event_id)

    async def judge(self, **west: str) -> Report:
        dsns = west or {"west": self.west.database.admin_dsn}
        sources = Sources("unused", "unused", None, SCHEMAS, ledger_dsns=dsns)
        async with session(self.core.database.admin_dsn) as conn:
            return await judge(sources, conn, self.core.broker)

    @asynccontextmanager
    async def spoilt(self, database: ServiceDatabase, spoil: str, undo: str) -> AsyncIterator[None]:
        """Rows changed behind the platform's back, for a while."""
        await _past_its_guards(database, spoil)
        try:
            yield
        finally:
            await _past_its_guards(database, undo)


async def _past_its_guards(database: ServiceDatabase, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(database.admin_dsn) as admin:
        await admin.execute("SET LOCAL session_replication_role = replica")
        done = await admin.execute(statement.encode())
        assert done.rowcount, f"no row: {statement}"


@pytest.fixture(scope="module")
async def two(databases: Databases) -> AsyncIterator[Two]:
    """Pay-ins on `main`, a transfer of 30.00 to `us`, one refused, and what was in transit settled."""
    clock = FixedClock(START)
    core = Bench(databases.clone(FUNDING, LEDGER, PAYOUTS), clock)
    west = Bench(databases.clone(LEDGER), clock, broker=core.broker)
    both = Two(core, west)
    try:
        for bench, name in ((core, "core"), (west, "west")):
            await bench.start(
                "ledger",
                partial(_build, seed=name),
                LedgerSettings,
                ledger_placement=PLACEMENT,
                ledger_database=name,
            )
        west.running["ledger.west"] = west.running.pop("ledger")
        await core.start("funding", build_funding, FundingSettings, sources="cards")
        await core.start("payouts", build_payouts, PayoutsSettings)
        await _tell(both)
        yield both
    finally:
        for bench in (core, west):
            await bench.stop()
            databases.drop(bench.database)


def _build(settings: LedgerSettings, *, seed: str, **more: Any) -> Service:
    """A ledger whose event ids are not those of the other database."""
    ids = SeededIds(sum(seed.encode()), more["clock"])
    return build_ledger(settings, **{**more, "ids": ids})


def wallet(ledger: str, owner: str) -> AccountSpec:
    path = f"wallet/{owner}/spending/USD"
    return AccountSpec(
        id=derived_id("acc", ledger, path),
        owner=owner,
        purpose="wallet",
        path=path,
        currency="USD",
        guarded=True,
    )


def journal(name: str, ledger: str, debit: AccountSpec, credit: AccountSpec) -> PostJournal:
    return PostJournal(
        journal_id=derived_id("jrn", name),
        ledger=ledger,
        reference=derived_id("ref", name),
        open_accounts=(debit, credit),
        legs=(
            Leg(
                id=derived_id("tr", name),
                debit=debit.id,
                credit=credit.id,
                amount=AskedAmount(currency="USD", amount="100.00"),
                code="seed",
            ),
        ),
        effective_at=START,
        **FIVE_WS,
    )


def transfer(name: str, ledger: str, to_ledger: str, credit: str) -> StartTransfer:
    return StartTransfer(
        transfer_id=derived_id("xfr", name),
        ledger=ledger,
        debit=wallet(ledger, "rich").id,
        to_ledger=to_ledger,
        credit=credit,
        amount=AskedAmount(currency="USD", amount="30.00"),
        code="treasury",
        **FIVE_WS,
    )


async def _tell(two: Two) -> None:
    two.core.announce("seen")
    for ledger in ("main", "us"):
        bank = wallet(ledger, "bank").model_copy(update={"guarded": False})
        two.send(journal(f"{ledger}-seed", ledger, bank, wallet(ledger, "rich")), f"seed-{ledger}")
    await two.settle()
    two.send(transfer("t1", "main", "us", wallet("us", "rich").id), "t1")
    two.send(transfer("t2", "us", "main", derived_id("acc", "nobody")), "t2")
    await two.settle()
    settle = SettleTransit(
        settlement_id=derived_id("stl", "s1"),
        ledger="us",
        other="main",
        currency="USD",
        **FIVE_WS,
    )
    two.send(settle, "s1")
    two.send(transfer("t3", "main", "us", wallet("us", "rich").id), "t3")
    # From outside, about a hold that the ledger placed itself: answered, without effect.
    capture = CaptureHold(
        transfer_id=derived_id("xtr", "t3"),
        hold_id=derived_id("xhld", derived_id("xfr", "t3")),
        ledger="us",
        reference=derived_id("ref", "t3"),
        amount=AskedAmount(currency="USD", amount="30.00"),
        code="theft",
        **FIVE_WS,
    )
    two.send(capture, "capture")
    await two.settle()


async def test_two_sound_databases_are_green_together(two: Two) -> None:
    report = await two.judge()
    assert report.quiet.is_quiet, report.quiet
    wrong = [check for check in report.checks if check.verdict in {Verdict.RED, Verdict.SKIPPED}]
    told = [line for check in wrong for line in (check.line(), *map(str, check.faults))]
    assert "\n".join(told) == ""
    l15 = report.check("L15")
    assert l15.summary == "1 pairs, 3 transfers, 1 settlements"
    assert "west: " in report.check("L4").summary
    rich = {h.purpose: h for h in report.money if h.currency == "USD"}["wallet"]
    assert rich.accounts >= 4, "wallets of both databases"


async def test_a_pair_is_not_judged_by_one_side_alone(two: Two) -> None:
    sources = Sources("unused", "unused", None, SCHEMAS)
    async with session(two.core.database.admin_dsn) as conn:
        report = await judge(sources, conn, two.core.broker)
    assert report.check("L15").summary.startswith("0 pairs")


@dataclass(frozen=True)
class Wrong:
    """A change of rows, how it is undone, and the check and row that name it."""

    side: str
    spoil: str
    undo: str
    check: str
    row: dict[str, str]


_RICH = "WHERE purpose = 'wallet' AND owner = 'rich'"
_CREDIT = "UPDATE ledger.cross_credit SET code = {0}, detail = {0} WHERE id = '" + XFR + "'"
_PAYEE = "UPDATE ledger.cross_credit SET credit = {} WHERE id = '" + XFR + "'"
_STL = derived_id("stl", "s1")
_MIRROR = "UPDATE ledger.transit_mirror SET {} WHERE id = '" + _STL + "'"
_INBOX = "UPDATE ledger.inbox SET consumer = '{}' WHERE consumer = '{}'"


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong(
            "west",
            f"UPDATE ledger.account SET credits_posted = credits_posted + 1 {_RICH}",
            f"UPDATE ledger.account SET credits_posted = credits_posted - 1 {_RICH}",
            "L3",
            {"database": "west"},
        ),
        Wrong("west", _CREDIT.format("'x'"), _CREDIT.format("NULL"), "L15", {"id": XFR}),
        Wrong("west", _PAYEE.format("'x'"), _PAYEE.format("NULL"), "L15", {"id": XFR}),
        Wrong(
            "core",
            _MIRROR.format("code = 'x', detail = 'x'"),
            _MIRROR.format("code = NULL, detail = NULL"),
            "L15",
            {"id": _STL},
        ),
        Wrong(
            "west",
            _INBOX.format("lost", "ledger.west"),
            _INBOX.format("ledger.west", "lost"),
            "O8",
            {"consumer": "ledger.west", "service": "ledger"},
        ),
        Wrong(
            "core",
            _INBOX.format("lost", "ledger"),
            _INBOX.format("ledger", "lost"),
            "O8",
            {"consumer": "ledger", "service": "ledger.west"},
        ),
    ],
    ids=["balance", "credit", "payee", "mirror", "inbox_of_west", "inbox_of_core"],
)
async def test_what_is_wrong_in_one_database_is_named_with_it(two: Two, wrong: Wrong) -> None:
    database = (two.west if wrong.side == "west" else two.core).database
    async with two.spoilt(database, wrong.spoil, wrong.undo):
        found = (await two.judge()).check(wrong.check)
    assert found.verdict is Verdict.RED
    assert any(wrong.row.items() <= fault.row.items() for fault in found.faults), found.faults


async def test_an_id_that_two_ledgers_took_is_two_transfers(two: Two) -> None:
    again = f"""
        INSERT INTO ledger.cross_transfer (id, ledger, to_ledger, asset, amount, state, side, code,
                                           detail, request, cause, asked_at, ended_at)
        VALUES ('{XFR}', 'us', 'main', 'USD', '7.00', 'refused', 'destination', 'id_conflict',
                'is taken', '', '', now(), now())
    """
    undo = f"DELETE FROM ledger.cross_transfer WHERE id = '{XFR}'"
    async with two.spoilt(two.west.database, again, undo):
        found = (await two.judge()).check("L15")
    assert (found.verdict, found.faults) == (Verdict.GREEN, ())
    assert found.summary == "1 pairs, 4 transfers, 1 settlements"


async def test_nothing_is_at_rest_while_one_database_has_something_to_publish(two: Two) -> None:
    more = "UPDATE ledger.outbox_lane SET head = head {} 1"
    async with two.spoilt(two.west.database, more.format("+"), more.format("-")):
        report = await two.judge()
    assert report.quiet.moving == ("ledger.west has 1 records to publish",)
    assert report.check("L15").verdict is Verdict.SKIPPED


async def test_a_database_under_anothers_name_is_not_judged(two: Two) -> None:
    with pytest.raises(LedgerDatabaseWrong, match="its processes call it west"):
        await two.judge(east=two.west.database.admin_dsn)
    with pytest.raises(LedgerDatabaseWrong, match="its processes call it core"):
        await two.judge(west=two.core.database.admin_dsn)
