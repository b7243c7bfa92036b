"""The kyc service over a fresh database, driven batch by batch without a broker."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts import directory_facts as facts
from tally_contracts import kyc as wire
from tally_contracts.base import Event, Who
from tally_contracts.registry import BY_TYPE
from tally_kyc.app import SCHEMA, build_app
from tally_kyc.policies import shipped
from tally_kyc.service import Identity
from tally_kyc.settings import KycSettings
from tally_messaging import Transactor
from tally_messaging.batch import BatchProcessor
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_testkit import ServiceDatabase, event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)
LATER = datetime(2027, 9, 21, 8, tzinfo=UTC)
TOPICS = {"directory": "directory.parties.v1", "kyc": "kyc.commands.v1"}
SHOWN = wire.Evidence(reference="vault:doc-1", digest="5" * 64)


def tid(prefix: str, name: str) -> str:
    """The id by which tests call a thing of this name."""
    return derived_id(prefix, "test", name)


def party_id(name: str) -> str:
    return tid("party", name)


@dataclass(frozen=True)
class Raw:
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes
    offset: int
    topic: str
    partition: int = 0


@dataclass
class Bench:
    """Feeds batches to the service and reads what it stored and told."""

    pool: Pool
    processor: BatchProcessor
    transactor: Transactor
    clock: FixedClock
    numbers: Any = field(default_factory=itertools.count)
    identity: Identity = field(default_factory=lambda: Identity(shipped()))
    _read_up_to: int = 0

    def record(self, event: Event) -> Raw:
        number = next(self.numbers)
        headers = event_headers(f"ce-{number}", event.TYPE)
        topic = TOPICS[event.TYPE.partition(".")[0]]
        return Raw(event.model_dump_json().encode(), (*headers,), b"key", number, topic)

    async def send(self, *events: Event) -> list[Any]:
        """Apply events as one batch; the facts it led to."""
        await self.processor.process([self.record(event) for event in events])
        return await self.told()

    async def refusal(self, command: Event) -> tuple[str, str | None]:
        """Apply a command that is refused and changes nothing; code and field of the refusal."""
        before = await self.dump()
        told = await self.send(command)
        assert [type(event) for event in told] == [wire.KycCommandRefused], told
        assert await self.dump() == before, "a refusal changes nothing"
        assert told[0].remedy
        return told[0].code, told[0].field

    async def tick(self, by: timedelta) -> list[Any]:
        """Let time pass, then let the clock be looked at until nothing is due."""
        self.clock.advance(by)
        while await self.transactor.run(self.identity.keep_time):
            continue
        return await self.told()

    async def told(self) -> list[Any]:
        """The events emitted since the last call."""
        rows = await self.pool.fetch(
            "SELECT seq, topic, headers, payload FROM outbox WHERE seq > $1 ORDER BY seq",
            self._read_up_to,
        )
        events = []
        for seq, topic, headers, payload in rows:
            self._read_up_to = seq
            assert topic == "kyc.identity.v1"
            events.append(BY_TYPE[json.loads(headers)["ce_type"]].model_validate_json(payload))
        return events

    async def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows of all tenants."""
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            return [tuple(row) for row in await conn.fetch(query, *arguments)]

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything the service knows, its record of answers apart."""
        return {
            name: sorted(await self.rows(f"SELECT t::text FROM {name} t"))
            for name in ("party", "task", "consent", "connection", "table_version")
        }

    # Builders

    def command(self, model: type[Any], **fields: Any) -> Any:
        """A command by the operator about tenant `agg`, unless told otherwise."""
        by = fields.pop("by", "operator")
        who = Who(
            actor=fields.pop("actor", f"key_of_{by}"),
            principal=by if by == "operator" else party_id(by),
        )
        common = {
            "command_id": tid("cmd", str(next(self.numbers))),
            "tenant": party_id("agg"),
            "who": who,
            "occurred_at": START,
        }
        return model(**{**common, **fields})

    def fact(self, model: type[Any], **fields: Any) -> Any:
        """A fact of the directory."""
        who = Who(actor="key_of_agg", principal=party_id("agg"))
        common = {
            "tenant": party_id("agg"),
            "who": who,
            "reason": "as tests want it",
            "occurred_at": START,
        }
        return model(**{**common, **fields})

    def registered(self, name: str, kind: str = "payee", **more: Any) -> Any:
        fields = {"parent": party_id("agg"), "country": "DE", "state": "registered", **more}
        return self.fact(
            facts.PartyRegistered,
            party_id=party_id(name),
            kind=kind,
            path=(party_id("agg"),),
            external_id=None,
            alias=f"alias-{name}",
            **fields,
        )

    def open(self, name: str, kind: str, *, task: str, **more: Any) -> Any:
        fields = {"reason": "asked", **more}
        return self.command(
            wire.OpenTask, task_id=tid("task", task), party_id=party_id(name), kind=kind, **fields
        )

    def submit(self, task_id: str, by: str = "ann", **more: Any) -> Any:
        return self.command(
            wire.SubmitTask, task_id=task_id, by=by, **{"evidence": (SHOWN,), **more}
        )

    def decide(self, task_id: str, outcome: str = "passed", by: str = "agg", **more: Any) -> Any:
        until = LATER if outcome in {"passed", "waived"} else None
        fields = {"outcome": outcome, "expires_at": until, **more}
        return self.command(wire.DecideTask, task_id=task_id, by=by, **fields)

    async def first_task(self, name: str = "ann", kind: str = "collect_data") -> str:
        """The id of the task of this kind that waits."""
        ((found,),) = await self.rows(
            "SELECT task_id FROM task WHERE party_id = $1 AND kind = $2"
            " AND state IN ('open', 'submitted', 'in_review')",
            party_id(name),
            kind,
        )
        return str(found)

    async def passed(self, *kinds: str, name: str = "ann", until: datetime = LATER) -> list[str]:
        """Have tasks of these kinds passed; their ids."""
        ids = []
        for kind in kinds:
            if not await self.rows(
                "SELECT FROM task WHERE party_id = $1 AND kind = $2 AND state = 'open'",
                party_id(name),
                kind,
            ):
                await self.send(self.open(name, kind, task=f"{name}:{kind}:{next(self.numbers)}"))
            ids.append(await self.first_task(name, kind))
            await self.send(self.submit(ids[-1], by=name), self.decide(ids[-1], expires_at=until))
        return ids

    async def level(self, name: str = "ann") -> str:
        """A party's level as it is kept."""
        ((level,),) = await self.rows("SELECT level FROM party WHERE party_id = $1", party_id(name))
        return str(level)


@pytest.fixture
async def kyc(fresh_database: Callable[[Schema], ServiceDatabase]) -> AsyncIterator[Bench]:
    """The service with a tenant, a company and a payee in it."""
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("kyc"), schema="kyc", application_name="test")
    clock = FixedClock(START)
    settings = KycSettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr(database.dsn("kyc"))
    )
    service = build_app(settings, clock=clock, ids=SeededIds(1, clock))
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    bench = Bench(pool, service.processor(service.routers[0], transactor), transactor, clock)
    await bench.send(
        bench.registered("agg", "aggregator", parent=None),
        bench.registered("acme", "company"),
        bench.registered("ann"),
    )
    yield bench
    await pool.close()
