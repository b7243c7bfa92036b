"""Funding's second consumer and a real ledger on one database, driven batch by batch."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, SecretStr

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.directory_facts import ContactVerified, PartyRegistered
from tally_contracts.ledger import AccountSpec, Leg, PostJournal, ReversalLeg, ReverseJournal
from tally_contracts.registry import BY_TYPE
from tally_funding.app import SCHEMA, build_app
from tally_funding.postings import Books
from tally_funding.settings import FundingSettings
from tally_ledger import service as ledger_service
from tally_ledger.app import SCHEMA as LEDGER_SCHEMA
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_messaging import Service, Transactor
from tally_messaging.batch import BatchProcessor
from tally_money import Money, iso_currencies
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_testkit import ServiceDatabase, event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)
BOOKS = Books("main", "main")
WHY = Why(program="trade", event="order:7", reason="Delivery of order 7")
WHERE = Where(channel="api", country="DE")
ROUNDS_MAX = 100
"""Far more than any order takes: services that hand each other so much never come to rest."""


def party(name: str) -> str:
    """The id of the party a test calls so."""
    return derived_id("party", name)


def who(name: str) -> Who:
    """A key of the party acts for it."""
    return Who(actor=f"key:{name}", principal=party(name))


@dataclass(frozen=True)
class Raw:
    """A record as a broker would hand it over."""

    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes
    offset: int
    topic: str
    partition: int = 0


@dataclass
class Half:
    """One service: how its batches are applied, and what of its outbox was read."""

    pool: Pool
    transactor: Transactor
    by_topic: dict[str, list[BatchProcessor]]
    read_up_to: int = 0


@dataclass
class Platform:
    """Hands what one service emits to the other until nothing is left to hand over."""

    database: ServiceDatabase
    clock: FixedClock
    funding: Half
    ledger: Half
    told: list[Any] = field(default_factory=list)
    _offset: int = 0

    async def send(self, *events: BaseModel, topic: str, event_id: str | None = None) -> list[Any]:
        """Hand events to funding as one batch, let both services settle; what was told."""
        await self.give(*events, topic=topic, event_id=event_id)
        return await self.settle()

    async def give(self, *events: BaseModel, topic: str, event_id: str | None = None) -> None:
        """Hand events to funding as one batch, and nothing more."""
        records = [self._record(event, topic, event_id) for event in events]
        for processor in self.funding.by_topic[topic]:
            await processor.process(records)

    def _record(self, event: Any, topic: str, event_id: str | None) -> Raw:
        self._offset += 1
        headers = event_headers(event_id or f"sent-{self._offset}", event.TYPE)
        return Raw(event.model_dump_json().encode(), tuple(headers), b"k", self._offset, topic)

    async def settle(self, *, without: Collection[str] = ()) -> list[Any]:
        """Hand everything on until both outboxes are read; the events told since the last call.

        What is told on topics `without` is heard by nobody.
        """
        told: list[Any] = []
        rounds = 0
        while batch := [*await self._read(self.funding), *await self._read(self.ledger)]:
            rounds += 1
            assert rounds <= ROUNDS_MAX, f"asked without end: {[type(e) for e, _ in batch]}"
            for event, raw in batch:
                told.append(event)
                self.told.append(event)
                if raw.topic in without:
                    continue
                for half in (self.funding, self.ledger):
                    for processor in half.by_topic.get(raw.topic, ()):
                        await processor.process([raw])
        return told

    async def _read(self, half: Half) -> list[tuple[Any, Raw]]:
        rows = await half.pool.fetch(
            "SELECT seq, topic, record_key, headers, payload FROM outbox WHERE seq > $1 ORDER BY seq",
            half.read_up_to,
        )
        found = []
        for seq, topic, key, headers, payload in rows:
            half.read_up_to = seq
            wire = tuple((name, value.encode()) for name, value in json.loads(headers).items())
            model = BY_TYPE[json.loads(headers)["ce_type"]]
            body = payload if isinstance(payload, bytes) else payload.encode()
            raw = Raw(body, wire, key.encode(), self._next(), topic)
            found.append((model.model_validate_json(body), raw))
        return found

    def _next(self) -> int:
        self._offset += 1
        return self._offset

    async def register(
        self, *names: str, tenant: str = "root", contacts: bool = False, country: str | None = "DE"
    ) -> None:
        """Let the directory say that these parties are registered."""
        root = party(tenant)
        facts: list[BaseModel] = []
        for name in names:
            common = {"tenant": root, "who": who("root"), "occurred_at": self.clock.now()}
            is_root = name == tenant
            facts.append(
                PartyRegistered(
                    **common,
                    reason="joins",
                    party_id=party(name),
                    kind="aggregator" if is_root else "company",
                    parent=None if is_root else root,
                    path=() if is_root else (root,),
                    external_id=None,
                    country=country,
                    alias=f"alias-{name}",
                    state="registered",
                )
            )
            if contacts:
                facts.append(
                    ContactVerified(
                        **common,
                        reason="answered",
                        contact_id=derived_id("contact", name),
                        party_id=party(name),
                        contact=f"ct_{name}",
                        channel="email",
                    )
                )
        await self.give(*facts, topic="directory.parties.v1")

    async def pay_in(self, owner: str, text: str, code: str = "USD") -> None:
        """Put money into the wallet of an owner, as an allocation of a pay-in would."""
        clearing, wallet = BOOKS.clearing("cards", code), BOOKS.wallet(owner, code)
        await self.post(clearing, wallet, Money.parse(text, code))

    async def post(self, debit: AccountSpec, credit: AccountSpec, amount: Money) -> None:
        """Post a journal of a test's own."""
        name = str(self._next())
        journal = PostJournal(
            who=who("root"),
            where=WHERE,
            why=WHY,
            occurred_at=self.clock.now(),
            journal_id=derived_id("jrn", "test", name),
            ledger="main",
            reference=derived_id("pin", "test", name),
            open_accounts=(debit, credit),
            legs=(
                Leg(
                    id=derived_id("trf", "test", name),
                    debit=debit.id,
                    credit=credit.id,
                    amount=PositiveAmount.of(amount),
                    code="test",
                ),
            ),
            effective_at=self.clock.now(),
        )
        await self.command_ledger(journal)

    async def command_ledger(self, command: BaseModel) -> None:
        """Hand a command to the ledger alone, and let both services settle."""
        (processor,) = self.ledger.by_topic["ledger.commands.v1"]
        await processor.process([self._record(command, "ledger.commands.v1", None)])
        await self.settle()

    async def reverse(self, journal: PostJournal) -> None:
        """Move back all that a journal moved."""
        name = str(self._next())
        reversal = ReverseJournal(
            who=journal.who,
            where=journal.where,
            why=journal.why,
            occurred_at=self.clock.now(),
            journal_id=derived_id("jrn", "reversal", name),
            ledger=journal.ledger,
            reference=derived_id("rev", name),
            reverses=journal.journal_id,
            legs=tuple(
                ReversalLeg(
                    id=derived_id("trf", "reversal", name, leg.id),
                    reverses=leg.id,
                    amount=leg.amount,
                    code="reversal",
                )
                for leg in journal.legs
            ),
            effective_at=self.clock.now(),
        )
        await self.command_ledger(reversal)

    async def balance(self, account: AccountSpec) -> int:
        """What an account holds by the ledger's own books, in minor units; 0 if it is not there."""
        found = await self.ledger.pool.fetchval(
            "SELECT credits_posted - debits_posted FROM account WHERE id = $1", account.id
        )
        return found or 0

    async def rows(self, query: str, tenant: str = "*") -> list[Any]:
        """Rows of funding's own tables that this tenant may see; `*` sees all."""
        async with self.funding.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", tenant)
            return [*await conn.fetch(query)]

    async def set_aside(self) -> list[str]:
        """Codes of what either service put into quarantine."""
        return [
            row[0]
            for half in (self.funding, self.ledger)
            for row in await half.pool.fetch("SELECT code FROM quarantine ORDER BY id")
        ]

    async def statements(self, *events: BaseModel, topic: str) -> list[str]:
        """The statements that one batch of these events takes, BEGIN and COMMIT apart."""
        seen: list[str] = []

        def note(query: Any) -> None:
            if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
                seen.append(query.query)

        async with self.funding.pool.acquire() as only:
            only._con.add_query_logger(note)  # type: ignore[attr-defined]
        assert self.funding.pool.get_size() == 1, "one session, so that every statement is seen"
        await self.give(*events, topic=topic)
        async with self.funding.pool.acquire() as only:
            only._con.remove_query_logger(note)  # type: ignore[attr-defined]
        return seen

    def later(self, **time: int) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(**time))


def _half(service: Service, pool: Pool) -> Half:
    transactor = service.transactor(pool=pool)
    by_topic: dict[str, list[BatchProcessor]] = {}
    for router in service.routers:
        processor = service.processor(router, transactor)
        for subscription in router.subscriptions:
            by_topic.setdefault(subscription.topic, []).append(processor)
    return Half(pool, transactor, by_topic)


@asynccontextmanager
async def open_platform(
    fresh_database: Callable[..., ServiceDatabase],
) -> AsyncIterator[Platform]:
    """Both services over a fresh database, at a fixed time."""
    schemas: Sequence[Schema] = (SCHEMA, LEDGER_SCHEMA)
    database = fresh_database(*schemas)
    clock = FixedClock(START)
    pools: dict[str, Pool] = {}
    for name in ("funding", "ledger"):
        pools[name] = await create_pool(
            database.dsn(name), schema=name, application_name="test", max_size=3
        )
        await pools[name].execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    common: dict[str, Any] = {"environment": "test", "kafka": "127.0.0.1:1"}
    funding = build_app(
        FundingSettings(
            **common, postgres_dsn=SecretStr(database.dsn("funding")), sources=("cards", "bank")
        ),
        clock=clock,
        ids=SeededIds(1, clock),
    )
    ledger = build_ledger(
        LedgerSettings(**common, postgres_dsn=SecretStr(database.dsn("ledger"))),
        clock=clock,
        ids=SeededIds(2, clock),
    )
    platform = Platform(
        database, clock, _half(funding, pools["funding"]), _half(ledger, pools["ledger"])
    )
    await platform.ledger.transactor.run(
        lambda uow: ledger_service.open_books(uow.conn, ["main"], [*iso_currencies().values()])
    )
    yield platform
    for pool in pools.values():
        await pool.close()
