# ruff: noqa: INP001, T201 - a script that is run by hand and prints
"""Measure posting: `python services/ledger/bench/posting.py` (about two minutes).

Durable Postgres from libs/embedded, batches of 500 single-leg commands, one ledger, one connection.

- post: the posting function and its commit: load, decide, hash, write.
- apply: the consumer's whole work but Kafka: parse, inbox, post, facts, outbox, commit.

CPU and WAL per transfer hold on a busy machine too; transfers/s do only on a quiet one.
"""

import argparse
import asyncio
import gc
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, CaptureHold, Leg, PlaceHold, PostJournal
from tally_embedded import running_stack
from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.domain import Command
from tally_ledger.handlers import COMMANDS, build_router
from tally_ledger.wire import WireCommand, command_of
from tally_messaging import Transactor, encode_headers, outgoing_headers
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import Cause
from tally_messaging.metrics import MessagingMetrics
from tally_money import iso_currencies
from tally_postgres import create_pool, login_role, migrate, provision, service_dsn
from tally_runtime import Ids, Metrics, SystemClock, derived_id

T = TypeVar("T")
BATCH = 500
LEDGER = "main"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
_WHO = Who(actor="bench", principal="bench")
_WHERE = Where(channel="bench")
_WHY = Why(program="bench", event="bench", reason="Measuring the ledger")
_ONE = PositiveAmount(currency="EUR", amount="0.01")


@dataclass(frozen=True)
class BenchRecord:
    """A record as the consumer hands it over."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass
class Load:
    """Makes batches of commands over `accounts` guarded wallets; seeded, so that runs compare."""

    accounts: int
    ids: Ids
    chance: random.Random
    open_holds: list[tuple[str, str]]

    def wallet(self) -> str:
        return account_id(self.chance.randrange(self.accounts))

    def pair(self) -> tuple[str, str]:
        debit = self.wallet()
        credit = self.wallet()
        while credit == debit:
            credit = self.wallet()
        return debit, credit

    def uniform(self) -> list[WireCommand]:
        return [self.journal(*self.pair()) for _ in range(BATCH)]

    def hot(self) -> list[WireCommand]:
        return [self.journal(self.wallet(), HOT) for _ in range(BATCH)]

    def two_phase(self) -> list[WireCommand]:
        """30 % two-phase: 15 % holds and 15 % captures of the batch before."""
        due, self.open_holds = self.open_holds, []
        share = BATCH * 15 // 100
        commands: list[WireCommand] = [self.journal(*self.pair()) for _ in range(BATCH - 2 * share)]
        commands += [self.hold(*self.pair()) for _ in range(share)]
        commands += [self.capture(hold, reference) for hold, reference in due]
        self.chance.shuffle(commands)
        return commands

    def journal(self, debit: str, credit: str) -> PostJournal:
        return PostJournal(
            journal_id=self.ids.new("jrn"),
            ledger=LEDGER,
            reference=self.ids.new("pin"),
            legs=(
                Leg(id=self.ids.new("tr"), debit=debit, credit=credit, amount=_ONE, code="bench"),
            ),
            effective_at=NOW,
            who=_WHO,
            where=_WHERE,
            why=_WHY,
            occurred_at=NOW,
        )

    def hold(self, debit: str, credit: str) -> PlaceHold:
        hold, reference = self.ids.new("hld"), self.ids.new("po")
        self.open_holds.append((hold, reference))
        return PlaceHold(
            hold_id=hold,
            ledger=LEDGER,
            reference=reference,
            debit=debit,
            credit=credit,
            amount=_ONE,
            code="bench",
            who=_WHO,
            where=_WHERE,
            why=_WHY,
            occurred_at=NOW,
        )

    def capture(self, hold: str, reference: str) -> CaptureHold:
        return CaptureHold(
            transfer_id=self.ids.new("tr"),
            hold_id=hold,
            ledger=LEDGER,
            reference=reference,
            amount=_ONE,
            code="bench",
            who=_WHO,
            where=_WHERE,
            why=_WHY,
            occurred_at=NOW,
        )


def account_id(number: int) -> str:
    return derived_id("acc", "bench", str(number))


HOT = account_id(-1)
SOURCE = account_id(-2)


async def fill(transactor: Transactor, accounts: int) -> None:
    """Open the wallets with money in each."""
    names = [*(account_id(n) for n in range(accounts)), HOT]
    plenty = PositiveAmount(currency="EUR", amount="1000000.00")
    for start in range(0, len(names), 100):
        chunk = names[start : start + 100]
        command = PostJournal(
            journal_id=derived_id("jrn", "fill", str(start)),
            ledger=LEDGER,
            reference=derived_id("pin", "fill", str(start)),
            open_accounts=(
                _spec(SOURCE, guarded=False),
                *(_spec(name, guarded=True) for name in chunk),
            ),
            legs=tuple(
                Leg(
                    id=derived_id("tr", "fill", name),
                    debit=SOURCE,
                    credit=name,
                    amount=plenty,
                    code="fill",
                )
                for name in chunk
            ),
            effective_at=NOW,
            who=_WHO,
            where=_WHERE,
            why=_WHY,
            occurred_at=NOW,
        )
        await _post(transactor, [command_of(command)])


async def _post(transactor: Transactor, commands: Sequence[Command]) -> None:
    batch = await transactor.run(lambda uow: service.post(uow.conn, LEDGER, commands, uow.now, {}))
    assert not batch.rejected, batch.rejected[0]


def _spec(name: str, *, guarded: bool) -> AccountSpec:
    return AccountSpec(
        id=name, owner="bench", purpose="wallet", path="bench", currency="EUR", guarded=guarded
    )


def records(events: Sequence[WireCommand], ids: Ids, offsets: Iterator[int]) -> list[BenchRecord]:
    """Events as they lie on the topic."""
    return [
        BenchRecord(
            COMMANDS,
            0,
            next(offsets),
            LEDGER.encode(),
            event.model_dump_json().encode(),
            encode_headers(
                outgoing_headers(
                    event_id=str(ids.uuid7()),
                    source="/bench",
                    event_type=event.TYPE,
                    at=NOW,
                    subject=event.ledger,
                    cause=Cause("bench"),
                )
            ),
        )
        for event in events
    ]


@dataclass(frozen=True)
class Result:
    transfers: int
    seconds: float
    client_cpu_s: float
    server_cpu_s: float
    wal_bytes: int
    slowest_batch_s: float

    def line(self, name: str) -> str:
        return (
            f"{name:<17}{self.transfers / self.seconds:>8,.0f} transfers/s; per transfer"
            f"{self.client_cpu_s / self.transfers * 1e6:>7.1f} µs client CPU"
            f"{self.server_cpu_s / self.transfers * 1e6:>7.1f} µs server CPU"
            f"{self.wal_bytes / self.transfers:>7,.0f} B WAL; slowest batch"
            f"{self.slowest_batch_s * 1000:>5.0f} ms"
        )


class Meter:
    """Time, CPU of both sides and WAL from its making to `read`."""

    def __init__(self, admin: psycopg.Connection[tuple[Any, ...]], backend: int) -> None:
        self._admin = admin
        self._backend = backend
        # The prepared input is no part of what a service holds.
        gc.collect()
        gc.freeze()
        self._wal, self._server = self._wal_position(), self._server_cpu()
        self._client, self._start = time.process_time(), time.perf_counter()

    def read(self, transfers: int, slowest_batch_s: float) -> Result:
        return Result(
            transfers,
            time.perf_counter() - self._start,
            time.process_time() - self._client,
            self._server_cpu() - self._server,
            self._wal_position() - self._wal,
            slowest_batch_s,
        )

    def _wal_position(self) -> int:
        row = self._admin.execute(
            "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _server_cpu(self) -> float:
        """User and system time of the backend, in seconds (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self._backend}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(
    meter: Callable[[], Meter], batches: Sequence[T], work: Callable[[T], Awaitable[None]]
) -> Result:
    """Work through the batches, the first two untimed."""
    for batch in batches[:2]:
        await work(batch)
    running = meter()
    slowest, last = 0.0, time.perf_counter()
    for batch in batches[2:]:
        await work(batch)
        now = time.perf_counter()
        slowest, last = max(slowest, now - last), now
    return running.read(BATCH * (len(batches) - 2), slowest)


async def run(admin_dsn: str, accounts: int, batches: int) -> None:
    provision(admin_dsn, [SCHEMA], {"ledger": "bench"})
    migrate(admin_dsn, SCHEMA)
    dsn = service_dsn(admin_dsn, login_role("ledger"), "bench")
    pool = await create_pool(dsn, schema="ledger", application_name="bench", max_size=1)
    ids = Ids()
    transactor = Transactor(pool=pool, clock=SystemClock(), ids=ids, source="/bench")
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    await transactor.run(
        lambda uow: service.open_books(uow.conn, [LEDGER], list(iso_currencies().values()))
    )
    await fill(transactor, accounts)
    metrics = MessagingMetrics.of(Metrics("ledger").for_service("ledger"))
    processor = BatchProcessor(build_router(), transactor, metrics)
    load = Load(accounts, ids, random.Random(1), [])  # noqa: S311 - repeatable on purpose
    offsets = iter(range(10**9))
    backend = await pool.fetchval("SELECT pg_backend_pid()")

    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("CHECKPOINT")
        for name, make in (
            ("uniform", load.uniform),
            ("hot", load.hot),
            ("30 % two-phase", load.two_phase),
        ):
            events = [make() for _ in range(batches + 2)]
            commands = [[command_of(event) for event in batch] for batch in events]
            result = await measure(
                lambda: Meter(admin, backend), commands, partial(_post, transactor)
            )
            print(result.line(f"post {name}"))
            topic = [records(make(), ids, offsets) for _ in range(batches + 2)]
            result = await measure(lambda: Meter(admin, backend), topic, processor.process)
            print(result.line(f"apply {name}"))
    await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the posting of transfers")
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--batches", type=int, default=100)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), kafka=False, ephemeral=True) as stack,
    ):
        asyncio.run(run(stack.address.postgres_dsn, chosen.accounts, chosen.batches))


if __name__ == "__main__":
    main()
