"""Consumers that read a part of a type: what they pass over is not missed, what they read is."""

import uuid
from collections.abc import Sequence

import pytest

from tally_messaging import MESSAGING_MIGRATIONS
from tally_messaging.inbox import claim
from tally_messaging.outbox import OutgoingRecord, append
from tally_postgres import Schema, create_pool
from tally_reconciliation.checks.across import check_delivery_across
from tally_reconciliation.checks.delivery import judge_outboxes
from tally_reconciliation.databases import LedgerDatabase
from tally_reconciliation.findings import Findings
from tally_reconciliation.quiet import Standing
from tally_reconciliation.report import Quiet
from tally_reconciliation.snapshot import session, snapshot
from tally_runtime import Ids, SystemClock
from tally_testkit import Databases, ServiceDatabase

CHANGED = "payouts.payout.changed.v1"


async def write(
    database: ServiceDatabase, schema: str, records: Sequence[OutgoingRecord]
) -> list[uuid.UUID]:
    """What a service has told, all of it sent; the events' ids."""
    pool = await create_pool(database.dsn(schema), schema=schema, application_name="test")
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    await pool.execute("INSERT INTO relay (lane, position) VALUES (0, $1)", len(records))
    async with pool.acquire() as conn:
        await append(conn, 0, records, SystemClock().now())
    await pool.close()
    return [record.event_id for record in records]


def payout(state: str) -> OutgoingRecord:
    """Payouts' fact of a payout that came to this state."""
    value = f'{{"state":"{state}","previous":"paid"}}'.encode()
    return OutgoingRecord(Ids().uuid7(), "payouts.payout.v1", "po_1", {"ce_type": CHANGED}, value)


def journal(reference: str) -> OutgoingRecord:
    """The ledger's fact of a journal with this reference."""
    headers = {"ce_type": "ledger.journal.posted.v1"}
    return OutgoingRecord(Ids().uuid7(), "ledger.journals.v1", reference, headers, b"{}")


async def take_in(
    database: ServiceDatabase, keys: Sequence[uuid.UUID], by: str = "programs"
) -> None:
    """A service enters these in its inbox."""
    pool = await create_pool(database.dsn(by), schema=by, application_name="test")
    async with pool.acquire() as conn:
        await claim(conn, by, keys, [b"h"] * len(keys), SystemClock().now())
    await pool.close()


async def missed(database: ServiceDatabase) -> list[object]:
    """The events that the oracle says were not taken in."""
    found = Findings("O8", "delivery")
    async with session(database.admin_dsn) as conn, snapshot(conn, ("payouts", "programs")) as snap:
        await judge_outboxes(snap, found, {})
    return [fault.row["event"] for fault in found._unfinished]


async def missed_across(platform: ServiceDatabase, west: ServiceDatabase, by: str) -> list[object]:
    """The events of a further ledger that the oracle says were not taken in."""
    now = Standing({}, {}, {})
    async with (
        session(platform.admin_dsn) as core,
        session(west.admin_dsn) as further,
        snapshot(core, (by,)) as snap,
        snapshot(further, ("ledger",)) as books,
    ):
        databases = [LedgerDatabase("west", books, frozenset({"us"}))]
        check = await check_delivery_across(snap, databases, now, Quiet())
    return [fault.row["event"] for fault in check.faults if fault.what == "event_not_taken_in"]


async def test_a_payout_on_its_way_is_not_missed_by_programs_and_a_paid_one_is(
    databases: Databases,
) -> None:
    database = databases.clone(
        *(Schema(name, (MESSAGING_MIGRATIONS,)) for name in ("payouts", "programs"))
    )
    try:
        told = [payout(state) for state in ("sent", "paid", "returned")]
        _, paid, returned = await write(database, "payouts", told)
        await take_in(database, [returned])
        assert await missed(database) == [str(paid)]
        await take_in(database, [paid])
        assert await missed(database) == []
    finally:
        databases.drop(database)


@pytest.mark.parametrize(("reader", "its"), [("programs", "pmt"), ("payouts", "po")])
async def test_of_journals_of_another_database_a_service_misses_those_of_its_own_alone(
    databases: Databases, reader: str, its: str
) -> None:
    west = databases.clone(Schema("ledger", (MESSAGING_MIGRATIONS,)))
    platform = databases.clone(Schema(reader, (MESSAGING_MIGRATIONS,)))
    try:
        told = [journal(reference) for reference in ("pin_1", f"{its}_1", f"{its}_2")]
        _, first, second = await write(west, "ledger", told)
        await take_in(platform, [first], reader)
        assert await missed_across(platform, west, reader) == [str(second)]
        await take_in(platform, [second], reader)
        assert await missed_across(platform, west, reader) == []
    finally:
        databases.drop(west)
        databases.drop(platform)
