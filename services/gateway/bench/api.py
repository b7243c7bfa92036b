# ruff: noqa: INP001, T201 - a script that is run by hand and prints
"""Measure the API: commands accepted a second, and how long commands and reads take.

    make bench-api
    make bench-api ARGS="--seconds 20 --rate 300 --callers 64"

The gateway runs in a process of its own on a fresh Postgres and Kafka, the callers in this one, so two
cores are one for each, less what the servers take. Commands are payout requests: each is recognised,
checked against the tree, kept with its key, and committed with its record in the outbox before it is
answered. Reads are pages of 50 events. Four loads: as many commands as the callers can, once with a
commit each (the base of the ratio) and once with commits shared; as many reads as they can; a fixed
rate of commands with reads beside them, whose times are the ones to look at.

Rates are of answers, not of what was offered. CPU a request of a process holds on a busy machine too;
that of the gateway includes publishing what was committed.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psutil
import uvloop

from tally_contracts.catalogue import expand
from tally_embedded import Stack, TopicSpec, ensure_topics, running_stack
from tally_gateway.app import SCHEMA
from tally_gateway.credentials import API_KEY, NewCredential, make
from tally_gateway.domain.access import Node, Thing
from tally_gateway.routes import SCOPES
from tally_gateway.store import EVERY_TENANT, credentials, log, scoped, tree
from tally_postgres import Connection, create_pool, in_transaction, migrate, provision, service_dsn
from tally_runtime import Ids, derived_id, derived_uuid

TARGET_RATE, TARGET_READS, TARGET_P99_MS = 300, 50, 150
_PASSWORD = "for-the-bench-only"  # noqa: S105 - of a throw-away database on loopback
_ROOT, _COMPANY = derived_id("party", "root"), derived_id("party", "company")
_WALLET = derived_id("wal", "company")
_EVENTS = 20_000
_HOST = "127.0.0.1"
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_GOOD = frozenset({200, 202})
_BODY = {
    "wallet": _WALLET,
    "amount": {"currency": "USD", "amount": "25.00"},
    "why": {"program": "mass", "event": "run:7", "reason": "Run 7"},
}


@dataclass(frozen=True)
class Figures:
    """What one load measured; CPU is of a process for each request, whichever load it was of."""

    name: str
    requests: int
    refused: int
    per_second: int
    p50_us: int
    p99_us: int
    gateway_cpu_us: int
    caller_cpu_us: int


@dataclass
class Answers:
    """The answers to one load: times in nanoseconds, and how many were no good answer."""

    times: list[int] = field(default_factory=list)
    refused: int = 0
    begun: int = field(default_factory=time.perf_counter_ns)

    def take(self, status: int, asked_at: int) -> None:
        self.times.append(time.perf_counter_ns() - asked_at)
        self.refused += status not in _GOOD

    def figures(self, name: str, gateway_cpu_us: int, caller_cpu_us: int) -> Figures:
        """The figures of a load that ends now."""
        took_ns = time.perf_counter_ns() - self.begun
        cuts = statistics.quantiles(self.times, n=100)
        return Figures(
            name=name,
            requests=len(self.times),
            refused=self.refused,
            per_second=(len(self.times) - self.refused) * 1_000_000_000 // took_ns,
            p50_us=round(cuts[49] / 1e3),
            p99_us=round(cuts[98] / 1e3),
            gateway_cpu_us=gateway_cpu_us,
            caller_cpu_us=caller_cpu_us,
        )


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and keep the figures under var/bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rate", type=int, default=TARGET_RATE)
    parser.add_argument("--reads", type=int, default=TARGET_READS)
    parser.add_argument("--callers", type=int, default=64)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), ephemeral=True) as stack,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(measured(stack, options))
    keep(figures, options)
    return 0


async def measured(stack: Stack, options: argparse.Namespace) -> list[Figures]:
    """All loads, one after the other."""
    key = await prepared(stack)
    seconds, found = options.seconds, list[Figures]()
    async with gateway(stack, batch_max=1) as (port, process):
        callers = await connected(port, options.callers)
        load = closed(callers, command(key), seconds)
        found += await spent(process, {"a commit each": load})
    async with gateway(stack, batch_max=100) as (port, process):
        callers = await connected(port, options.callers)
        readers = await connected(port, options.callers)
        load = closed(callers, command(key), seconds)
        found += await spent(process, {"commits shared": load})
        load = closed(readers, read(key), seconds)
        found += await spent(process, {"reads": load})
        beside = {
            "commands at a rate": opened(callers, command(key), seconds, options.rate),
            "reads beside them": opened(readers, read(key), seconds, options.reads),
        }
        found += await spent(process, beside)
    return found


async def spent(
    process: psutil.Process, loads: Mapping[str, Coroutine[Any, Any, Answers]]
) -> list[Figures]:
    """Run loads at the same time; their figures, with the CPU of all of them by request."""
    itself = psutil.Process()
    before, before_here = _cpu_us(process), _cpu_us(itself)
    answers = await asyncio.gather(*loads.values())
    requests = sum(len(each.times) for each in answers)
    there = (_cpu_us(process) - before) // requests
    here = (_cpu_us(itself) - before_here) // requests
    return [each.figures(name, there, here) for name, each in zip(loads, answers, strict=True)]


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
    await pool.close()
    owner = await create_pool(admin, schema="gateway", application_name="bench")
    await owner.execute("ANALYZE")
    await owner.close()
    return text


@asynccontextmanager
async def gateway(stack: Stack, *, batch_max: int) -> AsyncIterator[tuple[int, psutil.Process]]:
    """A gateway in a process of its own, and the port it listens on."""
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
    try:
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)


class Caller(asyncio.Protocol):
    """One connection that is kept: HTTP/1.1 and no more of it than the gateway answers with.

    A whole client would take as long over a request as the gateway does, and measure itself.
    """

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the gateway hung up"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._received, 0, head)
        assert length is not None, "every answer that is asked for here has a length"
        if len(self._received) >= head + 4 + int(length[1]):
            assert self._answer is not None, "only what was asked for is answered"
            self._answer.set_result(int(self._received[9:12]))
            self._received.clear()

    async def ask(self, request: bytes) -> int:
        """Send a request; the status of its answer."""
        assert self._transport is not None, "it is connected"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


Callers = Sequence[Caller]
Request = Callable[[int], bytes]


async def connected(port: int, count: int) -> Callers:
    """As many connections, once the gateway takes them."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return [(await loop.create_connection(Caller, _HOST, port))[1] for _ in range(count)]
        except ConnectionRefusedError:
            await asyncio.sleep(0.2)


def command(key: str) -> Request:
    """A payout request with a key of its own."""
    run = str(Ids().uuid7())
    body = json.dumps(_BODY).encode()
    head = (
        f"POST /v1/payouts HTTP/1.1\r\nHost: {_HOST}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {run}-"
    ).encode()
    return lambda number: b"%s%d\r\n\r\n%s" % (head, number, body)


def read(key: str) -> Request:
    """A page of 50 events from anywhere in the log."""
    tail = f" HTTP/1.1\r\nHost: {_HOST}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    return lambda number: b"GET /v1/events?after=%d%s" % (number * 7919 % _EVENTS, tail)


async def closed(callers: Callers, request: Request, seconds: int) -> Answers:
    """Every caller asks again as soon as it is answered."""
    found = Answers()
    end = time.monotonic() + seconds

    async def asking(caller: Caller, number: int) -> None:
        while time.monotonic() < end:
            begun = time.perf_counter_ns()
            found.take(await caller.ask(request(number)), begun)
            number += len(callers)

    await asyncio.gather(*(asking(each, number) for number, each in enumerate(callers)))
    return found


async def opened(callers: Callers, request: Request, seconds: int, rate: int) -> Answers:
    """Asks at a rate whatever the answers do; a time counts from when its turn was."""
    found = Answers()
    idle: asyncio.Queue[Caller] = asyncio.Queue()
    for caller in callers:
        idle.put_nowait(caller)
    start = time.perf_counter_ns()

    async def one(caller: Caller, number: int, due: int) -> None:
        found.take(await caller.ask(request(number)), due)
        idle.put_nowait(caller)

    async with asyncio.TaskGroup() as asked:
        for number in range(rate * seconds):
            due = start + number * 1_000_000_000 // rate
            await asyncio.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
            asked.create_task(one(await idle.get(), number, due))
    return found


def keep(figures: Sequence[Figures], options: argparse.Namespace) -> None:
    """Print the table; write it and the JSON."""
    each, shared = figures[0], figures[1]
    lines = [
        "| load | answers/s | refused | p50 ms | p99 ms | gateway CPU us | caller CPU us |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.name} | {f.per_second} | {f.refused} | {f.p50_us / 1000:.1f} "
        f"| {f.p99_us / 1000:.1f} | {f.gateway_cpu_us} | {f.caller_cpu_us} |"
        for f in figures
    ]
    ratio = f"{shared.per_second / max(1, each.per_second):.1f}"
    told = (
        f"{platform.python_version()} on {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; {options.callers} callers, {options.seconds} s each; at a rate: "
        f"{options.rate} commands/s and {options.reads} reads/s. Commits shared take {ratio} times "
        f"the commands of a commit each. Targets: {TARGET_RATE} commands/s, p99 of reads "
        f"{TARGET_P99_MS} ms at {TARGET_READS}/s. CPU is for each request, of either kind where two "
        "loads run together."
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
    times = process.cpu_times()
    return int((times.user + times.system) * 1_000_000)


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
