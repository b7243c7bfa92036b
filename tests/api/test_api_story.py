"""The story of one aggregator, through the public API alone, on every service and a real Kafka.

Two companies, a partner, payees known and unknown, a split, an escrow, a refund: each tier sees its own, and at
the end the oracle finds the books in order.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tally_reconciliation import Sources, Verdict, verify
from tally_testkit import ServiceDatabase

from .api_platform import Client, Platform, free_port, schemas, start_platform

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
SERVICES = ("directory", "programs", "funding", "ledger", "payouts", "rails", "portfolio")
WAIT_S = 40
RULE = {
    "schema": 2,
    "rule": "story-split",
    "version": 1,
    "match": {"programs": ["story"], "currencies": ["EUR"]},
    "lines": [
        {"role": "aggregator", "to": {"role": "aggregator"}, "percent": "2.5"},
        {"role": "partner", "to": {"relation": "reseller"}, "percent": "10"},
        {"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": True},
    ],
    "rounding": "half_even",
}


@dataclass
class Story:
    """Who is in it, and a client for each; `second` is another person of the company."""

    platform: Platform
    database: ServiceDatabase
    kafka: str
    ids: dict[str, str]
    clients: dict[str, Client]

    async def party(self, name: str, kind: str, parent: str, by: str) -> None:
        made = await self.clients[by].do(
            "/v1/parties", {"kind": kind, "parent": self.ids[parent], "reason": "Signed"}
        )
        self.ids[name] = made["subject"]
        self.clients[name] = await self.platform.client(self.ids[name], self.ids["aggregator"])

    async def pay_in(self, external_id: str, amount: str, beneficiary: dict[str, str]) -> str:
        """Money of the company that two of its people enter (F12); the pay-in's id."""
        why = {"program": "story", "event": f"order:{external_id}", "reason": "Order paid"}
        proposed = await self.clients["company"].do(
            "/v1/pay-ins",
            {
                "external_id": external_id,
                "amount": {"currency": "EUR", "amount": amount},
                "originator": {"reference": "customer-7", "country": "DE"},
                "company": self.ids["company"],
                "beneficiary": beneficiary,
                "value_date": "2026-09-21",
                "why": why,
            },
        )
        decision = {"approve": True, "note": "Seen on the account"}
        path = f"/v1/pay-in-entries/{proposed['subject']}/decide"
        alone = await self.clients["company"].post(path, decision)
        assert (alone.status_code, alone.json()["code"]) == (422, "same_person")
        await self.clients["second"].do(path, decision)
        found = await eventually(lambda: self._pay_in_of(external_id))
        return str(found)

    async def _pay_in_of(self, external_id: str) -> str | None:
        listed = (await self.clients["company"].get("/v1/pay-ins")).json()
        for item in listed["items"]:
            if item.get("external_id") == external_id and item["state"] == "allocated":
                return str(item["pay_in_id"])
        return None

    async def balances(self, name: str) -> dict[str, str]:
        """What a party's own wallets hold, by currency."""
        listed = (await self.clients[name].get("/v1/wallets")).json()
        own = [item for item in listed["items"] if item["owner"] == self.ids[name]]
        return {item["currency"]: item["posted"]["amount"] for item in own}


async def eventually(question: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer that is one; facts take a moment to reach the views."""
    async with asyncio.timeout(WAIT_S):
        answer = await question()
        while not answer:
            await asyncio.sleep(0.3)
            answer = await question()
        return answer


@pytest.fixture
async def story(
    fresh_database: Callable[..., ServiceDatabase], fresh_kafka: str
) -> AsyncIterator[Story]:
    database = fresh_database(*schemas((*SERVICES, "gateway")))
    platform = await start_platform(SERVICES, database, fresh_kafka, read_port=free_port())
    try:
        operator = await platform.operator()
        made = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
        aggregator = made["subject"]
        clients = {
            "operator": operator,
            "aggregator": await platform.client(aggregator, aggregator),
        }
        told = Story(platform, database, fresh_kafka, {"aggregator": aggregator}, clients)
        await told.party("company", "company", "aggregator", "aggregator")
        await told.party("rival", "company", "aggregator", "aggregator")
        await told.party("partner", "partner", "company", "company")
        await told.party("payee", "payee", "company", "company")
        clients["second"] = await platform.client(told.ids["company"], aggregator)
        yield told
    finally:
        await platform.stop()


async def test_money_is_split_held_released_and_given_back_and_each_sees_its_own(
    story: Story,
) -> None:
    ids, clients = story.ids, story.clients
    company, aggregator = clients["company"], clients["aggregator"]

    # F21, F22: who the partner is to the company, and how the company's money is divided.
    await company.do(
        f"/v1/parties/{ids['company']}/relations",
        {"party": ids["partner"], "relation": "reseller", "reason": "Contract 7"},
    )
    document = json.dumps(RULE)
    linted = await aggregator.do("/v1/rules/lint", {"document": document})
    assert linted["outcome"]["data"]["faults"] == []
    tried = await aggregator.do("/v1/rules/dry-runs", _sample(document, ids))
    (result,) = tried["outcome"]["data"]["results"]
    amounts = [line["amount"]["amount"] for line in result["lines"]]
    assert amounts == ["2.50", "10.00", "87.51"]
    await aggregator.do("/v1/rules", {"document": document})

    # F12, F13, F25: money in, divided at once to the wallets of all tiers.
    pay_in = await story.pay_in("order-1", "100.01", {"party": ids["payee"]})
    assert await story.balances("payee") == {"EUR": "87.51"}
    assert await story.balances("partner") == {"EUR": "10.00"}
    assert (await story.balances("aggregator"))["EUR"] == "2.50"

    # X3: money for somebody nobody knows yet goes to an event, and the company names the payee later.
    await story.pay_in("order-2", "40.00", {"event_reference": "race-7"})
    why = {"program": "story", "event": "race-7", "reason": "The winner is known"}
    await company.do(
        "/v1/designations", {"owner": "event:race-7", "to_owner": ids["payee"], "why": why}
    )
    await eventually(lambda: _is(story, "payee", "122.51"))

    # F8: an escrow between payee and partner, released when the company approves.
    await _escrow(story)
    await eventually(lambda: _is(story, "partner", "34.00"))

    # F15: the first order is given back: reversed where the wallet has it, owed where it has not.
    why = {"program": "story", "event": "order:order-1", "reason": "Goods returned"}
    await company.do(
        f"/v1/pay-ins/{pay_in}/returns",
        {"kind": "refund", "amount": {"currency": "EUR", "amount": "100.01"}, "why": why},
    )
    await eventually(lambda: _is(story, "aggregator", "1.00"))

    await _each_sees_its_own(story, pay_in)
    report = await verify(
        Sources(story.database.admin_dsn, story.kafka, schemas=SERVICES), wait_s=60
    )
    faults = [(check.id, one.what, one.row) for check in report.checks for one in check.faults]
    assert (report.verdict, faults) == (Verdict.GREEN, [])


def _sample(document: str, ids: dict[str, str]) -> dict[str, Any]:
    return {
        "document": document,
        "samples": [
            {
                "source": "cards",
                "amount": {"currency": "EUR", "amount": "100.01"},
                "company": ids["company"],
                "program": "story",
                "event": "order:0",
                "beneficiary": {"party": ids["payee"]},
                "occurred_at": "2099-01-01T00:00:00Z",
            }
        ],
    }


async def _is(story: Story, name: str, amount: str) -> bool:
    return (await story.balances(name)).get("EUR") == amount


async def _escrow(story: Story) -> None:
    ids, clients = story.ids, story.clients
    why = {"program": "story", "event": "delivery-1", "reason": "Held until delivered"}
    proposed = await clients["payee"].do(
        "/v1/agreements",
        {
            "payer": ids["payee"],
            "payee": ids["partner"],
            "amount": {"currency": "EUR", "amount": "20.00"},
            "condition": {"kind": "approval", "approvers": [ids["company"]], "needed": 1},
            "deadline": "2099-12-31T00:00:00Z",
            "on_deadline": "refund",
            "why": why,
        },
    )
    agreement = f"/v1/agreements/{proposed['subject']}"
    await clients["payee"].do(f"{agreement}/fund", {"why": why})
    await eventually(lambda: _is(story, "payee", "102.51"))
    refused = await clients["rival"].post(f"{agreement}/approve", {"why": why})
    assert refused.status_code == 404
    await clients["company"].do(f"{agreement}/approve", {"why": why})


async def _each_sees_its_own(story: Story, pay_in: str) -> None:
    """F17, X1, X2: nobody sees a sibling's; a payee sees its share of a pay-in and not the whole."""
    clients, ids = story.clients, story.ids
    assert (await clients["rival"].get("/v1/pay-ins")).json()["items"] == []
    assert (await clients["rival"].get(f"/v1/pay-ins/{pay_in}")).status_code == 404
    log = (await clients["rival"].get("/v1/events", limit=500)).json()["data"]
    assert ids["payee"] not in str(log)
    assert pay_in not in str(log)
    payees = (await clients["payee"].get("/v1/events", limit=500)).json()["data"]
    allocated = [each for each in payees if each["type"] == "funding.pay_in.allocated.v1"]
    assert allocated
    assert ids["partner"] not in str(allocated)
    totals = (await clients["aggregator"].get("/v1/totals")).json()
    assert "EUR" in str(totals)
