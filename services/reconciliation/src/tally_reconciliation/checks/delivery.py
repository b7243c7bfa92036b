"""O8 and O11: everything written was sent, everything sent was seen once, what was set aside is told."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from tally_contracts.catalogue import Topic, catalogue
from tally_postgres import Record
from tally_reconciliation.databases import LEDGER, LedgerDatabase
from tally_reconciliation.evidence import NOTICES, Evidence
from tally_reconciliation.findings import Findings
from tally_reconciliation.quiet import Standing
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import Snapshot

CHUNK = 50_000
"""Outbox rows judged by one statement."""

# What a consumer must have taken in. Of other types on its topics it may read all or none.
MUST_READ: Mapping[str, frozenset[str]] = {
    "funding": frozenset({"ledger.journal.posted.v1", "ledger.journal.rejected.v1"}),
    "ledger": frozenset(
        {
            "ledger.journal.post.v1",
            "ledger.batch.post.v1",
            "ledger.hold.place.v1",
            "ledger.hold.capture.v1",
            "ledger.hold.release.v1",
            "ledger.transfer.started.v1",
            "ledger.transfer.credited.v1",
            "ledger.transfer.declined.v1",
            "ledger.transit.started.v1",
            "ledger.transit.mirrored.v1",
            "ledger.transit.declined.v1",
            "ledger.transit.settled.v1",
        }
    ),
    "payouts": frozenset(
        {
            "funding.pay_in.allocated.v1",
            "ledger.hold.placed.v1",
            "ledger.hold.captured.v1",
            "ledger.hold.released.v1",
            "ledger.hold.rejected.v1",
            "rails.attempt.changed.v1",
            "rails.instrument.registered.v1",
            "rails.instrument.refused.v1",
            "kyc.level.changed.v1",
            "kyc.gate_table.published.v1",
            "kyc.limit_table.published.v1",
        }
    ),
    "rails": frozenset({"rails.payout.submit.v1", "rails.payout.cancel.v1"}),
    "portfolio": frozenset({"payouts.payout.changed.v1"}),
}

KEYS_READ: Mapping[tuple[str, str], str] = {
    ("gateway", "ledger.journal.posted.v1"): "wtr_",
    ("gateway", "ledger.journal.rejected.v1"): "wtr_",
    ("payouts", "ledger.journal.posted.v1"): "po_",
    ("payouts", "ledger.journal.rejected.v1"): "po_",
    ("programs", "ledger.journal.posted.v1"): "pmt_",
    ("programs", "ledger.journal.rejected.v1"): "pmt_",
}
"""How the keys begin of what a consumer reads of a type, where that is not all or none."""

# What of a type a consumer reads by its value.
_VALUES_READ: Mapping[tuple[str, str], str] = {
    ("kyc", "directory.party.registered.v1"): (
        '(position(\'"state":"registered"\'::bytea IN o.payload) > 0'
        ' AND position(\'"kind":"group"\'::bytea IN o.payload) = 0)'
    ),
    ("programs", "payouts.payout.changed.v1"): (
        '(position(\'"state":"paid"\'::bytea IN o.payload) > 0'
        ' OR position(\'"state":"returned"\'::bytea IN o.payload) > 0)'
    ),
}

LANES = """
SELECT coalesce(l.lane, r.lane) AS lane, l.head, l.kept_from, r.position,
       (SELECT count(*) FROM {schema}.outbox o WHERE o.lane = l.lane) AS kept,
       (SELECT min(o.seq) FROM {schema}.outbox o WHERE o.lane = l.lane) AS first,
       (SELECT max(o.seq) FROM {schema}.outbox o WHERE o.lane = l.lane) AS last
FROM {schema}.outbox_lane l FULL JOIN {schema}.relay r USING (lane) ORDER BY 1
"""

_GAPS = """
SELECT seq, before FROM (
    SELECT seq, lag(seq) OVER (ORDER BY seq) AS before FROM {schema}.outbox WHERE lane = $1
) o WHERE before IS NOT NULL AND seq <> before + 1 ORDER BY seq
"""

TWICE = """
SELECT event_id::text AS event_id, count(*)::bigint AS times FROM {schema}.outbox
GROUP BY event_id HAVING count(*) > 1 ORDER BY 1
"""

# Not read as JSON: headers that are none any more are told of by O14, and are no reason to stop.
TYPE = """substring(o.headers FROM '"ce_type" *: *"([^"]*)"')"""

_SENT = """
SELECT o.topic, {type} AS type, count(*)::bigint AS sent{seen}
FROM {schema}.outbox o{joins}
WHERE o.lane = $1 AND o.seq > $2 AND o.seq <= $3
GROUP BY 1, 2
"""

_MISSED = """
SELECT o.lane, o.seq, o.event_id::text AS event_id, o.record_key
FROM {schema}.outbox o
LEFT JOIN {consumer}.inbox i ON i.consumer = '{consumer}' AND i.event_key = o.event_id
WHERE o.topic = $1 AND {type} = $2 AND i.event_key IS NULL AND {reads}
  AND starts_with(o.record_key, $3)
ORDER BY o.lane, o.seq
"""

# Records refused before the inbox; of those that failed later the inbox knows.
_REFUSED = """
SELECT count(*) FROM {consumer}.quarantine
WHERE consumer = '{consumer}' AND topic = $1 AND event_key IS NULL
"""

_KEPT = """
SELECT consumer, topic, partition, "offset", code, record_key, headers, payload, fingerprint
FROM {schema}.quarantine ORDER BY consumer, topic, partition, "offset"
"""

_REASONS = """
SELECT consumer, code, coalesce(field, '') AS field, count(*)::bigint AS records
FROM {schema}.quarantine WHERE state <> 'duplicate' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

_UNTOLD = """
SELECT q.consumer, q.topic, q.partition, q."offset", q.code
FROM {schema}.quarantine q
LEFT JOIN pg_temp.seen_notice n
    ON n.consumer = q.consumer AND n.topic = q.topic AND n.of_partition = q.partition
   AND n.of_offset = q."offset"
WHERE q.state <> 'duplicate' AND q.code <> 'parked' AND q.consumer <> 'relay' AND n.topic IS NULL
ORDER BY q.consumer, q.topic, q.partition, q."offset"
"""

_TOLD_FALSELY = """
SELECT n.consumer, n.topic, n.of_partition, n.of_offset, n.code, q.code AS kept
FROM pg_temp.seen_notice n
LEFT JOIN {schema}.quarantine q
    ON n.consumer = q.consumer AND n.topic = q.topic AND n.of_partition = q.partition
   AND n.of_offset = q."offset"
WHERE n.consumer = $1 AND q.code IS DISTINCT FROM n.code
ORDER BY n.topic, n.of_partition, n.of_offset
"""


async def check_delivery(snap: Snapshot, now: Standing, quiet: Quiet) -> Check:
    """O8: outboxes are gap-free and sent, topics hold them, consumers took each in once."""
    found = Findings("O8", "everything written was sent, everything sent was taken in once")
    written: dict[str, int] = {}
    sent = await judge_outboxes(snap, found, written)
    judge_ends(found, now, written)
    found.figures["events"] = sent
    return found.once_quiet(f"{sent} events of {len(snap.schemas)} services", quiet)


async def judge_outboxes(
    snap: Snapshot, found: Findings, written: dict[str, int], apart: frozenset[str] = frozenset()
) -> int:
    """Every outbox of a database, and who took its events in, but for the consumers `apart`.

    Adds what was written to each topic to `written`; returns how many events that were ever.
    """
    sent = 0
    for schema in sorted(snap.schemas):
        by_type: dict[tuple[str, str], dict[str, int]] = {}
        for lane in await snap.all(LANES.format(schema=schema)):
            sent += lane["head"] or 0
            await judge_lane(snap, found, schema, lane)
            await _count(snap, schema, lane, by_type)
        async for row in snap.rows(TWICE.format(schema=schema)):
            found.wrong("event_written_twice", service=schema, event=row["event_id"])
        for (topic, kind), numbers in sorted(by_type.items()):
            written[topic] = written.get(topic, 0) + numbers["sent"]
            events = _Events(schema, topic, kind, numbers)
            for consumer in consumers_of(topic):
                if consumer in snap.schemas and consumer not in apart:
                    await _taken_in(snap, found, events, consumer)
    return sent


def judge_ends(found: Findings, now: Standing, written: Mapping[str, int]) -> None:
    """No topic holds less than was written to it, and no group is beyond a topic's end."""
    _on_topics(found, now, written)
    for group in sorted(now.committed):
        _offsets(found, now, group)


async def judge_lane(
    snap: Snapshot, found: Findings, schema: str, lane: Record, service: str = ""
) -> None:
    """A lane in itself: without gaps, whole, and sent; `service` if it is not called as its schema."""
    where = {"service": service or schema, "lane": lane["lane"]}
    if lane["head"] is None or (lane["position"] or 0) > lane["head"]:
        found.wrong("sent_more_than_written", **where, head=lane["head"], sent=lane["position"])
        return
    if lane["head"] != (lane["position"] or 0):
        found.unfinished("not_sent", **where, head=lane["head"], sent=lane["position"])
    kept_from = lane["kept_from"]
    if kept_from - 1 > (lane["position"] or 0):
        found.wrong("dropped_before_sent", **where, kept_from=kept_from, sent=lane["position"])
    if not lane["kept"]:
        if lane["head"] >= kept_from:
            found.unfinished("outbox_emptied", **where, head=lane["head"], kept_from=kept_from)
        return
    if lane["first"] != kept_from:
        found.wrong("outbox_beginning_missing", **where, first=lane["first"], kept_from=kept_from)
    if lane["last"] != lane["head"]:
        found.wrong("outbox_end_missing", **where, head=lane["head"], last=lane["last"])
    if lane["kept"] != lane["last"] - lane["first"] + 1:
        async for row in snap.rows(_GAPS.format(schema=schema), lane["lane"]):
            found.wrong("outbox_gap", **where, seq=row["seq"], before=row["before"])


async def _count(
    snap: Snapshot, schema: str, lane: Record, by_type: dict[tuple[str, str], dict[str, int]]
) -> None:
    """Add up a lane's events by topic and type, and how many of them each inbox knows."""
    if not lane["kept"]:
        return
    consumers = sorted(snap.schemas)
    query = _SENT.format(
        schema=schema,
        type=TYPE,
        seen="".join(f", count({name}.event_key)::bigint AS {name}" for name in consumers),
        joins="".join(
            f" LEFT JOIN {name}.inbox {name} ON {name}.consumer = '{name}'"
            f" AND {name}.event_key = o.event_id"
            for name in consumers
        ),
    )
    for start in range(lane["first"] - 1, lane["last"], CHUNK):
        for row in await snap.all(query, lane["lane"], start, start + CHUNK):
            numbers = by_type.setdefault((row["topic"], row["type"] or ""), {})
            for name in ("sent", *consumers):
                numbers[name] = numbers.get(name, 0) + row[name]


@dataclass(frozen=True, slots=True)
class _Events:
    """What a service sent of one type on one topic, and how much of it each inbox knows."""

    service: str
    topic: str
    type: str
    numbers: Mapping[str, int]


async def _taken_in(snap: Snapshot, found: Findings, events: _Events, consumer: str) -> None:
    known = events.numbers[consumer]
    missing = events.numbers["sent"] - known
    must = events.type in MUST_READ.get(consumer, frozenset())
    if not missing or (not known and not must):
        return
    if missing <= await snap.value(_REFUSED.format(consumer=consumer), events.topic):
        return
    reads = _VALUES_READ.get((consumer, events.type), "true")
    query = _MISSED.format(schema=events.service, consumer=consumer, type=TYPE, reads=reads)
    keys = KEYS_READ.get((consumer, events.type), "")
    async for row in snap.rows(query, events.topic, events.type, keys):
        found.unfinished(
            "event_not_taken_in",
            consumer=consumer,
            service=events.service,
            type=events.type,
            event=row["event_id"],
            seq=row["seq"],
            key=row["record_key"],
        )


def catalogued(topic: str) -> Topic | None:
    """The catalogue's entry for a topic, by itself or as one of a family."""
    return next((entry for entry in catalogue().values() if _is_of(topic, entry)), None)


def consumers_of(topic: str) -> tuple[str, ...]:
    """The services that consume a topic, by the catalogue."""
    entry = catalogued(topic)
    return () if entry is None else entry.consumers


def _is_of(topic: str, entry: Topic) -> bool:
    head, brace, tail = entry.name.partition("{")
    if not brace:
        return topic == head
    return topic.startswith(head) and topic.endswith(tail.partition("}")[2])


def _on_topics(found: Findings, now: Standing, written: Mapping[str, int]) -> None:
    """A topic ends no earlier than what was written to it; more may come from outside."""
    ends: dict[str, int] = {}
    for (topic, _), extent in now.extents.items():
        ends[topic] = ends.get(topic, 0) + extent.end
    for topic, number in sorted(written.items()):
        if topic in ends and ends[topic] < number:
            found.unfinished("topic_holds_less", topic=topic, written=number, records=ends[topic])


def _offsets(found: Findings, now: Standing, group: str) -> None:
    for (topic, partition), offset in sorted(now.committed[group].items()):
        extent = now.extents.get((topic, partition))
        if extent is not None and offset > extent.end:
            found.wrong(
                "consumed_beyond_the_end",
                consumer=group,
                topic=topic,
                partition=partition,
                committed=offset,
                end=extent.end,
            )


async def check_quarantine(
    snap: Snapshot, evidence: Evidence, quiet: Quiet, *further: LedgerDatabase
) -> Check:
    """O11: records set aside by reason, each told once to operators."""
    found = Findings("O11", "what was set aside is kept, counted by reason, and told")
    whole = evidence.whole(NOTICES)
    total = 0
    for schema in sorted(snap.schemas):
        total += await _set_aside(snap, found, schema, schema, whole=whole)
    for database in further:
        total += await _set_aside(database.snap, found, LEDGER, database.group, whole=whole)
    return found.once_quiet(f"{total} records for {len(found.figures)} reasons", quiet)


async def _set_aside(
    snap: Snapshot, found: Findings, schema: str, consumer: str, *, whole: bool
) -> int:
    total = 0
    for row in await snap.all(_REASONS.format(schema=schema)):
        place = f"({row['field']})" if row["field"] else ""
        found.figures[f"{row['consumer']}: {row['code']}{place}"] = row["records"]
        total += row["records"]
    async for row in snap.rows(_KEPT.format(schema=schema)):
        if row["fingerprint"] != fingerprint(row):
            where = ("consumer", "topic", "partition", "offset", "code")
            found.wrong("set_aside_record_changed", **{name: row[name] for name in where})
    if whole:
        async for row in snap.rows(_UNTOLD.format(schema=schema)):
            found.unfinished("set_aside_untold", **_shown(row))
    async for row in snap.rows(_TOLD_FALSELY.format(schema=schema), consumer):
        found.wrong("told_but_not_kept", **_shown(row))
    return total


def fingerprint(row: Record) -> bytes:
    """What a record's fingerprint must be, by the bytes that are kept of it."""
    digest = blake2b(digest_size=16, person=b"tally-record")
    parts: list[bytes | None] = [row["topic"].encode(), row["record_key"]]
    for header in row["headers"]:
        parts += [None if part is None else b64decode(str(part)) for part in header]
    for part in (*parts, row["payload"]):
        digest.update(b"\0" if part is None else b"\1%d:" % len(part) + part)
    return digest.digest()


def _shown(row: Record) -> dict[str, str | int | None]:
    return {
        name: value if isinstance(value, int) or value is None else str(value)
        for name, value in row.items()
    }
