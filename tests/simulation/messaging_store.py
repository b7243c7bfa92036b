"""Inbox, outbox and quarantine over rows in memory: the functions of `tally_messaging`'s modules."""

from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace

from tally_messaging.outbox import StoredRecord
from tally_messaging.quarantine import fingerprint

from .world import TraceLog  # noqa: F401 - re-exported to the composition


@dataclass(frozen=True)
class Lease:
    owner: str | None
    until: float
    position: int


@dataclass(frozen=True)
class SetAsideRow:
    code: str
    blocks: bool
    fingerprint: bytes
    state: str


@dataclass(frozen=True)
class OutboxRow:
    record: StoredRecord
    event_id: str
    recorded_at: datetime


async def claim(conn, consumer, keys, hashes, now):
    await conn.statement("inbox.claim")
    new = set()
    for key, body in zip(keys, hashes, strict=True):
        if await conn.insert("inbox", (consumer, key), body):
            new.add(key)
    return new


async def hashes(conn, consumer, keys):
    await conn.statement("inbox.hashes")
    found = {key: conn.get("inbox", (consumer, key)) for key in keys}
    return {key: body for key, body in found.items() if body is not None}


inbox = SimpleNamespace(claim=claim, hashes=hashes)


async def set_aside(conn, consumer, records, ids, now):
    await conn.statement("quarantine.insert")
    new = set()
    for item in records:
        record = item.record
        place = (record.topic, record.partition, record.offset)
        digest = fingerprint(record)
        copy = any(
            row.fingerprint == digest and row.state == "open" and key[0] == consumer
            for key, row in conn.table("quarantine").items()
        )
        state = "duplicate" if copy else "open"
        row = SetAsideRow(item.code, item.blocks and not copy, digest, state)
        if await conn.insert("quarantine", (consumer, *place), row) and not copy:
            new.add(place)
    return new


async def blocked_keys(conn, consumer):
    await conn.statement("quarantine.blocked_keys")
    assert not any(row.blocks for row in conn.table("quarantine").values()), (
        "nothing ordered is bad"
    )
    return set()


quarantine = SimpleNamespace(insert=set_aside, blocked_keys=blocked_keys)


async def ensure_lanes(pool, lanes):
    await pool.process.step("outbox.ensure_lanes")
    for lane in range(lanes):
        pool.database.rows["outbox_lane"].setdefault(lane, 0)
        pool.database.rows["relay"].setdefault(lane, Lease(None, 0.0, 0))


async def append(conn, lane, records, now):
    await conn.statement("outbox.append")
    await conn.lock("outbox_lane", [lane])
    head = conn.get("outbox_lane", lane)
    for number, record in enumerate(records, start=head + 1):
        stored = StoredRecord(number, record.topic, record.key, record.headers, record.payload)
        conn.put("outbox", (lane, number), OutboxRow(stored, str(record.event_id), now))
    conn.put("outbox_lane", lane, head + len(records))
    return head + 1


async def page(pool, lane, after, limit):
    await pool.statement("outbox.page")
    rows = pool.database.rows["outbox"]
    found = []
    while len(found) < limit and (row := rows.get((lane, after + 1 + len(found)))) is not None:
        found.append(row.record)
    return found


async def lease(pool, lane, owner, seconds):
    await pool.process.step("outbox.lease", counted=False)
    now = pool.database.world.loop.time()
    held = pool.database.rows["relay"][lane]
    if held.owner != owner and held.until >= now:
        return None
    pool.database.rows["relay"][lane] = Lease(owner, now + seconds, held.position)
    return held.position


async def advance(pool, lane, owner, position, seconds):
    await pool.statement("outbox.advance")
    held = pool.database.rows["relay"][lane]
    if held.owner != owner or held.position > position:
        return False
    until = pool.database.world.loop.time() + seconds
    pool.database.rows["relay"][lane] = Lease(owner, until, position)
    return True


async def give_up(pool, owner):
    raise AssertionError("no simulated process stops in good order")


async def depth(pool):
    return 0, None


outbox = SimpleNamespace(
    ensure_lanes=ensure_lanes,
    append=append,
    page=page,
    lease=lease,
    advance=advance,
    give_up=give_up,
    depth=depth,
)
