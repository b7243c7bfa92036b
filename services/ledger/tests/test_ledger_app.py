"""The whole service on a real broker: commands in on one topic, facts out on three."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tally_contracts.catalogue import topic
from tally_embedded import TopicSpec, ensure_topics
from tally_ledger import wire
from tally_ledger.app import SCHEMA, build_app, ledger_router
from tally_ledger.errors import AssetScaleChanged
from tally_ledger.handlers import COMMANDS, build_router
from tally_ledger.placement import Placement
from tally_ledger.service import open_books
from tally_ledger.settings import LedgerSettings
from tally_messaging import encode_headers, outgoing_headers
from tally_messaging.envelope import Cause
from tally_money import AssetKind, Currency
from tally_runtime import Environment, Ids, SettingsError, SystemClock, load_settings

from .conftest import LedgerFixture
from .ledger_builders import Event, account, batch, capture, item, journal, leg, place, register

FACTS = (wire.JOURNALS, wire.HOLDS, wire.ACCOUNTS)


@pytest.fixture
def kafka(fresh_kafka: str) -> str:
    return fresh_kafka


@pytest.fixture
async def facts(kafka: str) -> AsyncIterator[AIOKafkaConsumer]:
    names = (COMMANDS, "ledger.transfers.v1", "operations.quarantine.v1", *FACTS)
    await ensure_topics(
        kafka,
        [TopicSpec(name, topic(name).partitions, topic(name).config()) for name in names],
    )
    consumer = AIOKafkaConsumer(*FACTS, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    yield consumer
    await consumer.stop()


def settings(kafka: str, dsn: str, **changes: object) -> LedgerSettings:
    return load_settings(
        LedgerSettings,
        **{
            "environment": Environment.TEST,
            "kafka": kafka,
            "postgres_dsn": dsn,
            "expiry_poll_ms": 50,
            **changes,
        },
    )


async def send(kafka: str, *events: Event) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await producer.start()
    for event in events:
        headers = outgoing_headers(
            event_id=str(Ids().uuid7()),
            source="/test",
            event_type=event.TYPE,
            at=event.occurred_at,
            subject=event.ledger,
            cause=Cause("corr-1"),
        )
        await producer.send_and_wait(
            COMMANDS,
            event.model_dump_json().encode(),
            key=event.ledger.encode(),
            headers=encode_headers(headers),
        )
    await producer.stop()


@pytest.mark.stack
async def test_commands_on_the_topic_become_facts_on_theirs_and_due_holds_expire(
    ledger: LedgerFixture, kafka: str, facts: AIOKafkaConsumer
) -> None:
    dsn = ledger.database.dsn("ledger")
    app = build_app(settings(kafka, dsn))
    await app.start()
    try:
        opens = [account("cards", guarded=False), account("ann")]
        soon = SystemClock().now() + timedelta(seconds=5)
        funding = journal("j1", leg("l1", "cards", "ann", "10.00"), opens=opens)
        await send(
            kafka,
            funding,
            place("h1", "ann", "cards", "4.00", expires_at=soon),
            capture("c1", "h1", "1.00"),
        )
        seen: list[tuple[str, str, str]] = []
        async with asyncio.timeout(30):
            while not {"ledger.hold.released.v1", "ledger.journal.posted.v1"} <= {
                k for *_, k in seen
            }:
                record = await facts.getone()
                kind = dict(record.headers)["ce_type"].decode()
                seen.append((record.topic, record.key.decode(), kind))
                if kind == "ledger.hold.released.v1":
                    last = json.loads(record.value)
        await app.transactor().run(lambda uow: uow.conn.execute("SELECT 1"))
    finally:
        await app.stop()
    assert {kind for _, _, kind in seen} == {
        "ledger.account.opened.v1",
        "ledger.journal.posted.v1",
        "ledger.hold.placed.v1",
        "ledger.hold.captured.v1",
        "ledger.hold.released.v1",
    }
    assert (wire.JOURNALS, funding.reference, "ledger.journal.posted.v1") in seen
    held = [kind for where, _, kind in seen if where == wire.HOLDS]
    assert held[-1] == "ledger.hold.released.v1"
    assert last["expired"] is True
    assert last["amount"] == {"currency": "EUR", "amount": "3.00"}
    assert await ledger.balance("ann") == (900, 900)


@pytest.mark.stack
async def test_whoever_asks_for_a_wrong_amount_or_asset_hears_of_it_on_the_topic(
    ledger: LedgerFixture, kafka: str, facts: AIOKafkaConsumer
) -> None:
    opens = [account("cards", guarded=False), account("ann")]
    wrong = {
        "amount_not_positive": journal("j1", leg("l1", "cards", "ann", "0.00"), opens=opens),
        "amount_too_large": journal("j2", leg("l2", "cards", "ann", "9" * 40), opens=opens),
        "too_many_decimals": journal("j3", leg("l3", "cards", "ann", "0.001"), opens=opens),
        "currency_unknown": journal("j4", leg("l4", "cards", "ann", "1", "ETH"), opens=opens),
    }
    negative = journal("j5", leg("l5", "cards", "ann", "-1.00"), opens=opens)
    ether = [account("vault", guarded=False, currency="ETH"), account("purse", currency="ETH")]
    right = journal("j6", leg("l6", "vault", "purse", "0." + "0" * 17 + "1", "ETH"), opens=ether)
    app = build_app(settings(kafka, ledger.database.dsn("ledger")))
    await app.start()
    try:
        await send(kafka, *wrong.values(), negative, register("g1", "ETH", 18), right)
        told: dict[str, str] = {}
        async with asyncio.timeout(30):
            # All of them: their references lie in different partitions, which come in any order.
            while len(told) < len(wrong) + 2:
                record = await facts.getone()
                body = json.loads(record.value)
                if "journal_id" in body:
                    told[body["journal_id"]] = body.get("code", "posted")
    finally:
        await app.stop()
    assert told == {
        **{command.journal_id: code for code, command in wrong.items()},
        negative.journal_id: "amount_not_positive",
        right.journal_id: "posted",
    }
    assert await ledger.pool.fetchval("SELECT count(*) FROM quarantine") == 0


@pytest.mark.stack
async def test_batches_larger_than_a_transaction_may_be_are_each_answered_whole(
    ledger: LedgerFixture, kafka: str, facts: AIOKafkaConsumer
) -> None:
    opens = [account("cards", guarded=False), account("ann"), account("bob")]
    funding = journal("j1", leg("l1", "cards", "ann", "10.00"), opens=opens)
    batches = [
        batch(
            f"run-{n}",
            *(item(f"{n}-{k}", leg(f"{n}-{k}", "ann", "bob", "0.50")) for k in range(8)),
        )
        for n in range(3)
    ]
    app = build_app(settings(kafka, ledger.database.dsn("ledger"), batch_bytes_max=1_000))
    await app.start()
    try:
        await send(kafka, funding, *batches)
        told: dict[str, list[str | None]] = {}
        async with asyncio.timeout(30):
            while len(told) < len(batches):
                record = await facts.getone()
                body = json.loads(record.value)
                if "batch_id" in body:
                    told[body["batch_id"]] = [answer["code"] for answer in body["answers"]]
    finally:
        await app.stop()
    posted, refused = [None] * 8, ["insufficient_funds"] * 4
    assert told == {
        batches[0].batch_id: posted,
        batches[1].batch_id: posted,
        batches[2].batch_id: [*posted[:4], *refused],
    }
    assert await ledger.balance("bob") == (1000, 1000)


def test_the_router_reads_the_catalogues_topic_and_handles_all_its_types() -> None:
    router = ledger_router(Placement("core", frozenset({"main"})))
    assert [s.topic for s in router.subscriptions] == [COMMANDS, "ledger.transfers.v1"]
    assert router.event_types >= set(topic(COMMANDS).types)


def test_a_command_set_aside_does_not_hold_up_a_whole_ledger() -> None:
    assert build_router().ordered_topics() == frozenset()


def test_settings_name_every_ledger_once() -> None:
    chosen = settings(
        "localhost:9092",
        "postgresql://tally_ledger:x@localhost/t",
        ledger_name="main",
        further_ledgers="eu,us,main",
    )
    assert chosen.ledgers == ("eu", "main", "us")


@pytest.mark.parametrize("names", ["eu,,us", "EU", "eu, us", ",eu"])
def test_malformed_ledger_names_stop_the_start(names: str) -> None:
    with pytest.raises(SettingsError, match="TALLY_FURTHER_LEDGERS"):
        settings("localhost:9092", "postgresql://u:x@localhost/t", further_ledgers=names)


async def test_an_asset_never_changes_its_scale(ledger: LedgerFixture) -> None:
    other = Currency("EUR", 3, AssetKind.FIAT)
    with pytest.raises(AssetScaleChanged, match="EUR is booked with 2 decimals"):
        await ledger.transactor.run(lambda uow: open_books(uow.conn, ["main"], [other]))


async def test_opening_the_books_again_changes_nothing(ledger: LedgerFixture) -> None:
    before = await ledger.dump()
    euro = Currency("EUR", 2, AssetKind.FIAT)
    await ledger.transactor.run(lambda uow: open_books(uow.conn, ["main"], [euro]))
    assert await ledger.dump() == before


def test_the_schema_is_the_ledgers_own() -> None:
    assert SCHEMA.name == "ledger"
    assert [source.name for source in SCHEMA.migrations] == [
        "messaging",
        "ledger",
        "ledger_transfers",
    ]
