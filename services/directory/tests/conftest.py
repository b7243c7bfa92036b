"""The directory over a fresh database, driven batch by batch without a broker."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from tally_contracts import directory as asked
from tally_contracts.base import Amount, Event, Where, Who, Why
from tally_contracts.directory import CONTACT_VALUE, VERIFICATION_CODE, VERIFICATION_MESSAGE
from tally_contracts.directory_facts import DirectoryCommandRefused, VerificationStarted
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.registry import BY_TYPE
from tally_directory.app import SCHEMA, build_app
from tally_directory.settings import DirectorySettings
from tally_directory.vault import Vault
from tally_messaging.batch import BatchProcessor
from tally_postgres import Pool, Schema, create_pool
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_security.sealing import Place, seal, unseal
from tally_testkit import ServiceDatabase, event_headers

START = datetime(2026, 9, 21, 8, tzinfo=UTC)
TOPICS = {"directory": "directory.commands.v1", "funding": "funding.pay_in.v1"}


def tid(prefix: str, name: str) -> str:
    """The id by which tests call a thing of this name."""
    return derived_id(prefix, "test", name)


def party_id(name: str) -> str:
    return tid("party", name)


def account(owner: str, currency: str = "USD") -> str:
    """The account of a default wallet, as funding derives it."""
    return derived_id("acc", "main", f"wallet/{owner}/{currency}")


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
    causation: str | None
    event: Any


@dataclass
class Bench:
    """Feeds batches to the directory and reads what it stored and told."""

    pool: Pool
    processor: BatchProcessor
    clock: FixedClock
    vault: Vault
    numbers: Any = field(default_factory=itertools.count)
    _read_up_to: int = 0

    def record(self, event: Event, *, event_id: str | None = None) -> Raw:
        number = next(self.numbers)
        topic = TOPICS.get(event.TYPE.partition(".")[0], "ledger.accounts.v1")
        headers = event_headers(event_id or f"ce-{number}", event.TYPE)
        return Raw(event.model_dump_json().encode(), (*headers,), b"key", number, topic)

    async def process(self, *records: Raw) -> None:
        await self.processor.process(records)

    async def send(self, *events: Event) -> list[Any]:
        """Apply events as one batch; the facts and commands it led to."""
        await self.process(*(self.record(event) for event in events))
        return [sent.event for sent in await self.told()]

    async def answer(self, event: Event) -> Any:
        """Apply one command; the first fact it led to."""
        return (await self.send(event))[0]

    async def refusal(self, command: Event) -> tuple[str, str | None]:
        """Apply a command that is refused and changes nothing; code and field of the refusal."""
        before = await self.dump()
        told = await self.send(command)
        assert [type(event) for event in told] == [DirectoryCommandRefused], told
        assert await self.dump() == before, "a refusal changes nothing"
        assert told[0].remedy
        return told[0].code, told[0].field

    async def told(self) -> list[Sent]:
        """The events emitted since the last call."""
        rows = await self.pool.fetch(
            "SELECT seq, topic, record_key, headers, payload FROM outbox WHERE seq > $1 ORDER BY seq",
            self._read_up_to,
        )
        sent = []
        for seq, topic, key, headers, payload in rows:
            self._read_up_to = seq
            named = json.loads(headers)
            event = BY_TYPE[named["ce_type"]].model_validate_json(payload)
            sent.append(Sent(topic, key, named.get("tally_causation_id"), event))
        return sent

    async def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows of all tenants."""
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            return [tuple(row) for row in await conn.fetch(query, *arguments)]

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything the service knows, its record of answers apart."""
        tables = await self.rows(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'directory' AND column_name = 'tenant'"
            " AND table_name <> 'command' ORDER BY 1"
        )
        return {
            name: sorted(await self.rows(f"SELECT t::text FROM {name} t")) for (name,) in tables
        }

    # Builders

    def command(self, model: type[Any], **fields: Any) -> Any:
        """A command by the operator about tenant `agg`, unless told otherwise."""
        principal = fields.pop("by", "operator")
        actor = fields.pop("actor", f"key_of_{principal}")
        return model(
            **{
                "command_id": tid("cmd", str(next(self.numbers))),
                "tenant": party_id("agg"),
                "who": Who(
                    actor=actor,
                    principal=principal if principal == "operator" else party_id(principal),
                ),
                "reason": "as tests want it",
                "occurred_at": START,
                **fields,
            }
        )

    def register(
        self, name: str, kind: str = "payee", parent: str | None = "agg", **more: Any
    ) -> Any:
        return self.command(
            asked.RegisterParty,
            party_id=party_id(name),
            kind=kind,
            parent=None if parent is None else party_id(parent),
            **more,
        )

    async def plant(self) -> None:
        """Two trees: agg over acme (over ann and shop (over sam)) and beta (over bob); agg2 over zed."""
        await self.send(
            self.register("agg", "aggregator", None),
            self.register("acme", "company"),
            self.register("beta", "company"),
            self.register("shop", "partner", "acme"),
            self.register("ann", parent="acme"),
            self.register("sam", parent="shop"),
            self.register("bob", parent="beta"),
            self.register("agg2", "aggregator", None, tenant=party_id("agg2")),
            self.register("zed", parent="agg2", tenant=party_id("agg2")),
        )

    def seal_contact(
        self, contact: str, value: str, tenant: str = "agg", *, tenant_id: str | None = None
    ) -> str:
        table, column = CONTACT_VALUE
        place = Place(tenant_id or party_id(tenant), table, column, tid("contact", contact))
        return seal(value, self.vault.keys.current, place)

    def seal_code(
        self, name: str, code: str, tenant: str = "agg", *, tenant_id: str | None = None
    ) -> str:
        table, column = VERIFICATION_CODE
        place = Place(tenant_id or party_id(tenant), table, column, tid("verif", name))
        return seal(code, self.vault.keys.current, place)

    def add_contact(self, party: str, value: str, channel: str = "email", **more: Any) -> Any:
        """A contact named `<party>:<value>`."""
        name = more.pop("name", f"{party}:{value}")
        tenant = more.pop("tenant_name", "agg")
        return self.command(
            asked.AddContact,
            tenant=party_id(tenant),
            contact_id=tid("contact", name),
            party_id=party_id(party),
            channel=channel,
            sealed=self.seal_contact(name, value, tenant),
            **more,
        )

    def start(self, name: str, contact: str, **more: Any) -> Any:
        return self.command(
            asked.StartVerification,
            verification_id=tid("verif", name),
            contact_id=tid("contact", contact),
            **more,
        )

    def message(self, started: VerificationStarted) -> dict[str, str]:
        """What whoever delivers the code reads."""
        table, column = VERIFICATION_MESSAGE
        place = Place(started.tenant, table, column, started.verification_id)
        return dict(json.loads(unseal(started.sealed_message, self.vault.keys, place)))

    def confirm(self, name: str, code: str, tenant: str = "agg", **more: Any) -> Any:
        return self.command(
            asked.ConfirmVerification,
            tenant=party_id(tenant),
            verification_id=tid("verif", name),
            sealed_code=self.seal_code(name, code, tenant),
            **more,
        )

    async def verify(self, party: str, value: str, tenant: str = "agg", **more: Any) -> list[Any]:
        """Add a contact and show that it is the party's; what the confirmation led to."""
        name = f"{party}:{value}"
        added = self.add_contact(party, value, tenant_name=tenant, **more)
        *_, started = await self.send(added, self.start(name, name, tenant=party_id(tenant)))
        return await self.send(self.confirm(name, self.message(started)["code"], tenant))

    def token(self, value: str, channel: str = "email") -> str:
        return self.vault.index.token(channel, value)

    def open_wallet(self, name: str, owner: str, **more: Any) -> Any:
        fields = {"currency": "USD", "purpose": "rewards", **more}
        return self.command(
            asked.OpenWallet, wallet_id=tid("wal", name), owner=party_id(owner), **fields
        )

    def pay_in(self, *owners: str, company: str | None = None, role: str = "beneficiary") -> Any:
        """25 dollars to each owner."""
        number = str(next(self.numbers))
        shares = tuple(
            Allocation(
                account=account(owner),
                owner=owner,
                role=role,
                amount=Amount(currency="USD", amount="25.00"),
                pay_out=False,
            )
            for owner in owners
        )
        return PayInAllocated(
            who=Who(actor="svc:feed", principal="acme"),
            where=Where(channel="api"),
            why=Why(program="rebates", event="ev-1", reason="spring rebate"),
            occurred_at=START,
            pay_in_id=tid("pin", number),
            journal_id=tid("jrn", number),
            source="cards",
            external_id=f"ext-{number}",
            company=company or party_id("acme"),
            amount=Amount(currency="USD", amount=f"{25 * len(shares)}.00"),
            rule="standard:1",
            allocations=shares,
        )


@pytest.fixture
async def directory(
    fresh_database: Callable[[Schema], ServiceDatabase],
) -> AsyncIterator[Bench]:
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("directory"), schema="directory", application_name="test")
    clock = FixedClock(START)
    settings = DirectorySettings(
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn=SecretStr(database.dsn("directory")),
    )
    service = build_app(settings, clock=clock, ids=SeededIds(1, clock))
    await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
    transactor = service.transactor(pool=pool)
    yield Bench(pool, service.processor(service.routers[0], transactor), clock, settings.vault())
    await pool.close()


@pytest.fixture
async def planted(directory: Bench) -> Bench:
    """The directory with two trees in it."""
    await directory.plant()
    return directory
