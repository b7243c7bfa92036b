"""An import whose gateway is killed in the middle goes on where it was, on the real stack (F61).

With TALLY_IMPORT_ROWS=100000 it shows what many rows take: seconds, and the process's memory.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest

from tally_contracts.catalogue import expand
from tally_embedded import Stack, TopicSpec, ensure_topics
from tally_gateway.app import SCHEMA
from tally_gateway.credentials import API_KEY, NewCredential, make
from tally_gateway.domain.access import Node, Thing
from tally_gateway.domain.rows import NDJSON
from tally_gateway.routes import SCOPES
from tally_gateway.store import EVERY_TENANT, credentials, scoped, tree
from tally_postgres import Connection, Pool, Schema, create_pool, in_transaction
from tally_runtime import Ids, derived_id
from tally_testkit import ServiceDatabase

from .gateway_bench import START, party

ROWS = int(os.environ.get("TALLY_IMPORT_ROWS", "1500"))
PATIENCE_S = 120 + ROWS // 50
GROWTH_BYTES_MAX = 64 * 1024 * 1024
BROKEN_EVERY = 100
GOOD = [number for number in range(1, ROWS + 1) if number % BROKEN_EVERY]
WALLET = derived_id("wal", "acme")


@dataclass
class Process:
    """A gateway in a process of its own; `sizes` are what it was seen to take up, in bytes."""

    running: subprocess.Popen[bytes]
    client: httpx.AsyncClient
    headers: dict[str, str]
    sizes: list[int] = field(default_factory=list)

    async def upload(self, rows: AsyncIterator[bytes]) -> httpx.Response:
        return await self.client.post(
            "/v1/imports",
            params={"kind": "payouts"},
            content=rows,
            headers={**self.headers, "Idempotency-Key": "mass", "Content-Type": NDJSON},
        )

    async def standing(self) -> dict[str, Any]:
        """The import as it is listed; what it takes up meanwhile is noted."""
        self.sizes.append(psutil.Process(self.running.pid).memory_info().rss)
        found = (await self.client.get("/v1/imports", headers=self.headers)).json()["data"]
        return found[0] if found else {"rows_accepted": 0}

    async def has_taken_in(self, rows: int) -> None:
        """Wait until the import has taken in this many."""
        while (await self.standing())["rows_accepted"] < rows:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)


@asynccontextmanager
async def started(database: ServiceDatabase, kafka: str, key: str) -> AsyncIterator[Process]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "TALLY_ENVIRONMENT": "test",
        "TALLY_LOG_LEVEL": "ERROR",
        "TALLY_KAFKA": kafka,
        "TALLY_GATEWAY_POSTGRES_DSN": database.dsn("gateway"),
        "TALLY_GATEWAY_PORT": str(port),
    }
    running = subprocess.Popen(  # noqa: ASYNC220 - begun before anything waits for it
        [sys.executable, "-m", "tally_messaging.launch", "gateway"], env=environment
    )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False
        ) as client:
            process = Process(running, client, {"Authorization": f"Bearer {key}"})
            await _answers(client)
            yield process
    finally:
        running.kill()
        running.wait(60)


async def _answers(client: httpx.AsyncClient) -> None:
    while True:
        try:
            assert (await client.get("/v1/problems/not_found")).status_code == 200
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        else:
            return


async def rows(stop_at: int | None = None) -> AsyncIterator[bytes]:
    """All rows, each of another amount, some broken; or the first ones, and then nothing more ever."""
    for number in range(1, (stop_at or ROWS) + 1):
        row = {
            "wallet": WALLET,
            "amount": {"currency": "USD", "amount": f"{number}.00"},
            "why": {"program": "mass", "event": "run:7", "reason": "Run 7"},
        }
        written = json.dumps(row).encode()
        yield (written if number % BROKEN_EVERY else written[:-1]) + b"\n"
    if stop_at is not None:
        await asyncio.Event().wait()


async def prepared(pool: Pool) -> str:
    """A company with a wallet; its key."""
    credential, key = make(
        Ids(),
        NewCredential(API_KEY, party("acme"), party("agg"), "t", SCOPES, "t", 1_000_000),
        START,
    )

    async def unit(conn: Connection) -> None:
        await scoped(conn, EVERY_TENANT)
        agg, acme = party("agg"), party("acme")
        nodes = [Node(agg, agg, "aggregator"), Node(acme, agg, "company", (agg,))]
        await tree.save_nodes(conn, nodes, START)
        data = {"account": derived_id("acc", "acme"), "owner": acme, "currency": "USD"}
        await tree.save_things(conn, [Thing(WALLET, agg, (acme,), data)])
        await credentials.insert(conn, credential)

    await in_transaction(pool, unit)
    return key


@pytest.mark.timeout(3 * PATIENCE_S)
async def test_an_import_goes_on_after_its_gateway_was_killed_and_no_row_is_done_twice(
    fresh_database: Callable[[Schema], ServiceDatabase],
    kafka_stack: Stack,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kafka, database = kafka_stack.address.kafka, fresh_database(SCHEMA)
    specs = [TopicSpec(n, t.partitions, dict(t.config())) for n, t in expand(["bank"]).items()]
    await ensure_topics(kafka, specs)
    pool = await create_pool(database.dsn("gateway"), schema="gateway", application_name="test")
    key = await prepared(pool)
    async with started(database, kafka, key) as first:
        sending = asyncio.create_task(first.upload(rows(stop_at=ROWS * 2 // 3)))
        await first.has_taken_in(ROWS // 2)
        first.running.kill()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    async with started(database, kafka, key) as second:
        broken_off = (await second.standing())["rows_accepted"]
        assert ROWS // 2 <= broken_off < ROWS, "what was answered before is there"
        begun = time.monotonic()
        sending = asyncio.create_task(second.upload(rows()))
        while not sending.done():
            await second.standing()
            await asyncio.sleep(0.2)
        received = await sending
        took = time.monotonic() - begun
        begun = time.monotonic()
        again = await second.upload(rows())
        took_again = time.monotonic() - begun
        await second.standing()
        answered = await second.client.get(
            f"/v1/imports/{received.json()['id']}/rows", headers=second.headers
        )
    for each in (received, again):
        assert each.json()["rows_accepted"] == len(GOOD), each.text
        assert each.json()["rows_refused"] == ROWS - len(GOOD)
    found = [json.loads(line) for line in answered.text.splitlines()]
    assert [each["row"] for each in found] == list(range(1, ROWS + 1))
    assert [each["row"] for each in found if each["code"] is None] == GOOD
    assert {each["code"] for each in found} == {None, "malformed_row"}
    told = await pool.fetch(
        "SELECT convert_from(payload, 'UTF8')::jsonb #>> '{amount,amount}' a FROM outbox"
    )
    assert sorted(row["a"] for row in told) == sorted(f"{n}.00" for n in GOOD)
    grew = max(second.sizes) - second.sizes[0]
    assert grew < GROWTH_BYTES_MAX, "memory holds a batch, however many rows there are"
    if "TALLY_IMPORT_ROWS" in os.environ:
        with capsys.disabled():
            sys.stdout.write(
                f"\n{len(GOOD) - broken_off} of {ROWS} rows in {took:.1f} s, all of them once more in "
                f"{took_again:.1f} s; {second.sizes[0] >> 20} MB of memory, {grew >> 20} MB more at "
                "most\n"
            )
    await pool.close()
