"""Consumers that read a part of a type: what they pass over is not missed, what they read is."""

import uuid
from collections.abc import Sequence

from tally_messaging import MESSAGING_MIGRATIONS
from tally_messaging.inbox import claim
from tally_messaging.outbox import OutgoingRecord, append
from tally_postgres import Schema, create_pool
from tally_reconciliation.checks.delivery import judge_outboxes
from tally_reconciliation.findings import Findings
from tally_reconciliation.snapshot import session, snapshot
from tally_runtime import Ids, SystemClock
from tally_testkit import Databases, ServiceDatabase

CHANGED = "payouts.payout.changed.v1"


async def write(database: ServiceDatabase, states: Sequence[str]) -> list[uuid.UUID]:
    """Payouts tells of one payout in each of these states."""
    pool = await create_pool(database.dsn("payouts"), schema="payouts", application_name="test")
    ids = [Ids().uuid7() for _ in states]
    records = [
        OutgoingRecord(
            event_id,
            "payouts.payout.v1",
            "po_1",
            {"ce_type": CHANGED},
            f'{{"state":"{state}","previous":"paid"}}'.encode(),
        )
        for event_id, state in zip(ids, states, strict=True)
    ]
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    await pool.execute("INSERT INTO relay (lane, position) VALUES (0, $1)", len(records))
    async with pool.acquire() as conn:
        await append(conn, 0, records, SystemClock().now())
    await pool.close()
    return ids


async def take_in(database: ServiceDatabase, keys: Sequence[uuid.UUID]) -> None:
    """Programs enters these in its inbox."""
    pool = await create_pool(database.dsn("programs"), schema="programs", application_name="test")
    async with pool.acquire() as conn:
        await claim(conn, "programs", keys, [b"h"] * len(keys), SystemClock().now())
    await pool.close()


async def missed(database: ServiceDatabase) -> list[object]:
    """The events that the oracle says were not taken in."""
    found = Findings("O8", "delivery")
    async with session(database.admin_dsn) as conn, snapshot(conn, ("payouts", "programs")) as snap:
        await judge_outboxes(snap, found, {})
    return [fault.row["event"] for fault in found._unfinished]


async def test_a_payout_on_its_way_is_not_missed_by_programs_and_a_paid_one_is(
    databases: Databases,
) -> None:
    database = databases.clone(
        *(Schema(name, (MESSAGING_MIGRATIONS,)) for name in ("payouts", "programs"))
    )
    try:
        _, paid, returned = await write(database, ["sent", "paid", "returned"])
        await take_in(database, [returned])
        assert await missed(database) == [str(paid)]
        await take_in(database, [paid])
        assert await missed(database) == []
    finally:
        databases.drop(database)
