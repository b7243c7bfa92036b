"""Two ledgers in two databases, with a bus in between that repeats and reorders what it carries."""

import json
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tally_contracts.base import AskedAmount
from tally_contracts.ledger_transfers import SettleTransit, StartTransfer
from tally_ledger import service
from tally_ledger.app import SCHEMA, ledger_router
from tally_ledger.handlers import COMMANDS
from tally_ledger.placement import Placement, parse, settle_in
from tally_ledger.transfers.facts import TRANSFERS
from tally_ledger.transfers.overdue import OverdueTransfers, TransferMetrics
from tally_messaging import (
    Received,
    Router,
    Transactor,
    UnitOfWork,
    encode_headers,
    outgoing_headers,
)
from tally_messaging.envelope import Cause
from tally_messaging.parser import parse as parse_record
from tally_money import iso_currencies
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, Metrics, SeededIds
from tally_testkit import ServiceDatabase

from .ledger_builders import NOW, WHERE, WHO, WHY, account, identify, journal, leg

PLACES = parse("core:main;west:us")
OTHER = {"main": "us", "us": "main"}

_IN_TRANSIT = """
SELECT asset, sum(credits_posted - debits_posted) AS posted,
       sum(debits_pending + credits_pending) AS pending
FROM account WHERE purpose = 'in_transit' GROUP BY asset
"""


class DiedError(Exception):
    """A process ended in the middle of its work."""


@dataclass(frozen=True)
class BusRecord:
    """A record on the bus, as a consumer hands it over."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    partition: int = 0
    offset: int = 0


@dataclass
class Shard:
    """One database's ledger service without a broker."""

    placement: Placement
    pool: Pool
    transactor: Transactor
    router: Router
    read_to: int = 0
    published: list[BusRecord] = field(default_factory=list)

    async def take(self, records: Sequence[BusRecord]) -> None:
        """One batch, without an inbox: what comes again is applied again."""
        messages = self._read(records)
        if messages:
            await self.transactor.run(lambda uow: self.router.dispatch(uow, messages))

    def _read(self, records: Sequence[BusRecord]) -> list[Received[Any]]:
        expected = self.router.expected()
        read = [parse_record(record, expected[record.topic]) for record in records]
        return [item for item in read if isinstance(item, Received)]

    async def take_dying(self, records: Sequence[BusRecord]) -> None:
        """The same by a process that dies before it commits."""

        async def unit(uow: UnitOfWork) -> None:
            await self.router.dispatch(uow, messages)
            raise DiedError

        messages = self._read(records)
        if messages:
            with pytest.raises(DiedError):
                await self.transactor.run(unit)

    async def owed(self) -> dict[str, int]:
        """What stands on clearing accounts with other ledgers, by asset."""
        rows = await self.pool.fetch(
            "SELECT asset, sum(credits_posted - debits_posted)::bigint AS posted FROM account"
            " WHERE path LIKE 'clearing/shards/%' GROUP BY asset"
        )
        return {row["asset"]: row["posted"] for row in rows}

    async def publish(self) -> list[BusRecord]:
        """What came into the outbox since the last call."""
        rows = await self.pool.fetch(
            "SELECT seq, topic, record_key, headers, payload FROM outbox WHERE seq > $1 ORDER BY seq",
            self.read_to,
        )
        new = []
        for seq, topic, key, headers, payload in rows:
            self.read_to = seq
            encoded = encode_headers(json.loads(headers))
            new.append(BusRecord(topic, key.encode(), payload, encoded))
        self.published += new
        return new

    async def balance(self, name: str) -> tuple[int, int]:
        """Posted balance, and what is held."""
        row = await self.pool.fetchrow(
            "SELECT credits_posted - debits_posted, debits_pending FROM account WHERE id = $1",
            identify("acc", name),
        )
        assert row is not None, f"no account {name}"
        return int(row[0]), int(row[1])

    async def in_transit(self) -> dict[str, tuple[int, int]]:
        """Posted and pending on accounts in transit, by asset."""
        rows = await self.pool.fetch(_IN_TRANSIT)
        return {row["asset"]: (int(row["posted"]), int(row["pending"])) for row in rows}

    async def posted(self) -> int:
        """The sum over all wallets, in minor units."""
        return int(
            await self.pool.fetchval(
                "SELECT coalesce(sum(credits_posted - debits_posted), 0)::numeric(38, 0)"
                " FROM account WHERE purpose = 'wallet'"
            )
        )


@dataclass
class Pair:
    """Both shards, and every record that is under way between them."""

    shards: dict[str, Shard]
    clock: FixedClock
    ids: SeededIds
    bus: list[BusRecord] = field(default_factory=list)

    def record(self, event: Any, topic: str = COMMANDS) -> BusRecord:
        headers = outgoing_headers(
            event_id=str(uuid.UUID(int=self.ids.uuid7().int)),
            source="/test",
            event_type=event.TYPE,
            at=self.clock.now(),
            subject=event.ledger,
            cause=Cause("corr-1"),
        )
        value = event.model_dump_json().encode()
        return BusRecord(topic, event.ledger.encode(), value, encode_headers(headers))

    def send(self, *events: Any) -> None:
        """Put commands on the bus."""
        self.bus += [self.record(event) for event in events]

    async def deliver(self, records: Sequence[BusRecord]) -> None:
        """Hand records to every shard, as two groups would take them, and collect what they say."""
        for shard in self.shards.values():
            await shard.take(records)
            self.bus += [r for r in await shard.publish() if r.topic == TRANSFERS]

    async def deliver_dying(self, records: Sequence[BusRecord]) -> None:
        """The same, but each side dies over them first, and does them twice when it is back."""
        for shard in self.shards.values():
            await shard.take_dying(records)
            assert await shard.publish() == [], "nothing is told of what was not committed"
        await self.deliver(records)
        await self.deliver(records)

    async def run(self) -> None:
        """In order, once each."""
        while self.bus:
            batch, self.bus = self.bus, []
            await self.deliver(batch)

    async def run_wildly(self, chance: random.Random) -> None:
        """In any order and cut, each record up to three times; facts come from the past too."""
        past: list[BusRecord] = []
        while self.bus:
            chance.shuffle(self.bus)
            cut = chance.randint(1, len(self.bus))
            batch, self.bus = self.bus[:cut], self.bus[cut:]
            again = [r for r in (*batch, *past[-40:]) if chance.random() < 0.2]
            past += batch
            quiet = len(past) > 4000
            mixed = batch if quiet else [*batch, *again]
            chance.shuffle(mixed)
            if chance.random() < 0.5:
                await self.deliver(mixed)
            else:
                for shard in self.shards.values():
                    await shard.take(chance.sample(mixed, len(mixed)))
                    self.bus += [r for r in await shard.publish() if r.topic == TRANSFERS]
            # Answers to repeats are repeats themselves: bounded, or the bus would never run dry.
            if len(self.bus) > 400:
                self.bus = _distinct(self.bus)

    async def facts(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """What was told about each transfer, on either side, in order."""
        told: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for shard in self.shards.values():
            for record in shard.published:
                if record.topic == TRANSFERS:
                    kind = dict(record.headers)["ce_type"].decode().split(".")[2]
                    told.setdefault(record.key.decode(), []).append(
                        (kind, json.loads(record.value))
                    )
        return told

    async def mirrored(self) -> None:
        """Accounts in transit mirror each other and nothing is pending."""
        main, us = [await shard.in_transit() for shard in self.shards.values()]
        assert main.keys() == us.keys()
        for asset, (posted, pending) in main.items():
            assert (posted + us[asset][0], pending, us[asset][1]) == (0, 0, 0)

    async def close(self) -> None:
        for shard in self.shards.values():
            await shard.pool.close()

    async def ask_again(self, ledger: str, overdue_s: int = 60) -> int:
        """One turn of the worker that asks again."""
        worker = OverdueTransfers(TransferMetrics.of(Metrics("test")), 1.0, overdue_s)
        shard = self.shards[ledger]
        number = await shard.transactor.run(worker.ask_again)
        self.bus += [r for r in await shard.publish() if r.topic == TRANSFERS]
        return number


def _distinct(records: Sequence[BusRecord]) -> list[BusRecord]:
    seen: set[tuple[bytes, bytes]] = set()
    kept = []
    for record in records:
        what = (record.key, dict(record.headers)["ce_type"])
        if what not in seen:
            seen.add(what)
            kept.append(record)
    return kept


async def open_pair(make: Callable[[Schema], ServiceDatabase]) -> Pair:
    """Two databases, each with one funded wallet of 1000.00 and an empty one."""
    clock = FixedClock(NOW)
    ids = SeededIds(7, clock)
    shards: dict[str, Shard] = {}
    for database, ledgers in PLACES.items():
        (ledger,) = ledgers
        placement = Placement.of(PLACES, database)
        pool = await create_pool(
            make(SCHEMA).dsn("ledger"), schema="ledger", application_name="shard", max_size=3
        )
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0) ON CONFLICT DO NOTHING")
        transactor = Transactor(pool=pool, clock=clock, ids=ids, source=f"/test/{ledger}")
        await transactor.run(lambda uow, p=placement: _open(uow, p))  # type: ignore[misc]
        shards[ledger] = Shard(placement, pool, transactor, ledger_router(placement))
    pair = Pair(shards, clock, ids)
    for ledger in shards:
        pair.send(funding(ledger))
    await pair.run()
    return pair


async def _open(uow: UnitOfWork, placement: Placement) -> None:
    await settle_in(uow.conn, placement)
    await service.open_books(uow.conn, sorted(placement.own), list(iso_currencies().values()))


def funding(ledger: str, amount: str = "1000.00") -> Any:
    """Money for the rich wallet of a ledger; opens its poor one and one in dollars."""
    cards = account(f"{ledger}-cards", guarded=False)
    opens = [
        cards,
        account(f"{ledger}-rich"),
        account(f"{ledger}-poor"),
        account(f"{ledger}-usd", currency="USD"),
    ]
    return journal(
        f"{ledger}-fund",
        leg(f"{ledger}-fund", f"{ledger}-cards", f"{ledger}-rich", amount),
        opens=opens,
        ledger=ledger,
    )


def transfer(name: str, ledger: str, amount: str, **changes: Any) -> StartTransfer:
    """From the rich wallet of a ledger to the poor one of the other, unless told otherwise."""
    other = OTHER.get(ledger, "main")
    fields: dict[str, Any] = {
        "transfer_id": identify("xfr", name),
        "ledger": ledger,
        "debit": identify("acc", f"{ledger}-rich"),
        "to_ledger": other,
        "credit": identify("acc", f"{other}-poor"),
        "amount": AskedAmount(currency="EUR", amount=amount),
        "code": "treasury",
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return StartTransfer(**{**fields, **changes})


def settle(name: str, ledger: str, **changes: Any) -> SettleTransit:
    fields: dict[str, Any] = {
        "settlement_id": identify("stl", name),
        "ledger": ledger,
        "other": OTHER[ledger],
        "currency": "EUR",
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return SettleTransit(**{**fields, **changes})
