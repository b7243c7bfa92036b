"""Two replicas at the same wallets: none waits for the other in a circle, and nothing is left out."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tally_contracts.base import Event
from tally_contracts.funding import Beneficiary
from tally_contracts.ledger import JournalPosted
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import owners
from tally_funding.claims.worker import ClaimsWorker
from tally_messaging import Cause, UnitOfWork
from tally_money import Money
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, Platform, open_platform, party
from .test_receipts_service import IDENTITY, level, publish
from .test_wallet_clocks import merged
from .unclaimed_bench import (
    COMMANDS,
    decision,
    followed,
    pay_in,
    payout,
    proposal,
    send,
    to_anna,
    transfer,
    until_reportable,
    wallet_opened,
)


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", country="US")
        await opened.register("anna", "ben", contacts=True, country="US")
        yield opened


async def test_what_is_posted_while_the_wallet_is_told_of_is_not_lost(platform: Platform) -> None:
    """Two replicas: one hears of the journal, the other of whose the account is, at the same moment."""
    account = BOOKS.wallet(party("anna"), "USD").id
    posted_to, ended = asyncio.Event(), asyncio.Event()

    async def hears_of_money(uow: UnitOfWork) -> None:
        await for_every_tenant(uow.conn)
        await owners.posted(uow, {account: Money.parse("5.00", "USD")}, Cause("payment-1"))
        posted_to.set()
        await ended.wait()

    money = asyncio.create_task(platform.funding.transactor.run(hears_of_money))
    await posted_to.wait()
    opened = wallet_opened(party("anna"), account)
    telling = asyncio.create_task(platform.give(opened, topic="directory.wallets.v1"))
    while not telling.done() and not await waits_for_a_lock(platform):  # noqa: ASYNC110 - it is the server that waits
        await asyncio.sleep(0.01)
    ended.set()
    await asyncio.gather(money, telling)
    assert await followed(platform, party("anna")) == 500


async def waits_for_a_lock(platform: Platform) -> bool:
    """Whether a session of this database waits for another."""
    return bool(
        await platform.rows(
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        )
    )


async def locked_before(platform: Platform, held: str, work: asyncio.Task[None]) -> Sequence[str]:
    """Which wallets a unit has locked by the time it waits for this one, which another unit holds."""
    while not work.done() and not await waits_for_a_lock(platform):  # noqa: ASYNC110 - the server waits
        await asyncio.sleep(0.01)
    assert not work.done(), "it never asked for the wallet"
    async with platform.funding.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        free = await conn.fetch("SELECT account FROM claimable_wallet FOR UPDATE SKIP LOCKED")
        every = await conn.fetch("SELECT account FROM claimable_wallet")
    return sorted({row[0] for row in every} - {row[0] for row in free} - {held})


@asynccontextmanager
async def another_unit_holds(platform: Platform, account: str) -> AsyncIterator[None]:
    async with platform.funding.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        query = "SELECT account FROM claimable_wallet WHERE account = $1 FOR UPDATE"
        assert await conn.fetchval(query, account) == account
        yield


async def test_wallets_to_file_are_locked_in_their_order_not_by_how_long_they_are_silent(
    platform: Platform,
) -> None:
    await to_anna(platform, 1)
    await pay_in(platform, 2, Beneficiary(party=party("ben")))
    await until_reportable(platform)
    ((first,),) = await platform.rows("SELECT min(account) FROM claimable_wallet")
    async with platform.funding.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        await conn.execute(
            "UPDATE claimable_wallet SET last_activity_at = last_activity_at - interval '1 day'"
            " WHERE account <> $1",
            first,
        )
    async with another_unit_holds(platform, first):
        work = asyncio.create_task(platform.give(proposal(), topic=COMMANDS))
        assert await locked_before(platform, first, work) == []
    await work


async def test_answers_of_filings_and_transfers_in_a_batch_lock_all_wallets_once(
    platform: Platform,
) -> None:
    await to_anna(platform, 1)
    await until_reportable(platform)
    ((least,),) = await platform.rows("SELECT min(account) FROM claimable_wallet")
    # Somebody whose account comes before those that are filed, and who is silent for less long.
    names = (f"sender-{number}" for number in itertools.count())
    sender = next(name for name in names if BOOKS.wallet(party(name), "USD").id < least)
    await pay_in(platform, 2, Beneficiary(party=party(sender)))
    await send(platform, proposal())
    seen = len(platform.told)
    await platform.give(decision(), topic=COMMANDS)
    await platform.settle(without=("ledger.journals.v1",))
    await transfer(platform, by=sender, to=BOOKS.wallet(party("carl"), "USD"), number=1)
    journals: list[Event] = [e for e in platform.told[seen:] if isinstance(e, JournalPosted)]
    account = BOOKS.wallet(party(sender), "USD").id
    async with another_unit_holds(platform, account):
        work = asyncio.create_task(platform.give(*journals, topic="ledger.journals.v1"))
        assert await locked_before(platform, account, work) == []
    await work


@pytest.mark.parametrize("sign", ["withdrawal", "transfer"])
async def test_wallets_of_merged_owners_are_locked_in_their_order_too(
    platform: Platform, sign: str
) -> None:
    """Money that comes to a former id after the merge stays there, and the kept one's signs reach it."""
    await to_anna(platform, 1)
    ((least,),) = await platform.rows("SELECT min(account) FROM claimable_wallet")
    names = (f"former-{number}" for number in itertools.count())
    former = next(name for name in names if BOOKS.wallet(party(name), "USD").id < least)
    await platform.send(merged(into="anna", who_was=former), topic="directory.parties.v1")
    await pay_in(platform, 2, Beneficiary(party=party(former)))
    platform.clock.advance(timedelta(days=1))
    topic, told = "payouts.payout.v1", [payout("paid", by="anna")]
    if sign == "transfer":
        seen = len(platform.told)
        await transfer(platform, by="anna", to=BOOKS.wallet(party("ben"), "USD"), number=1)
        topic = "ledger.journals.v1"
        told = [e for e in platform.told[seen:] if isinstance(e, JournalPosted)]
    account = BOOKS.wallet(party(former), "USD").id
    async with another_unit_holds(platform, account):
        work = asyncio.create_task(platform.give(*told, topic=topic))
        assert await locked_before(platform, account, work) == []
    await work


async def test_gates_are_locked_before_the_restricted_money_they_are_asked_about(
    platform: Platform,
) -> None:
    """As whoever takes in a level does, which would wait in a circle with who asks otherwise."""
    await publish(platform, places=("*",))
    await to_anna(platform, 1)
    await platform.give(level("anna", 1, "none"), topic=IDENTITY)
    ((owner,),) = await platform.rows("SELECT owner FROM restriction WHERE due_at IS NOT NULL")
    async with platform.funding.pool.acquire() as other, other.transaction():
        lock = "SELECT party_id FROM party_level WHERE party_id = $1 FOR UPDATE"
        assert await other.fetchval(lock, party("anna")) == party("anna")
        work = asyncio.create_task(ClaimsWorker(BOOKS).turn(platform.funding.transactor))
        while not work.done() and not await waits_for_a_lock(platform):  # noqa: ASYNC110 - the server waits
            await asyncio.sleep(0.01)
        assert not work.done(), "it never asked for the payee's level"
        free = await platform.rows("SELECT owner FROM restriction FOR UPDATE SKIP LOCKED")
        assert [row[0] for row in free] == [owner]
    await work
