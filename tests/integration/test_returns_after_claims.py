"""F15, F28: money of an unknown payee goes back from whom it was led on to, and is owed by it."""

from typing import Any

import pytest

from tally_contracts.base import Why
from tally_contracts.funding import Beneficiary, PayInAllocated
from tally_contracts.funding_claims import Redesignate
from tally_contracts.funding_sources import (
    OwnerShare,
    PayInChargedBack,
    PayInReinstated,
    ReceivableOpened,
)
from tally_funding.answers.store import for_every_tenant
from tally_funding.refunds import store
from tally_messaging import UnitOfWork
from tally_runtime import derived_id

from .conftest import START, Platform
from .test_matches import decide, money
from .test_returns import give_back, pay_in, spend, usd, win
from .test_tenants import COMPANY, OF_COMPANY, ROOT, register

UNKNOWN = "event:gala"
PAYEE = "party_01m3250v00e008000000000009"


async def received(platform: Platform) -> str:
    """100.00 USD, of which 97.20 are for a payee nobody knows; the pay-in's id."""
    await register(platform)
    await register(platform, PAYEE)
    found = await pay_in(platform, **OF_COMPANY, beneficiary=Beneficiary(event_reference="gala"))
    assert await platform.balance(f"wallet/{UNKNOWN}/USD") == 9_720
    return found


async def lead_on(platform: Platform) -> None:
    command = Redesignate(
        command_id=derived_id("cmd", "1"),
        owner=UNKNOWN,
        to_owner=PAYEE,
        tenant=ROOT,
        who=OF_COMPANY["who"],
        why=Why(program="supplier-payments", event="invoice:7", reason="It was hers"),
        occurred_at=START,
    )
    await platform.send(command, "funding.agreements.commands.v1", UNKNOWN)


async def led_on(platform: Platform) -> str:
    """100.00 USD of which the unknown payee's 97.20 were led on to a party; the pay-in's id."""
    found = await received(platform)
    await lead_on(platform)
    assert await platform.balance(f"wallet/{PAYEE}/USD") == 9_720
    return found


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"method": "in_order", "order": (UNKNOWN, "aggregator", COMPANY)},
        {"method": "in_order", "order": (PAYEE, "aggregator", COMPANY)},
    ],
    ids=["proportional", "by the first name", "by the new name"],
)
async def test_f15_a_chargeback_after_a_claim_takes_the_money_from_whom_it_was_led_on_to(
    platform: Platform, terms: dict[str, Any]
) -> None:
    found = await led_on(platform)
    return_id = await give_back(platform, found, who=OF_COMPANY["who"], kind="chargeback", **terms)
    (back,) = platform.facts(PayInChargedBack)
    assert (PAYEE, "97.20") in [(share.owner, share.amount.amount) for share in back.shares]
    assert await platform.balances() == {}
    assert platform.facts(ReceivableOpened) == []
    await win(platform, return_id)
    await platform.work("returns_due")
    assert len(platform.facts(PayInReinstated)) == 1
    assert await platform.balance(f"wallet/{PAYEE}/USD") == 9_720
    await platform.again()
    assert await platform.set_aside() == []


async def test_f15_who_was_led_the_money_and_spent_it_owes_it(platform: Platform) -> None:
    found = await led_on(platform)
    await spend(platform, PAYEE, "97.20")
    shares = (OwnerShare(owner=UNKNOWN, amount=usd("97.20")),)
    await give_back(
        platform,
        found,
        "97.20",
        who=OF_COMPANY["who"],
        kind="chargeback",
        method="exact",
        shares=shares,
    )
    (owed,) = platform.facts(ReceivableOpened)
    assert (owed.owner, owed.amount.amount) == (PAYEE, "97.20")
    assert await platform.balance(f"receivable/{PAYEE}/USD") == -9_720
    assert await platform.balance(f"receivable/{UNKNOWN}/USD") == 0


async def test_f15_a_return_waits_while_a_claim_moves_the_money(platform: Platform) -> None:
    found = await received(platform)
    platform.hold_ledger = True
    await lead_on(platform)
    await give_back(platform, found, who=OF_COMPANY["who"], kind="chargeback")
    await platform.work("returns_due")
    states = await platform.rows("SELECT state FROM pay_in_return")
    assert [row[0] for row in states] == ["waiting"]
    assert await platform.funding.transactor.run(due) == (), "the worker does not look for nothing"
    platform.hold_ledger = False
    await platform.rest()
    await platform.work("returns_due")
    assert await platform.balances() == {}
    assert platform.facts(ReceivableOpened) == []


async def test_f28_money_in_suspense_that_is_matched_to_an_unknown_payee_goes_to_who_claimed_it(
    platform: Platform,
) -> None:
    await led_on(platform)
    suspended = await money(platform, **OF_COMPANY)
    gala = Beneficiary(event_reference="gala")
    await decide(platform, suspended, beneficiary=gala, who=OF_COMPANY["who"])
    matched = platform.facts(PayInAllocated)[-1]
    assert matched.pay_in_id == suspended
    assert (PAYEE, "97.20") in [(a.owner, a.amount.amount) for a in matched.allocations]
    await give_back(platform, suspended, who=OF_COMPANY["who"], kind="chargeback")
    assert await platform.balance(f"wallet/{PAYEE}/USD") == 9_720, "what was led on stays"
    assert platform.facts(ReceivableOpened) == []


async def test_f15_a_return_waits_while_money_is_still_to_be_sent_on_to_the_new_owner(
    platform: Platform,
) -> None:
    """As after the ledger refused to send on what came late: the new owner has not got it."""
    found = await led_on(platform)
    await hold_at_the_former_wallet(platform, 9_720)
    await give_back(platform, found, who=OF_COMPANY["who"], kind="chargeback")
    await platform.work("returns_due")
    assert await platform.balance(f"wallet/{PAYEE}/USD") == 9_720
    assert await platform.funding.transactor.run(due) == ()
    await hold_at_the_former_wallet(platform, 0)
    await platform.work("returns_due")
    assert await platform.balances() == {}


async def hold_at_the_former_wallet(platform: Platform, minor: int) -> None:
    async with platform.funding.pool.acquire() as conn, conn.transaction():
        await for_every_tenant(conn)
        await conn.execute(
            "UPDATE claimable_wallet SET balance = $1 WHERE owner = $2", minor, UNKNOWN
        )


async def due(uow: UnitOfWork) -> tuple[tuple[str, str], ...]:
    await for_every_tenant(uow.conn)
    return await store.due(uow.conn, 10)
