"""The service driven batch by batch by its consumers, with a tenant that the directory knows."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from tally_contracts.base import Event, Who
from tally_contracts.directory_facts import GroupMembershipChanged, PartyRegistered, RelationSet
from tally_contracts.funding_rules import DryRunRule, PublishRule
from tally_contracts.ledger import PostJournal
from tally_funding.app import SCHEMA, build_app
from tally_funding.settings import FundingSettings
from tally_messaging import Transactor
from tally_messaging.batch import BatchProcessor
from tally_postgres import Schema, create_pool
from tally_runtime import FixedClock, Ids, SeededIds
from tally_testkit import ServiceDatabase

START = datetime(2026, 9, 21, 8, tzinfo=UTC)


def party(number: int) -> str:
    return f"party_01m3250v00e0080000000000{number:02d}"


def rule_id(number: int) -> str:
    return f"rule_01m3250v00e0080000000000{number:02d}"


TENANT, COMPANY, PAYEE, OTHER_TENANT, GROUP = (party(number) for number in range(1, 6))
OWNER = Who(actor="user:ann", principal=TENANT)
REST: dict[str, Any] = {"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": True}


def document(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "schema": 2,
        "rule": "share",
        "version": 1,
        "rounding": "half_even",
        "lines": [*lines, REST],
        **changes,
    }


def fee(percent: str = "10", **changes: Any) -> dict[str, Any]:
    return {"role": "aggregator", "to": {"role": "aggregator"}, "percent": percent, **changes}


@dataclass
class Desk:
    """The service by its consumers; what comes of a batch is what it told."""

    bench: Any
    processors: dict[str, BatchProcessor]
    ids: Ids
    transactor: Transactor

    async def send(self, *commands: Event) -> list[Any]:
        records = [
            self.bench.record(command.TYPE, command, topic="funding.rules.commands.v1")
            for command in commands
        ]
        await self.processors["funding.rules"].process(records)
        return list(await self.bench.told())

    async def directory(self, *facts: Event) -> None:
        for processor in self.processors.values():
            topics = {subscription.topic for subscription in processor.router.subscriptions}
            if "directory.parties.v1" in topics:
                await processor.process(
                    [self.bench.record(f.TYPE, f, topic="directory.parties.v1") for f in facts]
                )

    async def publish(self, given: dict[str, Any], number: int = 1, **changes: Any) -> Any:
        fields = {"tenant": TENANT, "who": OWNER, **changes}
        (fact,) = await self.send(
            PublishRule(rule_id=rule_id(number), document=json.dumps(given), **fields)
        )
        return fact

    async def dry_run(self, **fields: Any) -> Any:
        asked = {"run_id": self.run_id(), "tenant": TENANT, "who": OWNER, **fields}
        (fact,) = await self.send(DryRunRule(**asked))
        return fact

    def run_id(self) -> str:
        return str(self.ids.new("run"))

    async def book(self, *bodies: dict[str, Any]) -> list[PostJournal]:
        await self.bench.process(*(self.bench.money(body) for body in bodies))
        return [event for event in await self.bench.told() if isinstance(event, PostJournal)]

    async def rules(self) -> list[str]:
        rows = await self.bench.rows("SELECT rule FROM pay_in ORDER BY external_id")
        return [row[0] for row in rows]


@dataclass(frozen=True)
class Known:
    """What all facts of the directory have."""

    tenant: str = TENANT
    who: Who = OWNER
    reason: str = "as the directory says"
    occurred_at: datetime = START

    def registered(self, party_id: str, kind: str = "company") -> PartyRegistered:
        return PartyRegistered(
            **vars(self),
            party_id=party_id,
            kind=kind,
            parent=None if party_id == self.tenant else self.tenant,
            path=() if party_id == self.tenant else (self.tenant,),
            external_id=None,
            country=None,
            alias="payee-1",
            state="registered",
        )

    def joined(self, party_id: str, version: int, *, member: bool = True) -> GroupMembershipChanged:
        return GroupMembershipChanged(
            **vars(self), group=GROUP, party=party_id, member=member, version=version
        )

    def related(self, party_id: str, relation: str, *, ended: bool = False) -> RelationSet:
        return RelationSet(
            **vars(self),
            party=party_id,
            other=COMPANY,
            relation=relation,
            company=COMPANY,
            ended=ended,
        )


@asynccontextmanager
async def open_desk(
    fresh_database: Callable[[Schema], ServiceDatabase], bench_of: Callable[..., Any]
) -> AsyncIterator[Desk]:
    """The service over a fresh database; `bench_of` makes its Bench."""
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("funding"), schema="funding", application_name="test")
    clock = FixedClock(START)
    settings = FundingSettings(
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn=SecretStr(database.dsn("funding")),
        sources=("cards", "bank"),
    )
    ids = SeededIds(1, clock)
    service = build_app(settings, clock=clock, ids=ids)
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    processors = {
        router.consumer: service.processor(router, transactor) for router in service.routers
    }
    bench = bench_of(pool, processors["funding"], transactor, clock)
    desk = Desk(bench, processors, ids, transactor)
    known = Known()
    await desk.directory(*(known.registered(one) for one in (TENANT, COMPANY, PAYEE)))
    yield desk
    await pool.close()


def sample(**changes: Any) -> dict[str, Any]:
    """100.00 USD that did not come in, for the payee."""
    return {
        "source": "cards",
        "amount": {"currency": "USD", "amount": "100.00"},
        "company": COMPANY,
        "program": "p",
        "event": "invoice:7",
        "beneficiary": {"party": PAYEE},
        "occurred_at": "2026-09-21T08:00:00Z",
        **changes,
    }
