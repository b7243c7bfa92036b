"""A crawler over every route with two tenants and every persona: nothing of another is there (F57).

Each persona asks every route for what belongs to the other tenant, and to its siblings, first in
every place, then in one place among its own. The answer has to be that of what does not exist.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import pytest

from tally_embedded import Stack
from tally_gateway.domain.concerns import PARTY_FIELDS
from tally_gateway.routes import ROUTES
from tally_gateway.routes.model import CommandRoute
from tally_runtime import Ids
from tally_testkit.databases import Databases

from .api_platform import Client, Platform, free_port, schemas, start_platform
from .conftest import SWIFT

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1800)]
SERVICES = ("directory", "kyc", "portfolio")
PARTIES = PARTY_FIELDS | {"parent", "kept", "payee", "to_party", "from_party", "approvers"}
BELOW_COMPANY = ("partner", "payee")
NO_WAIT = {"Prefer": "wait=0"}
IN_THE_AIR = 12
_IDS = Ids()


@dataclass
class Estate:
    """A party, its client, and the ids of all it has, by the name of the field that takes them.

    `line` are the parties above it: it knows below whom it stands, and no more of them.
    """

    party: str
    client: Client
    kind: str
    line: frozenset[str] = frozenset()
    ids: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """An id of this estate for a field."""
        return self.party if name in PARTIES else self.ids.get(name, self.party)

    @property
    def looked_for(self) -> set[str]:
        """One id of each kind that a read may take."""
        kinds = ("wallet", "payout_id", "entry_id", "command")
        return {self.party, *(self.ids[kind] for kind in kinds)}

    @property
    def all_ids(self) -> set[str]:
        return {self.party, *self.ids.values()}


def filled(route: CommandRoute, of: Callable[[str], str]) -> tuple[str, dict[str, Any]]:
    """The address and body of a route, every id in them from `of`."""

    def put(value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            return {key: put(each, key) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [put(each, name) for each in value]
        is_id = isinstance(value, str) and value[-26:-3] == "01h455vb4pex5vsknk084sn"
        return of(name) if is_id and name != "person" else value

    path = "/".join(
        of(part[1:-1]) if part.startswith("{") else part for part in route.path.split("/")
    )
    return path, put(dict(route.example), "")


async def furnish(estate: Estate) -> None:
    """Make one of everything the party can make for itself; the gateway knows it from then on."""
    wallet = await estate.client.do(
        "/v1/wallets",
        {"owner": estate.party, "currency": "USD", "purpose": "default", "reason": "test"},
    )
    estate.ids["wallet"] = estate.ids["to_wallet"] = wallet["subject"]
    for route in ROUTES:
        if not route.makes or route.operator_only or route.path in {"/v1/parties", "/v1/wallets"}:
            continue
        path, body = filled(route, estate.of)
        answered = await estate.client.post(path, body, **NO_WAIT)
        if answered.status_code in {200, 202} and route.subject in route.makes:
            estate.ids[route.subject] = answered.json()["subject"]
            estate.ids["command"] = answered.json()["id"]
            if route.subject == "instrument_id":
                estate.ids["instrument"] = answered.json()["subject"]


@dataclass
class World:
    """Two tenants alike: below each aggregator two companies, one with a partner and a payee."""

    estates: dict[str, Estate]

    def foreign_to(self, name: str) -> list[Estate]:
        """What a party must not see: the other tenant, and in its own all beside and above it."""
        tenant, _, role = name.partition(".")
        hidden = [self.estates[f"two.{each}"] for each in sorted({role, "payee"})]
        beside = {
            "aggregator": (),
            "company": ("sibling", "aggregator"),
            "sibling": ("company", "partner", "payee", "aggregator"),
            "partner": ("company", "sibling", "payee", "aggregator"),
            "payee": ("company", "sibling", "partner", "aggregator"),
        }[role]
        return hidden + [self.estates[f"{tenant}.{each}"] for each in beside]


async def populated(platform: Platform) -> World:
    operator = await platform.operator()
    estates: dict[str, Estate] = {}

    async def planted(tenant: str) -> None:
        root = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "test"})
        line = {"aggregator": root["subject"]}
        owner = await platform.client(root["subject"], root["subject"])
        for role, kind, above in (
            ("company", "company", "aggregator"),
            ("sibling", "company", "aggregator"),
            ("partner", "partner", "company"),
            ("payee", "payee", "company"),
        ):
            made = await owner.do(
                "/v1/parties", {"kind": kind, "parent": line[above], "reason": "test"}
            )
            line[role] = made["subject"]
        for role, party in line.items():
            client = await platform.client(party, root["subject"])
            above = {line["aggregator"]} | ({line["company"]} if role in BELOW_COMPANY else set())
            estates[f"{tenant}.{role}"] = Estate(party, client, role, frozenset(above - {party}))

    await asyncio.gather(planted("one"), planted("two"))
    # At once: each waits for outcomes, and makes what is its own alone.
    await asyncio.gather(*map(furnish, estates.values()))
    return World(estates)


@pytest.fixture(scope="module")
async def platform(databases: Databases, module_kafka: Stack) -> AsyncIterator[Platform]:
    database = databases.clone(*schemas((*SERVICES, "gateway")))
    platform = await start_platform(
        SERVICES,
        database,
        module_kafka.address.kafka,
        read_port=free_port(),
        contacts_port=free_port(),
        identity_port=free_port(),
        more=SWIFT,
    )
    yield platform
    await platform.stop()
    databases.drop(database)


@pytest.fixture(scope="module")
async def world(platform: Platform) -> World:
    """Furnished once: whoever crawls it changes nothing in it."""
    return await populated(platform)


async def at_once(asked: Iterable[Callable[[], Awaitable[str | None]]]) -> list[str]:
    """What the questions found wrong; several are in the air at a time."""
    free = asyncio.Semaphore(IN_THE_AIR)

    async def one(ask: Callable[[], Awaitable[str | None]]) -> str | None:
        async with free:
            return await ask()

    return [found for found in await asyncio.gather(*map(one, asked)) if found is not None]


def commands_closed(mine: Estate, other: Estate) -> Iterator[Callable[[], Awaitable[str | None]]]:
    """Ask each command about something of another: whatever is not answered with 404 is told."""

    async def ask(path: str, body: dict[str, Any], foreign: set[str]) -> str | None:
        answered = await mine.client.post(path, body, **NO_WAIT)
        if answered.status_code == 404:
            return None
        return f"{mine.kind} {path} {sorted(foreign)}: {answered.text[:200]}"

    for route in ROUTES:
        if not route.about or route.operator_only:
            continue
        places = [{about.field for about in route.about}]
        places += [{about.field} for about in route.about] if len(route.about) > 1 else []
        for foreign in places:
            path, body = filled(
                route,
                lambda name, f=foreign: other.of(name) if name in f else mine.of(name),
            )
            if any(name in body or f"{{{name}}}" in route.path for name in foreign):
                yield partial(ask, path, body, foreign)


def reads_closed(
    document: Mapping[str, Any], mine: Estate, others: list[Estate]
) -> Iterator[Callable[[], Awaitable[str | None]]]:
    """Ask each read for what is another's: whatever gives something of it away is told."""
    hidden = set().union(*(each.all_ids for each in others)) - mine.all_ids - mine.line

    async def ask(path: str, address: str, query: dict[str, str]) -> str | None:
        answered = await mine.client.get(address, **query)
        sent = {*query.values(), *address.split("/")}
        leaked = [each for each in hidden - sent if each in answered.text]
        beyond = bool(query) or "{" in path
        if leaked or (beyond and answered.status_code not in {404, 422}):
            return f"{mine.kind} {address} {query}: {answered.status_code} {leaked}"
        return None

    for path, methods in document["paths"].items():
        operation = methods.get("get")
        if operation is None or operation["operationId"] == "event_stream":
            continue
        names = {each["name"] for each in operation["parameters"]}
        if "{" not in path:
            yield partial(ask, path, path, {})
            for seat in {"party", "under"} & names:
                for other in others:
                    yield partial(ask, path, path, {seat: other.party})
        else:
            head, _, rest = path.partition("{")
            tail = rest.partition("}")[2]
            needed = {"purpose": "test"} if "purpose" in names else {}
            for other in others:
                for known in other.looked_for:
                    yield partial(ask, path, f"{head}{known}{tail}", needed)


async def test_no_persona_finds_anything_of_another_on_any_route(
    platform: Platform, world: World
) -> None:
    document = (await platform.http.get("/v1/openapi.json")).json()
    faults: list[str] = []
    for name, mine in world.estates.items():
        if name.startswith("one."):
            others = world.foreign_to(name)
            commands = chain.from_iterable(commands_closed(mine, other) for other in others)
            faults += await at_once(chain(commands, reads_closed(document, mine, others)))
    assert faults == []


async def test_an_answer_to_a_foreign_id_is_that_to_an_id_that_does_not_exist(
    world: World,
) -> None:
    mine, other = world.estates["one.company"], world.estates["two.company"]
    body = {
        "amount": {"currency": "USD", "amount": "1.00"},
        "why": {"program": "p", "event": "e", "reason": "r"},
    }
    answers = [
        (await mine.client.post("/v1/payouts", {**body, "wallet": wallet})).json()
        for wallet in (other.ids["wallet"], _IDS.new("wal"))
    ]
    for each in answers:
        each.pop("correlation_id")
    assert answers[0] == answers[1]
