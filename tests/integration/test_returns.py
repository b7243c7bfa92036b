"""F15 on a real ledger: money goes back whole, and who has spent it owes it, visibly."""

from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import AskedAmount, PositiveAmount, Where, Who, Why
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_contracts.funding_sources import (
    OwnerShare,
    PayInChargedBack,
    PayInRefunded,
    PayInReinstated,
    ReceivableOpened,
    ReceivableSettled,
    ReturnPayIn,
    ReturnStarted,
    SettlementStarted,
    SettleReceivable,
    SourceCommandRefused,
)
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.answers.store import for_every_tenant
from tally_funding.postings import Books
from tally_funding.refunds.store import want_reinstated
from tally_funding.sources.watch import SourcesMetrics, SourcesWatch
from tally_messaging import UnitOfWork
from tally_runtime import Metrics, derived_id

from .conftest import START, Platform

BOOKS = Books("main", "main")
WHO = Who(actor="user:support", principal="co_1")
PAYEE = Who(actor="user:payee", principal="pty_1")
WHERE = Where(channel="api")
WHY = Why(program="supplier-payments", event="invoice:7", reason="Goods came back")
COMMANDS = "funding.sources.commands.v1"


def usd(amount: str) -> AskedAmount:
    return AskedAmount(currency="USD", amount=amount)


async def pay_in(platform: Platform, external_id: str = "m-1", **changes: Any) -> str:
    """100.00 USD from cards for one payee, allocated 2.50, 0.30 and 97.20; the pay-in's id."""
    event = FundingReceived(
        where=WHERE,
        why=WHY,
        occurred_at=START,
        external_id=external_id,
        amount=PositiveAmount(currency="USD", amount="100.00"),
        originator=Originator(reference="debtor-1"),
        value_date=START.date(),
        **{
            "who": WHO,
            "company": "co_1",
            "beneficiary": Beneficiary(party="pty_1"),
            **changes,
        },
    )
    await platform.send(event, "funding.inbound.cards.v1", "k")
    return BOOKS.pay_in_id("cards", external_id)


async def give_back(
    platform: Platform, pay_in_id: str, much: str = "100.00", number: int = 1, **changes: Any
) -> str:
    return_id = derived_id("ret", str(number))
    command = ReturnPayIn(
        **{
            "who": WHO,
            "where": WHERE,
            "why": WHY,
            "occurred_at": START,
            "return_id": return_id,
            "pay_in_id": pay_in_id,
            "kind": "refund",
            "amount": usd(much),
            **changes,
        }
    )
    await platform.send(command, COMMANDS, pay_in_id)
    return return_id


async def spend(platform: Platform, owner: str, amount: str) -> None:
    """The owner's money leaves, as a payout would have it."""
    wallet = BOOKS.wallet(owner, "USD")
    out = AccountSpec(
        id=derived_id("acc", "out"),
        owner="platform",
        purpose="clearing",
        path="clearing/out/USD",
        currency="USD",
        guarded=False,
    )
    leg = Leg(
        id=derived_id("trf", owner, amount),
        debit=wallet.id,
        credit=out.id,
        amount=usd(amount),
        code="payout",
    )
    journal = PostJournal(
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=START,
        journal_id=derived_id("jrn", "out", owner, amount),
        ledger="main",
        reference=derived_id("po", owner, amount),
        open_accounts=(out,),
        legs=(leg,),
        effective_at=START,
    )
    await platform.command_ledger(journal)


async def test_f15_a_refund_reverses_every_allocation_and_leaves_nothing_behind(
    platform: Platform,
) -> None:
    pay_in_id = await pay_in(platform)
    return_id = await give_back(platform, pay_in_id)
    (refunded,) = platform.facts(PayInRefunded)
    assert (refunded.return_id, refunded.pay_in_id) == (return_id, pay_in_id)
    assert (refunded.state, refunded.returned.amount) == ("refunded", "100.00")
    assert [(s.owner, s.amount.amount, s.receivable_id) for s in refunded.shares] == [
        ("aggregator", "2.50", None),
        ("co_1", "0.30", None),
        ("pty_1", "97.20", None),
    ]
    assert await platform.balances() == {}
    assert await platform.set_aside() == []


async def test_f15_partial_refunds_add_up_to_the_pay_in_and_not_a_cent_more(
    platform: Platform,
) -> None:
    pay_in_id = await pay_in(platform)
    for number, amount in enumerate(("33.33", "33.33", "33.34"), start=1):
        await give_back(platform, pay_in_id, amount, number)
    states = [(f.state, f.returned.amount) for f in platform.facts(PayInRefunded)]
    assert states == [
        ("partly_refunded", "33.33"),
        ("partly_refunded", "66.66"),
        ("refunded", "100.00"),
    ]
    assert await platform.balances() == {}
    await give_back(platform, pay_in_id, "0.01", 4)
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == ("return_exceeds_pay_in", "/amount")


async def test_f15_a_wallet_already_paid_out_becomes_a_visible_receivable(
    platform: Platform,
) -> None:
    pay_in_id = await pay_in(platform)
    await spend(platform, "pty_1", "97.20")
    await give_back(platform, pay_in_id, kind="chargeback")
    (opened,) = platform.facts(ReceivableOpened)
    assert (opened.owner, opened.company, opened.amount.amount) == ("pty_1", "co_1", "97.20")
    assert opened.reason_code == "insufficient_funds"
    (back,) = platform.facts(PayInChargedBack)
    assert (back.state, back.amount.amount) == ("charged_back", "100.00")
    assert {s.owner: s.receivable_id for s in back.shares} == {
        "aggregator": None,
        "co_1": None,
        "pty_1": opened.receivable_id,
    }
    assert await platform.balances() == {
        "clearing/out/USD": 9720,
        "receivable/pty_1/USD": -9720,
    }, "the payer got it whole; what is owed is in the books"


async def test_f15_everything_said_again_changes_nothing(platform: Platform) -> None:
    pay_in_id = await pay_in(platform)
    await spend(platform, "pty_1", "97.20")
    await give_back(platform, pay_in_id)
    before, told = await platform.balances(), len(platform.told)
    await platform.again()
    assert await platform.balances() == before
    assert len(platform.told) == told
    await give_back(platform, pay_in_id)
    assert await platform.balances() == before
    assert len(platform.facts(ReturnStarted)) == 2, "the command again is answered again"
    assert len(platform.facts(PayInRefunded)) == 1


async def test_f15_the_same_id_with_other_content_is_refused_and_the_first_stands(
    platform: Platform,
) -> None:
    pay_in_id = await pay_in(platform)
    await give_back(platform, pay_in_id, "10.00")
    before = await platform.balances()
    await give_back(platform, pay_in_id, "20.00")
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == ("id_conflict", "/return_id")
    assert await platform.balances() == before


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"amount": usd("100.01")}, "return_exceeds_pay_in", "/amount"),
        ({"amount": usd("0.00")}, "amount_not_positive", "/amount/amount"),
        ({"amount": usd("1e2")}, "amount_format", "/amount/amount"),
        (
            {"amount": AskedAmount(currency="EUR", amount="1")},
            "currency_mismatch",
            "/amount/currency",
        ),
        ({"kind": "gift"}, "kind_unknown", "/kind"),
        ({"method": "random"}, "method_unknown", "/method"),
        ({"return_id": derived_id("po", "x")}, "id_prefix", "/return_id"),
        ({"pay_in_id": derived_id("pin", "x")}, "pay_in_unknown", "/pay_in_id"),
        ({"who": PAYEE}, "not_the_company", "/who/principal"),
        ({"method": "in_order", "order": ("co_1",)}, "share_exceeds_allocation", "/order"),
        ({"method": "exact"}, "shares_differ", "/shares"),
    ],
)
async def test_f15_a_return_that_cannot_be_is_refused_with_code_field_and_remedy(
    platform: Platform, changes: dict[str, Any], code: str, field: str
) -> None:
    pay_in_id = await pay_in(platform)
    before = await platform.balances()
    await give_back(platform, **{"pay_in_id": pay_in_id, **changes})
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == (code, field)
    assert refused.remedy
    assert await platform.balances() == before
    assert await platform.rows("SELECT FROM pay_in_return") == []


async def test_f15_exact_and_ordered_returns_take_from_whom_they_name(platform: Platform) -> None:
    pay_in_id = await pay_in(platform)
    shares = (
        OwnerShare(owner="co_1", amount=usd("0.20")),
        OwnerShare(owner="pty_1", amount=usd("7")),
    )
    await give_back(platform, pay_in_id, "7.20", method="exact", shares=shares)
    await give_back(
        platform, pay_in_id, "3.00", 2, method="in_order", order=("co_1", "aggregator", "pty_1")
    )
    assert await platform.balances() == {
        "clearing/cards/USD": -8980,
        "wallet/pty_1/USD": 8980,
    }


async def test_f15_money_in_suspense_goes_back_from_suspense(platform: Platform) -> None:
    pay_in_id = await pay_in(platform, beneficiary=None)
    assert await platform.balance("suspense/cards/USD") == 10_000
    await give_back(platform, pay_in_id, "40.00")
    await give_back(platform, pay_in_id, "60.00", 2)
    assert await platform.balances() == {}
    assert [f.shares[0].owner for f in platform.facts(PayInRefunded)] == ["platform"] * 2


async def test_f15_a_return_waits_until_its_pay_in_is_in_the_books(platform: Platform) -> None:
    platform.hold_ledger = True
    pay_in_id = await pay_in(platform)
    await give_back(platform, pay_in_id)
    assert len(platform.facts(ReturnStarted)) == 1
    await platform.work("returns_due")
    assert platform.facts(PayInRefunded) == []
    platform.hold_ledger = False
    await platform.rest()
    await platform.work("returns_due")
    assert len(platform.facts(PayInRefunded)) == 1
    assert await platform.balances() == {}


async def win(platform: Platform, return_id: str) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await for_every_tenant(uow.conn)
        await want_reinstated(uow.conn, return_id, uow.now)

    await platform.funding.transactor.run(unit)


async def test_f15_a_won_chargeback_gives_wallets_back_and_ends_the_debt(
    platform: Platform,
) -> None:
    pay_in_id = await pay_in(platform)
    await spend(platform, "pty_1", "97.20")
    return_id = await give_back(platform, pay_in_id, kind="chargeback")
    await win(platform, return_id)
    await platform.work("returns_due")
    (reinstated,) = platform.facts(PayInReinstated)
    assert (reinstated.amount.amount, reinstated.returned.amount) == ("100.00", "0.00")
    (settled,) = platform.facts(ReceivableSettled)
    assert (settled.settled_by, settled.open_amount.amount) == ("reinstatement", "0.00")
    assert await platform.balances() == {
        "clearing/cards/USD": -10_000,
        "clearing/out/USD": 9720,
        "wallet/aggregator/USD": 250,
        "wallet/co_1/USD": 30,
    }
    await platform.again()
    await platform.work("returns_due")
    assert len(platform.facts(PayInReinstated)) == 1
    await give_back(platform, pay_in_id, "2.80", 2, kind="chargeback")
    assert len(platform.facts(PayInChargedBack)) == 2, "what was given back can be taken again"


async def settle(
    platform: Platform, receivable_id: str, amount: str, number: int = 1, who: Who = PAYEE
) -> None:
    command = SettleReceivable(
        settlement_id=derived_id("settle", str(number)),
        receivable_id=receivable_id,
        amount=usd(amount),
        who=who,
        where=WHERE,
        why=WHY,
        occurred_at=START,
    )
    await platform.send(command, COMMANDS, receivable_id)


async def owed(platform: Platform) -> str:
    pay_in_id = await pay_in(platform)
    await spend(platform, "pty_1", "97.20")
    await give_back(platform, pay_in_id)
    (opened,) = platform.facts(ReceivableOpened)
    return str(opened.receivable_id)


async def test_f15_an_owner_settles_what_it_owes_from_later_money(platform: Platform) -> None:
    receivable_id = await owed(platform)
    await pay_in(platform, "m-2")
    await settle(platform, receivable_id, "40.00")
    await settle(platform, receivable_id, "57.20", 2)
    assert [f.open_amount.amount for f in platform.facts(ReceivableSettled)] == ["57.20", "0.00"]
    assert await platform.balance("receivable/pty_1/USD") == 0
    assert await platform.balance("wallet/pty_1/USD") == 0
    await settle(platform, receivable_id, "0.01", 3)
    (refused,) = platform.facts(SourceCommandRefused)
    assert refused.code == "settlement_exceeds_receivable"


async def test_f15_a_settlement_the_wallet_cannot_pay_leaves_the_debt_as_it_was(
    platform: Platform,
) -> None:
    receivable_id = await owed(platform)
    await settle(platform, receivable_id, "40.00")
    assert len(platform.facts(SettlementStarted)) == 1
    (refused,) = platform.facts(SourceCommandRefused)
    assert refused.code == "insufficient_funds"
    (row,) = await platform.rows("SELECT settled, settling FROM receivable")
    assert (row[0], row[1]) == (0, 0)
    await pay_in(platform, "m-2")
    await settle(platform, receivable_id, "97.20", 2)
    assert await platform.balance("receivable/pty_1/USD") == 0


async def test_f7_nobody_settles_from_another_owners_wallet(platform: Platform) -> None:
    receivable_id = await owed(platform)
    await pay_in(platform, "m-2")
    before = await platform.balances()
    await settle(platform, receivable_id, "40.00", who=WHO)
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == ("not_the_owner", "/who/principal")
    assert await platform.balances() == before


async def test_f15_what_is_owed_is_a_gauge_with_its_age(platform: Platform) -> None:
    receivable_id = await owed(platform)
    metrics = Metrics("funding")
    watch = SourcesWatch(SourcesMetrics.of(metrics.for_service("funding")))
    await watch.measure(platform.funding.pool, START + timedelta(hours=1))

    def value(name: str) -> float | None:
        labels = {"service": "funding", "currency": "USD"}
        return metrics.registry.get_sample_value(f"tally_funding_{name}", labels)

    assert (value("receivables"), value("receivable_age_seconds")) == (1, 3600)
    await pay_in(platform, "m-2")
    await settle(platform, receivable_id, "97.20")
    await watch.measure(platform.funding.pool, START + timedelta(hours=1))
    assert (value("receivables"), value("receivable_age_seconds")) == (0, 0)
