"""Facts as they arrive: what becomes of commands, who is whose, and every party's own log."""

import json
import uuid
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tally_contracts.base import Event
from tally_contracts.directory_facts import (
    ConnectionChanged,
    ContactRemoved,
    ContactVerified,
    PartiesMerged,
    PartyMoved,
    PartyRegistered,
    ReferenceClaimed,
)
from tally_contracts.operations_history import FactBrought
from tally_gateway.domain.access import OPERATOR, Node, Thing
from tally_gateway.domain.concerns import THINGS, concerned, field_of, sees_in_log
from tally_gateway.domain.outcomes import is_outcome, state_of
from tally_gateway.past import told_first
from tally_gateway.routes.model import OPERATOR_TENANT
from tally_gateway.store import EVERY_TENANT, commands, contacts, log, scoped, tree
from tally_gateway.store.commands import Outcome
from tally_messaging import Received, UnitOfWork
from tally_postgres import Connection

Fact = Received[Event]
Ring = Callable[[Iterable[str]], None]


@dataclass(slots=True)
class _TreeChanges:
    """What a batch changes in the tree.

    Moves come after all registrations, which is the same in the end: a path that is right already
    stays as it is.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    moves: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    references: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    merges: list[str] = field(default_factory=list)
    connections: dict[str, tree.StoredConnection] = field(default_factory=dict)
    verified: dict[str, contacts.VerifiedContact] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def note(self, event: Event) -> None:
        """Take one fact of the directory into account."""
        if isinstance(event, PartyRegistered):
            self.nodes[event.party_id] = Node(
                event.party_id, event.tenant, event.kind, tuple(event.path)
            )
        elif isinstance(event, PartyMoved):
            self.moves.append((event.party_id, tuple(event.path)))
        elif isinstance(event, PartiesMerged):
            self.references[event.merged] = (event.merged, event.tenant, event.party_id)
            self.merges.append(event.merged)
        elif isinstance(event, ReferenceClaimed):
            self.references[event.reference] = (event.reference, event.tenant, event.party_id)
        elif isinstance(event, ConnectionChanged):
            self.connections[event.connection_id] = tree.StoredConnection(
                event.connection_id,
                event.tenant,
                event.from_party,
                event.to_party,
                event.access,
                event.state,
            )
        elif isinstance(event, ContactVerified):
            self.verified[event.contact_id] = contacts.VerifiedContact(
                event.contact_id, event.tenant, event.party_id
            )
        elif isinstance(event, ContactRemoved):
            self.removed.add(event.contact_id)

    async def save(self, conn: Connection, now: datetime) -> None:
        """Write what there is."""
        if self.nodes:
            await tree.save_nodes(conn, list(self.nodes.values()), now)
        for party, path in self.moves:
            await tree.move(conn, party, path)
        if self.references:
            await tree.save_references(conn, list(self.references.values()))
        if self.verified:
            await contacts.save(conn, list(self.verified.values()))
        if self.removed:
            # For good: a contact that is shown anew has a new id.
            await contacts.forget(conn, self.removed)
        for merged in self.merges:
            await tree.repoint(conn, merged)
            await contacts.repoint(conn, merged)
        if self.connections:
            await tree.save_connections(conn, list(self.connections.values()), now)


async def fold(uow: UnitOfWork, facts: Sequence[Fact], ring: Ring) -> None:
    """Take a batch of facts in: the tree first, then things, logs and outcomes.

    What happened elsewhere is for the logs alone: it answers no command of this installation's.
    """
    conn = await scoped(uow.conn, EVERY_TENANT)
    here = [fact for fact in facts if not isinstance(fact.event, FactBrought)]
    changes = _TreeChanges()
    for fact in here:
        changes.note(fact.event)
    await changes.save(conn, uow.now)
    brought = await told_first(conn, facts)
    told = [*here, *(fact for fact, _ in brought)]
    of_tenants = [*(None for _ in here), *(tenant for _, tenant in brought)]
    payloads = [_payload(fact) for fact in told]
    ids = [
        set(concerned(fact.event.TYPE, payload))
        for fact, payload in zip(told, payloads, strict=True)
    ]
    known = await _save_things(conn, told, payloads, ids, len(here))
    named = [_with_owners(of_fact, known) for of_fact in ids]
    parties = await _append(conn, told, named, of_tenants, uow.now)
    decided = await _decide(conn, here, payloads[: len(here)], uow.now)
    ring((*parties, *decided))


def _payload(fact: Fact) -> dict[str, Any]:
    """A fact as it was published: what a reader of the log gets, newer fields too."""
    value = fact.record.value
    assert value is not None, "a record without a value is refused by the parser"
    payload: dict[str, Any] = json.loads(value)
    return payload


async def _save_things(
    conn: Connection,
    facts: Sequence[Fact],
    payloads: Sequence[Mapping[str, Any]],
    ids: Sequence[set[str]],
    of_here: int,
) -> dict[str, Thing]:
    """Keep what facts tell of things; the things that this batch names, by id.

    `ids` are whom and what each fact concerns. The first `of_here` happened here. What was brought makes things, and never tells whose a thing is
    that is there: whoever writes an export could take it.
    """
    known = await tree.things(conn, set().union(*ids))
    told: dict[str, Thing] = {}
    newest = ChainMap(told, known)
    settled: frozenset[str] = frozenset()
    for number, (fact, payload) in enumerate(zip(facts, payloads, strict=True)):
        if number == of_here:
            settled = frozenset({*known, *told})
        for thing in _things_of(fact.event.TYPE, payload, newest):
            if thing.id in settled:
                continue
            before = told.get(thing.id)
            told[thing.id] = thing if before is None else _joined(before, thing)
    if told:
        await tree.save_things(conn, sorted(told.values(), key=lambda thing: thing.id))
    return known | {
        thing.id: _joined(known[thing.id], thing) if thing.id in known else thing
        for thing in told.values()
    }


def _things_of(
    event_type: str, payload: Mapping[str, Any], known: Mapping[str, Thing]
) -> Iterator[Thing]:
    for tells in THINGS.get(event_type, ()):
        parties = {found for name in tells.parties if (found := field_of(payload, name))}
        for through in tells.through:
            other = known.get(str(payload.get(through)))
            parties |= set(other.parties) if other is not None else set()
        data = {name: payload[name] for name in tells.keeps if isinstance(payload.get(name), str)}
        tenant = payload.get("tenant")
        yield Thing(
            str(payload[tells.thing]),
            tenant if isinstance(tenant, str) else OPERATOR_TENANT,
            tuple(sorted(parties)),
            data,
        )


def _joined(before: Thing, after: Thing) -> Thing:
    parties = tuple(sorted({*before.parties, *after.parties}))
    return Thing(after.id, after.tenant, parties, {**before.data, **after.data})


async def _append(
    conn: Connection,
    facts: Sequence[Fact],
    named: Sequence[set[str]],
    of_tenants: Sequence[str | None],
    now: datetime,
) -> set[str]:
    """Write each fact into the log of everybody it concerns and of all above them; who those are.

    `named` are whom each concerns, `of_tenants` the one tenant whose logs it may go to, None for all.
    """
    nodes = await tree.nodes(conn, set().union(*named))
    copies: list[log.EventCopy] = []
    entries: list[log.Entry] = []
    tenants = {OPERATOR: OPERATOR_TENANT}
    for fact, ids, only in zip(facts, named, of_tenants, strict=True):
        concerned_nodes = [
            nodes[each]
            for each in sorted(ids)
            if each in nodes and only in {None, nodes[each].tenant}
        ]
        event_type = fact.event.TYPE
        viewers = {
            party: node.tenant
            for node in concerned_nodes
            for party in sees_in_log(event_type, node.line)
        }
        tenants |= viewers
        of = sorted(set(viewers.values())) or [only or OPERATOR_TENANT]
        value = fact.record.value or b""
        copies += [
            log.EventCopy(tenant, fact.event_key, event_type, _when(fact, now), value)
            for tenant in of
        ]
        entries += [
            log.Entry(party, tenant, fact.event_key, event_type)
            for party, tenant in (*sorted(viewers.items()), (OPERATOR, of[0]))
        ]
    await log.append(conn, copies, entries, tenants)
    return set(tenants)


def _with_owners(ids: Iterable[str], things: Mapping[str, Thing]) -> set[str]:
    found: set[str] = set()
    for each in ids:
        found.add(each)
        if each in things:
            found |= set(things[each].parties)
    return found


def _when(fact: Fact, now: datetime) -> datetime:
    occurred_at = getattr(fact.event, "occurred_at", now)
    assert isinstance(occurred_at, datetime), "a fact's time is a time"
    return occurred_at


async def _decide(
    conn: Connection,
    facts: Sequence[Fact],
    payloads: Sequence[Mapping[str, Any]],
    now: datetime,
) -> list[str]:
    """Give commands the first fact they led to as their outcome."""
    outcomes: dict[uuid.UUID, Outcome] = {}
    for fact, payload in zip(facts, payloads, strict=True):
        if not is_outcome(fact.event.TYPE):
            continue
        caused_by = _uuid(fact.envelope.cause.causation_id)
        if caused_by is not None and caused_by not in outcomes:
            outcomes[caused_by] = Outcome(
                event_id=caused_by,
                state=state_of(fact.event.TYPE, payload),
                fact_id=fact.event_key,
                fact_type=fact.event.TYPE,
                payload=fact.record.value or b"",
            )
    if not outcomes:
        return []
    return await commands.decide(conn, list(outcomes.values()), now)


def _uuid(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        return None
