"""Contacts read back by the public API: to whom, told to the party each time, and leaving no trace."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from structlog.typing import EventDict

from tally_contracts.catalogue import expand
from tally_embedded import Stack
from tally_postgres import Pool
from tally_testkit.databases import Databases

from .api_platform import SOURCES, Client, Platform, free_port, schemas, start_platform
from .stage import eventually

pytestmark = [pytest.mark.stack]
MAIL = "planted.address@supplier.example"
VIEWED = "directory.contact.viewed.v1"


@pytest.fixture(scope="module")
async def platform(databases: Databases, module_kafka: Stack) -> AsyncIterator[Platform]:
    database = databases.clone(*schemas(("directory", "gateway")))
    kafka = module_kafka.address.kafka
    platform = await start_platform(("directory",), database, kafka, contacts_port=free_port())
    try:
        yield platform
    finally:
        await platform.stop()
        databases.drop(database)


@dataclass(frozen=True)
class People:
    """Parties of a small tree by their names, with a client for each."""

    ids: dict[str, str]
    clients: dict[str, Client]

    async def look(self, name: str, purpose: str) -> tuple[str, list[str | None]]:
        """By what somebody looks at the payee's contacts, and the values it gets."""
        path = f"/v1/parties/{self.ids['payee']}/contacts"
        seen = await self.clients[name].see(path, purpose=purpose)
        return seen["basis"], [each.get("value") for each in seen["contacts"]]

    async def views(self, number: int) -> list[dict[str, Any]]:
        """Looks as the payee reads of them, once there are as many."""
        answered = await self.clients["payee"].see("/v1/events", limit=200)
        found = [each["data"] for each in answered["data"] if each["type"] == VIEWED]
        return found if len(found) >= number else []


async def planted(platform: Platform) -> People:
    """A payee with a contact below acme, below an aggregator; zenith is beside acme."""
    operator = await platform.operator()
    made = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
    root = made["subject"]
    ids, clients = {"agg": root}, {"operator": operator, "agg": await platform.client(root, root)}
    for name, kind, above in (
        ("acme", "company", "agg"),
        ("zenith", "company", "agg"),
        ("payee", "payee", "acme"),
    ):
        body = {"kind": kind, "parent": ids[above], "reason": "Signed"}
        ids[name] = (await clients[above].do("/v1/parties", body))["subject"]
        clients[name] = await platform.client(ids[name], root)
    clients["reader"] = await platform.client(
        ids["payee"], root, scopes=frozenset({"parties:read", "wallets:read"})
    )
    contact = {"channel": "email", "value": MAIL, "reason": "To be reached"}
    await clients["payee"].do(f"/v1/parties/{ids['payee']}/contacts", contact)
    return People(ids, clients)


async def on_topics(kafka: str) -> bytes:
    """Every key, header and value of every topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [
            TopicPartition(name, number)
            for name, topic in expand(SOURCES).items()
            for number in range(topic.partitions)
        ]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends, found = await consumer.end_offsets(parts), b""
        for part in parts:
            while await consumer.position(part) < ends[part]:
                for records in (await consumer.getmany(part, timeout_ms=500)).values():
                    found += b"".join(repr(each).encode() for each in records)
        return found
    finally:
        await consumer.stop()


async def in_tables(pool: Pool) -> str:
    """Every row of every table of one service."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        tables = await conn.fetch(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema = current_schema()"
        )
        rows = [await conn.fetch(f"SELECT t::text FROM {name} t") for (name,) in tables]
    return "\n".join(str(row[0]) for found in rows for row in found)


async def test_f26_contacts_are_read_in_clear_by_whom_the_party_lets_and_each_look_is_told(
    platform: Platform,
) -> None:
    people = await planted(platform)
    path = f"/v1/parties/{people.ids['payee']}/contacts"
    assert await people.look("payee", "My own") == ("own", [MAIL])
    for name in ("acme", "agg", "operator"):
        assert await people.look(name, "Who is it?") == ("alias", [None])
    assert (await people.clients["zenith"].get(path, purpose="x")).status_code == 404
    consent = {"company": people.ids["acme"], "reason": "I work for them"}
    await people.clients["payee"].do(f"/v1/parties/{people.ids['payee']}/consents", consent)
    assert await people.look("acme", "To send the contract") == ("consent", [MAIL])

    views = await eventually(lambda: people.views(5))
    assert [(each["viewer"], each["basis"], each["reason"]) for each in views] == [
        (people.ids["payee"], "own", "My own"),
        (people.ids["acme"], "alias", "Who is it?"),
        (people.ids["agg"], "alias", "Who is it?"),
        ("operator", "alias", "Who is it?"),
        (people.ids["acme"], "consent", "To send the contract"),
    ]
    assert {len(each["tokens"]) for each in views} == {1}


async def test_f26_reading_contacts_takes_a_purpose_and_a_scope_that_nobody_gives_for_the_party(
    platform: Platform,
) -> None:
    people = await planted(platform)
    path = f"/v1/parties/{people.ids['payee']}/contacts"
    unasked = await people.clients["payee"].get(path)
    assert (unasked.status_code, unasked.json()["code"]) == (422, "invalid_request")
    closed = await people.clients["reader"].get(path, purpose="x")
    assert (closed.status_code, closed.json()["code"]) == (403, "scope_missing")
    # Nor one that gives a consent, or a grant that names contacts, in the party's name.
    for scope in ("contacts:read", "parties:write", "wallets:write"):
        borrowed = {"label": "x", "party": people.ids["payee"], "scopes": [scope]}
        refused = await people.clients["acme"].post("/v1/api-keys", borrowed)
        assert (refused.status_code, refused.json()["code"]) == (403, "mandate_missing"), scope


async def test_a_contact_that_was_read_is_in_no_topic_no_table_and_no_line_of_the_logs(
    platform: Platform, module_kafka: Stack, logged: list[EventDict]
) -> None:
    people = await planted(platform)
    assert await people.look("payee", "My own") == ("own", [MAIL])
    await eventually(lambda: people.views(1))
    again = {"company": people.ids["payee"], "reason": "None of theirs"}
    refused = await people.clients["payee"].post(
        f"/v1/parties/{people.ids['payee']}/consents", again
    )
    assert refused.status_code == 422
    topics = await on_topics(module_kafka.address.kafka)
    assert VIEWED.encode() in topics
    tables = [await in_tables(each.pool) for each in (platform.gateway, *platform.services)]
    assert all(VIEWED in rows for rows in tables)
    lines = str(logged)
    assert "command_refused" in lines
    for trace in (topics.decode(), *tables, lines):
        assert MAIL not in trace
