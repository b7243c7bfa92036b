"""The funding service over a fresh database, driven batch by batch without a broker."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from tally_contracts.funding import FundingReceived
from tally_contracts.ledger import JournalPosted, JournalRejected, PostJournal
from tally_contracts.registry import BY_TYPE
from tally_funding.app import SCHEMA, build_app
from tally_funding.settings import FundingSettings
from tally_messaging import Transactor
from tally_messaging.batch import BatchProcessor
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds
from tally_testkit import ServiceDatabase, event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Raw:
    """A record as a broker would hand it over."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None
    offset: int
    topic: str
    partition: int = 0


def announcement(external_id: str = "m-1", **changes: Any) -> dict[str, Any]:
    """A FundingReceived on the wire: 100.00 USD for one payee; None removes a field."""
    fields: dict[str, Any] = {
        "who": {"actor": "svc:feed", "principal": "co_1"},
        "where": {"channel": "api", "country": "DE"},
        "why": {"program": "supplier-payments", "event": "invoice:7", "reason": "Invoice 7"},
        "occurred_at": "2026-09-21T07:59:00Z",
        "external_id": external_id,
        "amount": {"currency": "USD", "amount": "100.00"},
        "originator": {"reference": "debtor-1", "country": "DE"},
        "company": "co_1",
        "beneficiary": {"party": "pty_1"},
        "value_date": "2026-09-21",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@dataclass
class Bench:
    """Feeds batches to the service and reads what it stored and told."""

    pool: Pool
    processor: BatchProcessor
    transactor: Transactor
    clock: FixedClock
    _offsets: dict[str, int] = field(default_factory=dict)
    _read_up_to: int = 0

    def record(
        self,
        event_type: str,
        body: dict[str, Any] | BaseModel | bytes,
        *,
        topic: str,
        event_id: str | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> Raw:
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        if isinstance(body, BaseModel):
            body = body.model_dump_json().encode()
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Raw(
            value,
            (*event_headers(event_id or f"{topic}-{offset}", event_type), *headers),
            b"key",
            offset,
            topic,
        )

    def money(self, body: dict[str, Any] | bytes, *, source: str = "cards", **more: Any) -> Raw:
        """An announcement on a source's topic."""
        return self.record(FundingReceived.TYPE, body, topic=f"funding.inbound.{source}.v1", **more)

    def posted(self, command: PostJournal, **more: Any) -> Raw:
        """The ledger's yes to a journal."""
        fact = JournalPosted(
            **{name: getattr(command, name) for name in ("who", "where", "why", "occurred_at")},
            journal_id=command.journal_id,
            ledger=command.ledger,
            reference=command.reference,
            log_seq=1,
            legs=command.legs,
            effective_at=command.effective_at,
        )
        return self.record(JournalPosted.TYPE, fact, **{"topic": "ledger.journals.v1", **more})

    def rejected(self, command: PostJournal, code: str = "account_frozen") -> Raw:
        """The ledger's no to a journal."""
        fact = JournalRejected(
            **{name: getattr(command, name) for name in ("who", "where", "why", "occurred_at")},
            journal_id=command.journal_id,
            ledger=command.ledger,
            reference=command.reference,
            code=code,
            detail="as the ledger says",
        )
        return self.record(JournalRejected.TYPE, fact, topic="ledger.journals.v1")

    async def process(self, *records: Raw) -> None:
        await self.processor.process(records)

    async def told(self) -> list[Any]:
        """The events emitted since the last call, as contract models, with their headers checked."""
        rows = await self.pool.fetch(
            "SELECT seq, topic, record_key, headers, payload FROM outbox WHERE seq > $1 ORDER BY seq",
            self._read_up_to,
        )
        events = []
        for seq, _, _, headers, payload in rows:
            self._read_up_to = seq
            events.append(BY_TYPE[json.loads(headers)["ce_type"]].model_validate_json(payload))
        return events

    async def rows(self, query: str) -> Sequence[Any]:
        """What an operator's session sees."""
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            return await conn.fetch(query)

    async def value(self, query: str) -> Any:
        """The one value of the one row that an operator's session sees; None without a row."""
        rows = await self.rows(query)
        return rows[0][0] if rows else None

    async def states(self) -> dict[str, str]:
        rows = await self.rows("SELECT external_id, state FROM pay_in")
        return {row[0]: row[1] for row in rows}

    async def cases(self) -> list[tuple[str, str]]:
        rows = await self.rows(
            "SELECT p.external_id, c.reason_code FROM suspense_case c JOIN pay_in p USING (pay_in_id)"
            " ORDER BY 1, 2"
        )
        return [(row[0], row[1]) for row in rows]

    async def set_aside(self) -> list[str]:
        return [row[0] for row in await self.pool.fetch("SELECT code FROM quarantine ORDER BY id")]


@pytest.fixture
async def funding(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[Bench]:
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("funding"), schema="funding", application_name="test")
    clock = FixedClock(START)
    settings = FundingSettings(
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn=SecretStr(database.dsn("funding")),
        sources=("cards", "bank"),
    )
    service = build_app(settings, clock=clock, ids=SeededIds(1, clock))
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    yield Bench(pool, service.processor(service.routers[0], transactor), transactor, clock)
    await pool.close()


@pytest.fixture
def announce() -> Callable[..., dict[str, Any]]:
    return announcement


@pytest.fixture
def bench_of() -> type[Bench]:
    """For tests that build the service themselves."""
    return Bench


@pytest.fixture
def count_on() -> Callable[..., Coroutine[Any, Any, list[str]]]:
    """The statements that a batch sends on a bench, BEGIN and COMMIT apart."""

    async def count(bench: Bench, *records: Raw) -> list[str]:
        seen: list[str] = []

        def note(query: Any) -> None:
            if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
                seen.append(query.query)

        async with bench.pool.acquire() as only:
            only._con.add_query_logger(note)  # type: ignore[attr-defined]
        assert bench.pool.get_size() == 1, "one session, so that every statement is seen"
        await bench.process(*records)
        async with bench.pool.acquire() as only:
            only._con.remove_query_logger(note)  # type: ignore[attr-defined]
        return seen

    return count


@pytest.fixture
def count_statements(
    funding: Bench, count_on: Callable[..., Coroutine[Any, Any, list[str]]]
) -> Callable[..., Coroutine[Any, Any, list[str]]]:
    """The statements a batch of money sends."""

    async def count(*records: Raw) -> list[str]:
        return await count_on(funding, *records)

    return count
