# ruff: noqa: INP001, T201 - a script that is run by hand and prints
"""Measure the posting function on a durable Postgres: load, decide, hash, write, commit.

    make bench-posting                                   the table of ADR 0005, under six minutes
    make bench-posting ARGS="--accounts 10000000 --batches 500 --shapes uniform"

Beside every group of runs stand pgbench's TPC-B and a transfer per transaction in PL/pgSQL, once
keeping less and once keeping all that the ledger keeps (baselines.py), measured in the same minute;
ratios are to those. CPU, WAL and statements per
transfer hold on a busy machine too; transfers/s do on a quiet one only.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import uvloop
from baselines import Baselines, References, scratch
from loads import ACCOUNT_ID, CURRENCY, NOW, TWO_PHASE, Load
from meters import Admin, Meter, Spent, machine

from tally_embedded import running_stack
from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.domain import Command
from tally_ledger.partitions import ensure_months
from tally_messaging import Transactor
from tally_money import iso_currencies
from tally_postgres import Pool, create_pool, login_role, migrate, provision, service_dsn
from tally_runtime import FixedClock, Ids

SHARDS = ("main", "second")
BEST = 2000
_FILL = f"""
INSERT INTO account (id, shard, asset, owner, purpose, path, guarded, credits_posted, seq, opened_at)
SELECT {ACCOUNT_ID}, $1, '{CURRENCY}', 'bench', 'wallet', 'bench', true, 1000000000, 1, '{NOW}'
FROM generate_series($2::bigint, $3::bigint) n
"""


@dataclass(frozen=True)
class Case:
    """What is measured."""

    batch: int
    shape: str = "uniform"
    accounts: int = 10_000
    two_phase: int = 0
    shards: int = 1


@dataclass(frozen=True)
class Result:
    """What came out: per second, ratios to the references of the same minute, costs of a thousand."""

    case: Case
    transfers: int
    per_s: float
    to_tpcb: float
    to_one_by_one: float
    to_kept: float
    client_cpu_ms: float
    server_cpu_ms: float
    wal_kb: float
    statements: float
    references: References

    def row(self) -> str:
        """One line of the table."""
        case = self.case
        return (
            f"| {case.batch} | {case.shape} | {case.accounts:,} | {case.two_phase} % | {case.shards} |"
            f" {self.per_s:,.0f} | {self.to_tpcb:.1f} | {self.to_one_by_one:.1f} | {self.to_kept:.1f} |"
            f" {self.client_cpu_ms:.1f} | {self.server_cpu_ms:.1f} | {self.wal_kb:,.0f} |"
            f" {self.statements:.1f} |"
        )


HEAD = (
    "| batch | accounts hit | accounts | two-phase | shards | transfers/s | to TPC-B |"
    " to one by one | to one by one, kept | client CPU ms | server CPU ms | WAL kB | statements |\n"
    + "|---" * 13
    + "|"
)


class Counting:
    """A connection that counts what is sent to it."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.statements = 2  # BEGIN and COMMIT

    def __getattr__(self, name: str) -> Any:
        self.statements += name in {"execute", "fetch", "fetchrow", "fetchval"}
        return getattr(self._conn, name)


class Books:
    """A ledger per shard, each on a connection of its own."""

    def __init__(self, admin: Admin, pools: Sequence[Pool]) -> None:
        self.admin = admin
        self.filled = 0
        self._transactors = [
            Transactor(pool=pool, clock=FixedClock(NOW), ids=Ids(), source="/bench")
            for pool in pools
        ]

    async def prepare(self) -> None:
        await self._transactors[0].run(
            lambda uow: service.open_books(uow.conn, SHARDS, list(iso_currencies().values()))
        )
        assert await ensure_months(self._transactors[0])

    def fill(self, accounts: int) -> None:
        """Accounts with money in them, up to that number in each shard."""
        self.admin.execute("SET search_path = ledger")
        for shard in SHARDS:
            query = _FILL.replace("$1", f"'{shard}'").replace(
                "$2", str(self.filled and self.filled + 1)
            )
            self.admin.execute(query.replace("$3", str(accounts)).encode())
        self.admin.execute("VACUUM ANALYZE account")
        self.admin.execute("CHECKPOINT")
        self.filled = accounts

    async def post(self, shard: int, commands: Sequence[Command]) -> None:
        batch = await self._transactors[shard].run(
            lambda uow: service.post(uow.conn, SHARDS[shard], commands, uow.now, {})
        )
        assert not batch.rejected, batch.rejected[0]

    async def statements(self, commands: Sequence[Command]) -> int:
        """How many statements a batch takes, BEGIN and COMMIT included."""
        counted: list[Counting] = []

        async def unit(uow: Any) -> None:
            counted.append(Counting(uow.conn))
            await service.post(counted[-1], SHARDS[0], commands, uow.now, {})  # type: ignore[arg-type]

        await self._transactors[0].run(unit)
        return counted[-1].statements

    async def measure(self, case: Case, seconds: float, references: References) -> Result:
        """Post prepared batches for that long, each shard as fast as it can."""
        loads = [
            Load(shard, case.accounts, case.shape, case.two_phase)
            for shard in SHARDS[: case.shards]
        ]
        statements = 0
        for _ in range(3):  # statements prepared, plans made, pages read
            for shard, load in enumerate(loads):
                await self.post(shard, load.batch(case.batch))
        statements = await self.statements(loads[0].batch(case.batch))
        number = max(3, int(seconds * 22_000 / case.batch / case.shards))
        number = min(number, int(seconds * 350))
        batches = [[load.batch(case.batch) for _ in range(number)] for load in loads]
        done = 0
        meter = Meter(self.admin)
        deadline = time.perf_counter() + seconds * 2

        async def work(shard: int) -> None:
            nonlocal done
            for commands in batches[shard]:
                if time.perf_counter() > deadline:
                    return
                await self.post(shard, commands)
                done += len(commands)

        await asyncio.gather(*(work(shard) for shard in range(case.shards)))
        return _result(case, done, meter.read(), statements, references)


def _result(
    case: Case, transfers: int, spent: Spent, statements: int, references: References
) -> Result:
    per_s = transfers / spent.seconds
    hot = case.shape == "hot"
    beside = references.one_by_one_hot if hot else references.one_by_one
    kept = references.kept_hot if hot else references.kept
    return Result(
        case=case,
        transfers=transfers,
        per_s=round(per_s, 1),
        to_tpcb=round(per_s / references.tpcb, 2),
        to_one_by_one=round(per_s / beside, 2),
        to_kept=round(per_s / kept, 2),
        client_cpu_ms=round(spent.client_cpu_s / transfers * 1e6, 2),
        server_cpu_ms=round(spent.server_cpu_s / transfers * 1e6, 2),
        wal_kb=round(spent.wal_bytes / transfers, 1),
        statements=round(statements / case.batch * 1000, 2),
        references=references,
    )


def groups(given: argparse.Namespace) -> list[list[Case]]:
    """Cases by the minute they are measured in."""
    if given.batches or given.shapes or given.two_phase is not None:
        return [
            [
                Case(batch, shape, accounts, two_phase, shards)
                for batch in given.batches or [500]
                for shape in given.shapes or ["uniform"]
                for two_phase in ([0] if given.two_phase is None else [given.two_phase])
                for shards in given.shards
            ]
            for accounts in given.accounts
        ]
    small, *larger = given.accounts
    found = [
        [Case(batch, accounts=small) for batch in (1, 10, 100, 500, 1000, BEST)],
        [
            Case(batch, shape, small, two_phase)
            for batch in (500, BEST)
            for shape in ("uniform", "zipf", "hot")
            for two_phase in (0, TWO_PHASE)
            if (shape, two_phase) != ("uniform", 0)
        ],
        [
            Case(batch, shape, small, two_phase, 2)
            for batch in (500, BEST)
            for shape, two_phase in (("uniform", 0), ("hot", 0), ("uniform", TWO_PHASE))
        ],
    ]
    found += [
        [
            Case(batch, "uniform", accounts, two_phase)
            for batch in (500, BEST)
            for two_phase in (0, TWO_PHASE)
        ]
        for accounts in larger
    ]
    return found


async def run(
    dsn: str, given: argparse.Namespace, folder: Path
) -> tuple[dict[str, Any], list[Result]]:
    """All groups, on one database."""
    provision(dsn, [SCHEMA], {"ledger": "bench"})
    migrate(dsn, SCHEMA)
    own = service_dsn(dsn, login_role("ledger"), "bench")
    pools = [
        await create_pool(own, schema="ledger", application_name="bench", max_size=1)
        for _ in SHARDS
    ]
    results: list[Result] = []
    print(HEAD, flush=True)
    with psycopg.connect(dsn, autocommit=True) as admin:
        about = machine(admin)
        books = Books(admin, pools)
        await books.prepare()
        baselines = Baselines(admin, dsn, folder)
        for cases in groups(given):
            accounts = cases[0].accounts
            if accounts > books.filled:
                books.fill(accounts)
            references = await asyncio.to_thread(baselines.measure, given.reference_seconds)
            for case in cases:
                results.append(await books.measure(case, given.seconds, references))
                print(results[-1].row(), flush=True)
    for pool in pools:
        await pool.close()
    return about, results


def main() -> int:
    """Run, write var/bench/ledger_posting.json and .md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--shapes", choices=("uniform", "zipf", "hot"), nargs="+")
    parser.add_argument("--two-phase", type=int, choices=(0, TWO_PHASE))
    parser.add_argument("--shards", type=int, choices=(1, 2), nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=4.0, help="per case")
    parser.add_argument("--reference-seconds", type=int, default=4, help="per reference")
    parser.add_argument("--var", type=Path, default=Path("var"))
    given = parser.parse_args()
    out = (given.var / "bench").absolute()
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (
        scratch() as folder,
        running_stack(Path(folder) / "stack", kafka=False, ephemeral=True) as stack,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        about, results = runner.run(run(stack.address.postgres_dsn, given, Path(folder)))
    about["took"] = str(timedelta(seconds=round(time.monotonic() - started)))
    about["commit"] = os.environ.get("GIT_COMMIT", "")
    references = results[-1].references
    told = "\n".join(f"- {name}: {value}" for name, value in about.items() if value != "")
    kept = {"about": about, "results": [asdict(result) for result in results]}
    (out / "ledger_posting.json").write_text(json.dumps(kept, indent=2) + "\n")
    table = "\n".join([HEAD, *(result.row() for result in results)])
    beside = (
        f"Beside it, in the last group: TPC-B {references.tpcb:,.0f}/s, one by one "
        f"{references.one_by_one:,.0f}/s, on a hot account {references.one_by_one_hot:,.0f}/s, keeping "
        f"what the ledger keeps {references.kept:,.0f}/s and {references.kept_hot:,.0f}/s."
    )
    (out / "ledger_posting.md").write_text(
        f"# Posting function\n\n{told}\n\nCosts are per 1,000 transfers. {beside}\n\n{table}\n"
    )
    print(beside)
    return 0


if __name__ == "__main__":
    sys.exit(main())
