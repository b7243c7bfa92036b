"""The gateway over a fresh database: its API called in this process, its facts fed batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from tally_gateway.api.app import build_api
from tally_gateway.app import SCHEMA, build_app
from tally_gateway.bell import Bell
from tally_gateway.server import ApiServer, gateway_of
from tally_gateway.settings import GatewaySettings
from tally_messaging import WorkerContext
from tally_postgres import Schema, create_pool
from tally_runtime import FixedClock, Health, SeededIds
from tally_testkit import ServiceDatabase

from .gateway_bench import START, Bench


@pytest.fixture
async def bench(
    fresh_database: Callable[[Schema], ServiceDatabase], request: pytest.FixtureRequest
) -> AsyncIterator[Bench]:
    """A gateway that asks persons for codes where the test's module has STEP_UP = "required"."""
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("gateway"), schema="gateway", application_name="test")
    clock = FixedClock(START)
    settings = GatewaySettings(
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn=SecretStr(database.dsn("gateway")),
        portfolio_url="http://portfolio.test",
        step_up=getattr(request.module, "STEP_UP", None),
    )
    bell = Bell()
    service = build_app(
        settings, clock=clock, ids=SeededIds(1, clock), server=ApiServer(settings, bell)
    )
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    context = WorkerContext(transactor, pool, clock, service.ids, Health(clock), asyncio.Event())
    gateway = replace(
        gateway_of(settings, bell, context),
        reads=httpx.AsyncClient(
            base_url="http://portfolio.test", transport=httpx.MockTransport(_no_portfolio)
        ),
    )
    taking_in = asyncio.create_task(gateway.batching.run())
    transport = httpx.ASGITransport(app=build_api(gateway), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield Bench(gateway, pool, service.processor(service.routers[0], transactor), clock, client)
    context.stopping.set()
    taking_in.cancel()
    await asyncio.gather(taking_in, return_exceptions=True)
    for asked in (gateway.reads, gateway.contacts, gateway.identities):
        await asked.aclose()
    await pool.close()


def _no_portfolio(request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"code": "not_found"})
