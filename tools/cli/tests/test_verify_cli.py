"""`tally verify` against a real Postgres and a real Kafka: one command, one exit code."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner, Result

from tally_cli.main import app
from tally_cli.platform import SERVICES, package
from tally_cli.verify import trusted_keys
from tally_contracts.catalogue import expand
from tally_contracts.funding import FundingReceived
from tally_embedded import TopicSpec, ensure_topics, running_stack
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers

pytestmark = pytest.mark.stack
INBOUND = "funding.inbound.cards.v1"


@dataclass
class Platform:
    """Databases and topics of a platform whose services are stopped."""

    database: ServiceDatabase
    kafka: str
    environment: dict[str, str] = field(default_factory=dict)

    def verify(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["verify", *arguments], env=self.environment)

    def spoil(self, statement: str) -> None:
        with psycopg.connect(self.database.admin_dsn, autocommit=True) as admin:
            admin.execute(statement.encode())


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: the oracle reads every topic there is."""
    with running_stack(tmp_path_factory.mktemp("kafka"), postgres=False, ephemeral=True) as stack:
        yield stack.address.kafka


@pytest.fixture
def platform(fresh_database: Callable[..., ServiceDatabase], own_kafka: str) -> Platform:
    database = fresh_database(*(package(name).schema for name in SERVICES))
    specs = [
        TopicSpec(name, topic.partitions, dict(topic.config()))
        for name, topic in expand(["cards"]).items()
    ]
    asyncio.run(ensure_topics(own_kafka, specs))
    return Platform(
        database,
        own_kafka,
        {
            "TALLY_POSTGRES_DSN": database.admin_dsn,
            "TALLY_KAFKA": own_kafka,
            "TALLY_BANK_ADMIN_URL": "",
        },
    )


def announce(kafka: str, external_id: str) -> None:
    body = {"external_id": external_id, "amount": {"currency": "USD", "amount": "1.00"}}
    record = RawRecord(
        json.dumps(body).encode(), event_headers(external_id, FundingReceived.TYPE), b"key"
    )
    asyncio.run(Topics(kafka, "").publish(INBOUND, [record], partition=0))


def consume_all(kafka: str) -> None:
    """What a service does that commits a record without applying it."""

    async def commit() -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka, group_id="funding", enable_auto_commit=False
        )
        await consumer.start()
        try:
            partition = TopicPartition(INBOUND, 0)
            consumer.assign([partition])
            ends = await consumer.end_offsets([partition])
            await consumer.commit(ends)
        finally:
            await consumer.stop()

    asyncio.run(commit())


def test_an_empty_platform_is_green_then_a_waiting_record_then_a_lost_one(platform: Platform):
    green = platform.verify()
    assert green.exit_code == 0, green.output
    lines = green.stdout.splitlines()
    assert {line.split()[1] for line in lines if line[:2] in {"L1", "O3", "O8"}} == {"green"}
    assert "Verdict: green" in green.stderr

    announce(platform.kafka, "waits")
    waiting = platform.verify()
    assert waiting.exit_code == 0, waiting.output
    assert "O3 skipped" in waiting.stdout
    assert "funding is 1 records behind" in waiting.stderr
    late = platform.verify("--wait", "1")
    assert late.exit_code == 5, late.output
    assert "not_at_rest moving=funding is 1 records behind bound_s=1" in late.stdout

    consume_all(platform.kafka)
    lost = platform.verify()
    assert lost.exit_code == 5, lost.output
    assert "O3 red" in lost.stdout
    assert f"record_lost topic={INBOUND} partition=0" in lost.stdout
    assert "external_id=waits" in lost.stdout


def test_the_report_is_json_with_the_rows_at_fault(platform: Platform):
    platform.spoil("INSERT INTO ledger.shard_state (shard) VALUES ('main')")
    platform.spoil(
        "INSERT INTO ledger.asset (code, scale, kind) VALUES ('USD', 2, 'fiat');"
        "INSERT INTO ledger.account (id, shard, asset, owner, purpose, path, guarded,"
        " credits_posted, opened_at) VALUES ('acc_1', 'main', 'USD', 'pty_1', 'wallet',"
        " 'wallet/pty_1/USD', true, 12345, now())"
    )
    found = platform.verify("--json")
    assert found.exit_code == 5, found.output
    report = json.loads(found.stdout)
    checks = {check["id"]: check for check in report["checks"]}
    assert report["verdict"] == "red"
    assert checks["L3"]["verdict"] == "red"
    assert checks["L3"]["faults"][0]["row"]["account"] == "acc_1"
    (holding,) = report["money"]
    assert (holding["purpose"], holding["posted"], holding["scale"]) == ("wallet", "12345", 2)

    shown = platform.verify()
    assert "USD       wallet   -      1         123.45  0.00" in shown.stdout


RAW = bytes(range(32))
KEY = f"{hashlib.sha256(RAW).hexdigest()[:16]}={base64.b64encode(RAW).decode()}"


def test_keys_are_taken_from_texts_and_files_and_one_that_is_none_is_refused(tmp_path: Path):
    kept = tmp_path / "keys"
    kept.write_text(f"# kept apart\n{KEY}\n")
    assert trusted_keys([KEY, str(kept)]) == (RAW, RAW)
    for wrong in (KEY.replace(KEY[0], "x", 1), "0123456789abcdef=AAAA", str(tmp_path / "none")):
        with pytest.raises(typer.BadParameter):
            trusted_keys([wrong])


def test_the_keys_given_are_the_ones_days_are_judged_by(platform: Platform):
    platform.environment["TALLY_LEDGER_KEYS"] = ""
    found = json.loads(platform.verify("--ledger-key", KEY, "--json").stdout)
    (check,) = [check for check in found["checks"] if check["id"] == "L14"]
    assert check["figures"]["trusted_keys"] == 1
    (absent,) = [check for check in found["checks"] if check["id"] == "O10"]
    assert (check["verdict"], absent["verdict"]) == ("green", "absent")


def test_what_cannot_be_looked_at_is_no_proof(platform: Platform):
    platform.spoil("DROP SCHEMA portfolio CASCADE")
    blind = platform.verify()
    assert blind.exit_code == 1
    assert "error [schema_absent]" in blind.stderr


def test_a_bank_that_is_down_is_no_proof(platform: Platform):
    nobody = platform.verify("--bank-url", "http://127.0.0.1:9")
    assert nobody.exit_code == 1
    assert "error [bank_unreadable]" in nobody.stderr


def test_a_broker_that_is_down_is_no_proof(platform: Platform):
    platform.environment["TALLY_KAFKA"] = "127.0.0.1:9"
    blind = platform.verify()
    assert blind.exit_code == 1
    assert "error [broker_unreadable]" in blind.stderr
