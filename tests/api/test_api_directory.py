"""The gateway and the directory together, on the real Kafka and Postgres, by the public API alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

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
