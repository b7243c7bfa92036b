"""The payouts service on a real database; builders play its neighbours."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts.base import Amount, Event, Where, Who, Why
from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.funding_claims import DesignationMoved
from tally_contracts.kyc import (
    GateRow,
    GateTablePublished,
    LevelChanged,
    LimitRow,
    LimitTablePublished,
)
from tally_contracts.ledger import (
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    JournalRejected,
)
from tally_contracts.payouts import CancelPayout, ChooseMethod, RequestPayout
from tally_contracts.programs import Endpoint, PolicyDocument, ProgramPolicyPublished
from tally_contracts.rails import AttemptChanged, InstrumentRefused, InstrumentRegistered
from tally_contracts.registry import BY_TYPE
from tally_messaging import Received, Service
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CAUSATION_ID, CORRELATION_ID
from tally_messaging.parser import parse
from tally_payouts.app import SCHEMA, build_app
from tally_payouts.settings import PayoutsSettings
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase, event_headers

AT = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
WHO = Who(actor="svc:funding", principal="acme")
WS: dict[str, Any] = {
    "who": WHO,
    "where": Where(channel="api", country="US"),
    "why": Why(program="rebates", event="ev-1", reason="spring rebate"),
    "occurred_at": AT,
}
TOPIC_OF = {
    PayInAllocated: "funding.pay_in.v1",
    RequestPayout: "payouts.commands.v1",
    CancelPayout: "payouts.commands.v1",
    ChooseMethod: "payouts.commands.v1",
    HoldPlaced: "ledger.holds.v1",
    HoldCaptured: "ledger.holds.v1",
    HoldReleased: "ledger.holds.v1",
    HoldRejected: "ledger.holds.v1",
    JournalPosted: "ledger.journals.v1",
    JournalRejected: "ledger.journals.v1",
    InstrumentRegistered: "rails.instruments.v1",
    InstrumentRefused: "rails.instruments.v1",
    AttemptChanged: "rails.attempts.v1",
    ProgramPolicyPublished: "programs.programs.v1",
    DesignationMoved: "funding.claims.v1",
    LevelChanged: "kyc.identity.v1",
    GateTablePublished: "kyc.identity.v1",
    LimitTablePublished: "kyc.identity.v1",
    PartiesMerged: "directory.parties.v1",
}


def tid(prefix: str, *parts: str) -> str:
    return derived_id(prefix, "test", *parts)


def wallet(owner: str, currency: str = "USD") -> str:
    return derived_id("acc", "main", f"wallet/{owner}/{currency}")


def usd(amount: str, currency: str = "USD") -> Amount:
    return Amount(currency=currency, amount=amount)


def payout_id_of(name: str, owner: str = "ann", currency: str = "USD") -> str:
    return derived_id("po", tid("pin", name), wallet(owner, currency))


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
    correlation: str
    event: Any
    causation: str | None = None


def _table(table: str, version: int, more: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "tenant": "tenant",
        "table": table,
        "version": version,
        "jurisdictions": ("*",),
        "valid_from": AT,
        "valid_until": None,
        "source": "a test",
        "who": WHO,
        "occurred_at": AT,
    }
    return {**fields, **more}


@dataclass
class Builders:
    """Events as the neighbours publish them, about US dollars unless told otherwise."""

    sequences: dict[str, int] = field(default_factory=dict)

    def pay_in(
        self,
        name: str,
        owner: str = "ann",
        amount: str = "25.00",
        *,
        pay_out: bool = True,
        **more: Any,
    ) -> PayInAllocated:
        currency = more.pop("currency", "USD")
        share = Allocation(
            account=wallet(owner, currency),
            owner=owner,
            role="beneficiary",
            amount=usd(amount, currency),
            pay_out=pay_out,
        )
        return PayInAllocated(
            pay_in_id=tid("pin", name),
            journal_id=tid("jrn", name),
            source="cards",
            external_id=f"ext-{name}",
            company="acme",
            amount=usd(amount, currency),
            rule="rebates@1",
            allocations=more.pop("allocations", (share,)),
            kind=more.pop("kind", "payables"),
            **{**WS, **more},
        )

    def choose(
        self, owner: str = "ann", rail: str = "ach", instrument: str = "bank", currency: str = "USD"
    ) -> ChooseMethod:
        return ChooseMethod(
            owner=owner,
            currency=currency,
            rail=rail,
            instrument=tid("ins", instrument),
            who=WHO,
            occurred_at=AT,
        )

    def registered(
        self,
        owner: str = "ann",
        rail: str = "ach",
        instrument: str = "bank",
        currency: str = "USD",
        settlement: str | None = None,
    ) -> InstrumentRegistered:
        return InstrumentRegistered(
            instrument_id=tid("ins", instrument),
            rail=rail,
            owner=owner,
            currency=currency,
            masked="****6789",
            settlement_account=settlement,
            occurred_at=AT,
        )

    def refused(
        self, owner: str = "ann", rail: str = "ach", instrument: str = "bank", code: str = "r03"
    ) -> InstrumentRefused:
        return InstrumentRefused(
            instrument_id=tid("ins", instrument),
            rail=rail,
            owner=owner,
            code=code,
            field="account",
            remedy="give the details of an account that is open",
            occurred_at=AT,
        )

    def request(
        self,
        payout: str = "w1",
        owner: str = "ann",
        amount: str = "5.00",
        currency: str = "USD",
        **more: Any,
    ) -> RequestPayout:
        return RequestPayout(
            **{
                "payout_id": tid("po", payout),
                "ledger": "main",
                "account": wallet(owner),
                "owner": owner,
                "company": "acme",
                "amount": {"currency": currency, "amount": amount},
                **WS,
                **more,
            }
        )

    def policy(
        self,
        version: int = 1,
        *,
        program: str = "rebates",
        begins: datetime = AT - timedelta(days=1),
        ends: datetime | None = None,
        **policy: Any,
    ) -> ProgramPolicyPublished:
        classes = {"ach": "cash", "wallet": "cash_like"}
        return ProgramPolicyPublished(
            tenant="tenant",
            program_id=tid("prog", program),
            program=program,
            version=version,
            effective_from=begins,
            effective_until=ends,
            policy=PolicyDocument(**policy),
            endpoints=tuple(
                Endpoint(rail=rail, endpoint_class=found) for rail, found in classes.items()
            ),
            who=WHO,
            occurred_at=AT,
        )

    def designated(
        self,
        owner: str,
        to_owner: str,
        *amounts: str,
        reason_code: str = "claimed",
        currency: str = "USD",
        asked_at: datetime | None = None,
    ) -> DesignationMoved:
        self.sequences["movement"] = self.sequences.get("movement", 0) + 1
        return DesignationMoved(
            movement_id=tid("mov", str(self.sequences["movement"])),
            owner=owner,
            to_owner=to_owner,
            tenant="tenant",
            reason_code=reason_code,
            amounts=tuple(usd(amount, currency) for amount in amounts),
            journal_id=None,
            asked_at=asked_at,
            **WS,
        )

    def level(
        self, owner: str, level: str, *, country: str | None = "US", **more: Any
    ) -> LevelChanged:
        """A word about a party's level; the next one unless `sequence` says otherwise."""
        self.sequences[owner] = self.sequences.get(owner, 0) + 1
        fields: dict[str, Any] = {
            "party_kind": "person",
            "valid_until": None,
            "sequence": self.sequences[owner],
        }
        return LevelChanged(
            tenant="tenant",
            party_id=owner,
            jurisdiction=country,
            level=level,
            previous=None,
            may_remit=False,
            reasons=(),
            policy_version=1,
            who=WHO,
            occurred_at=AT,
            **{**fields, **more},
        )

    def merged(self, kept: str, former: str) -> PartiesMerged:
        """Two were found to be one."""
        return PartiesMerged(
            tenant="tenant",
            party_id=kept,
            merged=former,
            merged_tenant="tenant",
            by="approval",
            reason="the same person",
            who=WHO,
            occurred_at=AT,
        )

    def gates(
        self, *rows: GateRow, table: str = "default", version: int = 1, **more: Any
    ) -> GateTablePublished:
        return GateTablePublished(rows=rows, **_table(table, version, more))

    def limits(
        self, *rows: LimitRow, table: str = "default", version: int = 1, **more: Any
    ) -> LimitTablePublished:
        return LimitTablePublished(rows=rows, **_table(table, version, more))

    def cancel(self, payout_id: str) -> CancelPayout:
        return CancelPayout(
            payout_id=payout_id,
            who=Who(actor="user:ann", principal="ann"),
            reason="not wanted any more",
            occurred_at=AT,
        )

    def _hold(self, payout_id: str, **more: Any) -> dict[str, Any]:
        return {
            "hold_id": derived_id("hld", payout_id),
            "ledger": "main",
            "reference": payout_id,
            **WS,
            **more,
        }

    def placed(self, payout_id: str, amount: str = "25.00") -> HoldPlaced:
        return HoldPlaced(
            **self._hold(payout_id),
            log_seq=1,
            debit=wallet("ann"),
            credit=tid("acc", "clearing"),
            amount=usd(amount),
            expires_at=None,
        )

    def captured(self, payout_id: str, amount: str = "25.00") -> HoldCaptured:
        return HoldCaptured(
            **self._hold(payout_id),
            transfer_id=tid("cap", payout_id),
            log_seq=2,
            debit=wallet("ann"),
            credit=tid("acc", "clearing"),
            amount=usd(amount),
            remaining=usd("0.00"),
        )

    def released(self, payout_id: str, *, expired: bool = False) -> HoldReleased:
        return HoldReleased(
            **self._hold(payout_id),
            transfer_id=tid("rel", payout_id),
            log_seq=3,
            debit=wallet("ann"),
            amount=usd("25.00"),
            expired=expired,
        )

    def hold_rejected(
        self, payout_id: str, operation: str = "place", code: str = "insufficient_funds"
    ) -> HoldRejected:
        return HoldRejected(
            **self._hold(payout_id),
            command_id=tid("cmd", payout_id),
            operation=operation,
            code=code,
            detail="the ledger says no",
        )

    def attempt(
        self, payout_id: str, state: str, amount: str = "25.00", **more: Any
    ) -> AttemptChanged:
        self.sequences[payout_id] = self.sequences.get(payout_id, 0) + 1
        return AttemptChanged(
            **{
                "attempt_id": derived_id("att", payout_id, "1"),
                "payout_id": payout_id,
                "rail": "ach",
                "sequence": self.sequences[payout_id],
                "state": state,
                "amount": usd(amount),
                "provider_reference": None,
                "code": None,
                "action": "none",
                "source": "answer",
                **WS,
                **more,
            }
        )

    def returned(
        self, payout_id: str, reference: str = "ret-1", code: str = "R03", **more: Any
    ) -> AttemptChanged:
        return self.attempt(
            payout_id,
            "returned",
            code=code,
            action="fix_details",
            return_reference=reference,
            **more,
        )

    def return_journal(self, payout_id: str, reference: str = "ret-1") -> str:
        return derived_id("jrn", derived_id("att", payout_id, "1"), reference)

    def posted(self, payout_id: str, reference: str = "ret-1") -> JournalPosted:
        return JournalPosted(
            journal_id=self.return_journal(payout_id, reference),
            ledger="main",
            reference=payout_id,
            log_seq=4,
            legs=(),
            effective_at=AT,
            **WS,
        )

    def journal_rejected(self, payout_id: str, code: str = "account_closed") -> JournalRejected:
        return JournalRejected(
            journal_id=self.return_journal(payout_id),
            ledger="main",
            reference=payout_id,
            code=code,
            detail="the ledger says no",
            **WS,
        )


_OFFSETS = itertools.count()
_EVENTS = itertools.count()


def make_raw(event: Event, *, event_id: str | None = None, correlation: str | None = None) -> Raw:
    """The record a neighbour would publish; a new event id unless one is given."""
    own = event_id or f"event-{next(_EVENTS)}"
    headers = [
        *event_headers(own, event.TYPE),
        (CORRELATION_ID, (correlation or "payment-1").encode()),
    ]
    # The ledger publishes journals under what they are about.
    key = event.reference if isinstance(event, JournalPosted | JournalRejected) else "k"
    return Raw(
        event.model_dump_json().encode(),
        tuple(headers),
        key.encode(),
        next(_OFFSETS),
        TOPIC_OF[type(event)],
    )


@dataclass
class World:
    """The service's fold over its own database."""

    pool: Pool
    processor: BatchProcessor
    make: Builders

    raw = staticmethod(make_raw)
    now = AT

    def received(self, event: Event) -> Received[Any]:
        """The event as the router gets it."""
        record = make_raw(event)
        parsed = parse(record, self.processor.router.expected()[record.topic])
        assert isinstance(parsed, Received)
        return parsed

    async def feed(self, *events: Event | Raw) -> None:
        """Apply these as one batch."""
        await self.processor.process([e if isinstance(e, Raw) else make_raw(e) for e in events])

    async def one_by_one(self, *events: Event) -> None:
        for event in events:
            await self.feed(event)

    async def sent(self, topic: str | None = None) -> list[Sent]:
        rows = await self.pool.fetch(
            "SELECT topic, record_key, headers, payload FROM outbox ORDER BY seq"
        )
        out = []
        for row in rows:
            headers = json.loads(row["headers"])
            event = BY_TYPE[headers["ce_type"]].model_validate_json(row["payload"])
            sent = Sent(
                row["topic"],
                row["record_key"],
                headers[CORRELATION_ID],
                event,
                headers.get(CAUSATION_ID),
            )
            out.append(sent)
        return [item for item in out if topic in {None, item.topic}]

    async def events(self, kind: type[Event]) -> list[Any]:
        return [item.event for item in await self.sent() if isinstance(item.event, kind)]

    async def states(self, payout_id: str) -> list[str]:
        """The public states of a payout, as published."""
        return [
            item.event.state
            for item in await self.sent("payouts.status.v1")
            if item.event.payout_id == payout_id
        ]

    async def row(self, payout_id: str) -> dict[str, Any]:
        row = await self.pool.fetchrow("SELECT * FROM payout WHERE id = $1", payout_id)
        assert row is not None
        return dict(row.items())

    async def cases(self) -> list[str]:
        rows = await self.pool.fetch("SELECT code FROM payout_case ORDER BY opened_at, code")
        return [row[0] for row in rows]

    async def quarantined(self) -> list[str]:
        return [row[0] for row in await self.pool.fetch("SELECT detail FROM quarantine")]

    async def dump(self) -> dict[str, Sequence[Any]]:
        """Everything the service holds but its inbox."""
        tables = ("payout", "payout_history", "payee", "method", "instrument", "wallet")
        dump: dict[str, Sequence[Any]] = {}
        for table in (
            *tables,
            "return_seen",
            "payout_case",
            "program_policy",
            "designation",
            "restricted_release",
            "gate_table",
            "party_level",
            "party_owner",
            "exit_due",
            "outbox",
            "quarantine",
        ):
            rows = await self.pool.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")
            dump[table] = [row[0] for row in rows]
        return dump

    async def with_method(self, owner: str = "ann", instrument: str = "bank") -> None:
        await self.feed(
            self.make.registered(owner, instrument=instrument),
            self.make.choose(owner, instrument=instrument),
        )


@pytest.fixture
def database(fresh_database: Callable[[Schema], ServiceDatabase]) -> ServiceDatabase:
    return fresh_database(SCHEMA)


@pytest.fixture
def settings(database: ServiceDatabase) -> PayoutsSettings:
    dsn = database.dsn("payouts")
    return PayoutsSettings(
        environment="test", kafka="127.0.0.1:9092", TALLY_PAYOUTS_POSTGRES_DSN=SecretStr(dsn)
    )


@pytest.fixture
def app(settings: PayoutsSettings) -> Service:
    return build_app(settings)


@pytest.fixture
async def world(app: Service, settings: PayoutsSettings, make: Builders) -> AsyncIterator[World]:
    pool = await create_pool(
        settings.postgres_dsn.get_secret_value(),
        schema=SCHEMA.name,
        application_name="test",
        max_size=4,
    )
    for lane in range(settings.outbox_lanes):
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES ($1)", lane)
    yield World(pool, app.processor(app.routers[0], app.transactor(pool=pool)), make)
    await pool.close()


@pytest.fixture
def make() -> Builders:
    return Builders()


@pytest.fixture
def ids() -> Callable[..., str]:
    """The id of the payout a pay-in of this name begins."""
    return payout_id_of


@pytest.fixture
def raw() -> Callable[..., Raw]:
    """Turns an event into the record a neighbour would publish."""
    return make_raw
