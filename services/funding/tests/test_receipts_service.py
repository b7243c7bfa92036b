"""F27, X4 on real books: money of a payee that may not receive yet stands apart, and is released once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import Event, PositiveAmount, Who
from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import Beneficiary, PayInAllocated, PayInSuspended
from tally_contracts.funding_claims import (
    ClaimRefused,
    DesignationMoved,
    DesignationRefused,
    ReceiptRestricted,
)
from tally_contracts.funding_sources import (
    DecideMatch,
    PayInRefunded,
    ReceivableOpened,
    ReturnPayIn,
)
from tally_contracts.kyc import GateRow, GateTablePublished, LevelChanged
from tally_contracts.ledger import FreezeAccount, PostJournal, UnfreezeAccount
from tally_funding.claims.worker import ClaimsWorker
from tally_funding.retrying import SPREAD, TRY_AGAIN_AFTER
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, START, WHERE, Platform, open_platform, party, who
from .test_claims_service import (
    COMMANDS,
    WHY,
    announced,
    freeze,
    issue,
    issued,
    pay_in,
    redeem,
    redesignate,
)

IDENTITY, PAY_INS = "kyc.identity.v1", "funding.pay_in.v1"
ANNA = party("anna")
RESTRICTED = f"restricted:{ANNA}"
KYC = Who(actor="svc:kyc", principal=party("root"))


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", "other")
        await opened.register("anna", "ben", contacts=True)
        yield opened


def row(level: str, answer: str) -> GateRow:
    closed = {
        "code": "identity_too_low",
        "remedy": "do the tasks of level basic",
        "who_must_act": "payee",
    }
    return GateRow(
        party_kind="person",
        level=level,
        act="receive",
        endpoint_class="any",
        answer=answer,
        **({} if answer == "open" else closed),
    )


CLOSED_BELOW_BASIC = (row("none", "closed"), row("basic", "open"))


async def publish(
    platform: Platform,
    *rows: GateRow,
    version: int = 1,
    places: tuple[str, ...] = ("FR",),
    **dates: Any,
) -> list[Any]:
    table = GateTablePublished(
        tenant=party("root"),
        who=KYC,
        occurred_at=platform.clock.now(),
        table="eea",
        version=version,
        jurisdictions=places,
        valid_from=dates.get("valid_from", platform.clock.now()),
        valid_until=None,
        source="a test",
        rows=rows or CLOSED_BELOW_BASIC,
    )
    return await platform.send(table, topic=IDENTITY)


def level(name: str, sequence: int, to: str, country: str | None = "FR") -> LevelChanged:
    return LevelChanged(
        tenant=party("root"),
        who=KYC,
        occurred_at=START,
        party_id=party(name),
        party_kind="person",
        jurisdiction=country,
        level=to,
        previous=None,
        may_remit=False,
        reasons=(),
        policy_version=1,
        valid_until=None,
        sequence=sequence,
    )


async def tell(platform: Platform, *words: Event) -> list[Any]:
    """Kyc tells, and the worker looks at what is due."""
    told = await platform.send(*words, topic=IDENTITY)
    return told + await work(platform)


async def work(platform: Platform, times: int = 1) -> list[Any]:
    worker = ClaimsWorker(BOOKS)
    for _ in range(times):
        await worker.turn(platform.funding.transactor)
    return await platform.settle()


async def held(platform: Platform, owner: str, code: str = "USD") -> int:
    return await platform.balance(BOOKS.wallet(owner, code))


async def both(platform: Platform) -> tuple[int, int]:
    """What is restricted for anna, and what is in her wallet, by the ledger's books."""
    return await held(platform, RESTRICTED), await held(platform, ANNA)


async def for_anna(platform: Platform, number: int = 1, **more: Any) -> list[Any]:
    platform.later(seconds=1)
    return await pay_in(platform, number, beneficiary=Beneficiary(party=ANNA), **more)


def of(told: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def pay_in_of(told: list[Any]) -> str:
    return str(of(told, PayInAllocated)[0].pay_in_id)


@pytest.fixture
async def closed(platform: Platform) -> Platform:
    """Anna lives where nobody receives at level `none`, and is at that level."""
    await publish(platform)
    await tell(platform, level("anna", 1, "none"))
    return platform


async def test_f27_x4_money_stands_apart_and_moves_to_the_wallet_once_the_level_is_reached(
    closed: Platform,
) -> None:
    told = await for_anna(closed)
    restricted, wallet = await both(closed)
    assert (restricted > 0, wallet) == (True, 0)
    (fact,) = of(told, ReceiptRestricted)
    assert fact.pay_in_id == pay_in_of(told)
    assert fact.account == BOOKS.wallet(RESTRICTED, "USD").id
    assert (fact.owner, fact.tenant, fact.amount.money().minor) == (
        ANNA,
        party("root"),
        restricted,
    )
    assert (fact.table, fact.version, fact.code) == ("eea", 1, "identity_too_low")
    assert (fact.must_act, fact.remedy) == ("payee", "do the tasks of level basic")

    (moved,) = of(await tell(closed, level("anna", 2, "basic")), DesignationMoved)
    assert (moved.owner, moved.to_owner, moved.reason_code) == (RESTRICTED, ANNA, "released")
    assert [amount.money().minor for amount in moved.amounts] == [restricted]
    assert await both(closed) == (0, restricted)
    # What comes from now on is credited at once, by the level alone.
    told = await for_anna(closed, 2)
    assert of(told, ReceiptRestricted) == []
    assert await both(closed) == (0, 2 * restricted)
    assert await closed.set_aside() == []


async def test_f27_without_a_table_or_for_another_country_everything_is_credited_at_once(
    platform: Platform,
) -> None:
    await tell(platform, level("anna", 1, "none"), level("ben", 1, "none", "NZ"))
    await for_anna(platform)
    restricted, wallet = await both(platform)
    assert (restricted, wallet > 0) == (0, True)
    await publish(platform)
    told = await pay_in(platform, 2, beneficiary=Beneficiary(party=party("ben")))
    assert of(told, ReceiptRestricted) == []
    assert await held(platform, party("ben")) == wallet
    # What was credited before the table stays credited.
    assert await both(platform) == (0, wallet)


async def test_x4_payee_nobody_told_of_is_judged_by_the_table_of_all_others(
    platform: Platform,
) -> None:
    await publish(platform, places=("*",))
    told = await for_anna(platform)
    assert len(of(told, ReceiptRestricted)) == 1
    # Shares of companies nobody told of are no payee's.
    assert all(
        share.role == "beneficiary" or not share.owner.startswith("restricted:")
        for share in of(told, PayInAllocated)[0].allocations
    )


async def test_released_once_under_replays_and_by_two_workers_at_the_same_moment(
    closed: Platform,
) -> None:
    await for_anna(closed)
    restricted, _ = await both(closed)
    word = level("anna", 2, "basic")
    await closed.give(word, topic=IDENTITY, event_id="word")
    await closed.give(word, topic=IDENTITY, event_id="word")
    turns = [ClaimsWorker(BOOKS).turn(closed.funding.transactor) for _ in range(2)]
    await asyncio.gather(*turns)
    told = await closed.settle()
    told += await tell(closed, word)
    assert len(of(told, DesignationMoved)) == 1
    assert await both(closed) == (0, restricted)


async def test_word_and_money_come_in_any_order(closed: Platform) -> None:
    """The pay-in was booked as restricted, its fact comes after the level that opens the gate."""
    closed.later(seconds=1)
    money = announced(beneficiary=Beneficiary(party=ANNA))
    await closed.give(money, topic="funding.inbound.cards.v1")
    told = await closed.settle(without={PAY_INS})
    (allocated,) = of(told, PayInAllocated)
    restricted, _ = await both(closed)
    assert restricted > 0
    await tell(closed, level("anna", 2, "basic"))
    assert await both(closed) == (restricted, 0)
    told = await closed.send(allocated, topic=PAY_INS)
    assert of(told, ReceiptRestricted) == [], "nothing restricts it any more"
    assert await both(closed) == (0, restricted)


async def test_no_word_is_lost_where_it_meets_the_money_at_the_same_moment(
    closed: Platform,
) -> None:
    for number in range(1, 7):
        await tell(closed, level("anna", 2 * number, "none"))
        closed.later(seconds=1)
        money = announced(number, beneficiary=Beneficiary(party=ANNA))
        await closed.give(money, topic="funding.inbound.cards.v1")
        (allocated,) = of(await closed.settle(without={PAY_INS}), PayInAllocated)
        await asyncio.gather(
            closed.give(allocated, topic=PAY_INS),
            closed.give(level("anna", 2 * number + 1, "basic"), topic=IDENTITY),
        )
        await work(closed)
        restricted, wallet = await both(closed)
        assert (restricted, wallet > 0) == (0, True), number


async def test_older_word_changes_nothing_and_a_level_lost_takes_nothing_back(
    closed: Platform,
) -> None:
    await for_anna(closed)
    restricted, _ = await both(closed)
    await tell(closed, level("anna", 3, "basic"))
    assert await both(closed) == (0, restricted)
    await tell(closed, level("anna", 2, "none"))
    await for_anna(closed, 2)
    assert await both(closed) == (0, 2 * restricted)
    await tell(closed, level("anna", 4, "none"))
    assert await both(closed) == (0, 2 * restricted)
    await for_anna(closed, 3)
    assert await both(closed) == (restricted, 2 * restricted)


async def due(platform: Platform) -> list[Any]:
    """When restricted money is to be asked about again."""
    return [row[0] for row in await platform.rows("SELECT due_at FROM restriction")]


async def test_next_version_of_the_table_releases_at_its_date(closed: Platform) -> None:
    await for_anna(closed)
    restricted, _ = await both(closed)
    await tell(closed, level("anna", 2, "none"))
    assert await due(closed) == [None], "nothing but a word can release it"
    begins = closed.clock.now() + timedelta(days=2)
    await publish(closed, row("none", "open"), version=2, valid_from=begins)
    assert of(await work(closed, 2), DesignationMoved) == []
    assert await due(closed) == [begins]
    closed.later(days=2)
    assert len(of(await work(closed), DesignationMoved)) == 1
    assert await both(closed) == (0, restricted)


async def test_table_published_after_money_restricts_what_comes_later_alone(
    platform: Platform,
) -> None:
    await tell(platform, level("anna", 1, "none"))
    await for_anna(platform)
    _, wallet = await both(platform)
    await publish(platform)
    await for_anna(platform, 2)
    assert await both(platform) == (wallet, wallet)


async def test_release_that_the_ledger_refuses_waits_and_is_tried_again(closed: Platform) -> None:
    await tell(closed, level("anna", 2, "basic"))
    await for_anna(closed)
    _, had = await both(closed)
    await tell(closed, level("anna", 3, "none"))
    await for_anna(closed, 2)
    restricted, _ = await both(closed)
    await freeze(closed, FreezeAccount, ANNA)
    told = await tell(closed, level("anna", 4, "basic"))
    assert [refused.code for refused in of(told, DesignationRefused)] == ["account_frozen"]
    assert of(await work(closed, 3), PostJournal) == [], "not asked again before its time"
    assert await both(closed) == (restricted, had)
    await freeze(closed, UnfreezeAccount, ANNA)
    closed.clock.advance(TRY_AGAIN_AFTER + SPREAD)
    assert len(of(await work(closed), DesignationMoved)) == 1
    assert await both(closed) == (0, restricted + had)


async def give_back(platform: Platform, pay_in_id: str, minor: int, owner: str) -> list[Any]:
    """Refund an owner's share, whole."""
    platform.later(seconds=1)
    amount = PositiveAmount(currency="USD", amount=f"{minor // 100}.{minor % 100:02}")
    command = ReturnPayIn(
        who=who("co"),
        where=WHERE,
        why=WHY,
        occurred_at=START,
        return_id=derived_id("ret", pay_in_id, owner),
        pay_in_id=pay_in_id,
        kind="refund",
        amount=amount,
        method="in_order",
        order=(owner,),
    )
    return await platform.send(command, topic="funding.sources.commands.v1")


@pytest.mark.parametrize("named", [ANNA, RESTRICTED])
async def test_f15_refund_takes_restricted_money_from_where_it_stands(
    closed: Platform, named: str
) -> None:
    told = await for_anna(closed)
    restricted, _ = await both(closed)
    told = await give_back(closed, pay_in_of(told), restricted, named)
    (back,) = of(told, PayInRefunded)
    assert [share.account for share in back.shares] == [BOOKS.wallet(RESTRICTED, "USD").id]
    assert await both(closed) == (0, 0)
    assert of(await tell(closed, level("anna", 2, "basic")), DesignationMoved) == []


async def test_f15_refund_of_released_money_takes_it_from_the_wallet_though_more_is_restricted(
    closed: Platform,
) -> None:
    first = await for_anna(closed)
    restricted, _ = await both(closed)
    closed.later(seconds=1)
    await tell(closed, level("anna", 2, "basic"))
    closed.later(seconds=1)
    await tell(closed, level("anna", 3, "none"))
    second = await for_anna(closed, 2)
    third = await for_anna(closed, 3)
    assert await both(closed) == (2 * restricted, restricted)
    told = await give_back(closed, pay_in_of(second), restricted, ANNA)
    assert await both(closed) == (restricted, restricted), "this one was not released"
    told += await give_back(closed, pay_in_of(first), restricted, ANNA)
    assert await both(closed) == (restricted, 0)
    told += await give_back(closed, pay_in_of(third), restricted, ANNA)
    assert await both(closed) == (0, 0)
    assert len(of(told, PayInRefunded)) == 3
    assert of(told, ReceivableOpened) == []


async def test_x3_x4_claimed_money_stands_apart_too_and_what_comes_later_goes_by_the_level(
    closed: Platform,
) -> None:
    first = await pay_in(closed)
    owner = "event:expo-2026"
    money = await held(closed, owner)
    closed.later(seconds=1)
    told = await closed.send(redeem(await issued(closed)), topic=COMMANDS)
    (fact,) = of(told, ReceiptRestricted)
    assert (fact.owner, fact.amount.money().minor) == (ANNA, money)
    assert fact.movement_id == of(told, DesignationMoved)[0].movement_id
    assert (await held(closed, owner), *await both(closed)) == (0, money, 0)
    closed.later(seconds=1)
    second = await pay_in(closed, 2)
    assert len(of(second, ReceiptRestricted)) == 1
    assert await both(closed) == (2 * money, 0)
    # What goes back is taken from where it stands.
    assert len(of(await give_back(closed, pay_in_of(first), money, owner), PayInRefunded)) == 1
    assert await both(closed) == (money, 0)
    closed.later(seconds=1)
    await tell(closed, level("anna", 2, "basic"))
    await pay_in(closed, 3)
    assert (await held(closed, owner), *await both(closed)) == (0, 0, 2 * money)


def merged(former: str, *, into: str) -> PartiesMerged:
    """Two parties are one."""
    return PartiesMerged(
        tenant=party("root"),
        who=who("root"),
        occurred_at=START,
        reason="the same person",
        party_id=into,
        merged=former,
        merged_tenant=party("root"),
        by="approval",
    )


@pytest.mark.parametrize("known", [True, False])
async def test_money_of_a_merged_payee_goes_by_the_level_of_the_one_that_is_kept(
    closed: Platform, known: bool
) -> None:
    if known:
        await tell(closed, level("ben", 2, "basic"))
    await for_anna(closed)
    restricted, _ = await both(closed)
    await closed.send(merged(ANNA, into=party("ben")), topic="directory.parties.v1")
    if known:
        await work(closed)
    else:
        await tell(closed, level("ben", 1, "none"))
        await tell(closed, level("anna", 5, "basic"))
        assert await both(closed) == (restricted, 0), "what is told of the former says nothing"
        await tell(closed, level("ben", 2, "basic"))
    assert await both(closed) == (0, restricted)


async def test_money_of_a_payee_merged_later_than_its_heir_goes_by_the_level_of_the_last(
    closed: Platform,
) -> None:
    await tell(closed, level("carl", 2, "basic"))
    await tell(closed, level("ben", 1, "none"))
    await for_anna(closed)
    restricted, _ = await both(closed)
    for former, into in ((party("ben"), party("carl")), (ANNA, party("ben"))):
        await closed.send(merged(former, into=into), topic="directory.parties.v1")
    await work(closed)
    assert await both(closed) == (0, restricted)


async def test_f14_money_in_suspense_that_is_matched_to_the_payee_stands_apart(
    closed: Platform,
) -> None:
    money = announced().model_copy(update={"beneficiary": None})
    told = await closed.send(money, topic="funding.inbound.cards.v1")
    (suspended,) = of(told, PayInSuspended)
    match = DecideMatch(
        match_id=derived_id("match", "1"),
        pay_in_id=suspended.pay_in_id,
        beneficiary=Beneficiary(party=ANNA),
        program=WHY.program,
        note="She called",
        who=who("co"),
        occurred_at=START,
    )
    told = await closed.send(match, topic="funding.sources.commands.v1")
    assert [fact.pay_in_id for fact in of(told, ReceiptRestricted)] == [suspended.pay_in_id]
    restricted, wallet = await both(closed)
    assert (restricted > 0, wallet) == (True, 0)


async def test_nobody_issues_a_claim_for_restricted_money_or_designates_to_it(
    closed: Platform,
) -> None:
    await for_anna(closed)
    restricted, _ = await both(closed)
    await pay_in(closed, 2)
    for command in (
        issue(owner=RESTRICTED, claim_id=derived_id("clm", "restricted")),
        redesignate(party("ben"), owner=RESTRICTED),
        redesignate(RESTRICTED),
    ):
        (refused,) = of(await closed.send(command, topic=COMMANDS), ClaimRefused)
        assert refused.code in {"owner_not_claimable", "party_unknown"}
    assert await both(closed) == (restricted, 0)


async def test_rows_of_restricted_money_show_to_their_tenant_alone(closed: Platform) -> None:
    await for_anna(closed)
    query = "SELECT owner FROM restriction"
    assert [row[0] for row in await closed.rows(query, party("root"))] == [RESTRICTED]
    assert await closed.rows(query, party("elsewhere")) == []


async def test_twenty_restricted_pay_ins_take_as_many_statements_as_two(closed: Platform) -> None:
    counts = []
    for round_, size in enumerate((1, 2, 20)):
        facts: list[Event] = []
        for number in range(size):
            money = announced(100 * round_ + number, beneficiary=Beneficiary(party=ANNA))
            await closed.give(money, topic="funding.inbound.cards.v1")
            facts += of(await closed.settle(without={PAY_INS}), PayInAllocated)
        counts.append(len(await closed.statements(*facts, topic=PAY_INS)))
        await closed.settle()
    assert counts[1] == counts[2]
