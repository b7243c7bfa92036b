"""A sound day on the platform, told once; each test gets a copy of its database and its topics."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
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
from tally_reconciliation import Report, Sources
from tally_reconciliation.oracle import judge
from tally_reconciliation.snapshot import session
from tally_runtime import FixedClock
from tally_testkit import Databases

from .platform_bench import START, Bench, ListBroker, tell_story

SCHEMAS = ("funding", "ledger", "payouts")


@dataclass(frozen=True)
class Day:
    """The platform at the end of a day, to be judged or spoilt."""

    dsn: str
    broker: ListBroker
    schemas: tuple[str, ...] = SCHEMAS

    def spoil(self, *statements: str, drop: tuple[str, ...] = ()) -> None:
        """Change rows behind the platform's back, past its triggers and constraints."""
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            admin.execute("SET session_replication_role = replica")
            for constraint in drop:
                table = admin.execute(
                    "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = %s",
                    [constraint],
                ).fetchall()[0][0]
                admin.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}".encode())
            for statement in statements:
                assert admin.execute(statement.encode()).rowcount != 0, f"no row: {statement}"

    def names(self, query: str | None) -> set[str]:
        """The ids a query finds."""
        return set() if query is None else {str(row[0]) for row in self.ask(query)}

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            return admin.execute(query.encode()).fetchall()

    async def judge(self) -> Report:
        async with session(self.dsn) as conn:
            return await judge(
                Sources(self.dsn, "unused:9092", schemas=self.schemas), conn, self.broker
            )


@pytest.fixture(scope="session")
async def told(databases: Databases) -> AsyncIterator[Bench]:
    """The services after the day's story; nobody is connected any more."""
    database = databases.clone(FUNDING, LEDGER, PAYOUTS)
    bench = Bench(database, FixedClock(START))
    await bench.start("ledger", build_ledger, LedgerSettings)
    await bench.start("funding", build_funding, FundingSettings, sources="cards,invoices")
    await bench.start("payouts", build_payouts, PayoutsSettings)
    await tell_story(bench)
    await bench.stop()
    yield bench
    databases.drop(database)


_NUMBERS = itertools.count(1)


@pytest.fixture
def day(told: Bench) -> Iterator[Day]:
    """A copy of the day."""
    template = told.database
    name = f"{template.name}_day_{next(_NUMBERS)}"
    server = urlunsplit(urlsplit(template.admin_dsn)._replace(path="/postgres"))
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template.name}".encode())
    yield Day(
        urlunsplit(urlsplit(template.admin_dsn)._replace(path=f"/{name}")), told.broker.copy()
    )
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
