"""A sound day on the platform, told once; each test gets a copy of its database and its topics."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tally_funding.app import SCHEMA as FUNDING
from tally_funding.app import build_app as build_funding
from tally_funding.settings import FundingSettings
from tally_ledger.app import SCHEMA as LEDGER
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_payouts.app import SCHEMA as PAYOUTS
from tally_payouts.app import build_app as build_payouts
from tally_payouts.settings import PayoutsSettings
from tally_portfolio.app import SCHEMA as PORTFOLIO
from tally_portfolio.app import build_app as build_portfolio
from tally_portfolio.settings import PortfolioSettings
from tally_rails.app import SCHEMA as RAILS
from tally_rails.app import build_app as build_rails
from tally_rails.rails.ach.config import AchSettings
from tally_rails.settings import RailsSettings
from tally_reconciliation import SCHEMAS, Report, Sources
from tally_reconciliation.oracle import look_at_rows, look_at_topics
from tally_reconciliation.snapshot import Snapshot, session
from tally_runtime import FixedClock
from tally_testkit import Databases

from .platform_bench import START, Bench, ListBroker, tell_story


@dataclass(frozen=True)
class Day:
    """The platform at the end of a day, to be judged or spoilt in a transaction that ends undone."""

    conn: Any
    broker: ListBroker
    schemas: tuple[str, ...] = SCHEMAS

    async def spoil(self, *statements: str, drop: tuple[str, ...] = ()) -> None:
        """Change rows behind the platform's back, past its triggers and constraints."""
        await self.conn.execute("SET LOCAL session_replication_role = replica")
        for constraint in drop:
            table = await self.conn.fetchval(
                "SELECT conrelid::regclass::text FROM pg_constraint"
                " WHERE conname = $1 AND coninhcount = 0",
                constraint,
            )
            await self.conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        for statement in statements:
            done = await self.conn.execute(statement)
            assert not done.endswith(" 0"), f"no row: {statement}"

    async def names(self, query: str | None) -> set[str]:
        """The ids a query finds."""
        return set() if query is None else {str(row[0]) for row in await self.conn.fetch(query)}

    async def judge(self, bank_url: str | None = None) -> Report:
        sources = Sources("unused", "unused", bank_url, self.schemas)
        undone = self.conn.transaction()
        await undone.start()
        try:
            seen = await look_at_topics(sources, self.conn, self.broker)
            rows = await self.conn.fetch("SELECT nspname::text FROM pg_namespace")
            snap = Snapshot(self.conn, frozenset(self.schemas) & {row[0] for row in rows})
            return await look_at_rows(sources, snap, self.broker, seen)
        finally:
            await undone.rollback()


@asynccontextmanager
async def money_services(
    databases: Databases, tell: Callable[[Bench], Awaitable[None]]
) -> AsyncIterator[Bench]:
    """Ledger, funding and payouts after what `tell` tells them; nobody is connected any more."""
    database = databases.clone(FUNDING, LEDGER, PAYOUTS)
    bench = Bench(database, FixedClock(START))
    try:
        await bench.start("ledger", build_ledger, LedgerSettings)
        await bench.start("funding", build_funding, FundingSettings, sources="cards,bank")
        await bench.start("payouts", build_payouts, PayoutsSettings)
        await tell(bench)
    finally:
        await bench.stop()
    yield bench
    databases.drop(database)


@asynccontextmanager
async def day_of(told: Bench, schemas: tuple[str, ...] = SCHEMAS) -> AsyncIterator[Day]:
    """What was told, to be judged or spoilt in a transaction that ends undone."""
    async with session(told.database.admin_dsn) as conn:
        undone = conn.transaction(isolation="repeatable_read")
        await undone.start()
        try:
            yield Day(conn, told.broker.copy(), schemas)
        finally:
            await undone.rollback()


@pytest.fixture(scope="session")
async def told(databases: Databases) -> AsyncIterator[Bench]:
    """The services after the day's story; nobody is connected any more."""
    database = databases.clone(FUNDING, LEDGER, PAYOUTS, RAILS, PORTFOLIO)
    bench = Bench(database, FixedClock(START))
    try:
        await _tell(bench)
    finally:
        await bench.stop()
    yield bench
    databases.drop(database)


async def _tell(bench: Bench) -> None:
    await bench.start("ledger", build_ledger, LedgerSettings)
    await bench.start("funding", build_funding, FundingSettings, sources="cards,invoices,bank")
    await bench.start("payouts", build_payouts, PayoutsSettings)
    await bench.start(
        "rails",
        build_rails,
        RailsSettings,
        app={"rail_settings": {"ach": AchSettings(kafka="unused:9092")}},
        sealing_key=base64.b64encode(b"k" * 32).decode(),
    )
    await bench.start("portfolio", build_portfolio, PortfolioSettings)
    await tell_story(bench)


@pytest.fixture
async def day(told: Bench) -> AsyncIterator[Day]:
    """The day's database as it was told, whatever another test did to it."""
    async with day_of(told) as day:
        yield day
