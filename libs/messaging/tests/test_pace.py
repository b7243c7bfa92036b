"""How much goes into one transaction, how long the next one waits, and what comes again after a fault."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from tally_messaging import pace
from tally_messaging.consumer import Consumer, create_broker
from tally_messaging.errors import TransientFault
from tally_runtime import SystemClock
from tally_testkit.toy import StepAdded, ToySettings

from .conftest import Raw, make_step

FIRST, SECOND = TopicPartition("toy.in", 0), TopicPartition("toy.in", 1)


def settings(**more: int) -> ToySettings:
    return ToySettings(
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn="postgresql://toy@127.0.0.1/toy",
        **more,
    )


def raw(size: int, offset: int = 0) -> Raw:
    return Raw(b"x" * size, (), b"key", offset)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 100))
def test_parts_are_the_records_in_order_and_none_is_larger_than_it_may_be(
    sizes: list[int], most: int
) -> None:
    records = [raw(size, place) for place, size in enumerate(sizes)]
    parts = list(pace.parts(records, most))
    assert [record for part in parts for record in part] == records
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        assert len(part) <= 1 or pace.value_bytes(part) <= most
        if following:
            assert pace.value_bytes([*part, following[0]]) > most, "a part is as full as it can be"


def test_the_pause_ends_before_the_next_batch_is_too_full() -> None:
    limits = settings(batch_records_max=400, batch_bytes_max=4_000, batch_interval_ms=60)
    by_number = [
        pace.interval_s(limits, [raw(1)] * n, n, gathered_s=0.06) for n in (1, 240, 300, 400)
    ]
    assert by_number == pytest.approx([0.06, 0.06, 0.048, 0])
    by_size = [
        pace.interval_s(limits, [raw(size)], 1, gathered_s=0.06)
        for size in (10, 2_400, 3_000, 9_000)
    ]
    assert by_size == pytest.approx([0.06, 0.06, 0.048, 0])
    alone = pace.interval_s(limits, [replace(raw(1), value=None)], 1, gathered_s=0.06)
    assert alone == pytest.approx(0.06)


def test_the_pause_shrinks_with_what_few_records_bundle() -> None:
    limits = settings(batch_records_max=400, batch_interval_ms=60)
    by_worth = [
        pace.interval_s(limits, [raw(1)], worth, gathered_s=0.06) for worth in (1, 51, 101, 400)
    ]
    assert by_worth == pytest.approx([0.06, 0.03, 0, 0])


def test_records_that_gathered_for_long_are_no_sign_of_a_stream() -> None:
    limits = settings(batch_records_max=400, batch_interval_ms=60)
    assert pace.interval_s(limits, [raw(1)] * 200, 200, gathered_s=10.0) == pytest.approx(0.06)
    assert pace.interval_s(limits, [raw(1)] * 200, 200, gathered_s=0.01) == pytest.approx(0.012)


def test_a_consumer_that_no_payment_waits_for_leaves_more_time() -> None:
    limits = settings(batch_records_max=400, batch_interval_ms=60, patient_interval_ms=500)
    pauses = [
        pace.interval_s(limits, [raw(1)] * n, n, gathered_s=0.5, patient=True)
        for n in (1, 240, 300)
    ]
    assert pauses == pytest.approx([0.5, 0.5, 0.4])


def batches_per_s(rate: int, interval_ms: int, work_s: float = 0.0) -> tuple[float, int]:
    """How many batches a second of a steady stream makes, and the largest; `work_s` is each record's."""
    limits = settings(batch_interval_ms=interval_ms)
    now, before, taken, sizes = 1.0, 0.99, 0, []
    while now < 31:
        size = min(limits.batch_records_max, int(now * rate) - taken)
        came = [raw(1)] * size
        pause = pace.interval_s(limits, came, size, gathered_s=now - before) if size else 0.001
        before, taken = now, taken + size
        now += max(pause, size * work_s, 0.001)
        sizes.append(size)
    return len(sizes) / 30, max(sizes[len(sizes) // 2 :])


@pytest.mark.parametrize(
    ("rate", "interval_ms", "most_per_s"),
    [(100, 60, 17), (1_500, 60, 17), (1_000, 400, 4), (2_400, 60, 17)],
)
def test_a_steady_stream_is_taken_in_as_few_batches_as_the_interval_asks(
    rate: int, interval_ms: int, most_per_s: int
) -> None:
    number, _ = batches_per_s(rate, interval_ms)
    assert number <= most_per_s


def test_a_stream_that_would_overfill_its_batches_is_taken_more_often() -> None:
    number, largest = batches_per_s(2_200, 400)
    assert number <= 9
    assert largest < 500, "nothing was left for the next"


def test_whoever_cannot_keep_up_takes_full_batches_one_behind_the_other() -> None:
    number, largest = batches_per_s(6_000, 60, work_s=0.0005)
    assert largest == 500
    assert number == pytest.approx(4, abs=0.5), "no time is left out"


class Client:
    """The broker's client as the consumer uses it."""

    def __init__(self) -> None:
        self.sought: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.found: list[dict[TopicPartition, list[Raw]]] = []
        self.committed: dict[TopicPartition, int] = {}
        self.left = asyncio.Event()

    def assignment(self) -> set[TopicPartition]:
        return {FIRST, SECOND}

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed |= offsets

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Raw]]:
        return {} if self.paused or not self.found else self.found.pop(0)


class Fails:
    """A processor that takes as many batches as told, then has no database."""

    def __init__(self, real: Any, good: int) -> None:
        self.router = real.router
        self.metrics = real.metrics
        self.taken: list[list[tuple[int, int]]] = []
        self.each = 1
        """What a record is worth."""
        self.stopping: asyncio.Task[None] | None = None
        self.stops: Consumer | None = None
        """Told to stop amid the first batch."""
        self._good = good

    async def process(self, records: Any) -> int:
        if self.stops is not None and self.stopping is None:
            self.stopping = asyncio.create_task(self.stops.stop())
            await asyncio.sleep(0)
        if len(self.taken) == self._good:
            raise TransientFault("the database is away")
        self.taken.append([(record.partition, record.offset) for record in records])
        return len(records) * self.each


def driven(toy: Any, good: int, **more: int) -> tuple[Consumer, Client, Fails]:
    limits = settings(**{"batch_interval_ms": 0, **more})
    processor, client = Fails(toy.processor, good), Client()
    broker = create_broker(limits, "toy")
    consumer = Consumer(broker, processor, limits, SystemClock())  # type: ignore[arg-type] # a stand-in
    consumer.subscriber = SimpleNamespace(consumer=client)
    return consumer, client, processor


RECORDS = tuple(
    replace(make_step("s", n, pad="x" * 900), partition=partition, offset=n)
    for partition, n in ((0, 4), (0, 5), (1, 8), (1, 9))
)


async def test_a_part_that_fails_comes_again_with_all_behind_it_on_every_partition(
    toy: Any,
) -> None:
    consumer, client, processor = driven(toy, 1, batch_bytes_max=1_000, back_off_initial_ms=60_000)
    await consumer._consume(RECORDS)
    assert processor.taken == [[(0, 4)]]
    assert consumer._done == {FIRST: 5}
    assert client.sought == {FIRST: 5, SECOND: 8}
    assert client.paused == {FIRST, SECOND}


async def test_large_records_are_applied_in_several_transactions(toy: Any) -> None:
    consumer, client, processor = driven(toy, 9, batch_bytes_max=2_000)
    await consumer._consume(RECORDS)
    assert processor.taken == [[(0, 4), (0, 5)], [(1, 8), (1, 9)]]
    assert consumer._done == {FIRST: 6, SECOND: 10}
    assert consumer._worth == 4, "the pause goes by all of them"
    assert client.sought == {}


async def test_a_record_that_bundles_much_to_do_counts_for_as_many(toy: Any, step: Any) -> None:
    toy.processor.router.bundles(StepAdded, lambda event: event.n)
    strange = replace(step("c", 4), value=b"{")
    assert await toy.processor.process([step("a", 7), step("b", 30), strange]) == 38
    assert await toy.processor.process([strange]) == 1


@pytest.mark.parametrize(("each", "pauses"), [(1, True), (500, False)])
async def test_no_pause_follows_a_batch_of_few_records_that_bundle_much(
    toy: Any, each: int, pauses: bool
) -> None:
    consumer, _, processor = driven(toy, 9, batch_interval_ms=10_000)
    processor.each = each
    consumer._batch_since -= 3_600.0  # as after a quiet hour: the records are no stream
    batch = asyncio.create_task(consumer._consume(RECORDS[:1]))
    await asyncio.wait({batch}, timeout=0.2 if pauses else 8)
    assert processor.taken == [[(0, 4)]]
    assert batch.done() is not pauses
    batch.cancel()


async def test_a_stop_amid_a_batch_of_several_parts_leaves_the_later_ones_to_others(
    toy: Any,
) -> None:
    consumer, client, processor = driven(toy, 9, batch_bytes_max=2_000)
    consumer.subscriber = SimpleNamespace(consumer=client, stop=client.left.wait)
    client.left.set()
    processor.stops = consumer
    await consumer._consume(RECORDS)
    assert processor.stopping is not None
    await processor.stopping
    assert processor.taken == [[(0, 4), (0, 5)]], "a service that stops begins nothing more"
    assert client.committed == {FIRST: 6}, "what is done is committed, and no more"


async def test_nothing_is_fetched_while_records_are_in_work(toy: Any) -> None:
    consumer, client, _ = driven(toy, 9)
    client.found = [{FIRST: [RECORDS[0]]}, {SECOND: [RECORDS[2]]}]
    poll: Any = consumer._poll
    assert await poll(client) == (RECORDS[0],)
    assert client.paused == {FIRST, SECOND}
    assert await poll(client) == (RECORDS[2],), "asked again, the client fetches again"
    assert await poll(client) == ()
    assert client.paused == set(), "an empty answer leaves the client fetching"


async def test_polls_during_a_back_off_fetch_nothing(toy: Any) -> None:
    consumer, client, _ = driven(toy, 0, back_off_initial_ms=60_000)
    await consumer._consume(RECORDS)
    client.found = [{FIRST: [RECORDS[0]]}]
    poll: Any = consumer._poll
    assert await poll(client) == ()
    consumer._resume_fetching()
    assert await poll(client) == (RECORDS[0],)
