"""The portfolio over a fresh database; builders tell what its neighbours would."""

import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tally_contracts.base import Amount, Event, PositiveAmount, Where, Who, Why
from tally_contracts.catalogue import catalogue
from tally_contracts.directory_facts import (
    ConnectionChanged,
    ConsentGiven,
    GrantRevoked,
    GrantSet,
    PartiesMerged,
    PartyMoved,
    PartyRegistered,
    ReferenceClaimed,
    WalletOpened,
)
from tally_contracts.funding import (
    Allocation,
    Beneficiary,
    Originator,
    PayInAllocated,
    PayInReceived,
    PayInSuspended,
)
from tally_contracts.funding_sources import ReturnedShare
from tally_contracts.ledger import (
    AccountOpened,
    AccountSpec,
    HoldCaptured,
    HoldPlaced,
    JournalPosted,
    Leg,
)
from tally_contracts.operations import RecordQuarantined
from tally_contracts.payouts import PayoutChanged
from tally_contracts.programs import BudgetChanged
from tally_contracts.rails import AttemptChanged
from tally_messaging import Transactor
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CAUSATION_ID, CE_TIME, CORRELATION_ID
from tally_portfolio.answering import ReadApi
from tally_portfolio.api import build_api
from tally_portfolio.app import SCHEMA, build_app
from tally_portfolio.service import reading
from tally_portfolio.settings import PortfolioSettings
from tally_portfolio.store import ALL_TENANTS
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds, derived_id, derived_uuid
from tally_security.internal import (
    VIEWER_HEADER,
    InternalKeys,
    Persona,
    Viewer,
    sign_viewer,
)
from tally_testkit import ServiceDatabase, event_headers

KEYS = InternalKeys(b"k" * 32)
START = datetime(2026, 9, 21, 8, tzinfo=UTC)
WHO = Who(actor="svc:feed", principal="co_1")
WHERE = Where(channel="api", country="DE")
TOPIC_OF = {name: topic.name for topic in catalogue().values() for name in topic.types}


@dataclass(frozen=True)
class Raw:
    """A record as a broker would hand it over."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    key: bytes
    offset: int
    topic: str
    partition: int = 0


def account(path: str) -> str:
    return derived_id("acc", "main", path)


def usd(amount: str) -> PositiveAmount:
    return PositiveAmount(currency="USD", amount=amount)


@dataclass
class Story:
    """One payment as its services tell it, a second between facts: `records` in that order."""

    name: str
    at: datetime = START
    correlation: str = ""
    amount: str = "100.00"
    owner: str = ""
    company: str = "co_1"
    ledger: str = "main"
    reference: str = ""
    records: list[Raw] = field(default_factory=list)
    events: dict[str, str] = field(default_factory=dict)
    _offsets: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.correlation = self.correlation or str(derived_uuid("upstream", self.name))
        self.owner = self.owner or self.name

    def id(self, prefix: str, *parts: str) -> str:
        return derived_id(prefix, self.name, *parts)

    @property
    def pay_in_id(self) -> str:
        return self.id("pin")

    @property
    def payout_id(self) -> str:
        return self.id("po")

    @property
    def wallet(self) -> str:
        return account(f"wallet/{self.owner}/USD")

    @property
    def ws(self) -> dict[str, Any]:
        event = self.reference or f"order:{self.name}"
        why = Why(program="rebates", event=event, reason="Rebate")
        return {"who": WHO, "where": WHERE, "why": why, "occurred_at": self.at}

    def tell(self, event: Event, label: str, key: str, cause: str) -> str:
        """Add a fact; `cause` is the label of the one it follows from, told or not."""
        number = len(self.records)
        event_id = str(derived_uuid("event", self.name, label))
        self.events[label] = event_id
        source = f"/tallystick/main/{TOPIC_OF[event.TYPE].partition('.')[0]}"
        headers = [
            *event_headers(event_id, event.TYPE, source),
            (CORRELATION_ID, self.correlation.encode()),
            (CAUSATION_ID, str(derived_uuid("event", self.name, cause)).encode()),
            (CE_TIME, (self.at + timedelta(seconds=number)).isoformat().encode()),
        ]
        self.records.append(
            Raw(
                event.model_dump_json().encode(),
                tuple((n, v) for n, v in headers if v is not None),
                key.encode(),
                next(self._offsets),
                TOPIC_OF[event.TYPE],
            )
        )
        return event_id

    def fact(self, event_class: type[Any], label: str, **fields: Any) -> "Story":
        """Any other fact, a minute after the one before it."""
        ws = self.ws | {"occurred_at": self.at + timedelta(minutes=len(self.records))}
        known = {name: value for name, value in ws.items() if name in event_class.model_fields}
        self.tell(event_class(**known | fields), label, self.pay_in_id, "asked")
        return self

    def returned(
        self, kind: type[Any], state: str, amount: str, so_far: str, **owed: str
    ) -> "Story":
        """Part of the pay-in went back; `owed` names shares that wallets had spent already."""
        # What is reinstated is the return before it.
        label = f"returned{len(self.records)}"
        number = str(len(self.records) - ("state" not in kind.model_fields))
        shares = owed or {self.owner: amount}
        fields: dict[str, Any] = {
            "return_id": self.id("ret", number),
            "pay_in_id": self.pay_in_id,
            "source": "cards",
            "company": self.company,
            "amount": usd(amount),
            "returned": Amount(currency="USD", amount=so_far),
            "shares": tuple(
                ReturnedShare(
                    owner=owner,
                    account=account(f"wallet/{owner}/USD"),
                    amount=usd(share),
                    receivable_id=self.id("rcv", owner) if owed else None,
                )
                for owner, share in shares.items()
            ),
        }
        if "state" in kind.model_fields:
            fields |= {"state": state, "pay_in_amount": Amount(currency="USD", amount=self.amount)}
        return self.fact(kind, label, **fields)

    def budget(
        self, program: str, label: str, holder: str, *above: str, sequence: int = 1, **amounts: str
    ) -> "Story":
        """A budget below others, top one first; amounts not named are zero."""
        fields = {
            "limit": "0.00",
            "allocated": "0.00",
            "reserved": "0.00",
            "used": "0.00",
        } | amounts
        path = tuple(self.id("bud", program, one) for one in above)
        return self.fact(
            BudgetChanged,
            f"{label}{sequence}",
            tenant=self.company,
            program_id=self.id("prog", program),
            budget_id=self.id("bud", program, label),
            sequence=sequence,
            parent=path[-1] if path else None,
            path=path,
            holder=holder,
            wallet=self.wallet,
            change="opened",
            changed_by=usd("1.00"),
            subject=label,
            **{name: Amount(currency="USD", amount=amount) for name, amount in fields.items()},
        )

    def received(self) -> "Story":
        event = PayInReceived(
            pay_in_id=self.pay_in_id,
            source="cards",
            external_id=f"ext-{self.name}",
            amount=Amount(currency="USD", amount=self.amount),
            originator=Originator(reference="debtor-1"),
            company=self.company,
            beneficiary=Beneficiary(party=self.owner),
            value_date=START.date(),
            **self.ws,
        )
        self.tell(event, "received", self.pay_in_id, "upstream")
        return self

    def opened(self) -> "Story":
        spec = AccountSpec(
            id=self.wallet,
            owner=self.owner,
            purpose="wallet",
            path=f"wallet/{self.owner}/USD",
            currency="USD",
            guarded=True,
        )
        event = AccountOpened(account=spec, ledger=self.ledger, occurred_at=self.at)
        self.tell(event, "opened", self.wallet, "post")
        return self

    def posted(self) -> "Story":
        leg = Leg(
            id=self.id("trf"),
            debit=account("clearing/cards/USD"),
            credit=self.wallet,
            amount=usd(self.amount),
            code="pay_in",
        )
        event = JournalPosted(
            journal_id=self.id("jrn"),
            ledger=self.ledger,
            reference=self.pay_in_id,
            log_seq=1,
            legs=(leg,),
            effective_at=self.at,
            **self.ws,
        )
        self.tell(event, "posted", self.pay_in_id, "post")
        return self

    def allocated(self, *, pay_out: bool = True) -> "Story":
        share = Allocation(
            account=self.wallet,
            owner=self.owner,
            role="beneficiary",
            amount=Amount(currency="USD", amount=self.amount),
            pay_out=pay_out,
        )
        event = PayInAllocated(
            pay_in_id=self.pay_in_id,
            journal_id=self.id("jrn"),
            source="cards",
            external_id=f"ext-{self.name}",
            company=self.company,
            amount=Amount(currency="USD", amount=self.amount),
            rule="rebates@1",
            allocations=(share,),
            **self.ws,
        )
        self.tell(event, "allocated", self.pay_in_id, "posted")
        return self

    def split(self, shares: dict[str, str]) -> "Story":
        """Allocated to several owners, none of whom is paid at once."""
        event = PayInAllocated(
            pay_in_id=self.pay_in_id,
            journal_id=self.id("jrn"),
            source="cards",
            external_id=f"ext-{self.name}",
            company=self.company,
            amount=Amount(currency="USD", amount=self.amount),
            rule="rebates@1",
            allocations=tuple(
                Allocation(
                    account=account(f"wallet/{owner}/USD"),
                    owner=owner,
                    role="beneficiary",
                    amount=Amount(currency="USD", amount=amount),
                    pay_out=False,
                )
                for owner, amount in shares.items()
            ),
            **self.ws,
        )
        self.tell(event, "allocated", self.pay_in_id, "posted")
        return self

    def suspended(self) -> "Story":
        event = PayInSuspended(
            pay_in_id=self.pay_in_id,
            case_id=self.id("case"),
            journal_id=self.id("jrn"),
            source="cards",
            external_id=f"ext-{self.name}",
            amount=Amount(currency="USD", amount=self.amount),
            reason_code="unknown_program",
            remedy="match it by hand",
            **self.ws,
        )
        self.tell(event, "suspended", self.pay_in_id, "posted")
        return self

    def payout(
        self, sequence: int, state: str, cause: str, *, withdrawal: bool = False, **more: Any
    ) -> "Story":
        event = PayoutChanged(
            payout_id=self.payout_id,
            sequence=sequence,
            state=state,
            previous=None,
            owner=self.owner,
            company=self.company,
            account=self.wallet,
            amount=Amount(currency="USD", amount=self.amount),
            pay_in_id=None if withdrawal else self.pay_in_id,
            **{
                "rail": "wallet",
                "hold_id": None,
                "attempt_id": None,
                "reason_code": None,
                "must_act": None,
                **more,
            },
            **self.ws,
        )
        self.tell(event, state, self.payout_id, cause)
        return self

    def hold_placed(self) -> "Story":
        event = HoldPlaced(
            hold_id=self.id("hld"),
            ledger=self.ledger,
            reference=self.payout_id,
            log_seq=2,
            debit=self.wallet,
            credit=account("clearing/wallet/USD"),
            amount=usd(self.amount),
            expires_at=None,
            **self.ws,
        )
        self.tell(event, "placed", self.payout_id, "place")
        return self

    def attempt(self, sequence: int, state: str) -> "Story":
        event = AttemptChanged(
            attempt_id=self.id("att"),
            payout_id=self.payout_id,
            rail="wallet",
            sequence=sequence,
            state=state,
            amount=Amount(currency="USD", amount=self.amount),
            provider_reference="ref-1",
            code=None,
            action="none",
            source="answer",
            **self.ws,
        )
        self.tell(event, f"attempt_{state}", self.payout_id, "submit")
        return self

    def captured(self) -> "Story":
        event = HoldCaptured(
            transfer_id=self.id("cap"),
            hold_id=self.id("hld"),
            ledger=self.ledger,
            reference=self.payout_id,
            log_seq=3,
            debit=self.wallet,
            credit=account("clearing/wallet/USD"),
            amount=usd(self.amount),
            remaining=Amount(currency="USD", amount="0.00"),
            **self.ws,
        )
        self.tell(event, "captured", self.payout_id, "capture")
        return self

    def whole(self) -> "Story":
        """From received to paid in twelve facts."""
        self.received().opened().posted().allocated()
        self.payout(1, "approved", "allocated").hold_placed()
        self.payout(2, "submitting", "placed").attempt(1, "submitted")
        self.payout(3, "submitted", "attempt_submitted").attempt(2, "paid")
        return self.captured().payout(4, "paid", "captured")

    def ids(self) -> list[str]:
        """Every id that leads to a whole payment."""
        return [
            self.pay_in_id,
            f"ext-{self.name}",
            self.id("jrn"),
            self.id("trf"),
            self.id("hld"),
            self.id("cap"),
            self.id("att"),
            self.payout_id,
            self.wallet,
            self.correlation,
            *self.events.values(),
        ]


@dataclass
class Tree:
    """A tenant's parties as the directory tells them, a minute between facts."""

    name: str = "t1"
    records: list[Raw] = field(default_factory=list)

    @property
    def root(self) -> str:
        return self.party("root")

    def party(self, label: str) -> str:
        return derived_id("party", self.name, label)

    def wallet(self, label: str, purpose: str) -> str:
        return derived_id("wal", self.name, label, purpose)

    def tell(self, event_class: type[Any], topic: str, **fields: Any) -> "Tree":
        number = len(self.records)
        event = event_class(
            tenant=self.root,
            who=Who(actor="key_1", principal=self.root),
            reason="Set up",
            occurred_at=START - timedelta(days=1) + timedelta(minutes=number),
            **fields,
        )
        event_id = str(derived_uuid("directory", self.name, str(number)))
        headers = event_headers(event_id, event.TYPE, "/tallystick/main/directory")
        self.records.append(
            Raw(
                event.model_dump_json().encode(),
                tuple((n, v) for n, v in headers if v is not None),
                b"key",
                number,
                topic,
            )
        )
        return self

    def registers(self, label: str, kind: str, *above: str) -> "Tree":
        """A party under the last of those above it, root first."""
        return self.tell(
            PartyRegistered,
            "directory.parties.v1",
            party_id=self.party(label),
            kind=kind,
            parent=self.party(above[-1]) if above else None,
            path=tuple(self.party(one) for one in above),
            external_id=f"ext-{label}",
            country="DE",
            alias=f"{kind}-{label}",
            state="registered",
        )

    def moves(self, label: str, *above: str) -> "Tree":
        return self.tell(
            PartyMoved,
            "directory.parties.v1",
            party_id=self.party(label),
            parent=self.party(above[-1]),
            path=tuple(self.party(one) for one in above),
            previous_path=(self.root,),
        )

    def opens(self, label: str, purpose: str = "default", company: str | None = None) -> "Tree":
        """A party's wallet; the default one has the account money would reach unasked."""
        owner = self.party(label)
        path = f"wallet/{owner}/USD"
        return self.tell(
            WalletOpened,
            "directory.wallets.v1",
            wallet_id=self.wallet(label, purpose),
            owner=owner,
            account=account(path if purpose == "default" else f"{path}/{purpose}"),
            ledger="main",
            currency="USD",
            purpose=purpose,
            reference=None,
            company=None if company is None else self.party(company),
            value_kind="cash",
        )

    def grants(self, label: str, to: str, *shared: str) -> "Tree":
        """Lets a party of this or another tree see fields of a default wallet; none revokes."""
        fact: type[Any] = GrantSet if shared else GrantRevoked
        return self.tell(
            fact,
            "directory.wallets.v1",
            grant_id=derived_id("grant", label, to),
            wallet=self.wallet(label, "default"),
            to_party=to,
            fields=shared or ("balance",),
        )

    def connects(self, from_party: str, to_party: str, access: str, state: str) -> "Tree":
        return self.tell(
            ConnectionChanged,
            "directory.parties.v1",
            connection_id=derived_id("conn", from_party, to_party),
            from_party=from_party,
            to_party=to_party,
            access=access,
            state=state,
        )

    def consents(self, label: str, company: str) -> "Tree":
        return self.tell(
            ConsentGiven,
            "directory.parties.v1",
            party_id=self.party(label),
            company=self.party(company),
        )

    def merges(self, kept: str, merged: str) -> "Tree":
        return self.tell(
            PartiesMerged,
            "directory.parties.v1",
            party_id=self.party(kept),
            merged=self.party(merged),
            merged_tenant=self.root,
            by="command",
        )

    def claims(self, label: str, reference: str) -> "Tree":
        return self.tell(
            ReferenceClaimed,
            "directory.parties.v1",
            party_id=self.party(label),
            reference=reference,
        )

    def small(self) -> "Tree":
        """A root over two companies; one has a partner and a payee, the other a payee."""
        self.registers("root", "aggregator").registers("acme", "company", "root")
        self.registers("zeta", "company", "root").registers("pat", "partner", "root", "acme")
        self.registers("ann", "payee", "root", "acme")
        return self.registers("bob", "payee", "root", "zeta")


def set_aside(offset: int, at: datetime, consumer: str = "ledger") -> Raw:
    event = RecordQuarantined(
        consumer=consumer,
        topic="ledger.commands.v1",
        partition=0,
        offset=offset,
        code="not_json",
        detail="a byte too many",
        occurred_at=at,
    )
    return Raw(
        event.model_dump_json().encode(),
        tuple(event_headers(str(derived_uuid("notice", str(offset))), event.TYPE)),  # type: ignore[arg-type]
        consumer.encode(),
        offset,
        TOPIC_OF[RecordQuarantined.TYPE],
    )


@dataclass
class Bench:
    """Feeds batches to the service."""

    pool: Pool
    processor: BatchProcessor
    transactor: Transactor
    clock: FixedClock
    admin_dsn: str

    def asks(self, viewer: Viewer) -> httpx.AsyncClient:
        """A client of the read API for whom the gateway signs each request anew."""
        api = ReadApi(self.pool, self.transactor, self.clock, KEYS, timedelta(minutes=5))

        async def sign(request: httpx.Request) -> None:
            request.headers[VIEWER_HEADER] = sign_viewer(viewer, KEYS, now=self.clock.now())

        transport = httpx.ASGITransport(build_api(api))
        return httpx.AsyncClient(
            transport=transport, base_url="http://reads", event_hooks={"request": [sign]}
        )

    async def process(self, *records: Raw) -> None:
        await self.processor.process(records)

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """Rows of every tenant."""
        async with reading(self.pool, ALL_TENANTS) as conn:
            return await conn.fetch(query, *arguments)

    async def tell(self, *stories: Story | Tree) -> None:
        await self.process(*(record for story in stories for record in story.records))


@asynccontextmanager
async def bench_on(database: ServiceDatabase) -> AsyncIterator[Bench]:
    dsn = database.dsn("portfolio")
    pool = await create_pool(dsn, schema="portfolio", application_name="test", max_size=4)
    clock = FixedClock(START)
    settings = PortfolioSettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr(dsn)
    )
    service = build_app(settings, clock=clock, ids=SeededIds(1, clock))
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    processor = service.processor(service.routers[0], transactor)
    yield Bench(pool, processor, transactor, clock, database.admin_dsn)
    await pool.close()


@pytest.fixture
async def portfolio(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[Bench]:
    async with bench_on(fresh_database(SCHEMA)) as bench:
        yield bench


@pytest.fixture
async def fresh(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[Callable[[], Coroutine[Any, Any, Bench]]]:
    """Makes further portfolios, each over a database of its own."""
    async with AsyncExitStack() as stack:

        async def make() -> Bench:
            return await stack.enter_async_context(bench_on(fresh_database(SCHEMA)))

        yield make


@pytest.fixture
def story() -> Callable[..., Story]:
    return Story


@pytest.fixture
def viewer_of() -> Callable[[Tree, str, str], Viewer]:
    """Makes the viewer that a party of a tree is, or the operator."""

    def make(tree: Tree, label: str, persona: str) -> Viewer:
        if persona == "operator":
            return Viewer(label, "*", Persona.OPERATOR, frozenset())
        return Viewer(tree.party(label), tree.root, Persona(persona), frozenset({"read"}))

    return make


@pytest.fixture
def tree() -> Callable[..., Tree]:
    return Tree


@pytest.fixture
def notice() -> Callable[..., Raw]:
    return set_aside


@pytest.fixture
def statements_of(portfolio: Bench) -> Callable[..., Coroutine[Any, Any, list[str]]]:
    """The statements a batch sends, BEGIN and COMMIT apart."""

    async def count(records: Sequence[Raw]) -> list[str]:
        seen: list[str] = []

        def note(query: Any) -> None:
            if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
                seen.append(query.query)

        async with portfolio.pool.acquire() as only:
            only._con.add_query_logger(note)  # type: ignore[attr-defined]
        assert portfolio.pool.get_size() == 1, "one session, so that every statement is seen"
        await portfolio.process(*records)
        async with portfolio.pool.acquire() as only:
            only._con.remove_query_logger(note)  # type: ignore[attr-defined]
        return seen

    return count
