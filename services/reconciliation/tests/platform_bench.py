"""The platform's real services over a real database, with lists in the place of Kafka's topics."""

import base64
import gzip
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from tally_bankfiles.camt import (
    Account,
    BankTransactionCode,
    EntryTransaction,
    Statement,
    StatementEntry,
    write_camt053,
)
from tally_contracts.base import Event, Where, Who, Why
from tally_contracts.funding import FundingReceived, ImportStatement
from tally_contracts.ledger import AccountSpec, OpenAccount
from tally_contracts.payouts import ChooseMethod
from tally_contracts.rails import RegisterInstrument
from tally_messaging import Service, UnitOfWork
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CORRELATION_ID
from tally_money import Money, currency
from tally_postgres import Pool, create_pool
from tally_railkit import News
from tally_railkit.sealing import SealingKey, seal
from tally_rails.alarms import Alarms
from tally_rails.desk import Desk
from tally_rails.rails.ach.mapping import MEANINGS
from tally_reconciliation.broker import Extent, Partition
from tally_runtime import FixedClock, Metrics, SeededIds, derived_id
from tally_testkit import ServiceDatabase, event_headers

# Ahead of every real clock, so that nothing the platform puts off is due by the database's.
START = datetime(2031, 1, 6, 8, tzinfo=UTC)
KEY = SealingKey(b"k" * 32)
ACH_DETAILS = {
    "routing_number": "231380104",
    "account_number": "55550100",
    "account_type": "checking",
    "holder_name": "Payee One",
}
PARTITIONS = 3
WHO = Who(actor="svc:bench", principal="co_1")
WHERE = Where(channel="api", country="DE")
WHY = Why(program="supplier-payments", event="invoice:7", reason="Invoice 7")


@dataclass(frozen=True)
class Record:
    """A record as it lies on a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int = int(START.timestamp() * 1000)


@dataclass
class ListBroker:
    """Topics as lists; the oracle reads it in the place of Kafka."""

    logs: dict[Partition, list[Record]] = field(default_factory=dict)
    firsts: dict[Partition, int] = field(default_factory=dict)
    commits: dict[str, dict[Partition, int]] = field(default_factory=lambda: defaultdict(dict))

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> Record:
        for number in range(PARTITIONS):
            self.logs.setdefault((topic, number), [])
        partition = sum(key or b"") % PARTITIONS
        log = self.logs[topic, partition]
        log.append(Record(topic, partition, len(log), key, value, tuple(headers)))
        return log[-1]

    async def topics(self, pattern: str) -> tuple[str, ...]:
        names = {topic for topic, _ in self.logs}
        return tuple(sorted(name for name in names if re.fullmatch(pattern, name)))

    async def extents(self, topics: Collection[str]) -> Mapping[Partition, Extent]:
        return {
            where: Extent(self.firsts.get(where, 0), len(log))
            for where, log in self.logs.items()
            if where[0] in topics
        }

    async def committed(self, group: str) -> Mapping[Partition, int]:
        return dict(self.commits[group])

    async def records(self, extents: Mapping[Partition, Extent]) -> AsyncIterator[Sequence[Record]]:
        for where, extent in extents.items():
            yield [r for r in self.logs[where] if extent.first <= r.offset < extent.end]

    def copy(self) -> "ListBroker":
        """The same records, to be changed apart."""
        twin = ListBroker({w: list(log) for w, log in self.logs.items()}, dict(self.firsts))
        for group, commits in self.commits.items():
            twin.commits[group] = dict(commits)
        return twin


@dataclass
class Running:
    """One service: how it applies batches, and how far its outbox was published."""

    service: Service
    pool: Pool
    processors: tuple[BatchProcessor, ...]


@dataclass
class Bench:
    """Feeds the services until nothing moves."""

    database: ServiceDatabase
    clock: FixedClock
    broker: ListBroker = field(default_factory=ListBroker)
    running: dict[str, Running] = field(default_factory=dict)

    async def start(
        self,
        name: str,
        build: Any,
        settings: Any,
        *,
        app: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        dsn = self.database.dsn(name)
        ids = SeededIds(len(self.running) + 1, self.clock)
        service = build(
            settings(kafka="unused:9092", postgres_dsn=SecretStr(dsn), **more),
            clock=self.clock,
            ids=ids,
            **(app or {}),
        )
        pool = await create_pool(dsn, schema=name, application_name="bench", max_size=2)
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
        await pool.execute("INSERT INTO relay (lane) VALUES (0)")
        transactor = service.transactor(pool=pool)
        if service._prepare is not None:
            await service._prepare(transactor)
        processors = tuple(service.processor(router, transactor) for router in service.routers)
        self.running[name] = Running(service, pool, processors)

    async def stop(self) -> None:
        for running in self.running.values():
            await running.pool.close()

    def publish(
        self,
        topic: str,
        event: Event | bytes | None,
        *,
        key: str = "key",
        event_id: str,
        event_type: str | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> Record:
        """What somebody outside the platform publishes."""
        value = event.model_dump_json().encode() if isinstance(event, Event) else event
        kind = event_type or (event.TYPE if isinstance(event, Event) else FundingReceived.TYPE)
        return self.broker.append(
            topic,
            key.encode(),
            value,
            [*event_headers(event_id, kind), (CORRELATION_ID, event_id.encode()), *headers],
        )

    async def settle(self) -> None:
        """Publish and consume until nothing moves."""
        while await self._consume() + await self._relay():
            pass

    async def _consume(self) -> int:
        done = 0
        for running in self.running.values():
            for processor in running.processors:
                topics = set(processor.router.expected())
                commits = self.broker.commits[processor.router.consumer]
                for where, log in list(self.broker.logs.items()):
                    fresh = log[commits.get(where, 0) :] if where[0] in topics else []
                    if fresh:
                        await processor.process(fresh)
                        commits[where] = len(log)
                        done += len(fresh)
        return done

    async def _relay(self) -> int:
        sent = 0
        for running in self.running.values():
            rows = await running.pool.fetch(
                "SELECT o.seq, o.topic, o.record_key, o.headers, o.payload FROM outbox o"
                " JOIN relay r USING (lane) WHERE o.seq > r.position ORDER BY o.seq"
            )
            for _, topic, key, headers, payload in rows:
                named = [(n, v.encode()) for n, v in json.loads(headers).items()]
                self.broker.append(topic, key.encode(), payload, named)
            if rows:
                await running.pool.execute("UPDATE relay SET position = $1", rows[-1][0])
            sent += len(rows)
        return sent

    def announce(
        self, external_id: str, amount: str = "100.00", *, source: str = "cards", **changes: Any
    ) -> Record:
        """Money for one payee; `ce` is its record id, the external id unless given."""
        event_id = changes.pop("ce", f"ce-{external_id}")
        event = FundingReceived.model_validate(
            {
                "who": WHO,
                "where": WHERE,
                "why": WHY,
                "occurred_at": START,
                "external_id": external_id,
                "amount": {"currency": changes.pop("currency", "USD"), "amount": amount},
                "originator": {"reference": "debtor-1"},
                "company": "co_1",
                "beneficiary": {"party": changes.pop("party", "pty_1")},
                "value_date": "2031-01-06",
                **changes,
            }
        )
        return self.publish(
            f"funding.inbound.{source}.v1", event, key=external_id, event_id=event_id
        )

    def choose(self, owner: str, rail: str = "ach", currency: str = "USD") -> None:
        """The payee's instrument is registered and chosen."""
        instrument = derived_id("ins", owner, currency)
        details = ACH_DETAILS if rail == "ach" else {"account": self._spending(owner, currency)}
        registration = RegisterInstrument(
            instrument_id=instrument,
            rail=rail,
            owner=owner,
            currency=currency,
            sealed=seal(details, KEY, instrument_id=instrument, rail=rail),
            who=WHO,
            occurred_at=START,
        )
        choice = ChooseMethod(
            owner=owner,
            currency=currency,
            rail=rail,
            instrument=instrument,
            who=WHO,
            occurred_at=START,
        )
        self.publish(
            "rails.commands.v1", registration, key=instrument, event_id=f"reg-{instrument}"
        )
        self.publish("payouts.commands.v1", choice, key=owner, event_id=f"choose-{instrument}")

    def _spending(self, owner: str, currency: str) -> str:
        """A wallet of the payee's own, opened by command."""
        path = f"wallet/{owner}/spending/{currency}"
        account = AccountSpec(
            id=derived_id("acc", "main", path),
            owner=owner,
            purpose="wallet",
            path=path,
            currency=currency,
            guarded=True,
        )
        self.publish(
            "ledger.commands.v1",
            OpenAccount(account=account, ledger="main", who=WHO, occurred_at=START),
            key="main",
            event_id=f"open-{account.id}",
        )
        return account.id

    def import_statement(self, *lines: str) -> None:
        """A bank's statement of credits (amount and reference); the middle one names a payee."""
        dollars = currency("USD")
        entries = []
        for index, (amount, reference) in enumerate(text.split() for text in lines):
            said = "TALLY:supplier-payments:pty_1" if index == 1 else "Thank you"
            money = Money.parse(amount, "USD")
            entries.append(
                StatementEntry(
                    index=index,
                    line=0,
                    amount=money,
                    credit=True,
                    booking_date=START.date(),
                    value_date=START.date(),
                    account_servicer_ref=reference,
                    bank_transaction_code=BankTransactionCode(
                        domain="PMNT", family="RCDT", sub_family="ESCT"
                    ),
                    transactions=(
                        EntryTransaction(
                            amount=money,
                            credit=True,
                            account_servicer_ref=reference,
                            unstructured=(said,),
                        ),
                    ),
                )
            )
        statement = Statement(
            message_id="message-1",
            id="statement-1",
            account=Account("900100200", is_iban=False),
            currency=dollars,
            created_at=START,
            opening=Money(0, dollars),
            opening_date=START.date(),
            closing=Money(sum(entry.amount.minor for entry in entries), dollars),
            closing_date=START.date(),
            entries=tuple(entries),
        )
        packed = base64.b64encode(gzip.compress(write_camt053(statement))).decode()
        command = ImportStatement(
            import_id=derived_id("imp", "1"), file_name="one.xml", content=packed, who=WHO
        )
        self.publish("funding.commands.v1", command, event_id="ce-statement")

    async def file(self, *external_ids: str) -> None:
        """The rail stores a file with these payouts' entries, before it is sent."""
        rails = self.running["rails"].pool
        await rails.execute(
            "INSERT INTO ach_file (id, origin, created_on, created_time, modifier, name, content,"
            " sha256, entries, effective_date, state, changed_at) VALUES ('achf_1', '121042882',"
            " '2031-01-06', '0900', 'A', 'one.ach', 'x', encode(sha256('x'), 'hex'), $1, '2031-01-07', 'acknowledged', $2)",
            len(external_ids),
            START,
        )
        for number, name in enumerate(external_ids, 1):
            attempt = derived_id("att", await self.payout_of(name), "1")
            await rails.execute(
                "INSERT INTO ach_entry (trace, cycle, file_id, batch_number, attempt_id, rdfi, amount)"
                " SELECT $1, 0, 'achf_1', 1, id, '23138010', amount FROM attempt WHERE id = $2",
                f"12104288{number:07d}",
                attempt,
            )

    async def bank_says(self, external_id: str, *codes: str) -> None:
        """News about a payout's attempt, by the ACH rail's own table of codes."""
        attempt = derived_id("att", await self.payout_of(external_id), "1")
        transactor = self.running["rails"].service.transactor(pool=self.running["rails"].pool)
        for code in codes:
            news = News(
                attempt_id=attempt,
                provider_code=code,
                reference=f"ret-{external_id}" if code.startswith("R") else f"trace-{external_id}",
                amount=None,
                occurred_at=START,
                source="poll",
            )

            async def unit(uow: UnitOfWork, news: News = news) -> None:
                desk = Desk(uow, {"ach": MEANINGS}, Alarms(Metrics("bench").for_service("rails")))
                await desk.load([attempt])
                desk.observe(news)
                await desk.save()

            await transactor.run(unit)
            await self.settle()

    async def payout_of(self, external_id: str) -> str:
        found: str = await self.running["payouts"].pool.fetchval(
            "SELECT id FROM payout WHERE external_id = $1", external_id
        )
        return found


async def tell_story(bench: Bench) -> None:
    """A sound day: paid, returned, failed, claimable and waiting payouts, and trouble with records."""
    bench.choose("pty_1")
    bench.choose("pty_2", "wallet", "KWD")
    await bench.settle()
    for name in ("paid", "returned", "failed", "transit"):
        bench.announce(name)
        await bench.settle()
    bench.announce("claimable", party="pty_3", source="invoices")
    bench.announce("yen", "12000", currency="JPY", party="pty_2", source="invoices")
    bench.announce("dinar", "12.345", currency="KWD", party="pty_2", source="invoices")
    bench.announce("nobody", beneficiary=None)
    await bench.settle()
    await bench.file("paid", "returned", "failed", "transit")
    sent = ("stored", "uploaded", "accepted")
    await bench.bank_says("paid", *sent, "settled")
    await bench.bank_says("returned", *sent, "settled", "R02")
    await bench.bank_says("failed", "stored", "uploaded", "rejected")
    await bench.bank_says("transit", *sent)
    # A bank statement: one credit announced before, one for a payee, one nobody knows the use of.
    bench.announce("bank-known", "80.00", party="pty_3", source="bank")
    await bench.settle()
    bench.import_statement("80.00 bank-known", "33.10 bank-new", "5.00 bank-odd")
    # The same record again, the same money under another record id, the same money but more of it.
    bench.announce("paid")
    bench.announce("paid", ce="ce-again")
    bench.announce("yen", "13000", currency="JPY", party="pty_2", source="invoices", ce="ce-more")
    # A record id used for other content, and bytes nobody can read, twice.
    bench.announce("other", ce="ce-paid")
    for _ in range(2):
        bench.publish("funding.inbound.cards.v1", b"{", event_id="ce-broken")
    await bench.settle()
