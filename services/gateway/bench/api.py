# ruff: noqa: INP001, T201 - a script that is run by hand and prints
"""Measure the API: commands accepted a second, and how long commands and reads take.

    make bench-api
    make bench-api ARGS="--seconds 20 --rate 300 --callers 64"

The gateway runs in a process of its own on a fresh Postgres and Kafka, the callers in this one, so two
cores are one for each. Commands are payout requests: each is recognised, checked against the tree,
kept with its key, and committed with its record in the outbox before it is answered. Three loads:
as many as the callers can, once with commits shared and once with a commit each (the base of the
ratio); a fixed rate of commands with reads beside them, whose times are the ones to look at.
"""

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from tally_contracts.catalogue import expand
from tally_embedded import Stack, TopicSpec, ensure_topics, running_stack
from tally_gateway.app import SCHEMA
from tally_gateway.credentials import API_KEY, NewCredential, make
from tally_gateway.domain.access import Node, Thing
from tally_gateway.routes import SCOPES
from tally_gateway.store import EVERY_TENANT, credentials, log, scoped, tree
from tally_postgres import Connection, create_pool, in_transaction, migrate, provision, service_dsn
from tally_runtime import Ids, derived_id, derived_uuid

TARGET_RATE, TARGET_P99_MS = 300, 150
_PASSWORD = "for-the-bench-only"  # noqa: S105 - of a throw-away database on loopback
_ROOT, _COMPANY = derived_id("party", "root"), derived_id("party", "company")
_WALLET = derived_id("wal", "company")
_EVENTS = 20_000
_BODY = {
    "wallet": _WALLET,
    "amount": {"currency": "USD", "amount": "25.00"},
    "why": {"program": "mass", "event": "run:7", "reason": "Run 7"},
}


@dataclass(frozen=True)
class Figures:
    """What one load measured; times in milliseconds, CPU of the gateway's process per request."""

    name: str
    requests: int
    refused: int
    per_second: int
    p50_ms: int
    p99_ms: int
    gateway_cpu_us: int


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and keep the figures under var/bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rate", type=int, default=TARGET_RATE)
    parser.add_argument("--callers", type=int, default=64)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), ephemeral=True) as stack,
    ):
        figures = asyncio.run(measured(stack, options))
    keep(figures, options)
    return 0


async def measured(stack: Stack, options: argparse.Namespace) -> list[Figures]:
    """All loads, one after the other, each on a gateway started for it."""
    key = await prepared(stack)
    found: list[Figures] = []
    async with gateway(stack, batch_max=1) as (client, process):
        found.append(await closed("a commit each", process, command(client, key), options))
    async with gateway(stack, batch_max=100) as (client, process):
        found.append(await closed("commits shared", process, command(client, key), options))
        both = await asyncio.gather(
            opened("commands at a rate", process, command(client, key), options),
            opened("reads beside them", process, read(client, key), options, share=4),
        )
        found += both
    return found


async def prepared(stack: Stack) -> str:
    """Schema, topics, a company with a wallet, a log to read, and a key."""
    admin, kafka = stack.address.postgres_dsn, stack.address.kafka
    await asyncio.to_thread(provision, admin, [SCHEMA], {"gateway": _PASSWORD})
    await asyncio.to_thread(migrate, admin, SCHEMA)
    specs = [TopicSpec(n, t.partitions, dict(t.config())) for n, t in expand(["bank"]).items()]
    await ensure_topics(kafka, specs)
    pool = await create_pool(_dsn(stack), schema="gateway", application_name="bench")
    now = datetime.now(UTC)  # noqa: TID251 - the start of a measurement
    credential, text = make(
        Ids(),
        NewCredential(API_KEY, _COMPANY, _ROOT, "bench", SCOPES, "bench", 10_000_000),
        now,
    )

    async def unit(conn: Connection) -> None:
        await scoped(conn, EVERY_TENANT)
        nodes = [Node(_ROOT, _ROOT, "aggregator"), Node(_COMPANY, _ROOT, "company", (_ROOT,))]
        await tree.save_nodes(conn, nodes, now)
        data = {"account": derived_id("acc", "company"), "owner": _COMPANY, "currency": "USD"}
        await tree.save_things(conn, [Thing(_WALLET, _ROOT, (_COMPANY,), data)])
        await credentials.insert(conn, credential)
        ids = [derived_uuid("event", str(number)) for number in range(_EVENTS)]
        payload = json.dumps({"payout_id": derived_id("po", "1"), "state": "paid"}).encode()
        kind = "payouts.payout.changed.v1"
        await log.append(
            conn,
            [log.EventCopy(_ROOT, each, kind, now, payload) for each in ids],
            [log.Entry(_COMPANY, _ROOT, each, kind) for each in ids],
            {_COMPANY: _ROOT},
        )

    await in_transaction(pool, unit)
    await pool.execute("ANALYZE")
    await pool.close()
    return text


@asynccontextmanager
async def gateway(
    stack: Stack, *, batch_max: int
) -> AsyncIterator[tuple[httpx.AsyncClient, psutil.Process]]:
    """A gateway in a process of its own, and a client that reaches it."""
    port = await asyncio.to_thread(_free_port)
    process = subprocess.Popen(  # noqa: ASYNC220 - begun once, before anything is measured
        [sys.executable, "-m", "tally_messaging.launch", "gateway"],
        env={
            **os.environ,
            "TALLY_ENVIRONMENT": "test",
            "TALLY_LOG_LEVEL": "WARNING",
            "TALLY_KAFKA": stack.address.kafka,
            "TALLY_GATEWAY_POSTGRES_DSN": _dsn(stack),
            "TALLY_GATEWAY_PORT": str(port),
            "TALLY_INTAKE_BATCH_MAX": str(batch_max),
        },
    )
    limits = httpx.Limits(max_connections=512, max_keepalive_connections=512)
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, limits=limits, trust_env=False
        ) as client:
            await _until_up(client)
            yield client, psutil.Process(process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)


Ask = Callable[[int], Awaitable[httpx.Response]]


def command(client: httpx.AsyncClient, key: str) -> Ask:
    """Sends a payout request with a key of its own."""
    run = str(Ids().uuid7())
    body = json.dumps(_BODY).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def ask(number: int) -> httpx.Response:
        return await client.post(
            "/v1/payouts", content=body, headers={**headers, "Idempotency-Key": f"{run}-{number}"}
        )

    return ask


def read(client: httpx.AsyncClient, key: str) -> Ask:
    """Reads a page of 50 events from anywhere in the log."""
    headers = {"Authorization": f"Bearer {key}"}

    async def ask(number: int) -> httpx.Response:
        after = str(number * 7919 % _EVENTS)
        return await client.get("/v1/events", params={"after": after}, headers=headers)

    return ask


async def closed(
    name: str,
    process: psutil.Process,
    ask: Ask,
    options: argparse.Namespace,
) -> Figures:
    """Every caller asks again as soon as it is answered."""
    end = time.monotonic() + options.seconds
    times: list[int] = []
    statuses: list[int] = []
    cpu = _cpu_us(process)

    async def caller(first: int) -> None:
        number = first
        while time.monotonic() < end:
            begun = time.perf_counter_ns()
            statuses.append((await ask(number)).status_code)
            times.append(time.perf_counter_ns() - begun)
            number += options.callers

    await asyncio.gather(*(caller(first) for first in range(options.callers)))
    return _figures(name, times, statuses, options.seconds, _cpu_us(process) - cpu)


async def opened(
    name: str,
    process: psutil.Process,
    ask: Ask,
    options: argparse.Namespace,
    share: int = 1,
) -> Figures:
    """Asks at a rate whatever the answers do; a time counts from when its turn was."""
    rate = max(1, options.rate // share)
    times: list[int] = []
    statuses: list[int] = []
    tasks: list[asyncio.Task[None]] = []
    cpu = _cpu_us(process)
    start = time.perf_counter_ns()

    async def one(number: int, due: int) -> None:
        statuses.append((await ask(number)).status_code)
        times.append(time.perf_counter_ns() - due)

    for number in range(rate * options.seconds):
        due = start + number * 1_000_000_000 // rate
        await asyncio.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return _figures(name, times, statuses, options.seconds, _cpu_us(process) - cpu)


def _figures(
    name: str, times: Sequence[int], statuses: Sequence[int], seconds: int, cpu_us: int
) -> Figures:
    cuts = statistics.quantiles(times, n=100)
    good = sum(1 for status in statuses if status in {200, 202})
    return Figures(
        name=name,
        requests=len(times),
        refused=len(statuses) - good,
        per_second=good // seconds,
        p50_ms=round(cuts[49] / 1e6),
        p99_ms=round(cuts[98] / 1e6),
        gateway_cpu_us=cpu_us // max(1, len(times)),
    )


def keep(figures: Sequence[Figures], options: argparse.Namespace) -> None:
    """Print the table; write it and the JSON."""
    each, shared = figures[0], figures[1]
    lines = [
        "| load | requests/s | refused | p50 ms | p99 ms | gateway CPU us |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.name} | {f.per_second} | {f.refused} | {f.p50_ms} | {f.p99_ms} | {f.gateway_cpu_us} |"
        for f in figures
    ]
    ratio = f"{shared.per_second / max(1, each.per_second):.1f}"
    told = (
        f"{platform.python_version()} on {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; {options.callers} callers, {options.seconds} s each, rate "
        f"{options.rate}/s with a quarter as many reads. Commits shared take {ratio} times the "
        f"commands of a commit each. Targets: {TARGET_RATE} commands/s, reads p99 {TARGET_P99_MS} ms. "
        "CPU of the two loads that run together counts both."
    )
    table = "\n".join(lines)
    print(f"{told}\n\n{table}")
    out = Path("var/bench")
    out.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {"loads": [asdict(f) for f in figures], "told": told}
    (out / "gateway_api.json").write_text(json.dumps(kept, indent=2) + "\n")
    (out / "gateway_api.md").write_text(f"# The API\n\n{told}\n\n{table}\n")


def _dsn(stack: Stack) -> str:
    return service_dsn(stack.address.postgres_dsn, "tally_gateway", _PASSWORD)


def _cpu_us(process: psutil.Process) -> int:
    spent = process.cpu_times()
    return int((spent.user + spent.system) * 1_000_000)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def _until_up(client: httpx.AsyncClient) -> None:
    while True:
        try:
            if (await client.get("/v1/problems/not_found")).status_code == 200:  # noqa: PLR2004
                return
        except httpx.HTTPError:
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
