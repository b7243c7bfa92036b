"""F8, X3, F28 as it runs: funding and the ledger on a real Kafka, every path and the refusals."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, SecretStr

from tally_contracts.base import AskedAmount, PositiveAmount, Why
from tally_contracts.catalogue import expand
from tally_contracts.directory_facts import ContactVerified, PartyRegistered
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_contracts.funding_claims import IssueClaim, RedeemClaim, Redesignate
from tally_contracts.funding_escrow import (
    ApproveRelease,
    ArbitrateAgreement,
    DisputeAgreement,
    FundAgreement,
    PresentDocument,
    ProposeAgreement,
    RefundAgreement,
    ReleaseAgreement,
    ReleaseCondition,
)
from tally_contracts.registry import BY_TYPE
from tally_embedded import TopicSpec, ensure_topics
from tally_funding.app import SCHEMA, build_app
from tally_funding.settings import FundingSettings
from tally_ledger.app import SCHEMA as LEDGER_SCHEMA
from tally_ledger.app import build_app as build_ledger
from tally_ledger.settings import LedgerSettings
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_postgres import create_pool
from tally_runtime import SystemClock, derived_id
from tally_security.sealing import Keyring, Place, SealingKey, unseal
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers

from .agreement_bench import BOOKS, WHERE, party, who

COMMANDS = "funding.agreements.commands.v1"
INBOUND = "funding.inbound.cards.v1"
PARTIES = "directory.parties.v1"
FACTS = ("funding.agreements.v1", "funding.claims.v1", "funding.pay_in.v1")
WHY = Why(program="supplier-payments", event="order:7", reason="Order 7")
DOCUMENT = hashlib.sha256(b"bill of lading").hexdigest()
KEYS = Keyring(SealingKey.parse("c2FtcGxlLWNsYWltLWNvZGVzLWtleS1kZXYtb25seSE="))
PATIENCE_S = 120.0


class ShiftedClock(SystemClock):
    """The machine's clock, set forward by a test."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


@dataclass
class Live:
    """What a test sees of the platform: topics in, topics out, and the books."""

    topics: Topics
    clock: ShiftedClock
    database: ServiceDatabase
    told: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _sent: int = 0

    async def publish(self, topic: str, *events: BaseModel) -> list[str]:
        """Publish events in order, all under one key; their ids."""
        ids, records = [], []
        for event in events:
            self._sent += 1
            ids.append(f"sent-{self._sent}")
            records.append(
                RawRecord(
                    event.model_dump_json().encode(),
                    event_headers(ids[-1], event.TYPE),  # type: ignore[attr-defined]
                    b"key",
                )
            )
        await self.topics.publish(topic, records)
        return ids

    async def ask(self, *commands: BaseModel) -> list[Any]:
        """Publish commands; the outcome of each is the first fact it caused."""
        ids = await self.publish(COMMANDS, *commands)
        await self.until(lambda: {cause for cause, _ in self.told} >= set(ids))
        return [next(event for cause, event in self.told if cause == one) for one in ids]

    async def until(self, seen: Callable[[], bool]) -> None:
        """Wait for something to be told."""
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(seen)

    async def until_state(self, name: str, state: str) -> None:
        """Wait for an agreement or claim to come to a state."""
        await self.until(
            lambda: any(
                getattr(event, "state", None) == state
                and name in {getattr(event, "agreement_id", None), getattr(event, "claim_id", None)}
                for _, event in self.told
            )
        )

    async def listen(self, ready: asyncio.Event) -> None:
        """Take down every fact with what caused it."""
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

    async def balances(self, *owners: str) -> list[int]:
        """What these owners hold in USD, by the ledger's books."""
        pool = await create_pool(
            self.database.dsn("ledger"), schema="ledger", application_name="test", max_size=1
        )
        rows = await pool.fetch("SELECT id, credits_posted - debits_posted FROM account")
        await pool.close()
        found = {row[0]: row[1] for row in rows}
        return [found.get(BOOKS.wallet(owner, "USD").id, 0) for owner in owners]


@pytest.fixture
async def live(
    fresh_database: Callable[..., ServiceDatabase], fresh_kafka: str
) -> AsyncIterator[Live]:
    async with opened(fresh_database(SCHEMA, LEDGER_SCHEMA), fresh_kafka) as platform:
        yield platform


@asynccontextmanager
async def opened(database: ServiceDatabase, kafka: str) -> AsyncIterator[Live]:
    specs = [
        TopicSpec(name, topic.partitions, topic.config())
        for name, topic in expand(["cards"]).items()
    ]
    await ensure_topics(kafka, specs)
    clock = ShiftedClock()
    common: dict[str, Any] = {"environment": "test", "kafka": kafka, "health_port": 0}
    apps = [
        build_ledger(
            LedgerSettings(**common, postgres_dsn=SecretStr(database.dsn("ledger"))), clock=clock
        ),
        build_app(
            FundingSettings(
                **common, postgres_dsn=SecretStr(database.dsn("funding")), sources=("cards",)
            ),
            clock=clock,
        ),
    ]
    for app in apps:
        await app.start()
    platform = Live(Topics(kafka, "agreements"), clock, database)
    ready = asyncio.Event()
    listening = asyncio.create_task(platform.listen(ready))
    await ready.wait()
    try:
        yield platform
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        for app in reversed(apps):
            await app.stop()


async def introduce(live: Live) -> None:
    """The directory's word on everybody, and a hundred dollars for the payer."""
    root, now = party("root"), live.clock.now()
    common: dict[str, Any] = {"tenant": root, "who": who("root"), "reason": "joins"}
    facts: list[BaseModel] = []
    for name in ("root", "co", "payer", "payee", "arbiter", "a1", "anna", "ben"):
        facts += [
            PartyRegistered(
                **common,
                occurred_at=now,
                party_id=party(name),
                kind="aggregator" if name == "root" else "company",
                parent=None if name == "root" else root,
                path=() if name == "root" else (root,),
                external_id=None,
                country="DE",
                alias=name,
                state="registered",
            ),
            ContactVerified(
                **common,
                occurred_at=now,
                contact_id=derived_id("contact", name),
                party_id=party(name),
                contact=f"ct_{name}",
                channel="email",
            ),
        ]
    await live.publish(PARTIES, *facts)


def money(live: Live, name: str, beneficiary: Beneficiary) -> FundingReceived:
    return FundingReceived(
        who=who("co"),
        where=WHERE,
        why=WHY,
        occurred_at=live.clock.now(),
        external_id=name,
        amount=PositiveAmount(currency="USD", amount="1000.00"),
        originator=Originator(reference="debtor"),
        company=party("co"),
        beneficiary=beneficiary,
        value_date=live.clock.now().date(),
    )


def agreement(name: str) -> str:
    return derived_id("agr", name)


def propose(live: Live, name: str, **changes: Any) -> ProposeAgreement:
    terms: dict[str, Any] = {
        "who": who("payer"),
        "where": WHERE,
        "why": WHY,
        "occurred_at": live.clock.now(),
        "agreement_id": agreement(name),
        "tenant": party("root"),
        "payer": party("payer"),
        "payee": party("payee"),
        "arbiter": party("arbiter"),
        "amount": AskedAmount(currency="USD", amount="10.00"),
        "condition": ReleaseCondition(kind="approval", approvers=(party("a1"),), needed=1),
        "deadline": live.clock.now() + timedelta(days=1),
        **changes,
    }
    return ProposeAgreement(**terms)


def order(live: Live, kind: type[Any], name: str, by: str, **more: Any) -> Any:
    if issubclass(kind, ReleaseAgreement | ArbitrateAgreement):
        more = {"where": WHERE, **more}
    return kind(
        who=who(by),
        why=WHY,
        occurred_at=live.clock.now(),
        command_id=derived_id("cmd", kind.__name__, name, by, str(more)),
        agreement_id=agreement(name),
        tenant=party("root"),
        **more,
    )


def usd(text: str) -> AskedAmount:
    return AskedAmount(currency="USD", amount=text)


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_f8_every_path_of_an_agreement_on_real_topics(live: Live) -> None:
    await introduce(live)
    await live.publish(INBOUND, money(live, "m-1", Beneficiary(party=party("payer"))))
    await live.until(lambda: any(type(e).__name__ == "PayInAllocated" for _, e in live.told))
    (start, _) = await live.balances(party("payer"), party("payee"))
    document = ReleaseCondition(kind="document", document=DOCUMENT, presenter=party("a1"))
    paths = ("approved", "parts", "refunded", "disputed", "document", "expired", "unfunded")
    for name in paths:
        terms = {"condition": document} if name == "document" else {}
        (proposed,) = await live.ask(propose(live, name, **terms))
        assert proposed.state == "proposed", proposed
        if name != "unfunded":
            (funding,) = await live.ask(order(live, FundAgreement, name, "payer"))
            assert funding.state == "funding"
    for name in paths[:-1]:
        await live.until_state(agreement(name), "funded")

    refused = await live.ask(
        order(live, ReleaseAgreement, "approved", "payer", amount=usd("10.01")),
        order(live, ReleaseAgreement, "approved", "payee"),
        order(live, RefundAgreement, "approved", "payer"),
        order(live, FundAgreement, "nothing", "payer"),
        propose(live, "stranger", payee=party("nobody")),
        propose(live, "approved", amount=usd("11.00")),
    )
    assert [one.code for one in refused] == [
        "exceeds_held",
        "condition_not_met",
        "not_allowed",
        "agreement_unknown",
        "party_unknown",
        "id_reused",
    ]

    await live.ask(
        order(live, ApproveRelease, "approved", "a1"),
        order(live, ReleaseAgreement, "parts", "payer", amount=usd("4.00")),
        order(live, RefundAgreement, "refunded", "payee"),
        order(live, DisputeAgreement, "disputed", "payee"),
        order(live, PresentDocument, "document", "a1", document=DOCUMENT),
    )
    await live.until_state(agreement("parts"), "part_released")
    await live.ask(
        order(live, ReleaseAgreement, "parts", "payer"),
        order(
            live, ArbitrateAgreement, "disputed", "arbiter", to_payee=usd("6"), to_payer=usd("4")
        ),
    )
    live.clock.shift = timedelta(days=1, hours=1)
    for name, state in (
        ("approved", "released"),
        ("parts", "released"),
        ("refunded", "refunded"),
        ("disputed", "arbitrated"),
        ("document", "released"),
        ("expired", "expired"),
        ("unfunded", "expired"),
    ):
        await live.until_state(agreement(name), state)
    payer, payee = await live.balances(party("payer"), party("payee"))
    assert (payer, payee) == (start - 36_00, 36_00)


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_x3_claim_redesignation_and_expiry_on_real_topics(live: Live) -> None:
    await introduce(live)
    events = ("claimed", "moved", "reverting")
    await live.publish(
        INBOUND, *(money(live, name, Beneficiary(event_reference=name)) for name in events)
    )
    await live.until(lambda: sum(_is_clock(event) for _, event in live.told) == len(events))
    (amount,) = await live.balances("event:claimed")

    issued = await live.ask(
        *(
            IssueClaim(
                claim_id=derived_id("clm", name),
                owner=f"event:{name}",
                tenant=party("root"),
                contact="ct_anna",
                expires_at=live.clock.now() + timedelta(days=1),
                expires_to=party("root") if name == "reverting" else None,
                who=who("co"),
                why=WHY,
                occurred_at=live.clock.now(),
            )
            for name in events
        )
    )
    codes = [
        unseal(one.sealed_code, KEYS, Place(one.tenant, "claim", "code", one.claim_id))
        for one in issued
    ]
    outcomes = await live.ask(
        redeem(live, "claimed", codes[0], "ben"),
        redeem(live, "claimed", "guessed", "anna"),
        redeem(live, "claimed", codes[0], "anna"),
        redeem(live, "claimed", codes[0], "anna", name="again"),
        Redesignate(
            command_id=derived_id("cmd", "redesignate"),
            owner="event:moved",
            to_owner=party("ben"),
            tenant=party("root"),
            who=who("co"),
            why=WHY,
            occurred_at=live.clock.now(),
        ),
    )
    told = [getattr(one, "code", getattr(one, "state", None)) for one in outcomes[:4]]
    assert told == ["wrong_person", "code_wrong", "redeeming", "claim_used"]
    alarms = [event.code for _, event in live.told if type(event).__name__ == "ClaimAlarmRaised"]
    assert alarms == ["wrong_person", "code_wrong", "claim_used"]
    await live.until_state(derived_id("clm", "claimed"), "redeemed")
    await live.until_state(derived_id("clm", "moved"), "withdrawn")

    late = money(live, "late", Beneficiary(event_reference="claimed"))
    await live.publish(INBOUND, late)
    live.clock.shift = timedelta(days=1, hours=1)
    await live.until_state(derived_id("clm", "reverting"), "expired")
    await live.until(
        lambda: any(
            getattr(event, "external_id", "") == "late" and hasattr(event, "rule")
            for _, event in live.told
        )
    )
    anna, ben, root = await live.balances(party("anna"), party("ben"), party("root"))
    assert (anna, ben, root) == (2 * amount, amount, amount)
    assert await live.balances(*(f"event:{name}" for name in events)) == [0, 0, 0]


def _is_clock(event: Any) -> bool:
    return type(event).__name__ == "DormancyChanged" and event.state == "active"


def redeem(live: Live, claim: str, code: str, by: str, name: str = "") -> RedeemClaim:
    return RedeemClaim(
        command_id=derived_id("cmd", claim, code, by, name),
        claim_id=derived_id("clm", claim),
        code_hash=hashlib.sha256(code.encode()).hexdigest(),
        who=who(by),
        why=WHY,
        occurred_at=live.clock.now(),
    )
