"""Measure posting: `python services/ledger/bench/posting.py` (about two minutes, two cores).

Durable Postgres from libs/embedded, batches of 500 commands, one ledger, one connection.

- post: the posting function and its commit: load, decide, hash, write.
- apply: the consumer's whole work but Kafka: parse, inbox, post, facts, outbox, commit.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, CaptureHold, Leg, PlaceHold, PostJournal
from tally_embedded import running_stack
from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.handlers import COMMANDS, build_router
from tally_ledger.wire import WireCommand, command_of
from tally_messaging import Transactor, UnitOfWork, encode_headers, outgoing_headers
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import Cause
from tally_messaging.metrics import MessagingMetrics
from tally_money import iso_currencies
from tally_postgres import create_pool, migrate, provision, service_dsn
from tally_runtime import Ids, Metrics, SystemClock, derived_id

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
        commands = [command_of(command)]
        await transactor.run(
            lambda uow, commands=commands: service.post(uow.conn, LEDGER, commands, uow.now, {})  # type: ignore[misc]
        )


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
                    subject=event.reference,
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
    cpu_seconds: float
    wal_bytes: int
    slowest_batch_s: float

    def line(self, name: str) -> str:
        return (
            f"{name:<22}{self.transfers / self.seconds:>10,.0f} transfers/s"
            f"{self.cpu_seconds / self.transfers * 1e6:>8.1f} µs client CPU"
            f"{self.wal_bytes / self.transfers:>8,.0f} B WAL per transfer"
            f"{self.slowest_batch_s * 1000:>8.0f} ms slowest batch"
        )


async def measure(
    admin: "psycopg.Connection[tuple[object, ...]]",
    batches: Sequence[object],
    work: Callable[[object], object],
    counts: Sequence[int],
) -> Result:
    before = _wal(admin)
    cpu = time.process_time()
    start = last = time.perf_counter()
    slowest = 0.0
    for batch in batches:
        await work(batch)  # type: ignore[misc]
        now = time.perf_counter()
        slowest, last = max(slowest, now - last), now
    seconds = time.perf_counter() - start
    return Result(sum(counts), seconds, time.process_time() - cpu, _wal(admin) - before, slowest)


def _wal(admin: "psycopg.Connection[tuple[object, ...]]") -> int:
    row = admin.execute("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint").fetchone()
    assert row is not None
    return int(row[0])  # type: ignore[call-overload, no-any-return]


async def run(admin_dsn: str, accounts: int, batches: int) -> None:
    provision(admin_dsn, [SCHEMA], {"ledger": "bench"})
    migrate(admin_dsn, SCHEMA)
    pool = await create_pool(
        service_dsn(admin_dsn, "tally_ledger", "bench"), schema="ledger", application_name="bench"
    )
    ids, clock = Ids(), SystemClock()
    transactor = Transactor(pool=pool, clock=clock, ids=ids, source="/bench")
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    await transactor.run(
        lambda uow: service.open_books(uow.conn, [LEDGER], list(iso_currencies().values()))
    )
    await fill(transactor, accounts)
    processor = BatchProcessor(
        build_router(), transactor, MessagingMetrics.of(Metrics("ledger").for_service("ledger"))
    )
    load = Load(accounts, ids, random.Random(1), [])
    offsets = iter(range(10**9))

    async def post(commands: object) -> None:
        async def unit(uow: UnitOfWork) -> None:
            batch = await service.post(uow.conn, LEDGER, commands, uow.now, {})  # type: ignore[arg-type]
            assert not batch.rejected, batch.rejected[0]

        await transactor.run(unit)

    async def apply(fetched: object) -> None:
        await processor.process(fetched)  # type: ignore[arg-type]

    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("CHECKPOINT")
        for kind in ("uniform", "hot", "two_phase"):
            make: Callable[[], list[WireCommand]] = getattr(load, kind)
            for name in ("post", "apply"):
                for count in (2, batches):
                    events = [make() for _ in range(count)]
                    if name == "post":
                        work, made = post, [[command_of(e) for e in batch] for batch in events]
                    else:
                        work, made = apply, [records(batch, ids, offsets) for batch in events]  # type: ignore[assignment, misc]
                    result = await measure(admin, made, work, [len(b) for b in events])
                print(result.line(f"{name} {kind}"))
    await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
