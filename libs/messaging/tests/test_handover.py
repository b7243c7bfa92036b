"""Committed records reach the relay in memory, in order, or are left to be read from the table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from tally_messaging import Cause, UnitOfWork, outbox
from tally_messaging.handover import Handover
from tally_messaging.metrics import MessagingMetrics
from tally_messaging.outbox import OutgoingRecord, StoredRecord
from tally_messaging.relay import Relay, partition_of
from tally_runtime import FixedClock, Ids, Metrics, SystemClock
from tally_testkit.toy import StepCounted

# A key that is checked at the commit: whatever ran before it, the unit is rolled back.
_DEFERRED = """
CREATE TABLE toy.late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
GRANT INSERT ON toy.late TO tally_toy
"""
_TWICE = "INSERT INTO late (n) VALUES (1), (1)"


def outgoing(*payloads: bytes) -> list[OutgoingRecord]:
    return [OutgoingRecord(Ids().uuid7(), "t", "k", {}, payload) for payload in payloads]


def taken(handover: Handover, after: int, limit: int = 100) -> list[int]:
    return [record.seq for record in handover.take(0, after, limit)]


def test_runs_that_join_are_taken_in_order_and_once() -> None:
    handover = Handover(100, 1000)
    handover.put(0, 5, outgoing(b"a", b"b"))
    handover.put(0, 7, outgoing(b"c"))
    assert taken(handover, 4, limit=2) == [5, 6]
    assert taken(handover, 6) == [7]
    assert taken(handover, 7) == []


def test_what_does_not_join_on_is_never_taken() -> None:
    handover = Handover(100, 1000)
    handover.put(0, 5, outgoing(b"a"))
    assert taken(handover, 3) == [], "record 4 is not here"
    handover.put(0, 9, outgoing(b"b"))
    assert taken(handover, 5) == [], "records 6 to 8 are not here"
    assert taken(handover, 8) == [9]


def test_what_was_published_otherwise_is_forgotten() -> None:
    handover = Handover(100, 1000)
    handover.put(0, 5, outgoing(b"a", b"b", b"c"))
    assert taken(handover, 6) == [7]


@pytest.mark.parametrize(("records_max", "bytes_max"), [(2, 1000), (100, 2)])
def test_more_than_the_bound_is_left_to_the_table(records_max: int, bytes_max: int) -> None:
    handover = Handover(records_max, bytes_max)
    handover.put(0, 1, outgoing(b"a", b"b"))
    handover.put(0, 3, outgoing(b"c"))
    assert taken(handover, 0) == []
    handover.put(0, 4, outgoing(b"d"))
    assert taken(handover, 3) == [4]


def test_lanes_are_apart() -> None:
    handover = Handover(100, 1000)
    handover.put(1, 1, outgoing(b"a"))
    assert taken(handover, 0) == []
    assert [record.seq for record in handover.take(1, 0, 10)] == [1]


def test_keys_keep_the_partition_that_kafka_gives_them() -> None:
    # Values of Kafka's own test of its murmur2 (UtilsTest.testMurmur2), positive, modulo 6.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, hashed in known.items():
        assert partition_of(key, range(6), ()) == (hashed & 0x7FFFFFFF) % 6


class QuietRelay(Relay):
    """A relay whose broker takes everything at once."""

    async def _send(self, lane: int, records: Sequence[StoredRecord]) -> None:
        self.__dict__.setdefault("sent", []).extend(record.seq for record in records)


@pytest.fixture
def relay(toy: Any) -> QuietRelay:
    clock = SystemClock()
    metrics = MessagingMetrics.of(Metrics("toy").for_service("toy"))
    return QuietRelay(toy.pool, toy.settings, owner="one", clock=clock, ids=Ids(), metrics=metrics)


async def append(toy: Any, number: int) -> None:
    await toy.pool.execute("INSERT INTO relay (lane) VALUES (0) ON CONFLICT DO NOTHING")
    await toy.pool.execute(
        "INSERT INTO outbox (lane, seq, event_id, topic, record_key, headers, payload, recorded_at)"
        " SELECT 0, n, gen_random_uuid(), 't', 'k', '{}', 'x', clock_timestamp()"
        " FROM generate_series(1, $1) n",
        number,
    )


async def test_handing_over_costs_the_relay_no_statement(
    toy: Any, relay: QuietRelay, count_statements: Any
) -> None:
    await append(toy, 3)
    await relay._publish_all_lanes()
    for first in range(4, 104, 2):
        relay.hand_over(0, first, outgoing(b"a", b"b"))
        assert await count_statements(relay._publish_all_lanes) == 0
        assert await count_statements(relay._move_positions, 60.0) == 0
    assert relay.__dict__["sent"] == list(range(1, 104))
    assert await count_statements(relay._move_positions, 0.0) == 1
    assert await toy.pool.fetchval("SELECT position FROM relay") == 103
    assert await count_statements(relay._move_positions, 0.0) == 0


async def test_only_what_was_committed_is_handed_over(toy: Any) -> None:
    handed: list[tuple[int, int, int]] = []
    transactor = replace(
        toy.processor.transactor,
        hand_over=lambda lane, first, records: handed.append((lane, first, len(records))),
    )
    event, cause = StepCounted(name="a", n=1), Cause(correlation_id="c")

    async def emits(uow: UnitOfWork) -> None:
        uow.emit(event, topic="toy.out", key="a", cause=cause)

    async def refused_at_commit(uow: UnitOfWork) -> None:
        await emits(uow)
        await uow.conn.execute(_TWICE)

    admin = await asyncpg.connect(toy.admin_dsn)
    try:
        await admin.execute(_DEFERRED)
    finally:
        await admin.close()
    await transactor.run(emits)
    with pytest.raises(asyncpg.UniqueViolationError):
        await transactor.run(refused_at_commit)
    await transactor.run(emits)
    assert handed == [(0, 1, 1), (0, 2, 1)]
    assert await toy.pool.fetchval("SELECT max(seq) FROM outbox") == 2


async def test_a_lease_extended_late_keeps_what_was_published(toy: Any, relay: QuietRelay) -> None:
    clock = FixedClock(SystemClock().now())
    relay._clock = clock
    await append(toy, 3)
    await relay._publish_all_lanes()
    relay._held[0].extended_at -= relay._settings.relay_lease_s / 2
    await relay._publish_all_lanes()
    assert relay.__dict__["sent"] == [1, 2, 3], "nothing again"
    assert await toy.pool.fetchval("SELECT position FROM relay") == 3


async def test_a_relay_that_lost_its_lease_stops_and_publishes_nothing_more(
    toy: Any, relay: QuietRelay
) -> None:
    await append(toy, 3)
    await relay._publish_all_lanes()
    await toy.pool.execute("UPDATE relay SET owner = 'two', lease_until = 'infinity'")
    await relay._move_positions(0.0)
    relay.hand_over(0, 4, outgoing(b"a"))
    await relay._publish_all_lanes()
    assert relay.__dict__["sent"] == [1, 2, 3]


async def test_records_are_appended_in_order_without_a_gap_and_one_row_comes_back(toy: Any) -> None:
    await outbox.ensure_lanes(toy.pool, 1)
    now = SystemClock().now()
    records = outgoing(*[b"%d" % n for n in range(50)])
    async with toy.pool.acquire() as conn, conn.transaction():
        assert await outbox.append(conn, 0, records[:20], now) == 1
        assert await outbox.append(conn, 0, records[20:], now) == 21
        one = outgoing(b"a")[0]
        columns = [[one.event_id, one.event_id], ["t"] * 2, ["k"] * 2, ["{}"] * 2, [b"a"] * 2]
        assert [tuple(row) for row in await conn.fetch(outbox._APPEND, 0, 2, *columns, now)] == [
            (51,)
        ]
    kept = await toy.pool.fetch("SELECT seq, event_id, payload FROM outbox ORDER BY seq LIMIT 50")
    assert [tuple(row) for row in kept] == [
        (seq, record.event_id, record.payload) for seq, record in enumerate(records, 1)
    ]


async def test_how_much_waits_is_told_without_reading_it_all(toy: Any) -> None:
    """By a plan from when the outbox was empty, too: it is kept for the session's life."""
    await outbox.ensure_lanes(toy.pool, 1)
    async with toy.pool.acquire() as conn:
        await conn.execute(f"PREPARE waiting AS {outbox._DEPTH}")
        await conn.execute("EXECUTE waiting")
        async with conn.transaction():
            now = SystemClock().now()
            await outbox.append(conn, 0, outgoing(*[b"x"] * 500), now)
        await conn.execute("UPDATE relay SET position = 100")
        (plan,) = await conn.fetchval("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE waiting")
        await conn.execute("DEALLOCATE waiting")
    assert max(_read(plan["Plan"])) == 1
    assert await outbox.depth(toy.pool) == (400, now)


def _read(node: dict[str, Any]) -> list[float]:
    """How many rows each scan of a plan looked at."""
    found = [each for inner in node.get("Plans", ()) for each in _read(inner)]
    if "Relation Name" in node:
        looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        found.append(looked_at * node["Actual Loops"])
    return found
