"""A toy service over a fresh database, driven batch by batch without a broker."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from tally_messaging.batch import BatchProcessor
from tally_postgres import Pool, Schema, create_pool
from tally_testkit import ServiceDatabase, event_headers
from tally_testkit.toy import SCHEMA, StepAdded, ToySettings, applied, build_app


@dataclass(frozen=True)
class Raw:
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None
    offset: int
    topic: str = "toy.in"
    partition: int = 0


def make_step(
    name: str, n: int, *, offset: int | None = None, event_id: str | None = None, **more: object
) -> Raw:
    return Raw(
        json.dumps({"name": name, "n": n, **more}).encode(),
        tuple(event_headers(event_id or f"{name}-{n}", StepAdded.TYPE)),
        name.encode(),
        n if offset is None else offset,
    )


@dataclass(frozen=True)
class Bench:
    pool: Pool
    processor: BatchProcessor
    admin_dsn: str
    settings: ToySettings

    async def applied(self) -> dict[str, list[int]]:
        return await applied(self.pool)

    async def published(self) -> list[dict[str, object]]:
        rows = await self.pool.fetch(
            "SELECT payload FROM outbox WHERE topic = 'toy.out' ORDER BY seq"
        )
        return [json.loads(row[0]) for row in rows]

    async def set_aside(self) -> list[tuple[str, str, int]]:
        rows = await self.pool.fetch(
            'SELECT code, state, "offset" FROM quarantine ORDER BY "offset"'
        )
        return [(row[0], row[1], row[2]) for row in rows]


@pytest.fixture
async def toy(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[Bench]:
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("toy"), schema="toy", application_name="test")
    settings = ToySettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr(database.dsn("toy"))
    )
    service = build_app(settings)
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    processor = service.processor(service.routers[0], service.transactor(pool=pool))
    yield Bench(pool, processor, database.admin_dsn, settings)
    await pool.close()


@pytest.fixture
def step() -> Callable[..., Raw]:
    return make_step


@pytest.fixture
def count_statements(toy: Bench) -> Callable[..., Coroutine[Any, Any, int]]:
    """How many statements, BEGIN and COMMIT apart, a call sends."""

    async def count(call: Callable[..., Coroutine[Any, Any, object]], *args: object) -> int:
        seen: list[str] = []

        def note(query: Any) -> None:
            if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
                seen.append(query.query)

        pool = toy.pool
        async with pool.acquire() as only:
            raw = only._con  # type: ignore[attr-defined]
            raw.add_query_logger(note)
        assert pool.get_size() == 1, "one session, so that every statement is seen"
        await call(*args)
        async with pool.acquire() as only:
            only._con.remove_query_logger(note)  # type: ignore[attr-defined]
        return len(seen)

    return count
