"""A stage for behaviour tests: the whole platform, and for each test a tree of parties of its own.

Whatever a test does, it does as one of its parties, by the public API; the post brings it the
codes that are sent to it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from tally_cli.demo import api
from tally_cli.demo.api import Client
from tally_cli.demo.people import People
from tally_cli.demo.post import Post
from tally_runtime import Ids

from .api_platform import Platform


async def eventually(question: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer that is one; facts take a moment to reach the views."""
    return await api.eventually("what the test waits for", question)


def money(amount: str, currency: str = "EUR") -> dict[str, str]:
    """An amount as the API takes it."""
    return {"currency": currency, "amount": amount}


@dataclass(slots=True, kw_only=True)
class Troupe(People):
    """People whose keys are put where the gateway keeps them: a test may ask as often as it likes."""

    platform: Platform

    async def key(self, party: str, label: str) -> Client:
        client = await self.platform.client(party, self.ids["aggregator"])
        return replace(client, codes=self.post.step_up_code)


@dataclass
class Cast:
    """The parties of one test, by their part in it, with a client for each."""

    platform: Platform
    people: People
    _entries: int = 0

    @classmethod
    def empty(cls, platform: Platform, operator: Client, post: Post) -> Self:
        """Nobody yet."""
        return cls(platform, Troupe(Ids().uuid7().hex[-8:], operator, post, platform=platform))

    @classmethod
    async def planted(cls, platform: Platform, operator: Client, post: Post) -> Self:
        """A tree of its own: an aggregator with two companies, one with a partner and a payee.

        Money is its beneficiary's, whole, where no rule of the test's own says otherwise.
        """
        cast = cls.empty(platform, operator, post)
        await cast.people.begin()
        await cast.party("company", "company", "aggregator")
        await cast.party("rival", "company", "aggregator")
        await cast.party("partner", "partner", "company")
        await cast.party("payee", "payee", "company")
        await cast.rule("whole", [{"to": {"role": "beneficiary"}, "remainder": True}], match={})
        return cast

    def __getitem__(self, name: str) -> Client:
        return self.people.clients[name]

    @property
    def ids(self) -> dict[str, str]:
        """Parties by their part."""
        return self.people.ids

    @property
    def root(self) -> str:
        """The aggregator, whose tenant this is."""
        return self.ids["aggregator"]

    @property
    def post(self) -> Post:
        """Brings the codes that are sent to them."""
        return self.people.post

    async def client(self, name: str) -> Client:
        """Another key of a party: another person of it."""
        return await self.people.key(self.ids[name], name)

    async def party(
        self, name: str, kind: str, parent: str, *, by: str = "aggregator", **more: str
    ) -> str:
        """Register a party below another; its id."""
        return await self.people.join(name, kind, under=parent, by=by, **more)

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
        second = f"second of {company}"
        if second not in self.people.clients:
            await self.people.colleague(second, of=company)
        self._entries += 1
        external_id = f"{self.root[-8:]}-{self._entries}"
        why = self.why(event or f"order:{self._entries}")
        entry = await self.people.enter(
            external_id, amount, beneficiary, why=why, company=company, **more
        )
        return await self.people.approve(entry, external_id, by=second)

    async def items(self, name: str, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """The items of a list, as a party sees them."""
        found: list[dict[str, Any]] = (await self[name].see(path, **parameters))["items"]
        return found

    async def log(self, name: str, *types: str) -> list[dict[str, Any]]:
        """A party's log of events from its beginning, all of it or only these types."""
        return await self[name].events(*types)

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
        return await self.people.own_wallets(name)

    async def holds(self, name: str, amount: str, currency: str = "EUR") -> None:
        """Wait until a party's own wallets hold this much of a currency in all."""
        await self.people.holds(name, amount, currency)

    async def verified(self, name: str, address: str) -> str:
        """Show that a contact is a party's: the code is sent to it and given back; its token."""
        return await self.people.show_contact(name, address)


def parted(cast: Cast, percent: str) -> list[dict[str, Any]]:
    """Lines that give the partner so much, and the beneficiary the rest."""
    return [
        {"role": "partner", "to": {"party": cast.ids["partner"]}, "percent": percent},
        {"to": {"role": "beneficiary"}, "remainder": True},
    ]
