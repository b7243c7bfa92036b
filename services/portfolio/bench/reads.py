# ruff: noqa: INP001, T201 - a script
"""What each question costs at a million movements: time, statements, rows read.

A tenant of 100 companies and MOVEMENTS / 10 payees; a fifth of all payments are one payee's. The
tables are filled by SQL, as folding would leave them; then each route is asked ROUNDS times, one
question at a time, through the whole application but for the socket.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from pydantic import SecretStr

from tally_embedded import running_stack
from tally_portfolio.answering import ReadApi
from tally_portfolio.api import build_api
from tally_portfolio.app import SCHEMA, build_app
from tally_portfolio.settings import PortfolioSettings
from tally_postgres import create_pool
from tally_runtime import FixedClock
from tally_security.internal import VIEWER_HEADER, InternalKeys, Persona, Viewer, sign_viewer
from tally_testkit.databases import Databases

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100)
KEYS = InternalKeys(b"b" * 32)
_PER_PAYMENT = 4
_FILL = Path(__file__).with_name("fill.sql")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one route as one persona asks it: milliseconds, and statements and rows of one question."""

    route: str
    persona: str
    p50_ms: float
    p99_ms: float
    statements: float
    rows_read: float


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
    root = viewer("root", Persona.AGGREGATOR)
    company = viewer("c7", Persona.COMPANY)
    hot = viewer("p0", Persona.PAYEE)
    operator = viewer("op", Persona.OPERATOR)
    span = "from=2026-02-01&until=2026-02-02"
    asked = [Asked("/wallets", one, ["/wallets", "/wallets?limit=500"]) for one in (root, company)]
    asked += [
        Asked(f"/{name}", one, [f"/{name}"])
        for name in ("payouts", "pay-ins", "payments", "exceptions", "parties", "totals")
        for one in (operator, root, company, hot)
    ]
    asked += [
        Asked("/payouts?state= (rare)", root, ["/payouts?state=claimable"]),
        Asked("/wallets/{id}", root, [f"/wallets/{account(n)}" for n in some_payees]),
        Asked("/movements", root, [f"/wallets/{account(n)}/movements" for n in some_payees]),
        Asked("/movements (hot)", hot, [f"/wallets/{account(0)}/movements"]),
        Asked("/statement", root, [f"/wallets/{account(n)}/statement?{span}" for n in some_payees]),
        Asked("/statement (hot day)", hot, [f"/wallets/{account(0)}/statement?{span}"]),
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


async def measure(dsn: str, admin_dsn: str, asked: Sequence[Asked], rounds: int) -> list[Cost]:
    clock = FixedClock(NOW)
    pool = await create_pool(dsn, schema="portfolio", application_name="bench", max_size=1)
    settings = PortfolioSettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr(dsn)
    )
    transactor = build_app(settings, clock=clock).transactor(pool=pool)
    app = build_api(ReadApi(pool, transactor, clock, KEYS, timedelta(minutes=5)))
    costs = []
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://reads"
    ) as client:
        for question in asked:
            headers = {VIEWER_HEADER: sign_viewer(question.viewer, KEYS, now=NOW)}

            async def ask(path: str, headers: dict[str, str] = headers) -> float:
                began = time.perf_counter()
                answer = await client.get(path, headers=headers)
                took = time.perf_counter() - began
                assert answer.is_success, (path, answer.text)
                return took * 1000

            paths = [question.paths[n % len(question.paths)] for n in range(rounds)]
            for path in paths[:5]:
                await ask(path)
            statements = await _statements(pool, ask, paths[0])
            with rows_read(admin_dsn) as counted:
                times = sorted([await ask(path) for path in paths])
            costs.append(
                Cost(
                    question.label,
                    question.viewer.persona.value,
                    round(statistics.median(times), 2),
                    round(times[int(len(times) * 0.99)], 2),
                    statements,
                    round(counted["rows"] / rounds, 1),
                )
            )
            print(*asdict(costs[-1]).values(), sep="\t", flush=True)
    await pool.close()
    return costs


async def _statements(pool: Any, ask: Any, path: str) -> int:
    seen: list[str] = []
    note = lambda query: seen.append(query.query)  # noqa: E731 - the driver wants a plain callable
    async with pool.acquire() as only:
        only._con.add_query_logger(note)  # noqa: SLF001 - no public way to the session itself
    await ask(path)
    async with pool.acquire() as only:
        only._con.remove_query_logger(note)  # noqa: SLF001
    return sum(not query.startswith(("BEGIN", "COMMIT")) for query in seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("var/bench/reads.json"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), kafka=False, ephemeral=True) as stack,
    ):
        database = Databases(stack.address.postgres_dsn).clone(SCHEMA)
        began = time.perf_counter()
        fill(database.admin_dsn, options.movements)
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        costs = asyncio.run(
            measure(
                database.dsn("portfolio"),
                database.admin_dsn,
                questions(options.movements),
                options.rounds,
            )
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"movements": options.movements, "costs": [asdict(cost) for cost in costs]}
    options.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
