"""F12, F14, F15 as it runs: cards, matches and refunds with funding and the ledger on a real Kafka."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, SecretStr

from tally_contracts.base import AskedAmount, PositiveAmount, Where, Who, Why
from tally_contracts.catalogue import expand
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_contracts.funding_sources import (
    ExpectPayIn,
    PayInExpected,
    PayInMatched,
    PayInRefunded,
    ReceiveWebhook,
    ReturnPayIn,
    ReturnStarted,
    SourceCommandRefused,
    WebhookReceived,
)
from tally_contracts.registry import BY_TYPE
from tally_embedded import TopicSpec, ensure_topics
from tally_funding.app import SCHEMA, build_app
from tally_funding.settings import FundingSettings
from tally_ledger.app import SCHEMA as LEDGER_SCHEMA
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_runtime import derived_id
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers

pytestmark = pytest.mark.stack
COMMANDS = "funding.sources.commands.v1"
FACTS = "funding.sources.v1"
PATIENCE_S = 120.0
NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
WHO = Who(actor="user:support", principal="co_1")
WHERE = Where(channel="api")
WHY = Why(program="supplier-payments", event="order:7", reason="Order 7")
F = TypeVar("F", bound=BaseModel)


@dataclass
class Live:
    """Topics in, facts out with what caused them."""

    topics: Topics
    told: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _sent: int = 0

    async def publish(self, topic: str, event: BaseModel) -> str:
        self._sent += 1
        event_id = f"sent-{self._sent}"
        headers = event_headers(event_id, type(event).TYPE)  # type: ignore[attr-defined]
        value = event.model_dump_json().encode()
        await self.topics.publish(topic, [RawRecord(value, headers, b"key")])
        return event_id

    async def ask(self, command: BaseModel) -> Any:
        """The first fact that names the command as its cause."""
        sent = await self.publish(COMMANDS, command)
        await self.until(lambda: any(cause == sent for cause, _ in self.told))
        return next(event for cause, event in self.told if cause == sent)

    async def fact(self, model: type[F]) -> F:
        """The first fact of a type, once it is told."""
        await self.until(lambda: any(isinstance(event, model) for _, event in self.told))
        return next(event for _, event in self.told if isinstance(event, model))

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(seen)

    async def listen(self, ready: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            FACTS,
            bootstrap_servers=self.topics.kafka,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        ready.set()
        try:
            async for record in consumer:
                headers = dict(record.headers)
                event = BY_TYPE[headers[CE_TYPE].decode()].model_validate_json(record.value)
                async with self.news:
                    self.told.append((headers.get(CAUSATION_ID, b"").decode(), event))
                    self.news.notify_all()
        finally:
            await consumer.stop()


@pytest.fixture
async def live(
    fresh_database: Callable[..., ServiceDatabase], fresh_kafka: str
) -> AsyncIterator[Live]:
    database = fresh_database(SCHEMA, LEDGER_SCHEMA)
    specs = [
        TopicSpec(name, topic.partitions, topic.config())
        for name, topic in expand(["bank", "cards"]).items()
    ]
    await ensure_topics(fresh_kafka, specs)
    common: dict[str, Any] = {"environment": "test", "kafka": fresh_kafka, "health_port": 0}
    apps = [
        build_ledger(LedgerSettings(**common, postgres_dsn=SecretStr(database.dsn("ledger")))),
        build_app(
            FundingSettings(
                **common,
                postgres_dsn=SecretStr(database.dsn("funding")),
                sources=("bank", "cards"),
            )
        ),
    ]
    for app in apps:
        await app.start()
    platform = Live(Topics(fresh_kafka, "sources"))
    ready = asyncio.Event()
    listening = asyncio.create_task(platform.listen(ready))
    await ready.wait()
    yield platform
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
    for app in reversed(apps):
        await app.stop()


def webhook(event_type: str, number: int, **thing: Any) -> ReceiveWebhook:
    metadata = {"tally_program": "supplier-payments", "tally_party": "pty_1"}
    charge = {"id": "ch_1", "amount": 10_000, "currency": "usd", "metadata": metadata, **thing}
    event = {
        "id": f"evt_{number}",
        "type": event_type,
        "created": int(NOW.timestamp()),
        "data": {"object": charge},
    }
    return ReceiveWebhook(
        webhook_id=derived_id("whk", str(number)),
        source="cards",
        content=base64.b64encode(json.dumps(event).encode()).decode(),
        who=WHO,
        occurred_at=NOW,
    )


async def test_every_command_is_answered_and_money_goes_in_and_back(live: Live) -> None:
    answer = await live.ask(webhook("charge.succeeded", 1))
    assert isinstance(answer, WebhookReceived)
    assert answer.pay_in_id is not None
    # The refund may overtake the booking: it then waits for it.
    returning = ReturnPayIn(
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=NOW,
        return_id=derived_id("ret", "1"),
        pay_in_id=answer.pay_in_id,
        kind="refund",
        amount=AskedAmount(currency="USD", amount="100.00"),
    )
    assert isinstance(await live.ask(returning), ReturnStarted)
    refunded = await live.fact(PayInRefunded)
    assert (refunded.state, refunded.pay_in_id) == ("refunded", answer.pay_in_id)
    assert isinstance(await live.ask(returning), ReturnStarted), "again: answered again"
    again = returning.model_copy(update={"return_id": derived_id("ret", "2")})
    refused = await live.ask(again)
    assert isinstance(refused, SourceCommandRefused)
    assert refused.code == "return_exceeds_pay_in"


async def test_money_that_names_an_invoice_finds_it_by_itself(live: Live) -> None:
    expecting = ExpectPayIn(
        expectation_id=derived_id("exp", "1"),
        kind="invoice",
        reference="INV-1001",
        amount=AskedAmount(currency="USD", amount="100.00"),
        currency="USD",
        company="co_1",
        beneficiary=Beneficiary(party="pty_1"),
        program="supplier-payments",
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=NOW,
    )
    assert isinstance(await live.ask(expecting), PayInExpected)
    money = FundingReceived(
        who=WHO,
        where=WHERE,
        why=WHY,
        occurred_at=NOW,
        external_id="wire-1",
        amount=PositiveAmount(currency="USD", amount="100.00"),
        originator=Originator(reference="cust-1"),
        company="co_1",
        value_date=NOW.date(),
        references={"remittance": "Payment of INV-1001"},
    )
    await live.publish("funding.inbound.bank.v1", money)
    matched = await live.fact(PayInMatched)
    assert (matched.automatic, matched.confidence) == (True, 98)
