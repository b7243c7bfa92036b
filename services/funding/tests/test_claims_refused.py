"""F28 on real books: what may not follow its owner stays visible, and is asked for once an hour."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import Event
from tally_contracts.funding import Beneficiary
from tally_contracts.funding_claims import (
    ClaimChanged,
    DesignationMoved,
    DesignationRefused,
    IssueClaim,
    Redesignate,
)
from tally_contracts.ledger import (
    FreezeAccount,
    JournalPosted,
    JournalRejected,
    PostJournal,
    UnfreezeAccount,
)
from tally_funding.claims.worker import ClaimsWorker
from tally_funding.retrying import SPREAD, TRY_AGAIN_AFTER
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, START, Platform, open_platform, party, who
from .unclaimed_bench import (
    CLAIM_COMMANDS,
    EVENT,
    WHY,
    followed,
    held,
    of,
    pay_in,
    to_anna,
    transfer,
)

GALA = "event:gala"
JOURNALS = "ledger.journals.v1"
ALMOST, THEN = TRY_AGAIN_AFTER - timedelta(seconds=1), SPREAD + timedelta(seconds=1)


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    """Money for two events is anna's and ben's since; neither may take any more in."""
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", "sender")
        await opened.register("anna", "ben", contacts=True)
        await to_anna(opened, 1)
        await pay_in(opened, 2, Beneficiary(party=party("ben")))
        await pay_in(opened, 3, Beneficiary(party=party("sender")))
        for number, (owner, to) in enumerate(((EVENT, "anna"), (GALA, "ben"))):
            event_reference = owner.removeprefix("event:")
            await pay_in(opened, 4 + number, Beneficiary(event_reference=event_reference))
            await opened.send(redesignate(owner, to), topic=CLAIM_COMMANDS)
            await freeze(opened, FreezeAccount, to)
        yield opened


def redesignate(owner: str, to: str) -> Redesignate:
    return Redesignate(
        command_id=derived_id("cmd", owner),
        owner=owner,
        to_owner=party(to),
        tenant=party("root"),
        who=who("co"),
        why=WHY,
        occurred_at=START,
    )


async def freeze(platform: Platform, kind: type[Any], name: str) -> None:
    command = kind(
        change_id=derived_id("chg", kind.__name__, name),
        account=BOOKS.wallet(party(name), "USD").id,
        ledger="main",
        direction="in",
        who=who("root"),
        why=WHY,
        occurred_at=START,
    )
    await platform.command_ledger(command)


async def late_money(platform: Platform, owner: str, number: int) -> PostJournal:
    """5.00 come by a transfer to the wallet that was led on."""
    to = BOOKS.wallet(owner, "USD")
    return await transfer(platform, by="sender", to=to, number=number)


def asks(platform: Platform, owner: str = EVENT) -> int:
    """How often the ledger was asked to let money follow."""
    debit = BOOKS.wallet(owner, "USD").id
    journals = of(platform.told, PostJournal)
    return sum(leg.code == "claim_follow" for j in journals for leg in j.legs if leg.debit == debit)


async def issue(platform: Platform, owner: str, *, expires_to: str) -> None:
    command = IssueClaim(
        claim_id=derived_id("clm", owner),
        owner=owner,
        tenant=party("root"),
        expires_at=START + timedelta(days=1),
        expires_to=party(expires_to),
        who=who("co"),
        why=WHY,
        occurred_at=START,
    )
    await platform.send(command, topic=CLAIM_COMMANDS)


async def turn(platform: Platform, after: timedelta = timedelta(), batch: int = 200) -> list[Any]:
    platform.clock.advance(after)
    await ClaimsWorker(BOOKS, batch=batch).turn(platform.funding.transactor)
    return await platform.settle()


async def test_refused_money_is_asked_for_again_by_the_clock_alone(platform: Platform) -> None:
    had = await held(platform, party("anna"))
    await late_money(platform, EVENT, 1)
    assert asks(platform) == 1
    (told,) = of(platform.told, DesignationRefused)
    assert (told.code, told.to_owner) == ("account_frozen", party("anna"))
    # To the root of the tree, which sees to it.
    assert told.who.principal == party("root")
    assert await held(platform, EVENT) == await followed(platform, EVENT) == 500
    await late_money(platform, EVENT, 2)
    assert await turn(platform, ALMOST) == []
    assert asks(platform) == 1
    assert of(await turn(platform, THEN), DesignationRefused)
    assert await turn(platform) == []
    assert asks(platform) == 2
    await freeze(platform, UnfreezeAccount, "anna")
    assert await turn(platform, ALMOST) == []
    (moved,) = of(await turn(platform, THEN), DesignationMoved)
    assert (moved.reason_code, moved.amounts[0].money().minor) == ("followed", 1000)
    assert (await held(platform, EVENT), await held(platform, party("anna"))) == (0, had + 1000)
    assert await turn(platform, TRY_AGAIN_AFTER + SPREAD) == []
    await late_money(platform, EVENT, 3)
    assert await held(platform, EVENT) == 0
    assert asks(platform) == 4
    assert await platform.set_aside() == []


async def test_refusal_holds_up_nobody_else_and_told_again_asks_nothing(
    platform: Platform,
) -> None:
    await late_money(platform, EVENT, 1)
    await late_money(platform, GALA, 2)
    await freeze(platform, UnfreezeAccount, "ben")
    platform.clock.advance(TRY_AGAIN_AFTER + SPREAD)
    await ClaimsWorker(BOOKS).turn(platform.funding.transactor)
    answers: list[Event] = [
        fact
        for fact in await platform.settle(without=(JOURNALS,))
        if isinstance(fact, JournalRejected | JournalPosted)
    ]
    assert {type(fact) for fact in answers} == {JournalRejected, JournalPosted}
    told = await platform.send(*answers, topic=JOURNALS)
    assert [fact.owner for fact in of(told, DesignationMoved)] == [GALA]
    assert [fact.owner for fact in of(told, DesignationRefused)] == [EVENT]
    refusals = [fact for fact in answers if isinstance(fact, JournalRejected)]
    assert await platform.send(*refusals, topic=JOURNALS) == []
    assert (asks(platform), asks(platform, GALA)) == (2, 2)
    assert (await held(platform, EVENT), await held(platform, GALA)) == (500, 0)


async def test_money_that_went_another_way_is_waited_for_no_longer(platform: Platform) -> None:
    """It would be found due in each turn, before all others."""
    gone = await late_money(platform, EVENT, 1)
    platform.clock.advance(SPREAD)
    await late_money(platform, GALA, 2)
    await platform.reverse(gone)
    await turn(platform, TRY_AGAIN_AFTER + SPREAD, batch=1)
    assert (asks(platform), asks(platform, GALA)) == (1, 1)
    await turn(platform, batch=1)
    assert (asks(platform), asks(platform, GALA)) == (1, 2)
    await freeze(platform, UnfreezeAccount, "anna")
    await late_money(platform, EVENT, 3)
    assert await held(platform, EVENT) == 0


async def test_turn_that_had_to_wait_leaves_what_another_turn_has_tried(platform: Platform) -> None:
    fair = "event:fair"
    await pay_in(platform, 9, Beneficiary(event_reference="fair"))
    await issue(platform, fair, expires_to="anna")
    await late_money(platform, EVENT, 1)
    platform.later(days=1, hours=2)
    seen, later = len(platform.told), platform.clock.now() + TRY_AGAIN_AFTER
    accounts = [BOOKS.wallet(owner, "USD").id for owner in (EVENT, fair)]
    async with platform.funding.pool.acquire() as other, other.transaction():
        await other.execute("SELECT set_config('tally.tenant', '*', true)")
        lock = "SELECT FROM claimable_wallet WHERE account = ANY($1::text[]) FOR UPDATE"
        await other.execute(lock, accounts)
        waits = asyncio.create_task(ClaimsWorker(BOOKS).turn(platform.funding.transactor))
        while not waits.done() and not await platform.rows(  # noqa: ASYNC110 - the server waits
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
        await other.execute("UPDATE redirect SET retry_at = $1 WHERE owner = $2", later, EVENT)
        await other.execute("UPDATE claim SET due_at = $1 WHERE owner = $2", later, fair)
    await waits
    assert await platform.settle() == []
    told = await turn(platform, TRY_AGAIN_AFTER)
    assert [fact.code for fact in of(told, DesignationRefused)] == ["account_frozen"] * 2
    assert [fact.state for fact in of(platform.told[seen:], ClaimChanged)] == ["expiring", "issued"]
    assert asks(platform) == 2
