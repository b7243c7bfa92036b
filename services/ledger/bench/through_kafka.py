# ruff: noqa: INP001, T201 - a script that is run by hand and prints
"""Measure the ledger from command topic to fact topic: rate against latency.

    make bench-kafka                                    highest rate, then half of it, for 1, 20 and
                                                        100 transfers a command
    make bench-kafka ARGS="--items 100 --rates 5000 10000 --seconds 20"

Real Kafka, real Postgres (fsync on), the ledger service in processes of its own. Commands are due at
fixed moments and latency counts from the moment a command was due to the moment its fact is read, so
that a stall cannot hide (no coordinated omission). Rates are transfers per second. A rate is
sustained if every command's fact came and p99 stayed below a second.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from baselines import scratch
from commands import ACCOUNTS, Commands, Prepared, ledger_names
from loads import ACCOUNT_ID, CURRENCY, NOW
from meters import Admin, machine, one

from tally_cli.platform import Installation, passwords, prepare_database, prepare_topics
from tally_embedded import StackAddress, running_stack

COMMANDS, FACTS = "ledger.commands.v1", "ledger.journals.v1"
TICK_S = 0.005
SUSTAINED_P99_MS = 1000
DRAIN_S = 20
START_S, SETTLE_S = 60, 3
FIRST, LAST = 1000, 32_000
_FILL = f"""
INSERT INTO ledger.account
    (id, shard, asset, owner, purpose, path, guarded, credits_posted, seq, opened_at)
SELECT {ACCOUNT_ID}, $1, '{CURRENCY}', 'bench', 'wallet', 'bench', true, 1000000000, 1, '{NOW}'
FROM generate_series(1, {ACCOUNTS}) n
"""


@dataclass(frozen=True)
class Run:
    """One rate; `items` transfers a command, all rates in transfers."""

    items: int
    rate: int
    transfers: int
    answered: int
    per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: dict[str, float]
    sustained: bool

    def row(self) -> str:
        """One line of the table."""
        used = ", ".join(f"{name} {value:.0f}" for name, value in self.cpu_us.items())
        return (
            f"| {self.items} | {self.rate:,} | {self.per_s:,.0f} | {self.p50_ms:.0f} |"
            f" {self.p99_ms:.0f} | {self.max_ms:.0f} | {self.answered} of {self.transfers} |"
            f" {'yes' if self.sustained else 'no'} | {used} |"
        )


HEAD = (
    "| items a command | offered transfers/s | transfers/s | p50 ms | p99 ms | max ms | answered |"
    " sustained | CPU us a transfer |\n" + "|---" * 9 + "|"
)


class Line:
    """Sends when due, reads the facts, notes how long each took."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self.due: dict[bytes, float] = {}
        self.took: list[float] = []
        self.refused = 0
        self._done = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka, acks="all", max_batch_size=1 << 20
        )
        self._consumer = AIOKafkaConsumer(
            FACTS, bootstrap_servers=self._kafka, auto_offset_reset="latest", fetch_max_wait_ms=20
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

    async def offer(self, records: Sequence[Prepared], rate: float) -> float:
        """Send records at a fixed rate, however slowly they are answered; when the first was due."""
        begin = time.perf_counter() + 0.1
        sent = 0
        waiting: set[asyncio.Future[Any]] = set()
        while sent < len(records):
            ready = min(len(records), int((time.perf_counter() - begin) * rate) + 1)
            by_partition: dict[int, Any] = {}
            for number in range(sent, max(sent, ready)):
                partition, reference, key, value, headers = records[number]
                self.due[reference] = begin + number / rate
                batch = by_partition.get(partition)
                if batch is None:
                    batch = by_partition[partition] = self._producer.create_batch()
                assert batch.append(key=key, value=value, timestamp=None, headers=headers)
            sent = max(sent, ready)
            for partition, batch in by_partition.items():
                waiting.add(await self._producer.send_batch(batch, COMMANDS, partition=partition))
            await asyncio.sleep(TICK_S)
        await asyncio.gather(*waiting)
        return begin

    async def drain(self) -> None:
        """Wait until every command has its fact, or the time is up."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while self.due:
                    self._done.clear()
                    await self._done.wait()
        except TimeoutError:
            print(f"{len(self.due)} commands without a fact after {DRAIN_S} s", flush=True)

    async def _follow(self) -> None:
        while True:
            found = await self._consumer.getmany(timeout_ms=100)
            now = time.perf_counter()
            for records in found.values():
                for record in records:
                    due = self.due.pop(record.key, None)
                    if due is not None:
                        self.took.append(now - due)
                        self.refused += _refused(record)
            if not self.due:
                self._done.set()


def _refused(record: Any) -> int:
    """How many transfers of a command were refused."""
    headers = dict(record.headers)
    if headers["ce_type"] != b"ledger.batch.answered.v1":
        return int(headers["ce_type"] != b"ledger.journal.posted.v1")
    return int(record.value.count(b'"log_seq":null'))


@asynccontextmanager
async def ledger_processes(
    address: StackAddress, installation: Installation, given: argparse.Namespace, var: Path
) -> AsyncIterator[list[psutil.Process]]:
    """The service as in production, `--processes` times."""
    first, *further = given.names
    environment = {
        **os.environ,
        "TALLY_ENVIRONMENT": "test",
        "TALLY_LOG_LEVEL": "ERROR",
        "TALLY_KAFKA": address.kafka,
        "TALLY_LEDGER_POSTGRES_DSN": installation.dsn("ledger"),
        "TALLY_LEDGER_NAME": first,
        "TALLY_FURTHER_LEDGERS": ",".join(further),
        "TALLY_BATCH_RECORDS_MAX": str(given.batch_records),
    }
    command = [sys.executable, "-m", "tally_messaging.launch", "ledger"]
    # Started before anything is measured, so that nothing waits for it.
    running = [
        subprocess.Popen(command, env=environment, cwd=var)  # noqa: ASYNC220
        for _ in range(given.processes)
    ]
    try:
        yield [psutil.Process(process.pid) for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            await asyncio.to_thread(process.wait, 30)


async def ledgers_open(admin: Admin, number: int, services: Sequence[psutil.Process]) -> None:
    """Wait until the service has opened its ledgers."""
    async with asyncio.timeout(START_S):
        while one(admin, "SELECT count(*) FROM ledger.shard_state") < number:
            assert all(process.is_running() for process in services), "the ledger did not start"
            await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLE_S)


def cpu_seconds(services: Sequence[psutil.Process]) -> dict[str, float]:
    """User and system time so far of the parts of the machine that work."""
    used = {"ledger": 0.0, "postgres": 0.0, "kafka": 0.0, "load": time.process_time()}
    pids = {process.pid for process in services}
    for process in psutil.Process().children(recursive=True):
        try:
            name = process.name()
            times = process.cpu_times()
            # Postgres' sessions end: the postmaster keeps their sum.
            spent = times.user + times.system + (times.children_user + times.children_system)
        except psutil.NoSuchProcess:
            continue
        if process.pid in pids:
            used["ledger"] += spent
        elif name in {"postgres", "java"}:
            used["kafka" if name == "java" else "postgres"] += spent
    return used


async def measure(
    kafka: str, commands: Commands, services: Sequence[psutil.Process], rate: int, seconds: float
) -> Run:
    """One rate of transfers: warm up, offer, drain, judge."""
    items = commands.items
    async with Line(kafka) as line:
        await line.offer(commands.records(max(1, rate // items)), rate / items)
        await line.drain()
        line.due.clear()
        line.took.clear()
        records = commands.records(max(1, int(rate * seconds / items)))
        before = cpu_seconds(services)
        begin = await line.offer(records, rate / items)
        await line.drain()
        elapsed = time.perf_counter() - begin
        after = cpu_seconds(services)
    assert not line.refused, f"{line.refused} transfers were refused"
    took = sorted(line.took) or [float(DRAIN_S)]
    cut = statistics.quantiles([*took, took[-1]], n=100, method="inclusive")
    p99 = cut[98] * 1000
    answered = len(line.took) * items
    return Run(
        items=items,
        rate=rate,
        transfers=len(records) * items,
        answered=answered,
        per_s=round(answered / elapsed, 1),
        p50_ms=round(cut[49] * 1000, 1),
        p99_ms=round(p99, 1),
        max_ms=round(took[-1] * 1000, 1),
        cpu_us={
            name: round((after[name] - before[name]) / (len(records) * items) * 1e6, 1)
            for name in after
        },
        sustained=len(line.took) == len(records) and p99 < SUSTAINED_P99_MS,
    )


async def sweep(run: Any, rates: Sequence[int] | None) -> list[Run]:
    """The rates given; or upwards until one is not sustained, the middle, and half of the highest."""
    runs: list[Run] = []

    async def at(rate: int) -> Run:
        runs.append(await run(rate))
        print(runs[-1].row(), flush=True)
        return runs[-1]

    if rates:
        for rate in rates:
            await at(rate)
        return runs
    good, bad, rate = 0, 0, FIRST
    while rate <= LAST and not bad:
        if (await at(rate)).sustained:
            good, rate = rate, rate * 2
        else:
            bad = rate
    for _ in range(2):
        if good and bad:
            middle = (good + bad) // 2 // 100 * 100
            if (await at(middle)).sustained:
                good = middle
            else:
                bad = middle
    if good:
        half = await at(good // 2)
        print(
            f"highest sustained {good:,}/s; p99 at half of it {half.p99_ms:.0f} ms "
            f"(p50 {half.p50_ms:.0f} ms)",
            flush=True,
        )
    return runs


async def bench(given: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], list[Run]]:
    """A fresh stack, the ledger, the sweep."""
    with running_stack(folder / "stack", ephemeral=True, lasting=True) as stack:
        address = stack.address
        installation = Installation(address.postgres_dsn, address.kafka, passwords(folder))
        prepare_database(installation)
        await prepare_topics(installation, ["cards"])
        async with ledger_processes(address, installation, given, folder) as services:
            with psycopg.connect(address.postgres_dsn, autocommit=True) as admin:
                await ledgers_open(admin, len(given.names), services)
                for name in given.names:
                    admin.execute(_FILL.replace("$1", f"'{name}'").encode())
                admin.execute("VACUUM ANALYZE ledger.account")
                about = machine(admin)
            runs: list[Run] = []
            print(HEAD, flush=True)
            for items in given.items:
                commands = Commands(given.names, items)

                async def run(rate: int, commands: Commands = commands) -> Run:
                    return await measure(address.kafka, commands, services, rate, given.seconds)

                runs += await sweep(run, given.rates)
            return about, runs


def main() -> int:
    """Run, write var/bench/ledger_kafka.json and .md; 1 if a fact is missing at a sustained rate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[1, 20, 100], help="a command")
    parser.add_argument("--rates", type=int, nargs="+", help="transfers per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="per rate")
    parser.add_argument("--ledgers", type=int, default=4, choices=range(1, 9))
    parser.add_argument("--processes", type=int, default=1, choices=(1, 2))
    parser.add_argument("--batch-records", type=int, default=500)
    parser.add_argument("--var", type=Path, default=Path("var"))
    given = parser.parse_args()
    given.names = ledger_names(given.ledgers)
    out = (given.var / "bench").absolute()
    out.mkdir(parents=True, exist_ok=True)
    with scratch() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        about, runs = runner.run(bench(given, Path(folder)))
    about |= {
        "ledgers": given.ledgers,
        "ledger_processes": given.processes,
        "batch_records_max": given.batch_records,
        "settings": "acks=all, one broker; load and servers share the cores",
    }
    kept = {"about": about, "runs": [asdict(run) for run in runs]}
    (out / "ledger_kafka.json").write_text(json.dumps(kept, indent=2) + "\n")
    told = "\n".join(f"- {name}: {value}" for name, value in about.items())
    table = "\n".join([HEAD, *(run.row() for run in runs)])
    (out / "ledger_kafka.md").write_text(f"# Ledger through Kafka\n\n{told}\n\n{table}\n")
    return 0 if any(run.sustained for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
