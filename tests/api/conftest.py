"""The whole platform, up once for each module of tests that ask it through the API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tally_cli.demo.people import People
from tally_cli.demo.post import Post
from tally_directory.settings import DirectorySettings
from tally_embedded import Stack
from tally_funding.settings import FundingSettings
from tally_reconciliation import Sources, Verdict, verify
from tally_runtime import Ids, load_settings
from tally_security.sealing import Keyring, SealingKey
from tally_testkit import ServiceDatabase
from tally_testkit.databases import Databases

from .api_platform import Platform, free_port, schemas, start_platform
from .stage import Cast

SERVICES = ("directory", "kyc", "programs", "funding", "ledger", "payouts", "rails", "portfolio")
# Waits for fuller batches would be waits of the tests; a statement may end with what they did last.
SWIFT = {
    "directory": {"batch_interval_ms": 20},
    "funding": {"batch_interval_ms": 20, "patient_interval_ms": 20},
    "gateway": {"batch_interval_ms": 20},
    "kyc": {"batch_interval_ms": 20, "clock_interval_ms": 200},
    "portfolio": {"batch_interval_ms": 20, "fetch_wait_ms": 50, "statement_settled_s": 0},
}


@dataclass(frozen=True)
class Whole:
    """Every service, up; the database and the broker they work on."""

    platform: Platform
    database: ServiceDatabase
    kafka: str

    async def people(self) -> People:
        """An empty stage with names of its own: tests share the platform, and no party."""
        return People(Ids().uuid7().hex[-8:], await self.platform.operator(), self.post())

    def post(self) -> Post:
        """Delivery of codes, with the keys the services have here."""
        own = {"environment": "test", "kafka": self.kafka, "postgres_dsn": "postgresql://h/d"}
        funding = load_settings(FundingSettings, sources="cards", **own)
        directory = load_settings(DirectorySettings, **own)
        return Post(
            self.kafka,
            Keyring(SealingKey.parse(funding.claim_sealing_key.get_secret_value())),
            directory.vault().keys,
        )

    async def is_in_order(self) -> None:
        """Ask the oracle: nothing was lost, nothing was made."""
        sources = Sources(self.database.admin_dsn, self.kafka, schemas=SERVICES)
        report = await verify(sources, wait_s=60)
        faults = [(check.id, one.what, one.row) for check in report.checks for one in check.faults]
        assert faults == []
        assert report.verdict is Verdict.GREEN


@pytest.fixture(scope="module")
async def whole(
    databases: Databases, module_kafka: Stack, request: pytest.FixtureRequest
) -> AsyncIterator[Whole]:
    """Every service, started once for all tests of a module, with its SETTINGS where it has some."""
    kafka, more = module_kafka.address.kafka, getattr(request.module, "SETTINGS", SWIFT)
    database = databases.clone(*schemas((*SERVICES, "gateway")))
    platform = await start_platform(
        SERVICES, database, kafka, read_port=free_port(), identity_port=free_port(), more=more
    )
    try:
        yield Whole(platform, database, kafka)
    finally:
        await platform.stop()
        databases.drop(database)


@pytest.fixture
async def cast(whole: Whole) -> Cast:
    """A tree of parties of the test's own."""
    return await Cast.planted(whole.platform, await whole.platform.operator(), whole.post())
