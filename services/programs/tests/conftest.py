"""The programs service on a real database; builders play the gateway and the neighbours."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts import programs as wire
from tally_contracts.base import Event, Where, Who, Why
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_contracts.payouts import PayoutChanged
from tally_contracts.registry import BY_TYPE
from tally_messaging import Received, Service
from tally_messaging.batch import BatchProcessor
from tally_messaging.parser import parse
from tally_postgres import Pool, Schema, create_pool
from tally_programs.app import SCHEMA, build_app
from tally_programs.settings import ProgramsSettings
from tally_runtime import FixedClock, derived_id
from tally_testkit import ServiceDatabase, event_headers

AT = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
TOPIC_OF: dict[type[Event], str] = {
    WalletOpened: "directory.wallets.v1",
    PayInAllocated: "funding.pay_in.v1",
    PayoutChanged: "payouts.payout.v1",
    JournalPosted: "ledger.journals.v1",
    JournalRejected: "ledger.journals.v1",
}
TABLES = (
    "program", "document", "budget", "reservation", "payable", "settlement", "payment", "claim",
    "wallet", "answer", "outbox", "quarantine",
)  # fmt: skip


def tid(prefix: str, *parts: str) -> str:
    return derived_id(prefix, "test", *parts)


TENANT, COMPANY, PARTNER, PAYEE, STRANGER = (
    tid("party", name) for name in ("tenant", "company", "partner", "payee", "stranger")
)
PROGRAM = tid("prog", "rebates")


def wallet(owner: str, currency: str = "USD") -> str:
    return derived_id("acc", "main", f"wallet/{owner}/{currency}")


def usd(amount: str, currency: str = "USD") -> dict[str, str]:
    return {"currency": currency, "amount": amount}


@dataclass(frozen=True)
class Raw:
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes
    offset: int
    topic: str
    partition: int = 0


@dataclass(frozen=True)
class Sent:
    """One event of the outbox."""

    topic: str
    key: str
    caused_by: str
    event: Any


@dataclass
class Builders:
    """Commands of one company's program, and facts of the neighbours."""

    tenant: str = TENANT
    program_id: str = PROGRAM
    who: Who = field(default_factory=lambda: Who(actor="user:first", principal=COMMAND_BY))

    def by(self, actor: str, principal: str) -> "Builders":
        """The same, asked by somebody else."""
        return replace(self, who=Who(actor=actor, principal=principal))

    def of(self, tenant: str) -> "Builders":
        """The same, sent for another tenant."""
        return replace(self, tenant=tenant)

    def _base(self, more: dict[str, Any]) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "program_id": self.program_id,
            "who": self.who,
            "occurred_at": AT,
            **more,
        }

    def _about_money(self, more: dict[str, Any]) -> dict[str, Any]:
        return self._base(
            {
                "where": Where(channel="api", country="US"),
                "why": Why(program="rebates", event="order-7", reason="rebate of order 7"),
                **more,
            }
        )

    def create(self, program: str = "rebates", **more: Any) -> wire.CreateProgram:
        asked = {"program": program, "company": COMPANY, "title": "Rebates", **more}
        return wire.CreateProgram(**self._base(asked))

    def policy(
        self,
        version: int = 1,
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        **policy: Any,
    ) -> wire.PublishPolicy:
        asked = {
            "version": version,
            "effective_from": begins,
            "effective_until": ends,
            "policy": wire.PolicyDocument(**policy),
        }
        return wire.PublishPolicy(**self._base(asked))

    def fees(self, version: int = 1, *lines: dict[str, Any]) -> wire.SetFees:
        read = [wire.FeeLine.model_validate({**LINE, **line}) for line in lines]
        return wire.SetFees(
            **self._base({"version": version, "effective_from": None, "lines": read})
        )

    def order(self, version: int = 1, *accounts: tuple[str, str]) -> wire.SetFundingOrder:
        wallets = [
            wire.FundingWallet(account=account, currency=currency)
            for account, currency in accounts or ((wallet(COMPANY), "USD"),)
        ]
        return wire.SetFundingOrder(**self._base({"version": version, "wallets": wallets}))

    def budget(
        self,
        name: str,
        amount: str = "100.00",
        *,
        parent: str | None = None,
        holder: str = COMPANY,
        currency: str = "USD",
        **more: Any,
    ) -> wire.OpenBudget:
        asked = {
            "budget_id": tid("bud", name),
            "parent": None if parent is None else tid("bud", parent),
            "holder": holder,
            "amount": usd(amount, currency),
            "wallet": wallet(COMPANY, currency) if parent is None else None,
            **more,
        }
        return wire.OpenBudget(**self._about_money(asked))

    def allocate(
        self, name: str, budget: str, amount: str, *, take_back: bool = False
    ) -> wire.AllocateBudget:
        asked = {
            "allocation_id": tid("alloc", name),
            "budget_id": tid("bud", budget),
            "amount": usd(amount),
            "take_back": take_back,
        }
        return wire.AllocateBudget(**self._about_money(asked))

    def reserve(
        self, name: str, budget: str, amount: str, currency: str = "USD"
    ) -> wire.ReserveBudget:
        asked = {
            "reservation_id": tid("res", name),
            "budget_id": tid("bud", budget),
            "amount": usd(amount, currency),
            "reference": f"order-{name}",
        }
        return wire.ReserveBudget(**self._about_money(asked))

    def use(self, name: str, budget: str, reservation: str, amount: str) -> wire.UseBudget:
        asked = {
            "use_id": tid("use", name),
            "budget_id": tid("bud", budget),
            "reservation_id": tid("res", reservation),
            "amount": usd(amount),
        }
        return wire.UseBudget(**self._about_money(asked))

    def release(self, name: str, budget: str, reservation: str) -> wire.ReleaseBudget:
        asked = {
            "release_id": tid("rel", name),
            "budget_id": tid("bud", budget),
            "reservation_id": tid("res", reservation),
        }
        return wire.ReleaseBudget(**self._about_money(asked))

    def payable(
        self, name: str = "inv", amount: str = "100.00", **more: Any
    ) -> wire.RegisterPayable:
        asked = {
            "payable_id": tid("pbl", name),
            "document": "invoice",
            "number": f"no-{name}",
            "payer": COMPANY,
            "payee": PAYEE,
            "amount": usd(amount),
            "due": date(2026, 3, 1),
            "kind": "payables",
            "settled_by": "payout",
            **more,
        }
        return wire.RegisterPayable(**self._about_money(asked))

    def cancel(self, name: str = "inv") -> wire.CancelPayable:
        asked = {"payable_id": tid("pbl", name)}
        return wire.CancelPayable(**self._about_money(asked))

    def propose(
        self, name: str = "one", amount: str = "25.00", *, currency: str = "USD", **more: Any
    ) -> wire.ProposePayment:
        asked = {
            "payment_id": tid("pmt", name),
            "holder": COMPANY,
            "payee": PAYEE,
            "amount": usd(amount, currency),
            "rail": "ach",
            "kind": "incentives",
            "payable_id": None,
            **more,
        }
        return wire.ProposePayment(**self._about_money(asked))

    def approve(self, name: str = "one") -> wire.ApprovePayment:
        return wire.ApprovePayment(**self._base({"payment_id": tid("pmt", name)}))

    def reject(self, name: str = "one") -> wire.RejectPayment:
        asked = {"payment_id": tid("pmt", name), "reason": "not this one"}
        return wire.RejectPayment(**self._base(asked))

    def claim(self, name: str, budget: str, amount: str) -> wire.SubmitBudgetClaim:
        asked = {
            "claim_id": tid("clm", name),
            "budget_id": tid("bud", budget),
            "amount": usd(amount),
            "kind": "incentives",
            "evidence": "doc:1",
        }
        return wire.SubmitBudgetClaim(**self._about_money(asked))

    def decide(
        self, name: str, *, approve: bool = True, amount: str | None = None
    ) -> wire.DecideBudgetClaim:
        asked = {
            "claim_id": tid("clm", name),
            "approve": approve,
            "amount": None if amount is None else usd(amount),
        }
        return wire.DecideBudgetClaim(**self._about_money(asked))

    def _money(self, reference: str, program: str) -> dict[str, Any]:
        return {
            "who": Who(actor="svc:neighbour", principal=COMPANY),
            "where": Where(channel="api", country="US"),
            "why": Why(program=program, event=reference, reason="an invoice"),
            "occurred_at": AT,
        }

    def payout(
        self,
        name: str,
        reference: str,
        amount: str = "100.00",
        *,
        state: str = "paid",
        sequence: int = 4,
        company: str = COMPANY,
        program: str = "rebates",
        currency: str = "USD",
    ) -> PayoutChanged:
        return PayoutChanged(
            payout_id=tid("po", name),
            sequence=sequence,
            state=state,
            previous=None,
            owner=PAYEE,
            company=company,
            account=wallet(PAYEE),
            amount=usd(amount, currency),
            pay_in_id=None,
            rail="ach",
            hold_id=None,
            attempt_id=None,
            reason_code=None,
            must_act=None,
            **self._money(reference, program),
        )

    def pay_in(
        self, name: str, reference: str, amount: str = "100.00", company: str = PAYEE
    ) -> PayInAllocated:
        share = Allocation(
            account=wallet(company),
            owner=company,
            role="company",
            amount=usd(amount),
            pay_out=False,
        )
        return PayInAllocated(
            pay_in_id=tid("pin", name),
            journal_id=tid("jrn", name),
            source="bank",
            external_id=f"ext-{name}",
            company=company,
            amount=usd(amount),
            rule="standard@1",
            allocations=(share,),
            **self._money(reference, "rebates"),
        )

    def posted(self, name: str = "one") -> JournalPosted:
        payment = tid("pmt", name)
        return JournalPosted(
            journal_id=derived_id("jrn", payment),
            ledger="main",
            reference=payment,
            log_seq=4,
            legs=(),
            effective_at=AT,
            **self._money("order-7", "rebates"),
        )

    def rejected(self, name: str = "one") -> JournalRejected:
        payment = tid("pmt", name)
        return JournalRejected(
            journal_id=derived_id("jrn", payment),
            ledger="main",
            reference=payment,
            code="insufficient_funds",
            detail="the wallet has less",
            **self._money("order-7", "rebates"),
        )

    def wallet_opened(self, account: str, owner: str = COMPANY) -> WalletOpened:
        return WalletOpened(
            wallet_id=tid("wal", account),
            tenant=TENANT,
            owner=owner,
            account=account,
            ledger="main",
            currency="USD",
            purpose="program",
            reference="rebates",
            company=None,
            value_kind="incentives",
            reason="a wallet for the program",
            who=self.who,
            occurred_at=AT,
        )


COMMAND_BY = COMPANY
LINE = {
    "rail": None,
    "currency": "USD",
    "fixed": "0.00",
    "percent": "0",
    "floor": None,
    "cap": None,
    "bearer": "payer",
    "payer_percent": None,
}
_OFFSETS = itertools.count()


def make_raw(event: Event, *, event_id: str | None = None) -> Raw:
    """The record a neighbour would publish; a new event id unless one is given."""
    own = event_id or f"event-{next(_OFFSETS)}"
    # The ledger keys its journals by their reference.
    key = event.reference if isinstance(event, JournalPosted | JournalRejected) else "k"
    return Raw(
        event.model_dump_json().encode(),
        tuple(event_headers(own, event.TYPE)),
        key.encode(),
        next(_OFFSETS),
        TOPIC_OF.get(type(event), "programs.commands.v1"),
    )


@dataclass
class World:
    """The service's fold over its own database."""

    pool: Pool
    processor: BatchProcessor
    make: Builders
    clock: FixedClock

    raw = staticmethod(make_raw)

    def received(self, event: Event) -> Received[Any]:
        """The event as the router gets it."""
        record = make_raw(event)
        parsed = parse(record, self.processor.router.expected()[record.topic])
        assert isinstance(parsed, Received)
        return parsed

    async def feed(self, *events: Event | Raw) -> None:
        """Apply these as one batch."""
        await self.processor.process([e if isinstance(e, Raw) else make_raw(e) for e in events])
        rows = await self.pool.fetch("SELECT detail FROM quarantine")
        assert [row[0] for row in rows] == []

    async def ask(self, *commands: Event) -> list[Any]:
        """Apply these one by one; returns all they led to."""
        before = len(await self.sent())
        for command in commands:
            await self.feed(command)
        return [item.event for item in (await self.sent())[before:]]

    async def refusal(self, command: Event) -> str:
        """The code a command is refused with; it must lead to nothing else and change nothing."""
        before = await self.dump()
        [refused] = await self.ask(command)
        assert isinstance(refused, wire.ProgramCommandRefused), refused
        after = await self.dump()
        assert {**after, "outbox": None} == {**before, "outbox": None}
        return refused.code

    async def sent(self, topic: str | None = None) -> list[Sent]:
        rows = await self.pool.fetch(
            "SELECT topic, record_key, headers, payload FROM outbox ORDER BY seq"
        )
        out = []
        for row in rows:
            headers = json.loads(row["headers"])
            event = BY_TYPE[headers["ce_type"]].model_validate_json(row["payload"])
            out.append(Sent(row["topic"], row["record_key"], headers["tally_causation_id"], event))
        return [item for item in out if topic in {None, item.topic}]

    async def facts(self, kind: type[Event]) -> list[Any]:
        return [item.event for item in await self.sent() if isinstance(item.event, kind)]

    async def dump(self) -> dict[str, Sequence[Any]]:
        """Everything the service holds but its inbox, across tenants."""
        dump: dict[str, Sequence[Any]] = {}
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            for table in TABLES:
                rows = await conn.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")
                dump[table] = [row[0] for row in rows]
        return dump

    async def begin(self, *, approvals: int = 0, **policy: Any) -> None:
        """A program with a policy, a wallet to fund it, and a budget of 100.00 USD."""
        level = wire.ApprovalLevel(currency="USD", above="0.00", approvals=approvals)
        await self.feed(
            self.make.create(),
            self.make.policy(approvals=(level,), **policy),
            self.make.order(),
            self.make.budget("top"),
        )


@pytest.fixture
def settings(fresh_database: Callable[[Schema], ServiceDatabase]) -> ProgramsSettings:
    dsn = fresh_database(SCHEMA).dsn("programs")
    return ProgramsSettings(
        environment="test", kafka="127.0.0.1:9092", TALLY_PROGRAMS_POSTGRES_DSN=SecretStr(dsn)
    )


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(AT)


@pytest.fixture
def app(settings: ProgramsSettings, clock: FixedClock) -> Service:
    return build_app(settings, clock=clock)


@pytest.fixture
async def world(
    app: Service, settings: ProgramsSettings, make: Builders, clock: FixedClock
) -> AsyncIterator[World]:
    pool = await create_pool(
        settings.postgres_dsn.get_secret_value(),
        schema=SCHEMA.name,
        application_name="test",
        max_size=4,
    )
    for lane in range(settings.outbox_lanes):
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES ($1)", lane)
    yield World(pool, app.processor(app.routers[0], app.transactor(pool=pool)), make, clock)
    await pool.close()


@pytest.fixture
def make() -> Builders:
    return Builders()


@pytest.fixture
def ids() -> Callable[..., str]:
    """An id of this prefix and name, as the builders make it."""
    return tid


@pytest.fixture
def raw() -> Callable[..., Raw]:
    """Turns an event into the record a neighbour would publish."""
    return make_raw


@pytest.fixture
def later(clock: FixedClock) -> Callable[[int], datetime]:
    """Moves the clock on by hours; returns the time it is then."""

    def move(hours: int) -> datetime:
        clock.advance(timedelta(hours=hours))
        return clock.now()

    return move
