"""The gateway and the directory together, on the real Kafka and Postgres, by the public API alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tally_cli.demo.api import Client
from tally_runtime import Ids
from tally_testkit import ServiceDatabase

from .api_platform import Platform, schemas, start_platform

pytestmark = [pytest.mark.stack]
SERVICES = ("directory",)


@pytest.fixture
async def platform(
    fresh_database: Callable[..., ServiceDatabase], fresh_kafka: str
) -> AsyncIterator[Platform]:
    database = fresh_database(*schemas((*SERVICES, "gateway")))
    platform = await start_platform(SERVICES, database, fresh_kafka)
    yield platform
    await platform.stop()


async def test_a_tree_is_planted_and_each_tier_sees_its_own_events(platform: Platform) -> None:
    operator = await platform.operator()
    aggregator = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
    agg = aggregator["subject"]
    assert aggregator["outcome"]["data"]["party_id"] == agg
    agg_client = await platform.client(agg, agg)
    ids: dict[str, Any] = {}
    for name in ("acme", "zenith"):
        made = await agg_client.do(
            "/v1/parties", {"kind": "company", "parent": agg, "reason": "Signed"}
        )
        ids[name] = made["subject"]
    acme = await platform.client(ids["acme"], agg)
    zenith = await platform.client(ids["zenith"], agg)
    payee = await acme.do(
        "/v1/parties", {"kind": "payee", "parent": ids["acme"], "reason": "Supplier"}
    )
    contact = await acme.do(
        f"/v1/parties/{payee['subject']}/contacts",
        {"channel": "email", "value": "ap@supplier.example", "reason": "To be reached"},
    )
    assert "supplier.example" not in str(contact)
    wallet = await acme.do(
        "/v1/wallets",
        {"owner": payee["subject"], "currency": "EUR", "purpose": "travel", "reason": "Trip"},
    )
    assert wallet["outcome"]["data"]["currency"] == "EUR"

    closed = await zenith.post(
        f"/v1/parties/{payee['subject']}/contacts",
        {"channel": "email", "value": "x@y.example", "reason": "Mine now"},
    )
    assert closed.status_code == 404
    of_acme = (await acme.get("/v1/events")).json()["data"]
    of_zenith = (await zenith.get("/v1/events")).json()["data"]
    about_payee = [each for each in of_acme if each["data"].get("party_id") == payee["subject"]]
    assert len(about_payee) >= 2
    assert payee["subject"] not in str(of_zenith)
    assert ids["acme"] not in str(of_zenith)
    of_all = (await agg_client.get("/v1/events")).json()["data"]
    assert {each["id"] for each in of_acme} < {each["id"] for each in of_all}


async def test_f16_a_persons_key_does_what_its_role_allows_and_an_owner_leaves_by_two_words(
    platform: Platform,
) -> None:
    operator = await platform.operator()
    root = (await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"}))["subject"]
    agg = await platform.client(root, root)
    below = {"kind": "company", "parent": root, "reason": "Signed"}
    acme, zenith = [(await agg.do("/v1/parties", below))["subject"] for _ in range(2)]
    company, roles = await platform.client(acme, root), f"/v1/parties/{acme}/roles"
    people: dict[str, Client] = {}
    persons = {name: Ids().new("person") for name in ("ann", "ben", "vic")}
    for name, given in (("ann", "owner"), ("ben", "owner"), ("vic", "viewer")):
        body = {"person": persons[name], "role": given, "reason": "Joined"}
        await company.do(roles, body)
        asked = {"label": name, "scopes": ["parties:write"], "person": persons[name]}
        made = (await company.post("/v1/api-keys", asked)).json()
        assert made["actor"] == persons[name]
        people[name] = Client(platform.http, made["secret"])

    contact = {"channel": "email", "value": f"{acme}@supplier.example", "reason": "To be reached"}
    low = await people["vic"].refused(f"/v1/parties/{acme}/contacts", contact, "role_too_low")
    assert low["remedy"]
    added = await people["ann"].do(f"/v1/parties/{acme}/contacts", contact)
    assert added["outcome"]["data"]["who"]["actor"] == persons["ann"]
    gone = f"/v1/contacts/{added['subject']}/remove"
    await people["ann"].do(gone, {"reason": "No longer in use"})

    leave = {"person": persons["ann"], "role": "owner", "reason": "Left"}
    proposed = await people["ben"].do(f"{roles}/remove", leave)
    approval = proposed["outcome"]["data"]["approval_id"]
    decide, yes = f"/v1/approvals/{approval}/decide", {"approve": True, "reason": "Agreed"}
    await people["ben"].refused(decide, yes, "same_person")
    await people["ann"].do(decide, yes)
    await people["ann"].refused(f"/v1/parties/{acme}/contacts", contact, "role_too_low")
    last = {"person": persons["ben"], "role": "owner", "reason": "Left"}
    await people["ben"].refused(f"{roles}/remove", last, "last_owner")

    # A party that moves is seen by its new line from then on, and by its old one no more.
    payee = (await agg.do("/v1/parties", {**below, "kind": "payee", "parent": acme}))["subject"]
    moved = await agg.do(f"/v1/parties/{payee}/move", {"parent": zenith, "reason": "Sold"})
    assert moved["outcome"]["data"]["path"] == [root, zenith]
    renamed = f"/v1/parties/{payee}/contacts"
    assert (await company.post(renamed, contact)).status_code == 404
    await (await platform.client(zenith, root)).do(renamed, contact)


async def test_a_stream_resumes_after_the_last_event_it_gave(platform: Platform) -> None:
    operator = await platform.operator()
    for number in range(3):
        await operator.do("/v1/parties", {"kind": "aggregator", "reason": f"Number {number}"})
    first = (await operator.get("/v1/events", limit="2")).json()
    assert first["has_more"]
    headers = {"Authorization": f"Bearer {operator.key}", "Last-Event-ID": first["next"]}
    async with platform.http.stream("GET", "/v1/events/stream", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        async with asyncio.timeout(30):
            ids = [line async for line in _ids(lines, 1)]
            later = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Later"})
            ids += [line async for line in _ids(lines, 1)]
    assert [int(each) for each in ids] == [int(first["next"]) + 1, int(first["next"]) + 2]
    assert later["state"] == "succeeded"


async def _ids(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for line in lines:
        if line.startswith("id:"):
            yield line.removeprefix("id:").strip()
            count -= 1
            if count == 0:
                return
