"""Books of the releases before, taken over: nothing moves twice, nothing waits, the oracle agrees (L11, L15)."""

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from tally_contracts.base import AssetAmount
from tally_contracts.ledger_transfers import (
    SettleTransit,
    StartTransfer,
    TransferCredited,
    TransferStarted,
    TransitSettled,
)
from tally_ledger.app import SCHEMA
from tally_ledger.transfers import plan
from tally_ledger.transfers.books import carry_out
from tally_ledger.transfers.facts import TRANSFERS
from tally_postgres import MigrationSource, Schema, migrate
from tally_reconciliation.checks.books import check_books
from tally_reconciliation.checks.chain import check_chain
from tally_reconciliation.checks.holds import check_holds
from tally_reconciliation.checks.in_transit import Sides, judge_sides
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import session, snapshot
from tally_testkit import ServiceDatabase

from .ledger_builders import NOW, WHERE, WHO, WHY, freeze, identify, unfreeze
from .ledger_shards import BusRecord, Pair, Shard, open_pair, settle, transfer

# The last files of the release before changes were leaves and settlements had two sides.
BEFORE = {"ledger": 5, "ledger_transfers": 1}
FIVE_WS = {"who": WHO, "where": WHERE, "why": WHY, "occurred_at": NOW}

CREDITED = """
INSERT INTO ledger.cross_credit (id, from_ledger, ledger, asset, amount, decided_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""
SETTLED = """
INSERT INTO ledger.transit_settlement (id, ledger, other, asset, amount, owed_by, request, code, detail,
                                       settled_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
FROZEN = """
UPDATE ledger.account SET frozen_in = true, frozen_out = true WHERE id = %s
"""
CHANGED = """
INSERT INTO ledger.account_change (id, shard, account, operation, frozen_in, frozen_out, closed,
    request_hash, recorded_at, who_actor, who_principal, why_program, why_event, why_reason)
VALUES (%s, 'main', %s, 'freeze', true, true, false, %s, %s, 'o', 'p', 'care', 'case', 'a reason')
"""


@dataclass
class Old:
    """Both ledgers as the release before left them, and what it sent that nobody has read yet."""

    pair: Pair
    databases: dict[str, ServiceDatabase]

    def row(self, ledger: str, statement: str, *values: object) -> None:
        """A row as that release wrote it."""
        with psycopg.connect(self.databases[ledger].admin_dsn) as admin:
            admin.execute(statement.encode(), values)

    async def book(self, ledger: str, command: BaseModel) -> None:
        """Have the books of a ledger do something under an id of their own."""
        shard = self.pair.shards[ledger]
        (message,) = shard._read([self.pair.record(command)])

        async def unit(uow: Any) -> Any:
            return await carry_out(uow, [(message, command)])

        assert set((await shard.transactor.run(unit)).values()) == {None}
        await shard.publish()

    async def start(self, command: StartTransfer) -> TransferStarted:
        """Reserve a transfer at main; the fact that us is to read."""
        main = self.pair.shards["main"]
        await main.take([self.pair.record(command)])
        (fact,) = _facts(await main.publish())
        return TransferStarted.model_validate_json(fact.value)

    async def credit(self, started: TransferStarted) -> TransferCredited:
        """Credit it at us; the answer that main is to read."""
        await self.book("us", plan.credit(started))
        amount = started.amount
        told = (started.transfer_id, "main", "us", amount.currency, amount.amount, NOW)
        self.row("us", CREDITED, *told)
        named = started.model_dump(include={"transfer_id", "ledger", "to_ledger", "amount"})
        return TransferCredited(journal_id=plan.credit_id(told[0]), **named, **FIVE_WS)

    async def settle(self, command: SettleTransit, amount: str, *books: str) -> TransitSettled:
        """Settle what main owes at once, on the books given; the fact that us is to read."""
        settled = TransitSettled(
            settlement_id=command.settlement_id,
            ledger="main",
            other="us",
            amount=AssetAmount(currency="EUR", amount=amount),
            owed_by="main",
            **FIVE_WS,
        )
        for ledger in books:
            journal = plan.settlement(settled, ledger)
            transit_first = sorted(journal.open_accounts, key=lambda a: a.purpose != "in_transit")
            await self.book(
                ledger, journal.model_copy(update={"open_accounts": tuple(transit_first)})
            )
        self._settlement(command, amount, None, None)
        return settled

    def refuse(self, command: SettleTransit, code: str) -> None:
        """Refuse a settlement, as its ledger did when it was asked."""
        self._settlement(command, "0", code, "currency: is unknown")

    def _settlement(self, asked: SettleTransit, amount: str, *refusal: str | None) -> None:
        of = (asked.settlement_id, "main", "us", asked.currency, amount, "main")
        self.row("main", SETTLED, *of, asked.model_dump_json(), *refusal, NOW)

    def freeze(self, name: str, account: str) -> None:
        """Freeze an account of main's, in no log."""
        self.row("main", FROZEN, identify("acc", account))
        content = hashlib.sha256(name.encode()).digest()
        self.row("main", CHANGED, identify("chg", name), identify("acc", account), content, NOW)

    async def upgrade(self) -> None:
        """The migrations of this release; its processes have sessions of their own."""
        for ledger, database in self.databases.items():
            assert "ledger/0006_changes_in_log.sql" in migrate(database.admin_dsn, SCHEMA)
            await self.pair.shards[ledger].pool.expire_connections()

    async def judge(self) -> dict[str, Check]:
        """What the oracle says of both books: each check by ledger and id, and that of the pair."""
        sides = Sides()
        found: dict[str, Check] = {}
        for ledger, database in self.databases.items():
            async with session(database.admin_dsn) as conn, snapshot(conn, ("ledger",)) as snap:
                await sides.look(snap)
                checks = [*await check_books(snap), *await check_chain(snap)]
                checks.append(await check_holds(snap))
                found |= {f"{ledger} {check.id}": check for check in checks}
        return {**found, "L15": judge_sides(sides, Quiet(()))}


def _facts(records: Sequence[BusRecord]) -> list[BusRecord]:
    return [record for record in records if record.topic == TRANSFERS]


def _through(source: MigrationSource, folder: Path) -> MigrationSource:
    if source.name not in BEFORE:
        return source
    kept = folder / source.name
    kept.mkdir()
    for file in sorted(source.directory.glob("*.sql"))[: BEFORE[source.name]]:
        shutil.copy(file, kept)
    return MigrationSource(source.name, kept)


@pytest.fixture
async def old(
    fresh_database: Callable[[Schema], ServiceDatabase], tmp_path: Path
) -> AsyncIterator[Old]:
    before = Schema("ledger", tuple(_through(one, tmp_path) for one in SCHEMA.migrations))
    made: list[ServiceDatabase] = []

    def make(_: Schema) -> ServiceDatabase:
        made.append(fresh_database(before))
        return made[-1]

    pair = await open_pair(make)
    yield Old(pair, dict(zip(pair.shards, made, strict=True)))
    await pair.close()


async def _numbers(shard: Shard) -> list[int | None]:
    rows = await shard.pool.fetch("SELECT seq FROM account_change ORDER BY recorded_at, seq")
    return [row["seq"] for row in rows]


async def test_changes_that_were_no_leaves_stay_sound_beside_those_that_are(old: Old) -> None:
    old.freeze("before", "main-rich")
    await old.upgrade()
    assert (await old.judge())["main L11"].verdict == "green"
    old.pair.clock.advance(timedelta(hours=1))
    old.pair.send(unfreeze("thaw", "main-rich"), freeze("again", "main-rich"))
    await old.pair.run()
    assert await _numbers(old.pair.shards["main"]) == [None, 1, 2]
    judged = await old.judge()
    assert [check.faults for check in judged.values() if check.faults] == []
    assert judged["main L11"].figures["changes"] == 2


async def test_transfers_and_settlements_of_before_end_and_are_answered_as_they_were(
    old: Old,
) -> None:
    pair, s1, s2, s3 = old.pair, settle("s1", "main"), settle("s2", "main"), settle("s3", "main")
    for name, amount in (("t0", "20.00"), ("t1", "10.00")):
        done = await old.start(transfer(name, "main", amount))
        await pair.shards["main"].take([pair.record(await old.credit(done), TRANSFERS)])
        if name == "t0":
            mirrored = await old.settle(s1, "20.00", "main", "us")
    on_its_way = await old.settle(s2, "10.00", "main")
    old.refuse(s3, "currency_unknown")
    reserved = await old.start(transfer("t2", "main", "3.00"))
    credited = await old.start(transfer("t3", "main", "4.00"))
    await old.credit(credited)
    await old.upgrade()
    # What nobody had read, what comes again, and the commands once more.
    facts = (mirrored, on_its_way, reserved, credited, done)
    pair.bus = [pair.record(fact, TRANSFERS) for fact in facts]
    pair.send(s1, s2, s3, transfer("t1", "main", "10.00"))
    await pair.run()
    told = {
        name: {(kind, body.get("code")) for kind, body in (await pair.facts())[name]}
        for name in (*(one.settlement_id for one in (s1, s2, s3)), done.transfer_id)
    }
    assert (
        told[s1.settlement_id] == told[s2.settlement_id] == {("settled", None), ("mirrored", None)}
    )
    assert told[s3.settlement_id] == {("refused", "currency_unknown")}
    assert told[done.transfer_id] >= {("credited", None), ("completed", "treasury")}
    assert await pair.shards["us"].balance("us-poor") == (3700, 0)
    assert await pair.shards["main"].balance("main-rich") == (100000 - 3700, 0)
    assert await pair.shards["main"].in_transit() == {"EUR": (700, 0)}
    pair.send(settle("s4", "us"))
    await pair.run()
    assert [await shard.owed() for shard in pair.shards.values()] == [{"EUR": 3700}, {"EUR": -3700}]
    judged = await old.judge()
    assert [check.faults for check in judged.values() if check.faults] == []
    assert judged["L15"].summary == "1 pairs, 4 transfers, 4 settlements"
