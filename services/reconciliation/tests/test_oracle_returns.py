"""The oracle on a day of cards, entries by hand, matches and money that goes back."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tally_contracts.base import AskedAmount, Event, Who
from tally_contracts.funding import Beneficiary, Originator
from tally_contracts.funding_sources import (
    DecideEntry,
    DecideMatch,
    EnterPayIn,
    ReceiveWebhook,
    ReturnPayIn,
    SettleReceivable,
)
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.postings import Books
from tally_funding.refunds.worker import ReturnsDue
from tally_reconciliation import Verdict
from tally_runtime import derived_id
from tally_testkit import Databases

from .conftest import Day, day_of, money_services
from .platform_bench import START, WHERE, WHO, WHY, Bench

pytestmark = pytest.mark.stack
COMMANDS = "funding.sources.commands.v1"
BOOKS = Books("main", "main")
OTHER = Who(actor="user:second", principal="co_1")


async def _say(bench: Bench, event: Event, event_id: str, topic: str = COMMANDS) -> None:
    bench.publish(topic, event, event_id=event_id)
    await bench.settle()


async def _work(bench: Bench) -> None:
    running = bench.running["funding"]
    transactor = running.service.transactor(pool=running.pool)
    await transactor.run(ReturnsDue(BOOKS).begin)
    await bench.settle()


async def _give_back(bench: Bench, pay_in_id: str, amount: str, name: str, **more: Any) -> None:
    command = ReturnPayIn(
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=START,
        return_id=derived_id("ret", name),
        pay_in_id=pay_in_id,
        amount=AskedAmount(currency="USD", amount=amount),
        **{"kind": "refund", **more},
    )
    await _say(bench, command, f"ce-{name}")


async def _card(bench: Bench, name: str, event_type: str, **thing: Any) -> None:
    event = {
        "id": f"evt_{name}",
        "type": event_type,
        "created": int(START.timestamp()),
        "data": {"object": {"currency": "usd", "payment_intent": "pi_1", **thing}},
    }
    command = ReceiveWebhook(
        webhook_id=derived_id("whk", name),
        source="cards",
        content=base64.b64encode(json.dumps(event).encode()).decode(),
        who=WHO,
        occurred_at=START,
    )
    await _say(bench, command, f"ce-{name}")


async def _spend(bench: Bench, owner: str, amount: str) -> None:
    """An operator's journal takes money out of a wallet."""
    out = AccountSpec(
        id=derived_id("acc", "out"),
        owner="platform",
        purpose="fee",
        path="fee/out/USD",
        currency="USD",
        guarded=False,
    )
    leg = Leg(
        id=derived_id("trf", owner),
        debit=BOOKS.wallet(owner, "USD").id,
        credit=out.id,
        amount=AskedAmount(currency="USD", amount=amount),
        code="fee",
    )
    journal = PostJournal(
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=START,
        journal_id=derived_id("jrn", owner),
        ledger="main",
        reference=derived_id("op", owner),
        open_accounts=(out,),
        legs=(leg,),
        effective_at=START,
    )
    await _say(bench, journal, f"ce-spend-{owner}", "ledger.commands.v1")


async def _tell(bench: Bench) -> None:
    metadata = {"tally_program": "p", "tally_party": "pty_1"}
    await _card(bench, "1", "charge.succeeded", id="ch_1", amount=10_000, metadata=metadata)
    await _card(bench, "2", "charge.refunded", id="ch_1", amount_refunded=3_000)
    dispute = {"id": "dp_1", "object": "dispute", "amount": 2_000}
    await _card(bench, "3", "charge.dispute.funds_withdrawn", **dispute)
    await _card(bench, "4", "charge.dispute.funds_reinstated", **dispute)
    await _work(bench)
    for name in ("spent", "won", "later"):
        bench.announce(name, party=f"pty_{name}")
    bench.announce("nobody", beneficiary=None)
    bench.announce("odd", beneficiary=None)
    await bench.settle()
    await _spend(bench, "pty_spent", "97.20")
    await _give_back(bench, BOOKS.pay_in_id("cards", "spent"), "100.00", "r1", kind="chargeback")
    bench.announce("more", party="pty_spent")
    await bench.settle()
    async with bench.running["funding"].pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        receivable_id = await conn.fetchval("SELECT receivable_id FROM receivable")
    settle = SettleReceivable(
        settlement_id=derived_id("settle", "1"),
        receivable_id=receivable_id,
        amount=AskedAmount(currency="USD", amount="40.00"),
        who=Who(actor="user:payee", principal="pty_spent"),
        where=WHERE,
        why=WHY,
        occurred_at=START,
    )
    await _say(bench, settle, "ce-settle")
    await _give_back(bench, BOOKS.pay_in_id("cards", "later"), "33.33", "r2")
    await _give_back(bench, BOOKS.pay_in_id("cards", "odd"), "10.00", "r3")
    match = DecideMatch(
        match_id=derived_id("match", "1"),
        pay_in_id=BOOKS.pay_in_id("cards", "nobody"),
        beneficiary=Beneficiary(party="pty_9"),
        program="p",
        note="Customer called",
        who=OTHER,
        occurred_at=START,
    )
    await _say(bench, match, "ce-match")
    entry = EnterPayIn(
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=START,
        entry_id=derived_id("ent", "1"),
        external_id="cheque-1",
        amount=AskedAmount(currency="USD", amount="12.00"),
        originator=Originator(reference="cust-1"),
        company="co_1",
        beneficiary=Beneficiary(party="pty_9"),
        value_date=START.date(),
    )
    await _say(bench, entry, "ce-entry")
    decide = DecideEntry(
        entry_id=entry.entry_id, approve=True, note="Seen", who=OTHER, occurred_at=START
    )
    await _say(bench, decide, "ce-decide")
    assert await bench.running["funding"].pool.fetch("SELECT code, detail FROM quarantine") == []


@pytest.fixture(scope="module")
async def returned(databases: Databases) -> AsyncIterator[Bench]:
    async with money_services(databases, _tell) as bench:
        yield bench


@pytest.fixture
async def day_of_returns(returned: Bench) -> AsyncIterator[Day]:
    async with day_of(returned, ("funding", "ledger", "payouts")) as day:
        yield day


async def test_f15_the_oracle_finds_a_day_of_returns_whole(day_of_returns: Day) -> None:
    report = await day_of_returns.judge()
    assert report.quiet.is_quiet, report.quiet
    told = {name: report.check(name) for name in ("O3", "O6")}
    assert {name: check.faults for name, check in told.items()} == {"O3": (), "O6": ()}
    states = await day_of_returns.conn.fetch(
        "SELECT state, count(*) FROM funding.pay_in_return GROUP BY 1"
    )
    assert {row[0]: row[1] for row in states} == {"done": 4, "reinstated": 1}
    assert await day_of_returns.conn.fetchval("SELECT count(*) FROM funding.receivable") == 1


@pytest.mark.parametrize(
    ("spoilt", "check", "code"),
    [
        ("UPDATE funding.pay_in_return SET amount = amount + 1 WHERE kind = 'refund'", "O3",
         "returned_amount_differs"),
        ("UPDATE funding.pay_in_return SET state = 'moving' WHERE state = 'done'", "O3",
         "return_not_settled"),
        ("UPDATE funding.return_leg SET amount = amount + 1", "O6", "balance_differs"),
        ("UPDATE funding.receivable SET amount = amount + 1", "O6", "balance_differs"),
        ("UPDATE funding.receivable_settlement SET amount = amount - 1", "O6", "balance_differs"),
        ("DELETE FROM funding.receivable_settlement", "O3", "journal_of_no_return"),
        ("UPDATE funding.card_payment SET amount = amount + 1", "O3", "amount_differs"),
        ("DELETE FROM funding.manual_entry", "O3", "booked_from_nothing"),
        ("UPDATE funding.pay_in_match SET state = 'refused'", "O3", "journal_of_another"),
    ],
)  # fmt: skip
async def test_a_change_behind_the_back_of_returns_is_told(
    day_of_returns: Day, spoilt: str, check: str, code: str
) -> None:
    await day_of_returns.spoil(spoilt)
    report = await day_of_returns.judge()
    assert report.check(check).verdict is not Verdict.GREEN
    assert code in {fault.what for fault in report.check(check).faults}
