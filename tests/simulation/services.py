"""The services put together from their real code and the simulated ports."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

from pydantic import SecretStr

from tally_funding.postings import Books
from tally_funding.rule_document import read_rule
from tally_funding.rules.book import Decided
from tally_funding.rules.choose import Chosen, Compiled, compile_rule
from tally_funding.rules.decide import decide_allocation
from tally_funding.service import Funding
from tally_messaging import MessagingSettings, WorkerContext
from tally_messaging.metrics import MessagingMetrics
from tally_payouts.handlers import build_router as payouts_router
from tally_railkit.sealing import Keyring, SealingKey
from tally_rails.handlers import build_router as rails_router
from tally_rails.rails.wallet.adapter import WalletRail
from tally_runtime import Health, Metrics, SeededIds

from . import funding_store, ledger_store, payouts_store, rails_store
from .bank import Bank, BankRail
from .broker import SimBroker, SimKafka, producers
from .database import Database
from .linking import link
from .messaging_store import inbox, outbox, quarantine
from .planted import Bug
from .world import Process, TraceLog, World

TENANT = "main"
LEDGER = "main"
MIXED = "mixed"
SOURCE = "cards"
KEY = SealingKey.parse("c2FtcGxlLXNlYWxpbmcta2V5LWZvci1kZXZlbG9wLSE=")
_FATAL = frozenset({"record_quarantined", "batch_failed", "outbox_record_too_large"})
_SETTINGS = {
    "environment": "test",
    "kafka": "simulated:1",
    "postgres_dsn": SecretStr("postgresql://simulated"),
    "batch_records_max": 25,
    "session_timeout_ms": 6000,
    "relay_poll_ms": 400,
    "relay_page_records": 10,
    "relay_lease_s": 6,
    "offset_commit_interval_ms": 300,
    "back_off_max_ms": 4000,
}


@dataclass(frozen=True)
class Messaging:
    """`tally_messaging`, bound to the simulated ports."""

    batch: object
    unit_of_work: object
    consumer: object
    relay: object


def messaging(world: World, broker: SimBroker, bug: Bug | None) -> Messaging:
    log = TraceLog(world, fatal=_FATAL)
    claims = inbox
    if bug is Bug.NO_INBOX:
        claims = SimpleNamespace(claim=_everything_is_new, hashes=inbox.hashes)
    consumer = link("tally_messaging.consumer", _LOG=log)
    unit_of_work = link("tally_messaging.unit_of_work", outbox=outbox)
    relay = link(
        "tally_messaging.relay",
        outbox=outbox,
        quarantine=quarantine,
        AIOKafkaProducer=producers(broker),
        _LOG=log,
    )
    if bug is Bug.OFFSETS_FIRST:
        consumer.Consumer = _committing_first(consumer.Consumer)
    if bug is Bug.OUTBOX_APART:
        unit_of_work.Transactor = _outbox_apart(unit_of_work.Transactor)
    if bug is Bug.POSITION_FIRST:
        relay.Relay = _moving_first(relay.Relay)
    batch = link("tally_messaging.batch", inbox=claims, quarantine=quarantine, _LOG=log)
    return Messaging(batch, unit_of_work, consumer, relay)


@dataclass(frozen=True)
class QuietAlarms:
    """Rings into the trace; the case that goes with an alarm is judged at rest."""

    world: World

    def ring(self, rail: str, code: str, **_: object) -> None:
        self.world.trace("alarm", f"{rail} {code}")


@dataclass(frozen=True)
class InstalledRule:
    """The installation's own rule, where none is published."""

    compiled: Compiled

    async def decide(self, conn, money):
        await conn.statement("rules.stamp")
        chosen = Chosen(self.compiled, is_last=True)
        return [
            Decided(
                self.compiled.rule.label,
                decide_allocation(chosen, asked.facts, asked.beneficiary),
                None,
            )
            for asked in money
        ]


class Platform:
    """All services of one world, and what they keep."""

    def __init__(self, world: World, bug: Bug | None) -> None:
        self.world = world
        self.broker = SimBroker(world)
        self.bank = Bank(world)
        self.messaging = messaging(world, self.broker, bug)
        self.databases = {n: Database(world, n) for n in ("funding", "ledger", "payouts", "rails")}
        for ledger in (LEDGER, MIXED):
            ledger_store.open_shard(self.databases["ledger"], ledger)
        self.rules = InstalledRule(compile_rule(read_rule(None).rule))
        self.books = Books(TENANT, LEDGER)
        self._metrics = {
            name: MessagingMetrics.of(Metrics(f"sim_{name}")) for name in self.databases
        }
        self._alarms = QuietAlarms(world)
        log = TraceLog(world)
        self._log = log
        self._build_ledger(bug)
        self._build_payouts()
        self._build_rails(bug)
        self._build_funding()

    def launch(self) -> None:
        for service, replicas in (("funding", 1), ("ledger", 2), ("payouts", 2), ("rails", 2)):
            for replica in range(1, replicas + 1):
                self.world.launch(f"{service}-{replica}", self._main(service))

    def _build_ledger(self, bug: Bug | None) -> None:
        store = ledger_store.build(compare_and_set=bug is not Bug.NO_COMPARE_AND_SET)
        service = link("tally_ledger.service", store=store)
        self._ledger_handlers = link("tally_ledger.handlers", service=service, store=store)
        self._expiry = link("tally_ledger.expiry", service=service, store=store, _LOG=self._log)

    def _build_payouts(self) -> None:
        keeping = link("tally_payouts.keeping", _LOG=self._log)
        turn = link("tally_payouts.turn", Keeper=keeping.Keeper, log_input=keeping.log_input)
        self._payouts = link(
            "tally_payouts.service",
            method_store=payouts_store.methods,
            payout_store=payouts_store.payouts,
            policy_store=payouts_store.policies,
            exit_store=payouts_store.exits,
            load_tables=payouts_store.load_tables,
            load_families=payouts_store.load_families,
            load_parties=payouts_store.load_parties,
            save_exits=payouts_store.save_exits,
            Turn=turn.Turn,
        )

    def _build_rails(self, bug: Bug | None) -> None:
        ports = {"instrument_store": rails_store.instruments, "work": rails_store.work}
        desk = link("tally_rails.desk", attempt_store=rails_store.attempts, _LOG=self._log, **ports)
        self._rails = link("tally_rails.service", _LOG=self._log, **ports)
        bank = BankRail(self.bank, bug is Bug.NEW_ID_AFTER_UNKNOWN)
        self.rail_parts = {"bank": bank, "wallet": WalletRail()}
        meanings = {name: rail.meanings for name, rail in self.rail_parts.items()}
        self.desks = lambda uow: desk.Desk(uow, meanings, self._alarms)
        self._workers_of_rails = bank.workers(self.desks)

    def _build_funding(self) -> None:
        service = link(
            "tally_funding.service",
            store=funding_store.store,
            tenants=funding_store.tenants,
            restrict=funding_store.restrict,
            for_every_tenant=funding_store.for_every_tenant,
            _LOG=self._log,
        )
        self._funding_handlers = link("tally_funding.handlers", service=service)

    def _router(self, service: str):
        if service == "ledger":
            return self._ledger_handlers.build_router()
        if service == "payouts":
            home = self._payouts.Installation(TENANT, LEDGER, frozenset(self.rail_parts))
            return payouts_router(self._payouts.PayoutService(home))
        if service == "rails":
            rails = self._rails.RailsService(self.rail_parts, Keyring(KEY, None), self.desks)
            return rails_router(rails, self.rail_parts)
        funding = Funding(self.books, self.rules)
        return self._funding_handlers.build_router(funding, [SOURCE], None)

    def _workers(self, service: str):
        if service == "ledger":
            return (self._expiry.ExpiryWorker((LEDGER, MIXED), 1.0, 20),)
        return self._workers_of_rails if service == "rails" else ()

    def _main(self, service: str):
        """What a process of the service does: `Service.start` without sockets."""

        async def main(process: Process) -> None:
            settings = MessagingSettings(**_SETTINGS)
            metrics = self._metrics[service]
            pool = self.databases[service].pool(process)
            ids = SeededIds(self.world.rng.getrandbits(64), process.clock)
            kit = self.messaging
            relay = kit.relay.Relay(
                pool,
                settings,
                owner=process.label,
                clock=process.clock,
                ids=ids,
                metrics=metrics,
                step=process.step,
            )
            await relay.start()
            transactor = kit.unit_of_work.Transactor(
                pool=pool,
                clock=process.clock,
                ids=ids,
                source=f"/tallystick/main/{service}",
                wake_relay=relay.wake,
                hand_over=relay.hand_over,
            )
            processor = kit.batch.BatchProcessor(
                self._router(service), transactor, metrics, step=process.step
            )
            kafka = SimKafka(self.broker, process)
            consumer = kit.consumer.Consumer(kafka, processor, settings, process.clock)
            await consumer.start()
            context = WorkerContext(
                transactor, pool, process.clock, ids, Health(process.clock), asyncio.Event()
            )
            workers = [asyncio.create_task(w.run(context)) for w in self._workers(service)]
            while True:
                await asyncio.sleep(1.0)
                for ended in [relay._task, *workers]:
                    if ended.done() and not ended.cancelled():
                        ended.result()

        return main


async def _everything_is_new(conn, consumer, keys, hashes, now):
    await inbox.claim(conn, consumer, keys, hashes, now)
    return set(keys)


def _committing_first(real):
    class CommittingFirst(real):
        async def _consume(self, records):
            from aiokafka import TopicPartition

            for record in records:
                place = TopicPartition(record.topic, record.partition)
                self._done[place] = max(self._done.get(place, 0), record.offset + 1)
            await self._commit()
            await super()._consume(records)

    return CommittingFirst


def _outbox_apart(real):
    class OutboxApart(real):
        async def run(self, work):
            kept = []

            async def without_outbox(uow):
                result = await work(uow)
                kept[:] = uow.outgoing
                uow.outgoing.clear()
                return result

            result = await real.run(self, without_outbox)

            async def outbox_alone(uow):
                uow.outgoing.extend(kept)

            if kept:
                await real.run(self, outbox_alone)
            return result

    return OutboxApart


def _moving_first(real):
    class MovingFirst(real):
        async def _send(self, lane, records):
            lease = self._settings.relay_lease_s
            last = self._held[lane].position + len(records)
            await outbox.advance(self._pool, lane, self._owner, last, lease)
            await self._step("moved")
            await real._send(self, lane, records)

    return MovingFirst
