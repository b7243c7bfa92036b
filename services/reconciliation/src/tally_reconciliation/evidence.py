"""What the topics say, in temporary tables of the oracle's own session, to be joined with the rows.

Topics are read before the snapshot of the database is taken: whatever a service published it had
committed before, so a record without its row is never a matter of timing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tally_postgres import Connection
from tally_reconciliation import records as read
from tally_reconciliation.broker import Broker, Extent, Partition
from tally_reconciliation.records import RawRecord
from tally_reconciliation.snapshot import fill

INBOUND = r"funding\.inbound\.[a-z0-9_-]+\.v1"
STATUS = "payouts.status.v1"
NOTICES = "operations.quarantine.v1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FUNDING: Mapping[str, str] = {
    "source": "text",
    "topic": "text",
    "partition": "int",
    '"offset"': "bigint",
    "ce_id": "text",
    "external_id": "text",
    "currency": "text",
    "minor": "numeric",
    "digest": "bytea",
}
_STATUS: Mapping[str, str] = {
    "partition": "int",
    '"offset"': "bigint",
    "ce_id": "text",
    "payout_id": "text",
    "sequence": "bigint",
    "rank": "bigint",
    "state": "text",
    "currency": "text",
    "minor": "numeric",
}
_NOTICE: Mapping[str, str] = {
    "partition": "int",
    '"offset"': "bigint",
    "ce_id": "text",
    "consumer": "text",
    "topic": "text",
    "of_partition": "bigint",
    "of_offset": "bigint",
    "code": "text",
}
_JUDGED: Mapping[str, str] = {
    **_FUNDING,
    "outcome": "text",
    "set_aside": "text",
    "pay_in_id": "text",
    "booked_currency": "text",
    "booked": "numeric",
    "by_statement": "boolean",
}
BANK: Mapping[str, str] = {
    "entry_id": "bigint",
    "trace": "text",
    "cents": "numeric",
    "direction": "text",
    "state": "text",
    "since": "text",
}
TOLD: Mapping[str, str] = {"type": "text", "key": "text", "event_id": "text", "body": "text"}
_FIRST_KEPT: Mapping[str, str] = {"topic": "text", "partition": "int", "since": "timestamptz"}
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much was read. A topic is `whole` if its first record is still there and none is missing."""

    extents: Mapping[Partition, Extent]
    read: Mapping[Partition, int]

    def whole(self, topic: str) -> bool:
        """Nothing aged out of this topic or was compacted away."""
        return all(
            extent.first == 0 and self.read.get(where, 0) == extent.end
            for where, extent in self.extents.items()
            if where[0] == topic
        )

    @property
    def inbound(self) -> frozenset[str]:
        """The inbound topics there are."""
        return frozenset(topic for topic, _ in self.extents if topic not in {STATUS, NOTICES})

    @property
    def input_records(self) -> int:
        """How many records were ever on the inbound topics."""
        return sum(extent.end for where, extent in self.extents.items() if where[0] in self.inbound)

    def read_of(self, topic: str) -> int:
        """Records read from a topic."""
        return sum(number for (name, _), number in self.read.items() if name == topic)


async def gather(conn: Connection, broker: Broker, now: datetime) -> Evidence:
    """Read the inbound topics, the status topic and the notices, whole."""
    await _make_tables(conn)
    extents = await broker.extents([*await broker.topics(INBOUND), STATUS, NOTICES])
    counts: dict[Partition, int] = {}
    first_kept: dict[Partition, int] = {}
    async for batch in broker.records(extents):
        if not batch:
            continue
        topic, partition = batch[0].topic, batch[0].partition
        table, columns, row_of = _KINDS.get(topic, _KINDS[INBOUND])
        await fill(conn, table, columns, [row_of(record) for record in batch])
        where = (topic, partition)
        counts[where] = counts.get(where, 0) + len(batch)
        if where not in first_kept:
            first_kept[where] = batch[0].timestamp
    await _keep_beginnings(conn, extents, first_kept, now)
    await conn.execute("ANALYZE seen_funding; ANALYZE seen_status; ANALYZE seen_notice")
    return Evidence(extents, counts)


async def hand_on(conn: Connection, other: Connection, consumer: str) -> None:
    """Make the same tables in another session, with the notices about one consumer."""
    await _make_tables(other)
    rows = await conn.fetch(
        f"SELECT {', '.join(_NOTICE)} FROM pg_temp.seen_notice WHERE consumer = $1", consumer
    )
    await fill(other, "seen_notice", _NOTICE, [tuple(row) for row in rows])


async def _make_tables(conn: Connection) -> None:
    for table, columns in _TABLES.items():
        kinds = ", ".join(
            f"{name} {kind}{_AS_STORED if kind == 'text' else ''}" for name, kind in columns.items()
        )
        await conn.execute(f"CREATE TEMP TABLE {table} ({kinds})")


async def _keep_beginnings(
    conn: Connection,
    extents: Mapping[Partition, Extent],
    first_kept: Mapping[Partition, int],
    now: datetime,
) -> None:
    """Partitions that have lost their beginning, and since when records of them are there."""
    rows: list[Row] = []
    for where, extent in extents.items():
        if extent.first > 0:
            at_ms = first_kept.get(where)
            since = now if at_ms is None else _EPOCH + timedelta(milliseconds=at_ms)
            rows.append((*where, since))
    await fill(conn, "first_kept", _FIRST_KEPT, rows)


def _funding(record: RawRecord) -> Row:
    body = read.body(record)
    money = read.amount(body.get("amount"))
    return (
        record.topic.removeprefix("funding.inbound.").removesuffix(".v1"),
        record.topic,
        record.partition,
        record.offset,
        read.event_id(record),
        read.reference(body.get("external_id")),
        None if money is None else money.code,
        None if money is None else money.minor,
        read.digest(record),
    )


def _status(record: RawRecord) -> Row:
    body = read.body(record)
    money = read.amount(body.get("amount"))
    return (
        record.partition,
        record.offset,
        read.event_id(record),
        read.reference(body.get("payout_id")),
        read.count(body.get("sequence")),
        read.count(body.get("rank")),
        read.reference(body.get("state")),
        None if money is None else money.code,
        None if money is None else money.minor,
    )


def _notice(record: RawRecord) -> Row:
    body = read.body(record)
    return (
        record.partition,
        record.offset,
        read.event_id(record),
        read.reference(body.get("consumer")),
        read.reference(body.get("topic")),
        read.count(body.get("partition")),
        read.count(body.get("offset")),
        read.reference(body.get("code")),
    )


_KINDS: Mapping[str, tuple[str, Mapping[str, str], Callable[[RawRecord], Row]]] = {
    INBOUND: ("seen_funding", _FUNDING, _funding),
    STATUS: ("seen_status", _STATUS, _status),
    NOTICES: ("seen_notice", _NOTICE, _notice),
}
_TABLES: Mapping[str, Mapping[str, str]] = {
    **{table: columns for table, columns, _ in _KINDS.values()},
    "judged_funding": _JUDGED,
    "first_kept": _FIRST_KEPT,
    "seen_bank": BANK,
    "told_fact": TOLD,
}
_AS_STORED = ' COLLATE "C"'
