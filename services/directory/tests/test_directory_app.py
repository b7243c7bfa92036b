"""The service as it runs: commands in by a real topic, facts out by real ones."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts.catalogue import expand
from tally_directory.app import SCHEMA, build_app
from tally_directory.handlers import build_router
from tally_directory.service import HANDLERS
from tally_directory.settings import DirectorySettings
from tally_embedded import TopicSpec, ensure_topics
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_postgres import Schema, create_pool
from tally_runtime import derived_id
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers


def test_every_command_of_the_contract_has_its_use_case() -> None:
    from tally_contracts.directory import COMMANDS

    assert set(HANDLERS) == set(COMMANDS)
    assert callable(build_router)


@pytest.mark.stack
async def test_commands_and_money_travel_through_real_topics_and_are_answered(
    directory: Any, fresh_database: Callable[[Schema], ServiceDatabase], fresh_kafka: str
) -> None:
    topics = Topics(fresh_kafka, "directory")
    specs = [
        TopicSpec(name, topic.partitions, topic.config())
        for name, topic in expand(["cards"]).items()
    ]
    await ensure_topics(topics.kafka, specs)
    database = fresh_database(SCHEMA)
    dsn = SecretStr(database.dsn("directory"))
    settings = DirectorySettings(environment="test", kafka=topics.kafka, postgres_dsn=dsn)
    app = build_app(settings)
    agg = derived_id("party", "test", "agg").encode()

    async def publish(topic: str, key: bytes, *events: Any) -> None:
        records = [
            RawRecord(
                event.model_dump_json().encode(),
                event_headers(f"{topic}-{next(directory.numbers)}", event.TYPE),
                key,
            )
            for event in events
        ]
        await topics.publish(topic, records)

    poison = RawRecord(b"{", event_headers("bad", "directory.party.move.v1"), agg)
    wrong = directory.register("eve", parent="nowhere")
    await app.start()
    try:
        await topics.publish("directory.commands.v1", [poison])
        await publish(
            "directory.commands.v1",
            agg,
            directory.register("agg", "aggregator", None),
            directory.register("acme", "company"),
            directory.open_wallet("w1", "acme"),
            wrong,
        )
        told = await topics.read("directory.parties.v1", 3)
        wallets = await topics.read("directory.wallets.v1", 1)
        to_ledger = await topics.read("ledger.commands.v1", 1)
        await publish("funding.pay_in.v1", b"pin", directory.pay_in("contact:abc"))
        money = await topics.read("directory.parties.v1", 5)
        set_aside = await topics.read("operations.quarantine.v1", 1)
    finally:
        await app.stop()
    types = sorted(dict(record.headers)[CE_TYPE].decode() for record in told)
    assert types == [
        "directory.command.refused.v1",
        "directory.party.registered.v1",
        "directory.party.registered.v1",
    ]
    assert all(CAUSATION_ID in dict(record.headers) for record in told)
    assert [json.loads(record.value)["purpose"] for record in wallets] == ["rewards"]
    assert [dict(record.headers)[CE_TYPE] for record in to_ledger] == [b"ledger.account.open.v1"]
    assert len(money) == 5, "the payee that money made, and its reference"
    assert len(set_aside) == 1
    pool = await create_pool(database.dsn("directory"), schema="directory", application_name="test")
    try:
        assert await pool.fetchval("SELECT count(*) FROM quarantine") == 1
    finally:
        await pool.close()
