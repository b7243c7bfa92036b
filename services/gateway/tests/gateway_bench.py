"""Calls the gateway's API in this process, and feeds it facts batch by batch."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import BaseModel

from tally_contracts.registry import BY_TYPE
from tally_gateway.api.model import Gateway
from tally_gateway.credentials import API_KEY, NewCredential, make
from tally_gateway.routes import SCOPES
from tally_gateway.store import EVERY_TENANT, scoped
from tally_gateway.store import credentials as credential_store
from tally_messaging import UnitOfWork
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CAUSATION_ID
from tally_postgres import Pool
from tally_runtime import FixedClock, derived_id, derived_uuid
from tally_testkit import event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)
WHO = {"actor": "key_1", "principal": "operator"}


def party(name: str) -> str:
    """The id of a party of the test's own, the same for the same name."""
    return derived_id("party", name)


@dataclass(frozen=True)
class Raw:
    """A record as a broker would hand it over."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None
    offset: int
    topic: str
    partition: int = 0


@dataclass
class Bench:
    """Calls the API and feeds facts."""

    gateway: Gateway
    pool: Pool
    processor: BatchProcessor
    clock: FixedClock
    client: httpx.AsyncClient
    _offsets: dict[str, int] = field(default_factory=dict)
    _keys: int = 0

    def fact(
        self, topic: str, event_type: str, body: dict[str, Any] | BaseModel, **more: Any
    ) -> Raw:
        """A fact as the owner of the topic would publish it."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        if isinstance(body, BaseModel):
            body = json.loads(body.model_dump_json())
        BY_TYPE[event_type].model_validate(body)
        headers: list[tuple[str, bytes | None]] = [
            *event_headers(str(derived_uuid(topic, str(offset))), event_type)
        ]
        if "caused_by" in more:
            headers.append((CAUSATION_ID, str(more["caused_by"]).encode()))
        return Raw(json.dumps(body).encode(), tuple(headers), b"key", offset, topic)

    async def learn(self, *facts: Raw) -> None:
        await self.processor.process(facts)

    async def register(self, name: str, kind: str, parent: str | None = None) -> str:
        """Let the gateway learn of a party; its id."""
        line = await self.line(parent) if parent is not None else []
        await self.learn(
            self.fact(
                "directory.parties.v1",
                "directory.party.registered.v1",
                {
                    "party_id": party(name),
                    "tenant": line[0] if line else party(name),
                    "kind": kind,
                    "parent": party(parent) if parent else None,
                    "path": line,
                    "external_id": None,
                    "country": None,
                    "alias": f"payee-{name}",
                    "state": "registered",
                    "who": WHO,
                    "reason": "test",
                    "occurred_at": "2026-09-21T08:00:00Z",
                },
            )
        )
        return party(name)

    def merge(self, kept: str, merged: str, tenant: str = "agg", merged_tenant: str = "agg") -> Raw:
        """The fact that a party has become another, each of its tenant."""
        return self.fact(
            "directory.parties.v1",
            "directory.party.merged.v1",
            {
                "party_id": party(kept),
                "merged": party(merged),
                "merged_tenant": party(merged_tenant),
                "by": "approval",
                "tenant": party(tenant),
                "who": WHO,
                "reason": "One person",
                "occurred_at": "2026-09-21T08:00:00Z",
            },
        )

    async def line(self, name: str) -> list[str]:
        """A party's ancestors and itself, root first."""
        row = await self.one("SELECT path FROM party_node WHERE party_id = $1", party(name))
        return [*row["path"], party(name)]

    async def wallet(self, owner: str, *, currency: str = "USD", purpose: str = "default") -> str:
        """Let the gateway learn of a wallet of a party; its id."""
        wallet_id = derived_id("wal", owner, currency, purpose)
        line = await self.line(owner)
        await self.learn(
            self.fact(
                "directory.wallets.v1",
                "directory.wallet.opened.v1",
                {
                    "wallet_id": wallet_id,
                    "tenant": line[0],
                    "owner": party(owner),
                    "account": derived_id("acc", wallet_id),
                    "ledger": "main",
                    "currency": currency,
                    "purpose": purpose,
                    "reference": None,
                    "company": None,
                    "value_kind": "cash",
                    "who": WHO,
                    "reason": "test",
                    "occurred_at": "2026-09-21T08:00:00Z",
                },
            )
        )
        return wallet_id

    async def key(self, name: str, *, scopes: frozenset[str] = SCOPES, **more: Any) -> str:
        """An API key of a party, or of the operator."""

        async def unit(uow: UnitOfWork) -> str:
            await scoped(uow.conn, EVERY_TENANT)
            tenant = "operator" if name == "operator" else (await self.line(name))[0]
            credential, text = make(
                self.gateway.ids,
                NewCredential(
                    kind=more.pop("kind", API_KEY),
                    party="operator" if name == "operator" else party(name),
                    tenant=tenant,
                    label="test",
                    scopes=scopes,
                    created_by="test",
                    requests_per_minute=more.pop("requests_per_minute", 100_000),
                    **more,
                ),
                uow.now,
            )
            await credential_store.insert(uow.conn, credential)
            return text

        return await self.gateway.transactor.run(unit)

    async def get(self, path: str, key: str, **parameters: Any) -> httpx.Response:
        return await self.client.get(
            path, params=parameters, headers={"Authorization": f"Bearer {key}"}
        )

    async def post(
        self, path: str, key: str, body: Any, *, idempotency: str | None = None, **headers: str
    ) -> httpx.Response:
        self._keys += 1
        return await self.client.post(
            path,
            json=body,
            headers={
                "Authorization": f"Bearer {key}",
                "Idempotency-Key": idempotency or f"test-{self._keys}",
                **headers,
            },
        )

    async def one(self, query: str, *args: object) -> Any:
        async with self.pool.acquire() as conn, conn.transaction():
            await scoped(conn, EVERY_TENANT)
            return await conn.fetchrow(query, *args)

    async def until_taken_in(self) -> None:
        """Wait until a command stands in the outbox."""
        while not await self.commands_told():  # noqa: ASYNC110 - the row is the event
            await asyncio.sleep(0.01)

    async def commands_told(self) -> list[tuple[str, str, Any]]:
        """Commands in the outbox: topic, key, model."""
        rows = await self.pool.fetch(
            "SELECT topic, record_key, headers, payload FROM outbox ORDER BY lane, seq"
        )
        return [
            (
                row["topic"],
                row["record_key"],
                BY_TYPE[json.loads(row["headers"])["ce_type"]].model_validate_json(row["payload"]),
            )
            for row in rows
        ]


@asynccontextmanager
async def statements(bench: Bench) -> AsyncIterator[list[str]]:
    """The statements of all the pool's sessions, as long as it opens no other."""
    seen: list[str] = []

    def note(logged: Any) -> None:
        seen.append(logged.query)

    async def each_session(act: str) -> None:
        async with AsyncExitStack() as held:
            for _ in range(bench.pool.get_size()):
                session = await held.enter_async_context(bench.pool.acquire())
                getattr(session._con, act)(note)  # type: ignore[attr-defined]

    sessions = bench.pool.get_size()
    await each_session("add_query_logger")
    yield seen
    await each_session("remove_query_logger")
    assert bench.pool.get_size() == sessions, "every statement was seen"
