"""What the relay hands to the producer: each partition's records in order, in as few batches as they fit."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from tally_messaging.outbox import StoredRecord
from tally_messaging.relay import _batches

PARTITIONS = {0, 1, 2}


class Cluster:
    """What batches are made of, without a broker: its topics and how much a batch takes."""

    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes

    async def partitions_for(self, _: str) -> set[int]:
        return PARTITIONS

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(self._batch_bytes, 0)


def _page(size: int) -> list[StoredRecord]:
    return [
        StoredRecord(seq, f"topic-{seq % 2}", f"key-{seq % 7}", {"ce_id": str(seq)}, b"x" * size)
        for seq in range(1, 101)
    ]


def _read(batch: BatchBuilder) -> list[tuple[bytes | None, int]]:
    records = DefaultRecordBatch(bytes(batch._build()))
    return [(record.key, int(dict(record.headers)["ce_id"])) for record in records]


async def test_a_page_is_one_batch_per_partition_and_keys_lie_where_kafka_puts_them():
    batches = await _batches(Cluster(1 << 20), _page(10))  # type: ignore[arg-type]
    places = [(topic, partition) for topic, partition, _ in batches]
    assert len(places) == len(set(places)) <= 2 * len(PARTITIONS)
    seen = []
    for topic, partition, batch in batches:
        read = _read(batch)
        assert [seq for _, seq in read] == sorted(seq for _, seq in read)
        for key, seq in read:
            assert topic == f"topic-{seq % 2}"
            assert partition == DefaultPartitioner()(key, sorted(PARTITIONS), sorted(PARTITIONS))
        seen += [seq for _, seq in read]
    assert sorted(seen) == list(range(1, 101))


async def test_what_one_batch_does_not_hold_goes_into_the_next_in_order():
    """Records larger than a batch too: each gets one of its own, for the broker to judge."""
    for size in (300, 2000):
        latest: dict[tuple[str, int], int] = {}
        seen = []
        batches = await _batches(Cluster(1000), _page(size))  # type: ignore[arg-type]
        for topic, partition, batch in batches:
            for _, seq in _read(batch):
                assert seq > latest.get((topic, partition), 0)
                latest[topic, partition] = seq
                seen.append(seq)
        assert sorted(seen) == list(range(1, 101))
        assert len(batches) > 2 * len(PARTITIONS)
