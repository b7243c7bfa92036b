"""The rails service on a real database; builders play the payouts service and the payee."""

import asyncio
import base64
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tally_contracts.base import Amount, Event, Where, Who, Why
from tally_contracts.rails import AttemptChanged, CancelAttempt, RegisterInstrument, SubmitPayout
from tally_contracts.registry import BY_TYPE
from tally_messaging import Service, Transactor, UnitOfWork, WorkerContext
from tally_messaging.batch import BatchProcessor, Step, no_step
from tally_messaging.envelope import CORRELATION_ID
from tally_postgres import Pool, Schema, create_pool
from tally_railkit import Capabilities
from tally_railkit.sealing import SealingKey, seal
from tally_rails.alarms import Alarms
from tally_rails.app import SCHEMA, build_app
from tally_rails.desk import Desk
from tally_rails.rails import REGISTRY
from tally_rails.rails.ach.config import AchSettings
from tally_rails.settings import RailsSettings
from tally_runtime import FixedClock, Metrics, ServiceSettings, derived_id
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


_ANY_ACH = AchSettings(environment="test", kafka="127.0.0.1:9092")


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

    last: Raw | None = None

    async def feed(self, *events: Event | Raw) -> None:
        """Apply these as one batch."""
        records = [e if isinstance(e, Raw) else raw(e) for e in events]
        self.last = records[-1]
        await self.processor.process(records)

    def record(self, event: Event) -> Raw:
        """The event as its sender would publish it."""
        return raw(event)

    @property
    def transactor(self) -> Transactor:
        return self.app.transactor(pool=self.pool)

    def desks(self, uow: UnitOfWork) -> Desk:
        """A desk as the service's own workers get it."""
        meanings = {name: module.build(_ANY_ACH).meanings for name, module in REGISTRY.items()}
        return Desk(uow, meanings, Alarms(Metrics("rails")))

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
    return RailsSettings(
        environment="test",
        kafka="127.0.0.1:9092",
        TALLY_RAILS_POSTGRES_DSN=SecretStr(fresh_database(SCHEMA).dsn("rails")),
        sealing_key=SecretStr(base64.b64encode(KEY.secret).decode()),
    )


@pytest.fixture
async def world(settings: RailsSettings) -> AsyncIterator[World]:
    """The service without a bank."""
    async with AsyncExitStack() as stack:
        yield await _open(World, build_app(settings, clock=FixedClock(AT)), settings, stack)


async def _open(kind: type[Any], app: Service, settings: RailsSettings, stack: Any) -> Any:
    pool = await create_pool(
        settings.postgres_dsn.get_secret_value(),
        schema=SCHEMA.name,
        application_name="test",
        max_size=4,
    )
    stack.push_async_callback(pool.close)
    for lane in range(settings.outbox_lanes):
        await pool.execute(
            "INSERT INTO outbox_lane (lane) VALUES ($1) ON CONFLICT DO NOTHING", lane
        )
    return kind(app, pool, app.processor(app.routers[0], app.transactor(pool=pool)))


@pytest.fixture
def make() -> Builders:
    return Builders()


BANK_USER, BANK_PASSWORD = "originator", "a password of the tests"
MONDAY, TUESDAY, WEDNESDAY = "2026-11-23", "2026-11-24", "2026-11-25"


class BankProcess:
    """The bank simulator as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    def start(self) -> None:
        command = [sys.executable, "-m", "tally_bank_simulator.main", "--folder", str(self.folder)]
        command += ["--user", BANK_USER, "--password-env", "BANK_PASSWORD"]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "BANK_PASSWORD": BANK_PASSWORD},
            )
        assert self._process.stdout is not None
        self.ready = json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def clock_url(self) -> str:
        return f"http://127.0.0.1:{self.ready['admin_port']}/clock"

    def call(self, method: str, path: str, body: object = None) -> Any:
        url = f"http://127.0.0.1:{self.ready['admin_port']}{path}"
        # verify=False: plain http, and no second spent on loading certificates for each call.
        answer = httpx.request(method, url, json=body, timeout=20, verify=False)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, **body: object) -> Any:
        return self.call("POST", path, body)

    def day(self, date: str) -> None:
        """Let the bank do every day up to this one."""
        self.post("/clock", date=date)

    def book(self) -> dict[str, dict[str, Any]]:
        """Entries by trace; a trace that was executed twice fails the test."""
        shown = self.call("GET", "/book")
        assert shown["repeated_traces"] == []
        return {entry["trace"]: entry for entry in shown["entries"]}

    def environment(self) -> dict[str, str]:
        """How a service of its own process reaches this bank."""
        settings = ach_settings(self, lease_s=2, window_s=1, poll_ms=50)
        return {
            f"TALLY_RAILS_ACH_{name.upper()}": str(
                value.get_secret_value() if isinstance(value, SecretStr) else value
            )
            for name in AchSettings.model_fields.keys() - ServiceSettings.model_fields.keys()
            if (value := getattr(settings, name)) is not None
        }

    def uploads(self) -> list[dict[str, Any]]:
        uploads: list[dict[str, Any]] = self.call("GET", "/files")["uploads"]
        return uploads


@pytest.fixture(scope="session")
def _shared_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BankProcess]:
    process = BankProcess(tmp_path_factory.mktemp("bank") / "shared")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def bank(_shared_bank: BankProcess) -> BankProcess:
    """A running bank with an empty book, on Monday 2026-11-23."""
    _shared_bank.post("/reset", confirm="reset")
    _shared_bank.day(MONDAY)
    return _shared_bank


def ach_settings(bank: BankProcess, **more: Any) -> AchSettings:
    """How the tests reach their bank: short waits, no patience."""
    given = {
        "environment": "test",
        "kafka": "127.0.0.1:9092",
        "host": "127.0.0.1",
        "port": bank.ready["sftp_port"],
        "user": BANK_USER,
        "password": SecretStr(BANK_PASSWORD),
        "host_key_fingerprint": bank.ready["host_key_fingerprint"],
        "immediate_destination": "231380104",
        "immediate_destination_name": "Receiving Point",
        "immediate_origin": "121042882",
        "immediate_origin_name": "Tallystick",
        "odfi": "12104288",
        "company_name": "Tallystick",
        "company_identification": "1234567890",
        "window_s": 60,
        "poll_ms": 20,
        "retry_ms": 10,
        "not_found_after_s": 0,
        "doubt_after_s": 30,
        "call_timeout_s": 5,
        "sandbox_clock_url": bank.clock_url,
    }
    return AchSettings(**{**given, **more})


@dataclass
class AchWorld(World):
    """The service with its ACH workers, turn by turn, and the bank."""

    bank: BankProcess = field(init=False)

    @property
    def clock(self) -> FixedClock:
        assert isinstance(self.app.clock, FixedClock)
        return self.app.clock

    window = timedelta(seconds=61)

    def _context(self) -> WorkerContext:
        return WorkerContext(
            transactor=self.app.transactor(pool=self.pool),
            pool=self.pool,
            clock=self.app.clock,
            ids=self.app.ids,
            health=self.app.health,
            stopping=asyncio.Event(),
        )

    def capabilities(self, rail: str) -> Capabilities:
        return REGISTRY[rail].build(ach_settings(self.bank)).capabilities

    def _worker(self, name: str) -> Any:
        return next(worker for worker in self.app._workers if worker.name == name)

    async def send(self, turns: int = 1) -> None:
        """Let the window pass, then cut and send."""
        self.clock.advance(self.window)
        for _ in range(turns):
            await self._worker("ach_sender").turning.turn(self._context())

    async def watch(self) -> None:
        """Take what the bank has left, and settle."""
        while await self._worker("ach_watcher").turning.turn(self._context()):
            pass

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Watch until something is so."""
        async with asyncio.timeout(20):
            await self.watch()
            while not await true():
                await asyncio.sleep(0.02)
                await self.watch()

    async def reaches(self, state: str, *names: str) -> None:
        """Watch until these attempts are in a state."""
        ids = [tid("att", name) for name in names or ("one",)]

        async def there() -> bool:
            return bool(
                await self.pool.fetchval(
                    "SELECT count(*) = $2 FROM attempt WHERE id = ANY($1) AND state = $3",
                    ids,
                    len(ids),
                    state,
                )
            )

        await self.until(there)

    async def has_case(self, code: str) -> None:
        """Watch until a case of this kind is open."""

        async def there() -> bool:
            return code in await self.cases()

        await self.until(there)

    async def trace(self, name: str = "one") -> str:
        trace: str = await self.pool.fetchval(
            "SELECT trace FROM ach_entry WHERE attempt_id = $1", tid("att", name)
        )
        return trace

    async def paid_to(self, *accounts: str, **more: Any) -> None:
        """Register one instrument per account number and submit a payout to each: one, two, …"""
        for name, account in zip(("one", "two", "three"), accounts, strict=False):
            details = {**ACH_DETAILS, "account_number": account}
            await self.feed(
                self.make.register(name, "ach", details), self.make.submit(name, name, **more)
            )

    def close(self) -> None:
        for worker in self.app._workers:
            worker.line.close()


OpenAch = Callable[..., Awaitable[AchWorld]]


@pytest.fixture
async def open_ach(settings: RailsSettings, bank: BankProcess) -> AsyncIterator[OpenAch]:
    """Opens the service on its database and the bank; again to start it anew after a crash."""
    async with AsyncExitStack() as stack:

        async def start(step: Step = no_step, at: datetime = AT, **more: Any) -> AchWorld:
            app = build_app(
                settings,
                rail_settings={"ach": ach_settings(bank, **more)},
                clock=FixedClock(at),
                step=step,
            )
            world: AchWorld = await _open(AchWorld, app, settings, stack)
            world.bank = bank
            stack.callback(world.close)
            return world

        yield start


@pytest.fixture
async def ach(open_ach: OpenAch) -> AchWorld:
    return await open_ach()
