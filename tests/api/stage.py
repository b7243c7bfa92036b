"""A stage for behaviour tests: the whole platform, and for each test a tree of parties of its own.

Whatever a test does, it does as one of its parties, by the public API; the post brings it the
codes that are sent to it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx

from tally_cli.demo.api import Client
from tally_cli.demo.post import Post

from .api_platform import Platform

WAIT_S = 60


async def eventually(question: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer that is one; facts take a moment to reach the views."""
    async with asyncio.timeout(WAIT_S):
        answer = await question()
        while not answer:
            await asyncio.sleep(0.1)
            answer = await question()
        return answer


def money(amount: str, currency: str = "EUR") -> dict[str, str]:
    """An amount as the API takes it."""
    return {"currency": currency, "amount": amount}


@dataclass
class Cast:
    """The parties of one test, by their part in it, with a client for each."""

    platform: Platform
    post: Post
    root: str
    ids: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    _entries: int = 0

    @classmethod
    async def planted(cls, platform: Platform, operator: Client, post: Post) -> Self:
        """A tree of its own: an aggregator with two companies, one with a partner and a payee.

        Money is its beneficiary's, whole, where no rule of the test's own says otherwise.
        """
        made = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
        cast = cls(platform, post, made["subject"])
        cast.ids["aggregator"] = cast.root
        cast.clients["aggregator"] = await cast.client("aggregator")
        await cast.party("company", "company", "aggregator")
        await cast.party("rival", "company", "aggregator")
        await cast.party("partner", "partner", "company")
        await cast.party("payee", "payee", "company")
        await cast.rule("whole", [{"to": {"role": "beneficiary"}, "remainder": True}], match={})
        return cast

    def __getitem__(self, name: str) -> Client:
        return self.clients[name]

    async def client(self, name: str, **more: Any) -> Client:
        """Another key of a party: another person of it."""
        client = await self.platform.client(self.ids[name], self.root, **more)
        return replace(client, codes=self.post.step_up_code)

    async def party(
        self, name: str, kind: str, parent: str, *, by: str = "aggregator", **more: Any
    ) -> str:
        """Register a party below another; its id."""
        made = await self[by].do(
            "/v1/parties", {"kind": kind, "parent": self.ids[parent], "reason": "Signed", **more}
        )
        self.ids[name] = made["subject"]
        self.clients[name] = await self.client(name)
        return self.ids[name]

    async def rule(
        self, name: str, lines: list[dict[str, Any]], *, rule_id: str = "", **more: Any
    ) -> str:
        """Publish an allocation rule of the tree, for this test's program if not said; its id."""
        document = {
            "schema": 2,
            "rule": name,
            "version": 1,
            "match": {"programs": [self.program]},
            "lines": [{"role": "beneficiary", **line} for line in lines],
            "rounding": "half_even",
            **more,
        }
        path = f"/v1/rules/{rule_id}/versions" if rule_id else "/v1/rules"
        made = await self["aggregator"].do(path, {"document": json.dumps(document)})
        return str(made["subject"])

    @property
    def program(self) -> str:
        """A name for a program that no other test has."""
        return f"p-{self.root[-20:]}"

    def why(self, event: str, reason: str = "Agreed") -> dict[str, str]:
        """A why of this test's program."""
        return {"program": self.program, "event": event, "reason": reason}

    async def pay_in(
        self,
        amount: Mapping[str, str],
        beneficiary: Mapping[str, str] | None,
        *,
        company: str = "company",
        event: str = "",
        **more: Any,
    ) -> str:
        """Money in, entered by one person and approved by another (F12); its id, once allocated."""
        if "second" not in self.clients:
            self.clients["second"] = await self.client("company")
        second = self["second"] if company == "company" else await self.client(company)
        self._entries += 1
        external_id = f"{self.root[-8:]}-{self._entries}"
        proposed = await self[company].do(
            "/v1/pay-ins",
            {
                "external_id": external_id,
                "amount": amount,
                "originator": {"reference": "customer-7", "country": "DE"},
                "company": self.ids[company],
                "beneficiary": beneficiary,
                "value_date": "2026-09-21",
                "why": self.why(event or f"order:{self._entries}"),
                **more,
            },
        )
        await second.do(
            f"/v1/pay-in-entries/{proposed['subject']}/decide", {"approve": True, "note": "Seen"}
        )
        return str(await eventually(lambda: self._allocated(company, external_id)))

    async def _allocated(self, company: str, external_id: str) -> str | None:
        for item in await self.items(company, "/v1/pay-ins", limit=200):
            if item.get("external_id") == external_id and item["state"] == "allocated":
                return str(item["pay_in_id"])
        return None

    async def items(self, name: str, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """The items of a list, as a party sees them."""
        answered = await self[name].get(path, **parameters)
        assert answered.status_code == httpx.codes.OK, f"{path}: {answered.text}"
        found: list[dict[str, Any]] = answered.json()["items"]
        return found

    async def log(self, name: str, *types: str) -> list[dict[str, Any]]:
        """A party's log of events from its beginning, all of it or only these types."""
        chosen = {"types": ",".join(types)} if types else {}
        found: list[dict[str, Any]] = []
        after, more = "0", True
        while more:
            page = (await self[name].get("/v1/events", after=after, limit=500, **chosen)).json()
            found += page["data"]
            after, more = page["next"], page["has_more"]
        return found

    async def told(self, name: str, kind: str, **where: Any) -> dict[str, Any]:
        """The first fact of a kind in a party's log with these fields, once it is there."""

        async def ask() -> dict[str, Any] | None:
            for each in await self.log(name, kind):
                data: dict[str, Any] = each["data"]
                if where.items() <= data.items():
                    return data
            return None

        found: dict[str, Any] = await eventually(ask)
        return found

    async def wallet(
        self, owner: str, currency: str = "EUR", *, by: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Open a wallet; the fact that says so."""
        made = await self[by or owner].do(
            "/v1/wallets",
            {
                "owner": self.ids[owner],
                "currency": currency,
                "purpose": "default",
                "reason": "Wanted",
                **more,
            },
        )
        opened: dict[str, Any] = made["outcome"]["data"]
        return opened

    async def own_wallets(self, name: str) -> list[dict[str, Any]]:
        """A party's own wallets with their balances, as it sees them."""
        listed = await self.items(name, "/v1/wallets", limit=200)
        return [item for item in listed if item["owner"] == self.ids[name]]

    async def holds(self, name: str, amount: str, currency: str = "EUR") -> None:
        """Wait until a party's own wallets hold this much of a currency in all."""

        async def ask() -> bool:
            sums = [
                item["posted"]["amount"]
                for item in await self.own_wallets(name)
                if item["currency"] == currency and item["posted"]["amount"].strip("0.")
            ]
            return sums == ([amount] if amount.strip("0.") else [])

        await eventually(ask)

    async def verified(self, name: str, address: str, *, by: str | None = None) -> str:
        """Show that a contact is a party's: the code is sent to it and given back; its token."""
        client, party = self[by or name], self.ids[name]
        added = await client.do(
            f"/v1/parties/{party}/contacts",
            {"channel": "email", "value": address, "reason": "To be reached"},
        )
        begun = await client.do(
            f"/v1/contacts/{added['subject']}/verifications", {"reason": "To be paid"}
        )
        code = await self.post.verification_code(begun["subject"])
        await self[name].do(
            f"/v1/verifications/{begun['subject']}/confirm", {"code": code, "reason": "It came"}
        )
        token: str = added["outcome"]["data"]["contact"]
        return token
