"""A real Postgres for the session, and a fresh set of books for each test."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.expiry import expire_due
from tally_ledger.handlers import COMMANDS, build_router
from tally_messaging import Received, Transactor, encode_headers, outgoing_headers
from tally_messaging.envelope import Cause
from tally_messaging.parser import parse
from tally_money import iso_currencies
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds
from tally_testkit import ServiceDatabase

from .ledger_builders import NOW, Event, identify


@dataclass(frozen=True)
class FakeRecord:
    """A Kafka record as the consumer would hand it over."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    topic: str = COMMANDS
    partition: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Published:
    """A fact in the outbox."""

    topic: str
    key: str
    type: str
    causation_id: str
    correlation_id: str
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body["code"])


TABLES = (
    "asset",
    "shard_state",
    "account",
    "journal",
    "transfer",
    "entry",
    "hold",
    "rejection",
    "log",
    "signing_key",
    "daily_root",
    "account_change",
    "asset_registration",
)


@dataclass
class LedgerFixture:
    """The service's fold on a real database, without a broker."""

    pool: Pool
    database: ServiceDatabase
    clock: FixedClock
    transactor: Transactor
    ids: SeededIds
    read_to: int = field(default=0)

    def received(self, event: Event, *, correlation: str = "corr-1") -> Received[Any]:
        headers = outgoing_headers(
            event_id=str(uuid.UUID(int=self.ids.uuid7().int)),
            source="/test",
            event_type=event.TYPE,
            at=self.clock.now(),
            subject=event.ledger,
            cause=Cause(correlation),
        )
        record = FakeRecord(
            event.ledger.encode(), event.model_dump_json().encode(), encode_headers(headers)
        )
        parsed = parse(record, build_router().expected()[COMMANDS])
        assert isinstance(parsed, Received), parsed
        return parsed

    async def apply(self, *events: Event) -> list[Published]:
        """Apply events as one batch; what was published by it, in order."""
        await self.dispatch([self.received(event) for event in events])
        return await self.published()

    async def dispatch(self, messages: Sequence[Received[Any]]) -> None:
        """Hand a batch to the router, as the consumer does."""
        router = build_router()
        await self.transactor.run(lambda uow: router.dispatch(uow, messages))

    async def expire(self) -> int:
        """One turn of the expiry worker."""
        return await self.transactor.run(lambda uow: expire_due(uow, "main", 500))

    async def published(self) -> list[Published]:
        """What came into the outbox since the last call."""
        rows = await self.pool.fetch(
            "SELECT seq, topic, record_key, headers, payload FROM outbox WHERE seq > $1 ORDER BY seq",
            self.read_to,
        )
        found = []
        for seq, topic, key, raw, payload in rows:
            headers = json.loads(raw)
            found.append(
                Published(
                    topic,
                    key,
                    headers["ce_type"],
                    headers.get("tally_causation_id", ""),
                    headers["tally_correlation_id"],
                    json.loads(payload),
                )
            )
            self.read_to = seq
        return found

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the books."""
        return {
            table: sorted(map(tuple, await self.pool.fetch(f"SELECT * FROM {table}")), key=repr)
            for table in TABLES
        }

    async def balance(self, name: str) -> tuple[int, int]:
        """Posted balance and what is available."""
        row = await self.pool.fetchrow(
            "SELECT credits_posted - debits_posted, credits_posted - debits_posted - debits_pending"
            " FROM account WHERE id = $1",
            identify("acc", name),
        )
        assert row is not None, f"no account {name}"
        return row[0], row[1]

    def as_admin(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.admin_dsn, autocommit=True) as session:
            cursor = session.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def open_ledger(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[LedgerFixture]:
    """The same books each time: an own database, one time, one row of ids."""
    clock = FixedClock(NOW)
    ids = SeededIds(7, clock)
    database = fresh_database(SCHEMA)
    pool = await create_pool(
        database.dsn("ledger"), schema="ledger", application_name="ledger_test", max_size=4
    )
    transactor = Transactor(pool=pool, clock=clock, ids=ids, source="/tallystick/main/ledger")
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    await transactor.run(
        lambda uow: service.open_books(
            uow.conn, ["main", "second"], list(iso_currencies().values())
        )
    )
    yield LedgerFixture(pool, database, clock, transactor, ids)
    await pool.close()


@pytest.fixture
async def ledger(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[LedgerFixture]:
    async with open_ledger(fresh_database) as opened:
        yield opened
