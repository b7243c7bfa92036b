"""Who is in the story: parties of one aggregator's tree, and a key of the API for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tally_cli.demo.api import Client, StoryFailed, eventually
from tally_cli.demo.post import Post
from tally_gateway.routes import SCOPES

_CREATED = frozenset({200, 201})
_APPROVAL = {"approve": True, "note": "Seen on the account"}


@dataclass(slots=True)
class People:
    """Parties by the name they have in the story, and a client for each.

    `run` makes the names of one telling its own, so that it can be told again on one installation.
    """

    run: str
    operator: Client
    post: Post
    ids: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)

    async def begin(self, **more: str) -> None:
        """Plant the tree: an aggregator."""
        body = {"kind": "aggregator", "reason": "Signed", **more}
        made = await self.operator.do("/v1/parties", body)
        await self._known("aggregator", made["subject"])

    async def join(
        self, name: str, kind: str, *, under: str, by: str | None = None, **more: str
    ) -> str:
        """A party below another one, registered by `by` (else by the one above); its id."""
        made = await self.clients[by or under].do(
            "/v1/parties", {"kind": kind, "parent": self.ids[under], "reason": "Signed", **more}
        )
        await self._known(name, made["subject"])
        return self.ids[name]

    async def colleague(self, name: str, *, of: str) -> None:
        """Another person of a party, with a key of their own."""
        self.clients[name] = await self.key(self.ids[of], name)

    async def key(self, party: str, label: str) -> Client:
        """A client with a new key of a party, made by the operator."""
        body = {"party": party, "label": label, "scopes": sorted(SCOPES)}
        made = await self.operator.post("/v1/api-keys", body)
        if made.status_code not in _CREATED:
            raise StoryFailed(f"POST /v1/api-keys: {made.status_code} {made.text}")
        return Client(self.operator.http, made.json()["secret"], self.post.step_up_code)

    async def show_contact(self, name: str, address: str) -> str:
        """Add a contact, and give the code that comes there back: it is this party's own; its token."""
        client = self.clients[name]
        added = await client.do(
            f"/v1/parties/{self.ids[name]}/contacts",
            {"channel": "email", "value": address, "reason": "To be reached"},
        )
        started = await client.do(
            f"/v1/contacts/{added['subject']}/verifications", {"reason": "To be paid"}
        )
        code = await self.post.verification_code(started["subject"])
        await client.do(
            f"/v1/verifications/{started['subject']}/confirm",
            {"code": code, "reason": "To be paid"},
        )
        token: str = added["outcome"]["data"]["contact"]
        return token

    async def pay_in(
        self, external_id: str, amount: dict[str, str], beneficiary: dict[str, str], program: str
    ) -> str:
        """Money of the company that two of its people enter by hand (F12); the pay-in's id."""
        why = {"program": program, "event": f"order:{external_id}", "reason": "Order paid"}
        entry = await self.enter(external_id, amount, beneficiary, why=why)
        await self.clients["company"].refused(_decide(entry), _APPROVAL, "same_person")
        return await self.approve(entry, external_id, by="colleague")

    async def enter(
        self,
        external_id: str,
        amount: Mapping[str, str],
        beneficiary: Mapping[str, str] | None,
        *,
        why: Mapping[str, str],
        company: str = "company",
        **more: Any,
    ) -> str:
        """Money of a company, as one of its people says; the entry's id."""
        proposed = await self.clients[company].do(
            "/v1/pay-ins",
            {
                "external_id": external_id,
                "amount": amount,
                "originator": {"reference": "customer-7", "country": "DE"},
                "company": self.ids[company],
                "beneficiary": beneficiary,
                "value_date": "2026-09-21",
                "why": why,
                **more,
            },
        )
        return str(proposed["subject"])

    async def approve(self, entry: str, external_id: str, *, by: str) -> str:
        """Another of the company's people agrees; the pay-in's id, once it is allocated."""
        await self.clients[by].do(_decide(entry), _APPROVAL)
        return await eventually(
            f"{external_id} allocated", lambda: self._allocated(by, external_id)
        )

    async def holds(self, name: str, amount: str, currency: str = "EUR") -> None:
        """Wait until a party's own wallets of a currency show this amount, in one of them."""

        async def shown() -> bool:
            found = [
                item["posted"]["amount"]
                for item in await self.own_wallets(name)
                if item["currency"] == currency and item["posted"]["amount"].strip("0.")
            ]
            return found == ([amount] if amount.strip("0.") else [])

        await eventually(f"{name} has {amount} {currency}", shown)

    async def has_unclaimed(self, owner: str) -> None:
        """Wait until money of an owner nobody knows can be claimed or designated: its clock runs."""

        async def runs() -> bool:
            told = await self.clients["aggregator"].events("funding.claim.dormancy_changed.v1")
            return any(each["data"]["owner"] == owner for each in told)

        await eventually(f"a clock for {owner}", runs)

    async def balances(self, name: str) -> dict[str, str]:
        """What a party's own wallets hold, by currency."""
        own = await self.own_wallets(name)
        return {item["currency"]: item["posted"]["amount"] for item in own}

    async def own_wallets(self, name: str) -> list[dict[str, Any]]:
        """A party's own wallets with their balances, as it sees them."""
        listed = await self.clients[name].see("/v1/wallets", limit=200)
        return [item for item in listed["items"] if item["owner"] == self.ids[name]]

    async def sees_of(self, name: str, pay_in: str) -> dict[str, Any] | None:
        """What a party's log says of a pay-in's allocation; None if it says nothing."""
        told = await self.clients[name].events("funding.pay_in.allocated.v1")
        found = [each["data"] for each in told if each["data"].get("pay_in_id") == pay_in]
        return found[0] if found else None

    async def _known(self, name: str, party: str) -> None:
        self.ids[name] = party
        self.clients[name] = await self.key(party, name)

    async def _allocated(self, name: str, external_id: str) -> str | None:
        listed = await self.clients[name].see("/v1/pay-ins", limit=200)
        for item in listed["items"]:
            if item.get("external_id") == external_id and item["state"] == "allocated":
                return str(item["pay_in_id"])
        return None


def _decide(entry: str) -> str:
    return f"/v1/pay-in-entries/{entry}/decide"
