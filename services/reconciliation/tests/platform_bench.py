"""The platform's real services over a real database, with lists in the place of Kafka's topics."""

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from tally_contracts.base import Amount, Event, Where, Who, Why
from tally_contracts.funding import FundingReceived
from tally_contracts.payouts import ChooseMethod
from tally_contracts.rails import AttemptChanged, InstrumentRegistered
from tally_messaging import Service
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CORRELATION_ID
from tally_postgres import Pool, create_pool
from tally_reconciliation.broker import Extent, Partition
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_testkit import ServiceDatabase, event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)
PARTITIONS = 3
WHO = Who(actor="svc:bench", principal="co_1")
WHERE = Where(channel="api", country="DE")
WHY = Why(program="supplier-payments", event="invoice:7", reason="Invoice 7")


@dataclass(frozen=True)
class Record:
    """A record as it lies on a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int = int(START.timestamp() * 1000)


@dataclass
class ListBroker:
    """Topics as lists; the oracle reads it in the place of Kafka."""

    logs: dict[Partition, list[Record]] = field(default_factory=dict)
    firsts: dict[Partition, int] = field(default_factory=dict)
    commits: dict[str, dict[Partition, int]] = field(default_factory=lambda: defaultdict(dict))

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> Record:
        for number in range(PARTITIONS):
            self.logs.setdefault((topic, number), [])
        partition = sum(key or b"") % PARTITIONS
        log = self.logs[topic, partition]
        log.append(Record(topic, partition, len(log), key, value, tuple(headers)))
        return log[-1]

    async def topics(self, pattern: str) -> tuple[str, ...]:
        names = {topic for topic, _ in self.logs}
        return tuple(sorted(name for name in names if re.fullmatch(pattern, name)))

    async def extents(self, topics: Collection[str]) -> Mapping[Partition, Extent]:
        return {
            where: Extent(self.firsts.get(where, 0), len(log))
            for where, log in self.logs.items()
            if where[0] in topics
        }

    async def committed(self, group: str) -> Mapping[Partition, int]:
        return dict(self.commits[group])

    async def records(self, extents: Mapping[Partition, Extent]) -> AsyncIterator[Sequence[Record]]:
        for where, extent in extents.items():
            yield [r for r in self.logs[where] if extent.first <= r.offset < extent.end]

    def copy(self) -> "ListBroker":
        """The same records, to be changed apart."""
        twin = ListBroker({w: list(log) for w, log in self.logs.items()}, dict(self.firsts))
        for group, commits in self.commits.items():
            twin.commits[group] = dict(commits)
        return twin


@dataclass
class Running:
    """One service: how it applies batches, and how far its outbox was published."""

    service: Service
    pool: Pool
    processors: tuple[BatchProcessor, ...]


@dataclass
class Bench:
    """Feeds the services until nothing moves."""

    database: ServiceDatabase
    clock: FixedClock
    broker: ListBroker = field(default_factory=ListBroker)
    running: dict[str, Running] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)

    async def start(self, name: str, build: Any, settings: Any, **more: Any) -> None:
        dsn = self.database.dsn(name)
        ids = SeededIds(len(self.running) + 1, self.clock)
        service = build(
            settings(kafka="unused:9092", postgres_dsn=SecretStr(dsn), **more),
            clock=self.clock,
            ids=ids,
        )
        pool = await create_pool(dsn, schema=name, application_name="bench", max_size=2)
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
        await pool.execute("INSERT INTO relay (lane) VALUES (0)")
        transactor = service.transactor(pool=pool)
        if service._prepare is not None:
            await service._prepare(transactor)
        processors = tuple(service.processor(router, transactor) for router in service.routers)
        self.running[name] = Running(service, pool, processors)

    async def stop(self) -> None:
        for running in self.running.values():
            await running.pool.close()

    def publish(
        self,
        topic: str,
        event: Event | bytes | None,
        *,
        key: str = "key",
        event_id: str,
        event_type: str | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> Record:
        """What somebody outside the platform publishes."""
        value = event.model_dump_json().encode() if isinstance(event, Event) else event
        kind = event_type or (event.TYPE if isinstance(event, Event) else FundingReceived.TYPE)
        return self.broker.append(
            topic,
            key.encode(),
            value,
            [*event_headers(event_id, kind), (CORRELATION_ID, event_id.encode()), *headers],
        )

    async def settle(self) -> None:
        """Publish and consume until nothing moves."""
        while await self._consume() + await self._relay():
            pass

    async def _consume(self) -> int:
        done = 0
        for name, running in self.running.items():
            for processor in running.processors:
                topics = set(processor.router.expected())
                commits = self.broker.commits[name]
                for where, log in list(self.broker.logs.items()):
                    fresh = log[commits.get(where, 0) :] if where[0] in topics else []
                    if fresh:
                        await processor.process(fresh)
                        commits[where] = len(log)
                        done += len(fresh)
        return done

    async def _relay(self) -> int:
        sent = 0
        for running in self.running.values():
            rows = await running.pool.fetch(
                "SELECT o.seq, o.topic, o.record_key, o.headers, o.payload FROM outbox o"
                " JOIN relay r USING (lane) WHERE o.seq > r.position ORDER BY o.seq"
            )
            for _, topic, key, headers, payload in rows:
                named = [(n, v.encode()) for n, v in json.loads(headers).items()]
                self.broker.append(topic, key.encode(), payload, named)
            if rows:
                await running.pool.execute("UPDATE relay SET position = $1", rows[-1][0])
            sent += len(rows)
        return sent

    def announce(
        self, external_id: str, amount: str = "100.00", *, source: str = "cards", **changes: Any
    ) -> Record:
        """Money for one payee; `ce` is its record id, the external id unless given."""
        event_id = changes.pop("ce", f"ce-{external_id}")
        event = FundingReceived.model_validate(
            {
                "who": WHO,
                "where": WHERE,
                "why": WHY,
                "occurred_at": START,
                "external_id": external_id,
                "amount": {"currency": changes.pop("currency", "USD"), "amount": amount},
                "originator": {"reference": "debtor-1"},
                "company": "co_1",
                "beneficiary": {"party": changes.pop("party", "pty_1")},
                "value_date": "2026-09-21",
                **changes,
            }
        )
        return self.publish(
            f"funding.inbound.{source}.v1", event, key=external_id, event_id=event_id
        )

    def choose(self, owner: str, rail: str = "ach", currency: str = "USD") -> None:
        """The payee's instrument is registered and chosen."""
        instrument = derived_id("ins", owner, currency)
        self.publish(
            "rails.instruments.v1",
            InstrumentRegistered(
                instrument_id=instrument,
                rail=rail,
                owner=owner,
                currency=currency,
                masked="****6789",
                settlement_account=None,
                occurred_at=START,
            ),
            key=instrument,
            event_id=f"reg-{instrument}",
        )
        self.publish(
            "payouts.commands.v1",
            ChooseMethod(
                owner=owner,
                currency=currency,
                rail=rail,
                instrument=instrument,
                who=WHO,
                occurred_at=START,
            ),
            key=owner,
            event_id=f"choose-{instrument}",
        )

    async def attempt(self, payout_id: str, state: str, **more: Any) -> None:
        """The rail reports."""
        row = await self.running["payouts"].pool.fetchrow(
            "SELECT attempt_id, currency, amount FROM payout WHERE id = $1", payout_id
        )
        assert row is not None, f"no payout {payout_id}"
        sequence = self._attempts[payout_id] = self._attempts.get(payout_id, 0) + 1
        text = f"{row['amount'] // 100}.{row['amount'] % 100:02d}"
        event = AttemptChanged(
            attempt_id=row["attempt_id"],
            payout_id=payout_id,
            rail="ach",
            sequence=sequence,
            state=state,
            amount=Amount(currency=row["currency"], amount=text),
            provider_reference=None,
            source="answer",
            who=WHO,
            where=WHERE,
            why=WHY,
            occurred_at=START,
            **{"code": None, "action": "none", **more},
        )
        self.publish(
            "rails.attempts.v1", event, key=payout_id, event_id=f"att-{payout_id}-{sequence}"
        )
        await self.settle()

    async def payout_of(self, external_id: str) -> str:
        found: str = await self.running["payouts"].pool.fetchval(
            "SELECT id FROM payout WHERE external_id = $1", external_id
        )
        return found


async def tell_story(bench: Bench) -> None:
    """A sound day: paid, returned, failed, claimable and waiting payouts, and trouble with records."""
    for owner in ("pty_1", "pty_2"):
        bench.choose(owner)
    await bench.settle()
    for name in ("paid", "returned", "failed", "transit"):
        bench.announce(name)
        await bench.settle()
    bench.announce("claimable", party="pty_3", source="invoices")
    bench.announce("yen", "12000", currency="JPY", party="pty_2", source="invoices")
    bench.announce("nobody", beneficiary=None)
    await bench.settle()
    for name, states in {
        "paid": ("submitted", "in_transit", "paid"),
        "returned": ("submitted", "paid"),
        "failed": ("submitted", "failed"),
        "transit": ("submitted", "in_transit"),
    }.items():
        payout = await bench.payout_of(name)
        for state in states:
            ended = {"code": "R03", "action": "fix_details"} if state == "failed" else {}
            await bench.attempt(payout, state, **ended)
    await bench.attempt(
        await bench.payout_of("returned"),
        "returned",
        code="R02",
        action="fix_details",
        return_reference="ret-1",
    )
    # The same record again, the same money under another record id, the same money but more of it.
    bench.announce("paid")
    bench.announce("paid", ce="ce-again")
    bench.announce("yen", "13000", currency="JPY", party="pty_2", source="invoices", ce="ce-more")
    # A record id used for other content, and bytes nobody can read, twice.
    bench.announce("other", ce="ce-paid")
    for _ in range(2):
        bench.publish("funding.inbound.cards.v1", b"{", event_id="ce-broken")
    await bench.settle()
