"""The rails service on a real database; builders play the payouts service and the payee."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts.base import Amount, Event, Where, Who, Why
from tally_contracts.rails import AttemptChanged, CancelAttempt, RegisterInstrument, SubmitPayout
from tally_contracts.registry import BY_TYPE
from tally_messaging import Service
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CORRELATION_ID
from tally_postgres import Pool, Schema, create_pool
from tally_railkit.sealing import SealingKey, seal
from tally_rails.app import SCHEMA, build_app
from tally_rails.settings import RailsSettings
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase, event_headers

AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
WHO = Who(actor="svc:payouts", principal="acme")
WS: dict[str, Any] = {
    "who": WHO,
    "where": Where(channel="api", country="US"),
    "why": Why(program="rebates", event="ev-1", reason="spring rebate"),
    "occurred_at": AT,
}
KEY = SealingKey(b"k" * 32)
ACH_DETAILS = {
    "routing_number": "231380104",
    "account_number": "55550100",
    "account_type": "checking",
    "holder_name": "Ann Ex",
}


def tid(prefix: str, *parts: str) -> str:
    return derived_id(prefix, "test", *parts)


def usd(amount: str, currency: str = "USD") -> Amount:
    return Amount(currency=currency, amount=amount)


@dataclass(frozen=True)
class Raw:
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes
    offset: int
    topic: str
    partition: int = 0


@dataclass(frozen=True)
class Sent:
    """One event of the outbox."""

    topic: str
    key: str
    correlation: str
    event: Any


class Builders:
    """Commands as the neighbours send them, about US dollars unless told otherwise."""

    def register(
        self,
        name: str = "bank",
        rail: str = "ach",
        details: dict[str, str] | None = None,
        *,
        owner: str = "ann",
        currency: str = "USD",
        **more: Any,
    ) -> RegisterInstrument:
        instrument_id = tid("ins", name)
        if details is None:
            details = ACH_DETAILS if rail == "ach" else {"account": tid("acc", name)}
        sealed = seal(details, KEY, instrument_id=instrument_id, rail=rail)
        return RegisterInstrument(
            **{
                "instrument_id": instrument_id,
                "rail": rail,
                "owner": owner,
                "currency": currency,
                "sealed": sealed,
                "who": WHO,
                "occurred_at": AT,
                **more,
            }
        )

    def submit(
        self,
        name: str = "one",
        instrument: str = "bank",
        amount: str = "25.00",
        *,
        rail: str = "ach",
        owner: str = "ann",
        currency: str = "USD",
    ) -> SubmitPayout:
        return SubmitPayout(
            attempt_id=tid("att", name),
            payout_id=tid("po", name),
            rail=rail,
            instrument=tid("ins", instrument),
            owner=owner,
            company="acme",
            amount={"currency": currency, "amount": amount},
            **WS,
        )

    def cancel(self, name: str = "one", rail: str = "ach") -> CancelAttempt:
        return CancelAttempt(
            attempt_id=tid("att", name),
            payout_id=tid("po", name),
            rail=rail,
            who=WHO,
            occurred_at=AT,
        )


_OFFSETS = itertools.count()
_EVENTS = itertools.count()


def raw(event: Event, *, event_id: str | None = None) -> Raw:
    """The record a neighbour would publish; a new event id unless one is given."""
    own = event_id or f"event-{next(_EVENTS)}"
    rail = getattr(event, "rail", None)
    topic = (
        "rails.commands.v1"
        if isinstance(event, RegisterInstrument)
        else f"rails.{rail}.commands.v1"
    )
    headers = [*event_headers(own, event.TYPE), (CORRELATION_ID, b"payment-1")]
    return Raw(event.model_dump_json().encode(), tuple(headers), b"k", next(_OFFSETS), topic)


@dataclass
class World:
    """The service's fold over its own database."""

    app: Service
    pool: Pool
    processor: BatchProcessor
    make: Builders = field(default_factory=Builders)

    async def feed(self, *events: Event | Raw) -> None:
        """Apply these as one batch."""
        await self.processor.process([e if isinstance(e, Raw) else raw(e) for e in events])

    async def sent(self, topic: str | None = None) -> list[Sent]:
        rows = await self.pool.fetch(
            "SELECT topic, record_key, headers, payload FROM outbox ORDER BY seq"
        )
        out = []
        for row in rows:
            headers = json.loads(row["headers"])
            event = BY_TYPE[headers["ce_type"]].model_validate_json(row["payload"])
            out.append(Sent(row["topic"], row["record_key"], headers[CORRELATION_ID], event))
        return [item for item in out if topic in {None, item.topic}]

    async def events(self, kind: type[Event]) -> list[Any]:
        return [item.event for item in await self.sent() if isinstance(item.event, kind)]

    async def changes(self, name: str = "one") -> list[AttemptChanged]:
        """What was told about an attempt; its sequence has no gap."""
        mine = [e for e in await self.events(AttemptChanged) if e.attempt_id == tid("att", name)]
        assert [e.sequence for e in mine] == list(range(1, len(mine) + 1))
        return mine

    async def states(self, name: str = "one") -> list[str]:
        return [change.state for change in await self.changes(name)]

    async def cases(self) -> list[str]:
        rows = await self.pool.fetch("SELECT code FROM rail_case ORDER BY opened_at, code")
        return [row[0] for row in rows]

    async def quarantined(self) -> list[str]:
        return [row[0] for row in await self.pool.fetch("SELECT detail FROM quarantine")]

    async def dump(self) -> dict[str, Sequence[Any]]:
        """Everything the service holds but its inbox."""
        tables = ("instrument", "attempt", "attempt_history", "job", "rail_case", "outbox")
        dump: dict[str, Sequence[Any]] = {}
        for table in (*tables, "quarantine"):
            rows = await self.pool.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")
            dump[table] = [row[0] for row in rows]
        return dump


@pytest.fixture
def settings(fresh_database: Callable[[Schema], ServiceDatabase]) -> RailsSettings:
    import base64

    return RailsSettings(
        environment="test",
        kafka="127.0.0.1:9092",
        TALLY_RAILS_POSTGRES_DSN=SecretStr(fresh_database(SCHEMA).dsn("rails")),
        sealing_key=SecretStr(base64.b64encode(KEY.secret).decode()),
    )


@pytest.fixture
async def world(settings: RailsSettings) -> AsyncIterator[World]:
    app = build_app(settings)
    pool = await create_pool(
        settings.postgres_dsn.get_secret_value(),
        schema=SCHEMA.name,
        application_name="test",
        max_size=4,
    )
    for lane in range(settings.outbox_lanes):
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES ($1)", lane)
    yield World(app, pool, app.processor(app.routers[0], app.transactor(pool=pool)))
    await pool.close()


@pytest.fixture
def make() -> Builders:
    return Builders()
