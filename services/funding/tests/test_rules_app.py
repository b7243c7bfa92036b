"""F22, F25 as it runs: rules by command over a real Kafka, funding and the ledger behind it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, SecretStr

from tally_contracts.base import PositiveAmount, Where, Why
from tally_contracts.catalogue import expand
from tally_contracts.funding import Beneficiary, FundingReceived, Originator, PayInAllocated
from tally_contracts.funding_rules import (
    ChargeTaken,
    DryRunRule,
    LintRule,
    OwnerKeyChanged,
    PublishRule,
    RetireRule,
    RuleDryRun,
    RuleLinted,
    RulePublished,
    RuleRefused,
    RuleRetired,
)
from tally_contracts.registry import BY_TYPE
from tally_embedded import TopicSpec, ensure_topics
from tally_funding.app import SCHEMA, build_app
from tally_funding.settings import FundingSettings
from tally_ledger.app import SCHEMA as LEDGER_SCHEMA
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_runtime import SystemClock
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers

from .rules_bench import COMPANY, OWNER, PAYEE, TENANT, Known, document, fee, rule_id
from .test_rules_charges import MATCHING, SIGNER

COMMANDS, RULES = "funding.rules.commands.v1", "funding.rules.v1"
FACTS = (RULES, "funding.pay_in.v1")
PATIENCE_S = 120.0


@dataclass
class Live:
    """Topics in, and every fact told with what caused it."""

    topics: Topics
    told: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _sent: int = 0

    async def publish(self, topic: str, event: BaseModel) -> str:
        self._sent += 1
        event_id = f"sent-{self._sent}"
        headers = event_headers(event_id, event.TYPE)  # type: ignore[attr-defined]
        await self.topics.publish(
            topic, [RawRecord(event.model_dump_json().encode(), headers, b"key")]
        )
        return event_id

    async def ask(self, command: BaseModel) -> Any:
        """The first fact that a command caused."""
        event_id = await self.publish(COMMANDS, command)
        return await self.find(lambda cause, _: cause == event_id)

    async def announce(self, external_id: str, beneficiary: str) -> PayInAllocated:
        """Money comes in for somebody; the fact that the ledger holds it."""
        money = FundingReceived(
            who=OWNER,
            where=Where(channel="api"),
            why=Why(program="p", event="order:7", reason="Order 7"),
            occurred_at=SystemClock().now(),
            external_id=external_id,
            amount=PositiveAmount(currency="USD", amount="100.00"),
            originator=Originator(reference="debtor-1"),
            company=COMPANY,
            beneficiary=Beneficiary(party=beneficiary),
            value_date=SystemClock().now().date(),
        )
        await self.publish("funding.inbound.cards.v1", money)
        fact = await self.find(
            lambda _, event: isinstance(event, PayInAllocated) and event.external_id == external_id
        )
        assert isinstance(fact, PayInAllocated)
        return fact

    async def find(self, wanted: Callable[[str, Any], bool]) -> Any:
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(lambda: any(wanted(*one) for one in self.told))
            return next(event for cause, event in self.told if wanted(cause, event))

    async def listen(self, ready: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            *FACTS,
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
        for name, topic in expand(["cards"]).items()
    ]
    await ensure_topics(fresh_kafka, specs)
    common: dict[str, Any] = {"environment": "test", "kafka": fresh_kafka, "health_port": 0}
    ledger = LedgerSettings(**common, postgres_dsn=SecretStr(database.dsn("ledger")))
    funding = FundingSettings(
        **common, postgres_dsn=SecretStr(database.dsn("funding")), sources=("cards",)
    )
    apps = [build_ledger(ledger), build_app(funding)]
    for app in apps:
        await app.start()
    live = Live(Topics(fresh_kafka, "rules"))
    ready = asyncio.Event()
    listening = asyncio.create_task(live.listen(ready))
    await ready.wait()
    yield live
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
    for app in reversed(apps):
        await app.stop()


async def known_tenant(live: Live) -> None:
    """The directory has told of the tenant, and of the key of its company."""
    known = Known()
    for one in (TENANT, COMPANY, PAYEE):
        await live.publish("directory.parties.v1", known.registered(one))
    # Another consumer takes the parties in: until it has, the owner is unknown.
    for _ in range(600):
        if isinstance(await live.ask(SIGNER.register()), OwnerKeyChanged):
            return
        await asyncio.sleep(0.2)
    raise AssertionError("the parties never arrived")


@pytest.mark.stack
async def test_f22_rules_by_command_divide_charge_and_retire_over_kafka(live: Live) -> None:
    await known_tenant(live)
    await live.announce("first", COMPANY)
    given = document(fee(), match={"currencies": ["USD"]}, charges=[MATCHING])

    linted = await live.ask(
        LintRule(
            lint_id="lint_01m3250v00e008000000000001",
            tenant=TENANT,
            document=json.dumps(given),
            who=OWNER,
        )
    )
    assert isinstance(linted, RuleLinted)
    assert linted.faults == ()
    command = PublishRule(rule_id=rule_id(1), tenant=TENANT, document=json.dumps(given), who=OWNER)
    unsigned = await live.ask(command)
    assert isinstance(unsigned, RuleRefused)
    assert unsigned.code == "signature_missing"
    signature = SIGNER.sign(given, expires_at=SystemClock().now() + timedelta(hours=1))
    signed = command.model_copy(update={"signatures": (signature,)})
    published = await live.ask(signed)
    assert isinstance(published, RulePublished)
    assert published.digest == linted.digest

    allocated = await live.announce("second", PAYEE)
    assert allocated.rule == f"{rule_id(1)}:1"
    shares = [(share.owner, share.amount.amount) for share in allocated.allocations]
    assert shares == [(TENANT, "10.00"), (PAYEE, "90.00")]
    taken = await live.find(lambda _, event: isinstance(event, ChargeTaken))
    assert (taken.pay_in_id, taken.payer, taken.owner) == (allocated.pay_in_id, COMPANY, PAYEE)

    retired = await live.ask(
        RetireRule(rule_id=rule_id(1), tenant=TENANT, reason="It ended", who=OWNER)
    )
    assert isinstance(retired, RuleRetired)
    later = await live.announce("third", PAYEE)
    assert later.rule == "standard:1"
    run = await live.ask(
        DryRunRule(
            run_id="run_01m3250v00e008000000000001",
            tenant=TENANT,
            rule_id=rule_id(1),
            version=1,
            pay_ins=(allocated.pay_in_id,),
            who=OWNER,
        )
    )
    assert isinstance(run, RuleDryRun)
    (result,) = run.results
    assert [
        (line.owner, line.account, line.amount) for line in result.lines if line.payer is None
    ] == [(share.owner, share.account, share.amount) for share in allocated.allocations]
