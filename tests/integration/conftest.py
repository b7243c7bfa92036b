"""Funding beside the real ledger: real services on one real Postgres, records carried by hand.

What one service puts in its outbox is handed to the other as the broker would, one record after the
other, so that a test decides what comes first, twice, or not yet.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from tally_contracts.registry import BY_TYPE
from tally_funding.app import SCHEMA as FUNDING
from tally_funding.app import build_app as build_funding
from tally_funding.matching.worker import Matcher
from tally_funding.postings import Books
from tally_funding.refunds.worker import ReturnsDue
from tally_funding.rule_document import read_rule
from tally_funding.rules.book import RuleBook
from tally_funding.service import Funding
from tally_funding.settings import FundingSettings
from tally_ledger import service as ledger_service
from tally_ledger.app import SCHEMA as LEDGER
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_messaging import Transactor
from tally_messaging.batch import BatchProcessor
from tally_money import iso_currencies
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds
from tally_testkit import ServiceDatabase, event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Raw:
    """A record as a broker would hand it over."""

    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None
    offset: int
    topic: str
    partition: int = 0


@dataclass
class Side:
    """One service: its consumers by the topics they read, and its outbox."""

    pool: Pool
    transactor: Transactor
    processors: Mapping[str, BatchProcessor]
    topics: Mapping[str, frozenset[str]]
    read_up_to: int = 0

    async def take(self, record: Raw) -> None:
        for consumer, processor in self.processors.items():
            if record.topic in self.topics[consumer]:
                await processor.process([record])


@dataclass
class Platform:
    """Funding and ledger with the time between them in the test's hand.

    `hold_ledger`: what funding asks of the ledger comes late, as if the broker were slow.
    """

    funding: Side
    ledger: Side
    clock: FixedClock
    workers: Mapping[str, Any]
    told: list[Any] = field(default_factory=list)
    carried: list[Raw] = field(default_factory=list)
    hold_ledger: bool = False
    _offset: int = 0
    _late: list[Raw] = field(default_factory=list)

    async def send(
        self, event: BaseModel, topic: str, key: str, *, event_id: str | None = None
    ) -> None:
        """A record from outside; what follows from it is carried until all is at rest."""
        self._offset += 1
        name = event_id or f"test-{self._offset}"
        headers = event_headers(name, type(event).TYPE)  # type: ignore[attr-defined]
        value = event.model_dump_json().encode()
        record = Raw(value, tuple(headers), key.encode(), self._offset, topic)
        await self.funding.take(record)
        await self.rest()

    async def rows(self, query: str, tenant: str = "*") -> Sequence[Any]:
        """What a session of this tenant sees in funding; `*` is the operator's."""
        async with self.funding.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", tenant)
            return await conn.fetch(query)

    async def rest(self) -> None:
        """Carry records between the two until nobody says anything new."""
        if not self.hold_ledger:
            late, self._late = self._late, []
            for record in late:
                await self.ledger.take(record)
        while await self._carry(self.funding, self.ledger) + await self._carry(
            self.ledger, self.funding
        ):
            continue

    async def command_ledger(self, command: BaseModel) -> None:
        """A command of another service to the ledger."""
        self._offset += 1
        headers = event_headers(f"test-{self._offset}", type(command).TYPE)  # type: ignore[attr-defined]
        value = command.model_dump_json().encode()
        record = Raw(value, tuple(headers), b"main", self._offset, "ledger.commands.v1")
        await self.ledger.take(record)
        await self.rest()

    async def work(self, worker: str) -> None:
        """One turn of a worker, and what follows from it."""
        await self.funding.transactor.run(self.workers[worker].begin)
        await self.rest()

    async def again(self) -> None:
        """Every record carried so far once more: at least once is all a broker promises."""
        for record in list(self.carried):
            for side in (self.funding, self.ledger):
                await side.take(record)
        await self.rest()

    async def _carry(self, sender: Side, taker: Side) -> int:
        rows = await sender.pool.fetch(
            "SELECT seq, topic, record_key, headers, payload FROM outbox WHERE seq > $1"
            " ORDER BY seq",
            sender.read_up_to,
        )
        for seq, topic, key, headers, payload in rows:
            sender.read_up_to = seq
            named = json.loads(headers)
            self.told.append(BY_TYPE[named["ce_type"]].model_validate_json(payload))
            self._offset += 1
            wire = tuple((name, value.encode()) for name, value in named.items())
            record = Raw(bytes(payload), wire, key.encode(), self._offset, topic)
            self.carried.append(record)
            if sender is self.funding:
                # Consumers of its own read what others of its tell.
                await self.funding.take(record)
            if taker is self.ledger and self.hold_ledger:
                self._late.append(record)
            else:
                await taker.take(record)
        return len(rows)

    def facts(self, model: type[Any]) -> list[Any]:
        """All facts of one type so far."""
        return [event for event in self.told if type(event) is model]

    async def balance(self, path: str) -> int:
        """Minor units on an account by its path: what came in less what went out."""
        found = await self.ledger.pool.fetchval(
            "SELECT credits_posted - debits_posted FROM account WHERE path = $1", path
        )
        return 0 if found is None else int(found)

    async def balances(self) -> dict[str, int]:
        """Every account that is not at zero, by path."""
        rows = await self.ledger.pool.fetch(
            "SELECT path, (credits_posted - debits_posted)::bigint FROM account"
            " WHERE credits_posted <> debits_posted ORDER BY path"
        )
        return {row[0]: row[1] for row in rows}

    async def set_aside(self) -> list[tuple[str, str]]:
        return [
            (row[0], row[1])
            for side in (self.funding, self.ledger)
            for row in await side.pool.fetch("SELECT code, detail FROM quarantine ORDER BY id")
        ]


async def _side(service: Any, database: ServiceDatabase, schema: str) -> Side:
    pool = await create_pool(database.dsn(schema), schema=schema, application_name="test")
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    return Side(
        pool,
        transactor,
        {router.consumer: service.processor(router, transactor) for router in service.routers},
        {
            router.consumer: frozenset(one.topic for one in router.subscriptions)
            for router in service.routers
        },
    )


@pytest.fixture
async def platform(
    fresh_database: Callable[..., ServiceDatabase],
) -> AsyncIterator[Platform]:
    """Funding with the sources cards and bank, and the ledger main, both empty."""
    schemas: tuple[Schema, ...] = (FUNDING, LEDGER)
    database = fresh_database(*schemas)
    clock = FixedClock(START)
    funding_app = build_funding(
        FundingSettings(
            environment="test",
            kafka="127.0.0.1:1",
            postgres_dsn=SecretStr(database.dsn("funding")),
            sources=("cards", "bank"),
        ),
        clock=clock,
        ids=SeededIds(1, clock),
    )
    ledger_app = build_ledger(
        LedgerSettings(
            environment="test",
            kafka="127.0.0.1:1",
            postgres_dsn=SecretStr(database.dsn("ledger")),
        ),
        clock=clock,
        ids=SeededIds(2, clock),
    )
    funding = await _side(funding_app, database, "funding")
    ledger = await _side(ledger_app, database, "ledger")
    await ledger.transactor.run(
        lambda uow: ledger_service.open_books(uow.conn, ("main",), list(iso_currencies().values()))
    )
    books = Books("main", "main")
    rules = RuleBook(read_rule(None).rule)
    workers = {
        "returns_due": ReturnsDue(books),
        "matcher": Matcher(Funding(books, rules), automatic_from=95),
    }
    yield Platform(funding, ledger, clock, workers)
    await funding.pool.close()
    await ledger.pool.close()
