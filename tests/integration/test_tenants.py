"""X8: money is seen by the tree of its company alone, and by the operator until the directory tells."""

import asyncio
import base64
import gzip
from typing import Any

from tally_contracts.base import Who
from tally_contracts.directory_facts import PartyRegistered
from tally_contracts.funding import ImportStatement
from tally_contracts.funding_sources import EnterPayIn, EntryDecided, SourceCommandRefused
from tally_funding.answers.store import for_every_tenant
from tally_funding.parties import tenants
from tally_messaging import UnitOfWork
from tally_runtime import derived_id

from .conftest import START, Platform
from .test_card_webhooks import SUCCEEDED, WITHDRAWN, hook, refund
from .test_matches import decide, enter, expect, money, rule_on
from .test_returns import WHERE, WHY, give_back, pay_in, settle, spend, usd

ROOT, COMPANY = "party_01m3250v00e008000000000001", "party_01m3250v00e008000000000002"
OTHER = "party_01m3250v00e008000000000003"
OF_COMPANY: dict[str, Any] = {
    "who": Who(actor="user:treasury", principal=COMPANY),
    "company": COMPANY,
}
TABLES = [
    "pay_in",
    "allocation",
    "suspense_case",
    "repeated_announcement",
    "statement",
    "statement_entry",
    "pay_in_return",
    "return_leg",
    "receivable",
    "receivable_settlement",
    "card_payment",
    "card_dispute",
    "card_refund_failure",
    "webhook_event",
    "manual_entry",
    "expectation",
    "pay_in_match",
    "match_look",
]
STATEMENT = b"""
:20:DAY1
:25:DE02120300000000202051
:28C:1/1
:60F:C260921EUR0,00
:61:2609210921C100,00NTRFNONREF//BR1
:62F:C260921EUR100,00
"""


async def register(platform: Platform, party_id: str = COMPANY) -> None:
    fact = PartyRegistered(
        tenant=ROOT,
        who=Who(actor="user:operator", principal="platform"),
        reason="Signed up",
        occurred_at=START,
        party_id=party_id,
        kind="company",
        parent=ROOT,
        path=(ROOT,),
        external_id=None,
        country="DE",
        alias="acme",
        state="registered",
    )
    await platform.send(fact, "directory.parties.v1", party_id)


async def fill(platform: Platform) -> None:
    """At least one row in every table that money of a company leaves."""
    who = OF_COMPANY["who"]
    imported = ImportStatement(
        import_id="imp_00000000000000000000000001",
        file_name="day.sta",
        content=base64.b64encode(gzip.compress(STATEMENT)).decode(),
        who=who,
    )
    await platform.send(imported, "funding.commands.v1", imported.import_id)
    await hook(platform, *SUCCEEDED, company=COMPANY)
    await hook(platform, *WITHDRAWN, company=COMPANY)
    await hook(platform, "evt_9", "refund.failed", refund(), company=COMPANY)
    entered = EnterPayIn(
        **OF_COMPANY,
        where=WHERE,
        why=WHY,
        occurred_at=START,
        entry_id=derived_id("ent", "1"),
        external_id="cash-1",
        amount=usd("5.00"),
        originator={"reference": "till"},
        value_date=START.date(),
    )
    await platform.send(entered, "funding.sources.commands.v1", entered.entry_id)
    await expect(platform, **OF_COMPANY)
    suspended = await money(platform, **OF_COMPANY)
    await platform.work("matcher")
    await decide(platform, suspended, who=who)
    paid = await pay_in(platform, "m-2", **OF_COMPANY)
    await pay_in(platform, "m-2", **OF_COMPANY)
    units, cents = divmod(await platform.balance("wallet/pty_1/USD"), 100)
    await spend(platform, "pty_1", f"{units}.{cents:02}")
    await give_back(platform, paid, who=who, kind="chargeback")
    (owed,) = await platform.rows("SELECT receivable_id FROM receivable")
    await pay_in(platform, "m-3", **OF_COMPANY)
    await settle(platform, owed["receivable_id"], "1.00")
    assert platform.facts(SourceCommandRefused) == []


async def test_x8_money_of_a_company_the_directory_tells_of_later_is_then_its_trees(
    platform: Platform,
) -> None:
    await fill(platform)
    for table in TABLES:
        assert await platform.rows(f"SELECT FROM {table}"), f"nothing is in {table}"
        assert await platform.rows(f"SELECT FROM {table}", ROOT) == [], table
    await register(platform)
    for table in TABLES:
        assert [
            row["tenant"] for row in await platform.rows(f"SELECT DISTINCT tenant FROM {table}")
        ] == [ROOT], table
        everything = len(await platform.rows(f"SELECT FROM {table}"))
        assert len(await platform.rows(f"SELECT FROM {table}", ROOT)) == everything, table
        assert await platform.rows(f"SELECT FROM {table}", OTHER) == [], table
        assert await platform.rows(f"SELECT FROM {table}", "") == [], table
    assert await platform.rows("SELECT FROM party_place WHERE awaited") == [], "its money is found"


async def test_x8_money_of_a_registered_company_is_its_trees_from_the_first_row_on(
    platform: Platform,
) -> None:
    await register(platform)
    await pay_in(platform, **OF_COMPANY)
    assert len(await platform.rows("SELECT FROM pay_in", ROOT)) == 1
    assert len(await platform.rows("SELECT FROM allocation", ROOT)) == 3
    assert await platform.rows("SELECT FROM pay_in", OTHER) == []


async def test_x8_a_company_that_is_registered_while_its_money_is_booked_gets_that_money(
    platform: Platform,
) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def booking(uow: UnitOfWork) -> None:
        await for_every_tenant(uow.conn)
        tenant = await tenants.hold_one(uow.conn, COMPANY, uow.now)
        held.set()
        await go_on.wait()
        await uow.conn.execute(
            "INSERT INTO manual_entry (entry_id, digest, state, external_id, command, proposed_by,"
            " company, proposed_at, tenant) VALUES ('e', '', 'proposed', 'x', '{}', 'user:a', $1, $2, $3)",
            COMPANY,
            uow.now,
            tenant,
        )

    unit = asyncio.create_task(platform.funding.transactor.run(booking))
    await held.wait()
    registering = asyncio.create_task(register(platform))
    await waiting_for_the_company(platform)
    go_on.set()
    await asyncio.gather(unit, registering)
    (row,) = await platform.rows("SELECT tenant FROM manual_entry")
    assert row["tenant"] == ROOT


async def test_x8_an_entry_is_decided_while_its_company_is_registered_and_neither_waits_for_ever(
    platform: Platform,
) -> None:
    """Both hold the company before the entry: who waits for the one does not hold the other."""
    entry_id = await enter(platform, **OF_COMPANY)
    async with platform.funding.pool.acquire() as conn, conn.transaction():
        await for_every_tenant(conn)
        await conn.execute("SELECT FROM party_place WHERE party_id = $1 FOR UPDATE", COMPANY)
        approver = Who(actor="user:controller", principal=COMPANY)
        deciding = asyncio.create_task(rule_on(platform, entry_id, approver))
        await waiting_for_the_company(platform)
        await conn.execute(
            "SELECT FROM manual_entry WHERE entry_id = $1 FOR UPDATE NOWAIT", entry_id
        )
    await deciding
    assert [decided.approved for decided in platform.facts(EntryDecided)] == [True]


async def waiting_for_the_company(platform: Platform) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%party_place%' AND datname = current_database()"
    )
    while await platform.funding.pool.fetchval(query) != 1:  # noqa: ASYNC110 - another session has no event
        await asyncio.sleep(0.01)
