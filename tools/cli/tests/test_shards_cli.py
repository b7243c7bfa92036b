"""Ledgers in two databases: commands that look at the whole look at both, or say what they miss."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner, Result

from tally_cli.main import app
from tally_cli.platform import SERVICES, package
from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics, running_stack
from tally_testkit import RawRecord, ServiceDatabase, Topics

pytestmark = pytest.mark.stack
COMMANDS = "ledger.commands.v1"


@dataclass
class Platform:
    """The platform's database, a further one of the ledger, and a broker; no service runs."""

    database: ServiceDatabase
    west: ServiceDatabase
    kafka: str

    def run(self, *arguments: str, placement: str = "core:main;west:us", dsns: str = "") -> Result:
        environment = {
            "TALLY_POSTGRES_DSN": self.database.admin_dsn,
            "TALLY_KAFKA": self.kafka,
            "TALLY_BANK_ADMIN_URL": "",
            "TALLY_LEDGER_PLACEMENT": placement,
            "TALLY_LEDGER_DSNS": dsns or f"west={self.west.admin_dsn}",
        } | {f"TALLY_{name.upper()}_POSTGRES_DSN": self.database.dsn(name) for name in SERVICES}
        return CliRunner().invoke(app, list(arguments), env=environment)

    def spoil(self, statement: str) -> None:
        with psycopg.connect(self.west.admin_dsn, autocommit=True) as admin:
            admin.execute(statement.encode())


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: the oracle reads every topic there is."""
    with running_stack(tmp_path_factory.mktemp("kafka"), postgres=False, ephemeral=True) as stack:
        yield stack.address.kafka


@pytest.fixture
def platform(fresh_database: Callable[..., ServiceDatabase], own_kafka: str) -> Platform:
    specs = [
        TopicSpec(name, topic.partitions, dict(topic.config()))
        for name, topic in expand(["cards"]).items()
    ]
    asyncio.run(ensure_topics(own_kafka, specs))
    database = fresh_database(*(package(name).schema for name in SERVICES))
    return Platform(database, fresh_database(package("ledger").schema), own_kafka)


async def commit_first(kafka: str, group: str) -> None:
    """As if the group had read one record of the partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(COMMANDS, 0)
        consumer.assign([partition])
        await consumer.commit({partition: 1})
    finally:
        await consumer.stop()


def test_lag_knows_the_group_and_the_outbox_of_each_database(platform: Platform) -> None:
    platform.spoil(
        "INSERT INTO ledger.outbox_lane (lane, head) VALUES (0, 3);"
        "INSERT INTO ledger.relay (lane, position) VALUES (0, 1)"
    )
    records = [RawRecord(b"{}", [], b"us")] * 3
    asyncio.run(Topics(platform.kafka, "").publish(COMMANDS, records, partition=0))
    asyncio.run(commit_first(platform.kafka, "ledger.west"))
    shown = platform.run("lag", "--json")
    assert shown.exit_code == 0, shown.output
    by_service = {one["service"]: one for one in json.loads(shown.stdout)}
    assert by_service.keys() == {*SERVICES, "ledger.west"}
    assert by_service["ledger.west"]["behind"][COMMANDS] == 2
    assert by_service["ledger"]["behind"][COMMANDS] == 3, (
        "a group that never committed has it all to do"
    )
    assert by_service["ledger.west"]["outbox_records"] == 2
    assert by_service["ledger"]["outbox_records"] == 0


@pytest.mark.parametrize(
    ("placement", "dsns", "said"),
    [
        ("core:main;west:us;east:jp", "", "has databases east: give each"),
        ("core:main;west", "", "is written like"),
        ("", "postgresql://u:secret@h/west", "as NAME=DSN"),
        ("", "core=postgresql://u:secret@h/x", "core is the platform's own"),
        ("", "west=postgresql://u:secret@h/x west=postgresql://u:secret@h/y", "is given twice"),
    ],
)
def test_half_of_the_databases_is_no_answer(
    platform: Platform, placement: str, dsns: str, said: str
) -> None:
    refused = platform.run("lag", placement=placement, dsns=dsns)
    assert refused.exit_code == 2
    assert said in refused.output
    assert "secret" not in refused.output


def test_verify_judges_both_databases_and_names_the_one_at_fault(platform: Platform) -> None:
    sound = platform.run("verify", "--json")
    assert sound.exit_code == 0, sound.output
    platform.spoil(
        "INSERT INTO ledger.shard_state (shard) VALUES ('us');"
        "INSERT INTO ledger.asset (code, scale, kind) VALUES ('USD', 2, 'fiat');"
        "INSERT INTO ledger.account (id, shard, asset, owner, purpose, path, guarded,"
        " credits_posted, opened_at) VALUES ('acc_1', 'us', 'USD', 'pty_1', 'wallet',"
        " 'wallet/pty_1/USD', true, 12345, now())"
    )
    spoilt = platform.run("verify", "--json")
    assert spoilt.exit_code == 5, spoilt.output
    checks = {check["id"]: check for check in json.loads(spoilt.stdout)["checks"]}
    row = checks["L3"]["faults"][0]["row"]
    assert (row["database"], row["account"]) == ("west", "acc_1")
