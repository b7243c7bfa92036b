# ruff: noqa: INP001, T201 - a script
"""What each question costs at a million movements: time, statements, rows read, CPU.

A tenant of 100 companies and MOVEMENTS / 10 payees; a fifth of all payments are one payee's. The
tables are filled by SQL, as folding would leave them; then each route is asked ROUNDS times at RATE
a second, whatever the answers do, of a server in a process of its own. CPU is that of the server and
of its sessions in Postgres together for one question: it holds on a busy machine too, times do not.

With TALLY_POSTGRES_DSN the filled database stays on that server, to be asked again with --filled.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import SecretStr

from tally_embedded import running_stack
from tally_portfolio.answering import ReadApi
from tally_portfolio.api import build_api
from tally_portfolio.api_records import SHELVES, UNDER_PROGRAMS
from tally_portfolio.app import SCHEMA, build_app
from tally_portfolio.settings import PortfolioSettings
from tally_postgres import Pool, create_pool
from tally_reads.server import served
from tally_runtime import FixedClock
from tally_security.internal import VIEWER_HEADER, InternalKeys, Persona, Viewer, sign_viewer
from tally_testkit.databases import Databases, ServiceDatabase

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100)
KEYS = InternalKeys(b"b" * 32)
SESSIONS = "portfolio_bench"
_PER_PAYMENT = 4
_WARM = 10
_FILL = Path(__file__).with_name("fill.sql")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one route as one persona asks it: times at the rate, and what one question takes."""

    route: str
    persona: str
    p50_ms: float
    p99_ms: float
    statements: int
    rows: float
    python_cpu_ms: float
    postgres_cpu_ms: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A route and who asks it."""

    label: str
    viewer: Viewer
    paths: Sequence[str]


def party(label: str) -> str:
    return f"party_{label}"


def viewer(label: str, persona: Persona) -> Viewer:
    if persona is Persona.OPERATOR:
        return Viewer(label, "*", persona, frozenset())
    return Viewer(party(label), party("root"), persona, frozenset())


def account(number: int) -> str:
    return f"acc_{number:026d}"


def questions(movements: int) -> list[Asked]:
    """Every route, asked by those it is made for; other ids each time where there are some."""
    payees, payments = movements // 10, movements // _PER_PAYMENT
    some_payees = range(1, payees, max(payees // 97, 1))
    some_payments = range(1, payments, max(payments // 97, 1))
    some_items = range(5, payments, max(payments // 970, 1) * 10)
    root = viewer("root", Persona.AGGREGATOR)
    company = viewer("c7", Persona.COMPANY)
    hot = viewer("p0", Persona.PAYEE)
    operator = viewer("op", Persona.OPERATOR)
    span = "from=2026-02-01&until=2026-02-02"
    asked = [
        Asked(f"/{name}", one, [f"/{name}"])
        for name in ("wallets", "payouts", "pay-ins", "payments", "exceptions", "parties", "totals")
        for one in (operator, root, company, hot)
    ]
    asked += [Asked(shelf.path, company, [shelf.path]) for shelf in SHELVES]
    asked += [
        Asked(f"{shelf.path}/{{id}}", root, [f"{shelf.path}/{shelf.kind}_{n}" for n in some_items])
        for shelf in SHELVES
    ]
    asked += [
        Asked(f"/programs/{{id}}/{path}", root, [f"/programs/program_5/{path}"])
        for path in UNDER_PROGRAMS.values()
    ]
    asked += [
        Asked("/wallets?limit=200", root, ["/wallets?limit=200"]),
        Asked("/payouts?state= (rare)", root, ["/payouts?state=claimable"]),
        Asked("/parties?kind= (rare)", root, ["/parties?kind=company"]),
        Asked("/events/{id}/money", root, [f"/events/order:{n}/money" for n in some_items]),
        Asked(
            "/events/{id}/money (large)", viewer("c8", Persona.COMPANY), ["/events/campaign/money"]
        ),
        Asked("/wallets/{id}", root, [f"/wallets/{account(n)}" for n in some_payees]),
        Asked("/movements", root, [f"/wallets/{account(n)}/movements" for n in some_payees]),
        Asked("/movements (hot)", hot, [f"/wallets/{account(0)}/movements"]),
        Asked("/statement", root, [f"/wallets/{account(n)}/statement?{span}" for n in some_payees]),
        Asked("/statement (hot day)", hot, [f"/wallets/{account(0)}/statement?{span}"]),
        Asked("/statement (200 of it)", hot, [f"/wallets/{account(0)}/statement?{span}&limit=200"]),
        Asked("/statement?at= (hot)", hot, [f"/wallets/{account(0)}/statement?at=2026-03-03"]),
        Asked("/payments/{id}", root, [f"/payments/pin_{n}" for n in some_payments]),
        Asked("/payments/{id} (hot)", hot, [f"/payments/pin_{n * 5}" for n in range(1, 50)]),
    ]
    return asked


def fill(admin_dsn: str, movements: int) -> None:
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("SET search_path = portfolio; SET synchronous_commit = off")
        values = {
            ":payments": movements // _PER_PAYMENT,
            ":payees": movements // 10,
            ":step": f"interval '{100 * 86400 * _PER_PAYMENT / movements:.6f} s'",
            ":start": f"timestamptz '{START.isoformat()}'",
        }
        text = _FILL.read_text()
        for name, value in values.items():
            text = text.replace(name, str(value))
        for statement in text.split(";\n"):
            if statement.strip():
                admin.execute(statement.encode())
        admin.execute("VACUUM ANALYZE")


@contextmanager
def rows_read(admin_dsn: str) -> Iterator[dict[str, int]]:
    """Rows that scans of the schema's tables gave, heap or index alone, until the block's end."""
    query = (
        "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(i.read, 0)) FROM pg_stat_user_tables t"
        " LEFT JOIN LATERAL (SELECT sum(idx_tup_read) AS read FROM pg_stat_user_indexes i"
        " WHERE i.relid = t.relid) i ON true WHERE t.schemaname = 'portfolio'"
    )
    with psycopg.connect(admin_dsn, autocommit=True) as admin:

        def now() -> int:
            # Sessions report what they read about once a second.
            time.sleep(1.2)
            admin.execute("SELECT pg_stat_clear_snapshot()")
            (found,) = admin.execute(query.encode()).fetchone() or (0,)
            return int(found)

        counted = {"rows": -now()}
        yield counted
        counted["rows"] += now()


def api_over(pool: Pool, dsn: str) -> FastAPI:
    """The application, over these sessions."""
    clock = FixedClock(NOW)
    transactor = build_app(settings_of(dsn), clock=clock).transactor(pool=pool)
    return build_api(ReadApi(pool, transactor, clock, KEYS, timedelta(minutes=5)))


def settings_of(dsn: str) -> PortfolioSettings:
    return PortfolioSettings(environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr(dsn))


async def serve(dsn: str) -> None:
    """Serve on a port that is printed, until the process is ended."""
    settings = settings_of(dsn)
    pool = await create_pool(
        dsn, schema="portfolio", application_name=SESSIONS, max_size=settings.pool_size
    )
    server = uvicorn.Server(served(api_over(pool, dsn), settings))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])


@contextmanager
def serving(dsn: str) -> Iterator[tuple[str, psutil.Process]]:
    """The application in a process of its own: its address, and the process."""
    command = [sys.executable, __file__, "--serve"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "BENCH_DSN": dsn}, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def cpu_ms(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times) * 1000


def sessions(admin_dsn: str) -> list[psutil.Process]:
    """The processes of the server's sessions."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(admin_dsn) as admin:
        return [psutil.Process(pid) for (pid,) in admin.execute(query, [SESSIONS]).fetchall()]


async def at_a_rate(
    client: httpx.AsyncClient, paths: Sequence[str], token: str, rate: int
) -> list[float]:
    """Ask these, RATE a second whatever the answers do: milliseconds since each one's turn, sorted."""
    begun = time.perf_counter()

    async def ask(number: int, path: str) -> float:
        due = begun + number / rate
        await asyncio.sleep(due - time.perf_counter())
        answer = await client.get(path, headers={VIEWER_HEADER: token})
        assert answer.is_success, (path, answer.text)
        return (time.perf_counter() - due) * 1000

    return sorted(await asyncio.gather(*(ask(*one) for one in enumerate(paths))))


async def measure(
    dsn: str, admin_dsn: str, asked: Sequence[Asked], options: argparse.Namespace
) -> list[Cost]:
    costs = []
    with serving(dsn) as (url, process):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for question in asked:
                token = sign_viewer(question.viewer, KEYS, now=NOW)
                rounds = options.rounds
                paths = [question.paths[n % len(question.paths)] for n in range(rounds)]
                # All sessions at once, so that each has its plans.
                await at_a_rate(client, paths[:_WARM] * 3, token, 1000)
                statements = await statements_of(dsn, paths[0], token)
                behind = sessions(admin_dsn)
                before = cpu_ms([process]), cpu_ms(behind)
                with rows_read(admin_dsn) as counted:
                    times = await at_a_rate(client, paths, token, options.rate)
                costs.append(
                    Cost(
                        question.label,
                        question.viewer.persona.value,
                        round(statistics.median(times), 1),
                        round(times[int(len(times) * 0.99)], 1),
                        statements,
                        round(counted["rows"] / rounds, 1),
                        round((cpu_ms([process]) - before[0]) / rounds, 2),
                        round((cpu_ms(behind) - before[1]) / rounds, 2),
                    )
                )
                print(*asdict(costs[-1]).values(), sep="\t", flush=True)
    return costs


async def statements_of(dsn: str, path: str, token: str) -> int:
    """How many statements a question takes, beginning and end left out."""
    seen: list[str] = []
    pool = await create_pool(dsn, schema="portfolio", application_name="counting", max_size=1)
    note = lambda query: seen.append(query.query)  # noqa: E731 - the driver wants a plain callable
    async with pool.acquire() as only:
        only._con.add_query_logger(note)  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
    transport = httpx.ASGITransport(api_over(pool, dsn))
    async with httpx.AsyncClient(transport=transport, base_url="http://reads") as client:
        answer = await client.get(path, headers={VIEWER_HEADER: token})
        assert answer.is_success, (path, answer.text)
    async with pool.acquire() as only:
        only._con.remove_query_logger(note)  # type: ignore[attr-defined]  # noqa: SLF001
    await pool.close()
    return sum(not query.startswith(("BEGIN", "COMMIT")) for query in seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--only", default="", help="routes with this in their label")
    parser.add_argument("--filled", help="a database that an earlier run named, asked again")
    parser.add_argument("--out", type=Path, default=Path("var/bench/reads.json"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(os.environ["BENCH_DSN"]))
        return
    lasting = "TALLY_POSTGRES_DSN" in os.environ
    if options.filled:
        database = ServiceDatabase(urlsplit(options.filled).path[1:], options.filled)
        measured(database.dsn("portfolio"), database.admin_dsn, options)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), kafka=False, ephemeral=not lasting) as stack,
    ):
        database = Databases(stack.address.postgres_dsn).clone(SCHEMA)
        began = time.perf_counter()
        fill(database.admin_dsn, options.movements)
        took = time.perf_counter() - began
        print(f"filled in {took:.0f} s: --filled {database.admin_dsn}", flush=True)
        measured(database.dsn("portfolio"), database.admin_dsn, options)


def measured(dsn: str, admin_dsn: str, options: argparse.Namespace) -> None:
    """Ask everything, and keep what it cost."""
    asked = [one for one in questions(options.movements) if options.only in one.label]
    costs = asyncio.run(measure(dsn, admin_dsn, asked, options))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "movements": options.movements,
        "rate": options.rate,
        "rounds": options.rounds,
        "load": round(os.getloadavg()[0], 1),
        "costs": [asdict(cost) for cost in costs],
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
