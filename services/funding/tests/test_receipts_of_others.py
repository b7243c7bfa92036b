"""F27, X4: what an escrow agreement releases, or a jurisdiction gives back, asks the gate as pay-ins do."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tally_contracts.funding_claims import DesignationMoved, ReceiptRestricted
from tally_contracts.funding_escrow import (
    ApproveRelease,
    ArbitrateAgreement,
    DisputeAgreement,
    FundAgreement,
    RefundAgreement,
    ReleaseAgreement,
)
from tally_contracts.funding_unclaimed import ReclaimChanged
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, Platform, open_platform, party
from .test_escrow_service import (
    AGREEMENT,
    ESCROW,
    NAMES,
    order,
    propose,
    send,
    states,
    usd,
)
from .test_receipts_service import level, of, publish, tell
from .unclaimed_bench import (
    EVENT,
    claim,
    decision,
    held,
    pay_in,
    proposal,
    reclaim,
    reclaim_decision,
    until_reportable,
)
from .unclaimed_bench import send as send_unclaimed

PAYEE = party("payee")
APART = BOOKS.wallet(f"restricted:{PAYEE}", "USD")


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    """An agreement is proposed; its payee lives where nobody receives at level `none`."""
    async with open_platform(fresh_database) as opened:
        await opened.register(*NAMES)
        await opened.pay_in(party("payer"), "150.00")
        await publish(opened)
        await tell(opened, level("payee", 1, "none"))
        yield opened


async def funded(platform: Platform, **changes: Any) -> None:
    await send(platform, propose(**changes), order(FundAgreement, "payer"))
    assert await platform.balance(ESCROW) == 100_00


async def stand(platform: Platform) -> tuple[int, int, int]:
    """What the agreement holds, what stands apart for the payee, and what is in its wallet."""
    wallet = BOOKS.wallet(PAYEE, "USD")
    return (
        await platform.balance(ESCROW),
        await platform.balance(APART),
        await platform.balance(wallet),
    )


async def test_f08_f27_release_to_a_payee_who_may_not_receive_stands_apart_until_the_level_is_reached(
    platform: Platform,
) -> None:
    await funded(platform)
    part = order(ReleaseAgreement, "payer", amount=usd("40.00"))
    told = await send(platform, part)
    assert states(told) == ["releasing", "part_released"], "the agreement is done with it"
    assert await stand(platform) == (60_00, 40_00, 0)
    (fact,) = of(told, ReceiptRestricted)
    assert (fact.owner, fact.account, fact.agreement_id) == (PAYEE, APART.id, AGREEMENT)
    assert (fact.tenant, fact.amount.money().minor) == (party("root"), 40_00)
    assert (fact.code, fact.table, fact.version) == ("identity_too_low", "eea", 1)
    assert (fact.pay_in_id, fact.movement_id) == (None, None)

    (moved,) = of(await tell(platform, level("payee", 2, "basic")), DesignationMoved)
    assert (moved.to_owner, moved.reason_code) == (PAYEE, "released")
    assert await stand(platform) == (60_00, 0, 40_00)
    told = await send(platform, *(order(ApproveRelease, name) for name in ("a1", "a2")))
    assert (states(told)[-1], of(told, ReceiptRestricted)) == ("released", [])
    assert await stand(platform) == (0, 0, 100_00)
    assert await platform.set_aside() == []


async def test_f08_arbiters_part_for_the_payee_stands_apart_and_the_payers_comes_back(
    platform: Platform,
) -> None:
    await funded(platform)
    parts = {"to_payee": usd("30.00"), "to_payer": usd("70.00")}
    told = await send(
        platform,
        order(DisputeAgreement, "payer"),
        order(ArbitrateAgreement, "arbiter", **parts),
    )
    assert states(told)[-1] == "arbitrated"
    assert await stand(platform) == (0, 30_00, 0)
    assert await platform.balance(BOOKS.wallet(party("payer"), "USD")) == 120_00


async def test_f08_refund_is_the_payers_own_money_and_asks_nobody(platform: Platform) -> None:
    await tell(platform, level("payer", 1, "none"))
    await funded(platform)
    told = await send(platform, order(RefundAgreement, "payee"))
    assert (states(told)[-1], of(told, ReceiptRestricted)) == ("refunded", [])
    assert await platform.balance(BOOKS.wallet(party("payer"), "USD")) == 150_00


async def test_level_reached_while_the_ledger_books_a_release_lets_it_through_at_once(
    platform: Platform,
) -> None:
    await funded(platform)
    await platform.give(order(ReleaseAgreement, "payer"), topic="funding.agreements.commands.v1")
    await platform.give(level("payee", 2, "basic"), topic="kyc.identity.v1")
    await platform.settle()
    assert await stand(platform) == (0, 0, 100_00)


async def test_two_releases_stand_apart_together_and_one_journal_moves_both(
    platform: Platform,
) -> None:
    await funded(platform)
    for number, amount in enumerate(("10.00", "20.00")):
        await send(platform, order(ReleaseAgreement, "payer", str(number), amount=usd(amount)))
    assert await stand(platform) == (70_00, 30_00, 0)
    (moved,) = of(await tell(platform, level("payee", 2, "basic")), DesignationMoved)
    assert [one.money().minor for one in moved.amounts] == [30_00]
    assert await stand(platform) == (70_00, 0, 30_00)


async def test_without_a_table_for_receiving_a_release_is_credited_at_once(
    fresh_database: Callable[..., ServiceDatabase],
) -> None:
    async with open_platform(fresh_database) as opened:
        await opened.register(*NAMES)
        await opened.pay_in(party("payer"), "150.00")
        await tell(opened, level("payee", 1, "none"))
        await funded(opened)
        await send(opened, order(ReleaseAgreement, "payer"))
        assert await stand(opened) == (0, 0, 100_00)


async def test_f31_filed_money_of_an_unknown_owner_stands_apart_for_a_claimant_who_may_not_receive(
    fresh_database: Callable[..., ServiceDatabase],
) -> None:
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", country="US")
        await opened.register("anna", contacts=True, country="US")
        await pay_in(opened, 1)
        filed = await until_filed(opened)
        await publish(opened, places=("US",))
        await tell(opened, level("anna", 1, "none", "US"))
        await claim(opened, "anna")
        back = reclaim(BOOKS.wallet(EVENT, "USD").id)
        told = await send_unclaimed(opened, back, reclaim_decision())
        (fact,) = of(told, ReceiptRestricted)
        anna = party("anna")
        assert (fact.owner, fact.reclaim_id) == (anna, back.reclaim_id)
        assert [change.state for change in of(told, ReclaimChanged)][-1] == "moved"
        assert (await held(opened, f"restricted:{anna}"), await held(opened, anna)) == (filed, 0)
        await tell(opened, level("anna", 2, "basic", "US"))
        assert (await held(opened, f"restricted:{anna}"), await held(opened, anna)) == (0, filed)


async def until_filed(platform: Platform) -> int:
    """The event's money in USD, which by then is the jurisdiction's."""
    dollars = await held(platform, EVENT)
    await until_reportable(platform)
    await send_unclaimed(platform, proposal(), decision())
    assert await held(platform, EVENT) == 0
    return dollars
