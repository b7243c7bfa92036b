"""The service as it runs: facts and commands in by real topics, facts out by a real one."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts import kyc as wire
from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics
from tally_kyc.app import SCHEMA, build_app
from tally_kyc.service import HANDLERS
from tally_kyc.settings import KycSettings
from tally_kyc.store.standing import standing
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_postgres import Schema, in_transaction
from tally_testkit import RawRecord, ServiceDatabase, ShiftedClock, Topics, event_headers

from .conftest import party_id


def test_every_command_of_the_contract_has_its_use_case() -> None:
    assert set(wire.COMMANDS) <= set(HANDLERS)


@pytest.mark.stack
async def test_identity_travels_through_real_topics_and_grows_old_by_the_running_clock(
    kyc: Any, fresh_database: Callable[[Schema], ServiceDatabase], fresh_kafka: str
) -> None:
    topics = Topics(fresh_kafka, "kyc")
    specs = [
        TopicSpec(name, topic.partitions, topic.config())
        for name, topic in expand(["cards"]).items()
    ]
    await ensure_topics(topics.kafka, specs)
    database = fresh_database(SCHEMA)
    settings = KycSettings(
        environment="test",
        kafka=topics.kafka,
        postgres_dsn=SecretStr(database.dsn("kyc")),
        clock_interval_ms=100,
    )
    clock = ShiftedClock()
    app = build_app(settings, clock=clock)

    async def publish(topic: str, *events: Any) -> None:
        records = [
            RawRecord(
                event.model_dump_json().encode(),
                event_headers(f"{topic}-{next(kyc.numbers)}", event.TYPE),
                party_id("agg").encode(),
            )
            for event in events
        ]
        await topics.publish(topic, records)

    await app.start()
    try:
        await publish("directory.parties.v1", kyc.registered("ann"))
        opened, _ = await topics.read("kyc.identity.v1", 2)
        task = json.loads(opened.value)["task_id"]
        await topics.publish(
            "kyc.commands.v1", [RawRecord(b"{", event_headers("bad", "kyc.task.open.v1"), b"k")]
        )
        soon = clock.now() + timedelta(days=1)
        await publish(
            "kyc.commands.v1",
            kyc.submit(task),
            kyc.decide(task, actor="key_of_ann", expires_at=soon),
            kyc.decide(task, expires_at=soon),
        )
        # Asked, level none; submitted, refused, decided, basic; warned, asked anew.
        await topics.read("kyc.identity.v1", 8)
        clock.shift = timedelta(days=1)
        # Expired, none.
        told = await topics.read("kyc.identity.v1", 10)
        set_aside = await topics.read("operations.quarantine.v1", 1)
        waiting = await in_transaction(app.pool, standing)
    finally:
        await app.stop()
    types = [dict(record.headers)[CE_TYPE].decode() for record in told]
    assert sorted(types) == sorted(
        [
            *["kyc.task.opened.v1"] * 2,
            *["kyc.level.changed.v1"] * 3,
            "kyc.task.submitted.v1",
            "kyc.command.refused.v1",
            "kyc.task.decided.v1",
            "kyc.task.expiring.v1",
            "kyc.task.expired.v1",
        ]
    )
    levels = [json.loads(each.value) for each in told if json.loads(each.value).get("sequence")]
    assert [each["level"] for each in levels] == ["none", "basic", "none"]
    assert all(CAUSATION_ID in dict(record.headers) for record in told[:2])
    assert len(set_aside) == 1
    assert {state: found.number for state, found in waiting.items()} == {"open": 1}
