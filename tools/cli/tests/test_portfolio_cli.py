"""`tally portfolio rebuild` over a real Postgres and a real Kafka."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from tally_cli.main import app
from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics
from tally_portfolio.app import SCHEMA
from tally_runtime import derived_uuid
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers

pytestmark = pytest.mark.stack
PAY_INS = "funding.pay_in.v1"
RECEIVED = "funding.pay_in.received.v1"


async def _publish(kafka: str, bodies: list[bytes]) -> None:
    specs = [
        TopicSpec(name, topic.partitions, dict(topic.config()))
        for name, topic in expand(["cards"]).items()
    ]
    await ensure_topics(kafka, specs)
    records = [
        RawRecord(body, event_headers(str(derived_uuid("rebuild", str(n))), RECEIVED), b"key")
        for n, body in enumerate(bodies)
    ]
    records.append(RawRecord(b"no fact", event_headers("x", RECEIVED), b"key"))
    await Topics(kafka, "rebuild").publish(PAY_INS, records)


def test_what_the_topics_hold_is_made_again_and_what_differed_is_told(
    fresh_database: Callable[..., ServiceDatabase],
    fresh_kafka: str,
    project_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = fresh_database(SCHEMA)
    examples = sorted((project_root / "contracts" / "examples" / RECEIVED).glob("*.json"))
    asyncio.run(_publish(fresh_kafka, [page.read_bytes() for page in examples]))
    monkeypatch.setenv("TALLY_POSTGRES_DSN", database.admin_dsn)
    monkeypatch.setenv("TALLY_PORTFOLIO_POSTGRES_DSN", database.dsn("portfolio"))
    monkeypatch.setenv("TALLY_KAFKA", fresh_kafka)
    with psycopg.connect(database.admin_dsn, autocommit=True) as administrator:
        administrator.execute(
            "INSERT INTO portfolio.consent VALUES ('party', 'company', 'tenant', true, '')"
        )
        result = CliRunner().invoke(app, ["portfolio", "rebuild", "--json"])
        assert result.exit_code == 0, result.stderr
        told = json.loads(result.stdout)
        assert (told["records"], told["applied"]) == (len(examples) + 1, len(examples))
        differences = {d["table"]: (d["only_before"], d["only_after"]) for d in told["differences"]}
        assert differences["consent"] == (1, 0)
        assert differences["pay_in"] == differences["hop"] == (0, len(examples))
        rows = administrator.execute("SELECT count(*) FROM portfolio.pay_in").fetchone()
        assert rows == (len(examples),)
        left = administrator.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'portfolio\\_%'"
        ).fetchone()
        assert left == (0,)
    again = CliRunner().invoke(app, ["portfolio", "rebuild"])
    assert again.exit_code == 0, again.stderr
    assert again.stdout.split() == ["table", "only", "before", "only", "after"]
