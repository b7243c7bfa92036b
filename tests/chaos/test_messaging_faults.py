"""What messaging promises, held against faults: every event once, order per key kept, no operator.

The numbers are those of the fault catalogue (P1 … B12, D1).
"""

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from tally_embedded import Stack
from tally_testkit import RawRecord, event_headers
from tally_testkit.toy import StepAdded


def raw_step(name: str, n: int, **more: Any) -> RawRecord:
    body = json.dumps({"name": name, "n": n, **more}).encode()
    return RawRecord(body, event_headers(f"{name}-{n}", StepAdded.TYPE), name.encode())


pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.mark.parametrize("point", ["fetched:3", "applied:3", "committed:3", "sent:3"])
async def test_p1_kill_at_a_named_point_loses_and_doubles_nothing(toys: Any, point: str) -> None:
    doomed = toys.start(dies_at=point)
    load = asyncio.create_task(toys.publish(400, gap_s=0.2, chunk=10))
    assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
    toys.start()
    await load
    await toys.publish(100)
    await toys.judge()


async def test_b7_a_topic_published_twice_is_applied_once(toys: Any) -> None:
    toys.start()
    await toys.publish(150)
    await toys.wait_until_applied()
    records = [
        RawRecord(record.value, record.headers, record.key)
        for record in await toys.topics.read(toys.input, 150)
    ]
    await toys.topics.publish(toys.input, records)
    await toys.publish(50)
    await toys.judge()


async def test_b9_offsets_back_at_the_beginning_change_nothing(toys: Any) -> None:
    first = toys.start()
    await toys.publish(150)
    await toys.wait_until_applied()
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 30) == 0
    await toys.rewind()
    toys.start()
    await toys.publish(50)
    await toys.judge()


async def test_two_relays_and_two_consumers_share_the_work_without_doubling_it(toys: Any) -> None:
    toys.start()
    toys.start()
    await toys.publish(400, gap_s=0.05)
    await toys.judge()


async def test_p3_a_zombie_woken_after_its_session_ended_changes_nothing(toys: Any) -> None:
    zombie = toys.start()
    await toys.publish(100)
    await toys.wait_until_applied()
    toys.start()
    await toys.publish(100, gap_s=0.1, chunk=20)
    os.kill(zombie.pid, signal.SIGSTOP)  # while it holds partitions and batches
    await toys.publish(200, gap_s=0.1, chunk=20)
    # Longer than the session timeout: the group has given its partitions away.
    await asyncio.sleep(8)
    await toys.publish(100)
    await toys.wait_until_applied()
    os.kill(zombie.pid, signal.SIGCONT)
    await toys.publish(100, gap_s=0.1, chunk=20)
    await toys.judge()


async def test_p8_rebalances_amid_batches_lose_and_double_nothing(toys: Any) -> None:
    toys.start()
    load = asyncio.create_task(toys.publish(600, gap_s=0.1, chunk=20))
    for _ in range(2):
        other = toys.start()
        await toys.ready(other)
        await asyncio.sleep(1)
        other.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(other.wait, 30) == 0
    await load
    await toys.judge()


async def test_p4_sigterm_amid_the_load_drains_and_ends_clean(toys: Any) -> None:
    first = toys.start()
    await toys.ready(first)
    load = asyncio.create_task(toys.publish(300, gap_s=0.05, chunk=20))
    await asyncio.sleep(0.3)
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 30) == 0
    toys.start()
    await load
    await toys.judge()


async def test_d1_the_database_stopped_and_started_again(toys: Any, postgres_stack: Stack) -> None:
    toys.start()
    await toys.publish(100)
    await toys.wait_until_applied()
    load = asyncio.create_task(toys.publish(300, gap_s=0.1, chunk=20))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(postgres_stack.postgres.kill)
    await asyncio.sleep(2)
    await asyncio.to_thread(postgres_stack.postgres.start)
    await load
    await toys.pool.expire_connections()
    await toys.judge()
    assert await toys.pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_b1_the_broker_killed_and_started_again(toys: Any) -> None:
    toys.start()
    await toys.publish(100)
    await toys.wait_until_applied()
    await asyncio.to_thread(toys.stack.kafka.kill)
    await asyncio.sleep(2)
    await asyncio.to_thread(toys.stack.kafka.start)
    await toys.publish(200, gap_s=0.05)
    await toys.judge()
    assert await toys.pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_poison_amid_batches_is_set_aside_once_and_holds_nothing_up(toys: Any) -> None:
    toys.start()
    poison = [
        RawRecord(None, event_headers("t1", "toy.step.added.v1"), b"p1"),
        RawRecord(b"{", event_headers("t2", "toy.step.added.v1"), b"p2"),
        RawRecord(b"{}", [("ce_id", None)], b"p3"),
        RawRecord(b"{}", [("ce_id", b"\xff\xfe")], b"p4"),
        RawRecord(b"{}", [(f"h{n}", b"x" * 1000) for n in range(100)], b"p5"),
    ]
    for record in poison:
        await toys.publish(30)
        await toys.topics.publish(toys.input, [record])
    await toys.publish(30)
    await toys.judge()
    rows = await toys.pool.fetch("SELECT code, state FROM quarantine ORDER BY code")
    assert [tuple(row) for row in rows] == [
        ("header_missing", "open"),
        ("header_not_utf8", "open"),
        ("header_null", "open"),
        ("not_json", "open"),
        ("tombstone", "open"),
    ]


async def test_what_is_behind_in_one_partition_fills_a_batch(toys: Any) -> None:
    large = [raw_step("k", n, padding="x" * 700_000) for n in range(4)]
    toys.published["k"] += range(4)
    await toys.topics.publish(toys.input, large)
    toys.start(TALLY_BATCH_BYTES_MAX="4000000")
    await toys.judge()
    assert await toys.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM step") == 1


async def test_records_compressed_by_any_codec_are_read(toys: Any) -> None:
    toys.start()
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        name = f"k-{codec}"
        toys.published[name].extend(range(5))
        records = [raw_step(name, n) for n in range(5)]
        await toys.topics.publish(toys.input, records, compression=codec)
    await toys.judge()


async def test_b12_an_event_its_topic_is_too_small_for_does_not_hold_up_the_others(
    toys: Any,
) -> None:
    small = toys.topics.name("small")
    await toys.topics.create(small, config={"max.message.bytes": "2000"})
    toys.start(TALLY_TOY_OUTPUT=small)
    await toys.publish(20)
    name = "x" * 4000
    toys.published[name].append(0)
    await toys.topics.publish(
        toys.input,
        [
            RawRecord(
                f'{{"name": "{name}", "n": 0}}'.encode(),
                event_headers("big", "toy.step.added.v1"),
                b"big",
            )
        ],
    )
    await toys.publish(20)
    await toys.wait_until_applied()
    records = await toys.topics.read(small, 40)
    assert len(records) == 40
    row = await toys.pool.fetchrow("SELECT consumer, code, state FROM quarantine")
    assert tuple(row) == ("relay", "oversize", "open")


@pytest.mark.parametrize(
    ("bug", "point"),
    [("no_inbox", "committed:3"), ("offsets_first", "fetched:3"), ("position_first", "sending:3")],
)
async def test_a_planted_bug_is_caught(toys: Any, bug: str, point: str) -> None:
    """Takes a promise away and kills where it matters: the judge must see it."""
    doomed = toys.start(dies_at=point, TOY_PLANTED_BUG=bug)
    load = asyncio.create_task(toys.publish(200, gap_s=0.2, chunk=10))
    assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
    toys.start(TOY_PLANTED_BUG=bug)
    await load
    with pytest.raises(AssertionError):
        await toys.judge(within_s=15)
