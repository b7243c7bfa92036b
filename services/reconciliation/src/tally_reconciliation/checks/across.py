"""O8 where ledgers lie in several databases: each event is taken in by the groups it concerns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tally_postgres import Record
from tally_reconciliation.checks.delivery import (
    CHUNK,
    KEYS_READ,
    LANES,
    MUST_READ,
    TWICE,
    TYPE,
    consumers_of,
    judge_ends,
    judge_lane,
    judge_outboxes,
)
from tally_reconciliation.databases import CORE, LEDGER, LedgerDatabase
from tally_reconciliation.findings import Findings
from tally_reconciliation.quiet import Standing
from tally_reconciliation.report import FAULTS_SHOWN, Check, Quiet
from tally_reconciliation.snapshot import Snapshot

_KEYED_BY_LEDGER = "ledger.commands.v1"
"""A group reads of this topic what names a ledger of its own; of any other topic, everything."""

_EVENTS = """
SELECT o.seq, o.event_id, o.topic, coalesce({type}, '') AS type, o.record_key
FROM {schema}.outbox o WHERE o.lane = $1 AND o.seq > $2 AND o.seq <= $3
  AND ($4::text[] IS NULL OR o.topic = ANY($4::text[]))
ORDER BY o.seq
"""

_KNOWN = "SELECT event_key FROM {schema}.inbox WHERE consumer = $1 AND event_key = ANY($2::uuid[])"

_REFUSED = """
SELECT count(*) FROM {schema}.quarantine
WHERE consumer = $1 AND topic = $2 AND event_key IS NULL
"""


async def check_delivery_across(
    snap: Snapshot, databases: Sequence[LedgerDatabase], now: Standing, quiet: Quiet
) -> Check:
    """O8 over the platform's database and further ones of the ledger, `databases` being all of those."""
    found = Findings("O8", "everything written was sent, everything sent was taken in once")
    written: dict[str, int] = {}
    sent = await judge_outboxes(snap, found, written, apart=frozenset({LEDGER}))
    across = _Across(snap, databases, found)
    topics = _topics_of(written)
    for schema in sorted(snap.schemas):
        for lane in await snap.all(LANES.format(schema=schema)):
            await across.read(_Outbox(snap, schema, schema, topics), lane, {})
    for database in databases:
        if database.name != CORE:
            sent += await across.judge_outbox(database, written)
    await across.judge()
    judge_ends(found, now, written)
    found.figures["events"] = sent
    services = len(snap.schemas) + len(databases) - 1
    return found.once_quiet(f"{sent} events of {services} services", quiet)


def _topics_of(written: Mapping[str, int]) -> list[str]:
    """Those topics that a ledger consumes."""
    return [topic for topic in written if LEDGER in consumers_of(topic)]


@dataclass(frozen=True, slots=True)
class _Group:
    """Who takes events in, and where its inbox is."""

    name: str
    snap: Snapshot
    schema: str


@dataclass(frozen=True, slots=True)
class _Outbox:
    """Events to follow: of these topics, or of all."""

    snap: Snapshot
    schema: str
    service: str
    topics: list[str] | None = None


@dataclass(slots=True)
class _Taken:
    """What a group took in of a service's events of one type."""

    sent: int = 0
    known: int = 0
    missed: list[Record] = field(default_factory=list)


@dataclass(slots=True)
class _Across:
    """Follows events from outboxes into the inboxes of other databases."""

    platform: Snapshot
    databases: Sequence[LedgerDatabase]
    found: Findings
    taken: dict[tuple[str, str, str, str], _Taken] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)

    async def judge_outbox(self, database: LedgerDatabase, written: dict[str, int]) -> int:
        """A further database's outbox in itself, and its events everywhere; how many were written."""
        sent = 0
        for lane in await database.snap.all(LANES.format(schema=LEDGER)):
            sent += lane["head"] or 0
            await judge_lane(database.snap, self.found, LEDGER, lane, service=database.group)
            await self.read(_Outbox(database.snap, LEDGER, database.group), lane, written)
        async for row in database.snap.rows(TWICE.format(schema=LEDGER)):
            event = row["event_id"]
            self.found.wrong("event_written_twice", service=database.group, event=event)
        return sent

    async def read(self, outbox: _Outbox, lane: Record, written: dict[str, int]) -> None:
        """Count a lane's events, and which of them each group knows."""
        if not lane["kept"]:
            return
        query = _EVENTS.format(schema=outbox.schema, type=TYPE)
        for start in range(lane["first"] - 1, lane["last"], CHUNK):
            bounds = (lane["lane"], start, start + CHUNK)
            waiting: dict[str, list[Record]] = {}
            for event in await outbox.snap.all(query, *bounds, outbox.topics):
                written[event["topic"]] = written.get(event["topic"], 0) + 1
                for group in self._groups_of(outbox, event):
                    self.groups[group.name] = group
                    waiting.setdefault(group.name, []).append(event)
            for name, events in waiting.items():
                await self._compare(outbox.service, self.groups[name], events)

    def _groups_of(self, outbox: _Outbox, event: Record) -> list[_Group]:
        topic = event["topic"]
        groups: list[_Group] = []
        for consumer in consumers_of(topic):
            if consumer == LEDGER:
                groups += [
                    _Group(database.group, database.snap, LEDGER)
                    for database in self.databases
                    if topic != _KEYED_BY_LEDGER or self._owner(event["record_key"]) is database
                ]
            # Between the platform's own schemas the events were followed by joins already.
            elif outbox.snap is self.platform or consumer not in self.platform.schemas:
                continue
            elif event["record_key"].startswith(KEYS_READ.get((consumer, event["type"]), "")):
                groups.append(_Group(consumer, self.platform, consumer))
        return groups

    def _owner(self, ledger: str) -> LedgerDatabase | None:
        """The database that answers for a ledger: whose it is, else the platform's own."""
        core = None
        for database in self.databases:
            if ledger in database.ledgers:
                return database
            if database.name == CORE:
                core = database
        return core

    async def _compare(self, service: str, group: _Group, events: Sequence[Record]) -> None:
        keys: list[UUID] = [event["event_id"] for event in events]
        rows = await group.snap.all(_KNOWN.format(schema=group.schema), group.name, keys)
        known = {row[0] for row in rows}
        for event in events:
            key = (service, event["topic"], event["type"], group.name)
            taken = self.taken.setdefault(key, _Taken())
            taken.sent += 1
            if event["event_id"] in known:
                taken.known += 1
            elif len(taken.missed) < FAULTS_SHOWN:
                taken.missed.append(event)

    async def judge(self) -> None:
        """Say which events were not taken in, by whom."""
        for (service, topic, kind, name), taken in sorted(self.taken.items()):
            missing = taken.sent - taken.known
            group = self.groups[name]
            must = kind in MUST_READ.get(group.schema, frozenset())
            if not missing or (not taken.known and not must):
                continue
            query = _REFUSED.format(schema=group.schema)
            if missing <= await group.snap.value(query, name, topic):
                continue
            for event in taken.missed:
                self.found.unfinished(
                    "event_not_taken_in",
                    consumer=name,
                    service=service,
                    type=kind,
                    event=str(event["event_id"]),
                    seq=event["seq"],
                    key=event["record_key"],
                )
