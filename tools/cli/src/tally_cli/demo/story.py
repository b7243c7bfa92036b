"""The story of one aggregator, told by the public API alone: money of known and unknown payees.

Each act does one thing, insists on what must come of it, and says who sees what. The demo prints
it, and the tests hold the platform to it.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tally_cli.demo.api import Client, StoryFailed, eventually, expect
from tally_cli.demo.people import People
from tally_contracts.owners import OF_EVENT

_DEADLINE: Final = "2099-12-31T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Step:
    """One act as it went: what was done, and what each of those concerned sees of it."""

    title: str
    done: str
    seen: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """For report.json."""
        return {"title": self.title, "done": self.done, "seen": dict(self.seen)}


@dataclass(slots=True)
class Story:
    """The acts in their order; later ones use what earlier ones made."""

    people: People
    order: str = ""

    @property
    def program(self) -> str:
        """Under which all the company's money of the story comes."""
        return f"story-{self.people.run}"

    async def tell(self) -> AsyncIterator[Step]:
        """Do one act after the other; raises StoryFailed where something else comes of it."""
        acts: tuple[Callable[[], Awaitable[Step]], ...] = (
            self.meet,
            self.agree_on_a_rule,
            self.receive_an_order,
            self.receive_for_somebody_unknown,
            self.name_the_payee,
            self.claim_with_a_code,
            self.show_who_one_is,
            self.hold_in_escrow,
            self.give_back,
            self.look_across,
        )
        for act in acts:
            yield await act()

    async def meet(self) -> Step:
        """An aggregator, two companies that know nothing of each other, partners, a payee."""
        people = self.people
        await people.begin()
        await people.join("company", "company", under="aggregator")
        await people.join("rival", "company", under="aggregator")
        await people.join("partner", "partner", under="company")
        await people.join("rival's partner", "partner", under="rival")
        await people.join("payee", "payee", under="company")
        await people.colleague("colleague", of="company")
        trees = {
            "aggregator": {"aggregator", "company", "rival", "partner", "rival's partner", "payee"},
            "company": {"company", "partner", "payee"},
            "rival": {"rival", "rival's partner"},
            "payee": {"payee"},
        }
        for name, wanted in trees.items():
            await self._tree(name, {people.ids[each] for each in wanted})
        return Step(
            "An aggregator takes on two companies",
            "The operator registers an aggregator, the aggregator two companies, each company a "
            "partner, one company a payee.",
            {name: f"its tree: {', '.join(sorted(wanted))}" for name, wanted in trees.items()},
        )

    async def agree_on_a_rule(self) -> Step:
        """F21, F22: who the partner is to the company, and how the company's money is divided."""
        ids, clients = self.people.ids, self.people.clients
        await clients["company"].do(
            f"/v1/parties/{ids['company']}/relations",
            {"party": ids["partner"], "relation": "reseller", "reason": "Contract 7"},
        )
        document = json.dumps(self._rule())
        linted = await clients["aggregator"].do("/v1/rules/lint", {"document": document})
        expect("faults of the rule", linted["outcome"]["data"]["faults"], [])
        tried = await clients["aggregator"].do("/v1/rules/dry-runs", self._sample(document))
        (result,) = tried["outcome"]["data"]["results"]
        amounts = [line["amount"]["amount"] for line in result["lines"]]
        expect("a dry run of 100.01 EUR", amounts, ["2.50", "10.00", "87.51"])
        await clients["aggregator"].do("/v1/rules", {"document": document})
        return Step(
            "A rule divides the company's money",
            "2.5 % to the aggregator, 10 % to the reseller, the rest to whom it is for; checked, "
            "tried on a sample, published.",
            {"aggregator": "100.01 EUR would be " + " + ".join(amounts)},
        )

    async def receive_an_order(self) -> Step:
        """F12, F13, F25: money in, divided at once to the wallets of all tiers."""
        people = self.people
        self.order = await self._pay_in("order-1", "100.01", {"party": people.ids["payee"]})
        await people.holds("payee", "87.51")
        await people.holds("partner", "10.00")
        await people.holds("aggregator", "2.50")
        share = await people.sees_of("payee", self.order)
        expect(
            "the payee's view of the pay-in",
            [line["amount"]["amount"] for line in (share or {}).get("allocations", [])],
            ["87.51"],
        )
        expect("the whole in the payee's view", (share or {}).get("amount"), None)
        expect("the rival's view of the pay-in", await people.sees_of("rival", self.order), None)
        return Step(
            "A customer pays 100.01 EUR",
            "One person of the company enters it, and cannot approve it; a colleague does.",
            {
                "company": "the whole: 100.01, divided into 2.50 + 10.00 + 87.51",
                "partner": "10.00 in its wallet",
                "payee": "its own 87.51; neither the whole nor what others got",
                "rival": "nothing",
            },
        )

    async def receive_for_somebody_unknown(self) -> Step:
        """X3: money for the winner of a race that is not run yet."""
        for number, amount in (("1", "40.00"), ("2", "60.00")):
            race = {"event_reference": self._race(number)}
            await self._pay_in(f"race-{number}", amount, race)
            await self.people.has_unclaimed(f"{OF_EVENT}{self._race(number)}")
        await self.people.holds("partner", "20.00")
        return Step(
            "Money comes for somebody nobody knows",
            "40.00 EUR for the winner of race 1, 60.00 EUR for the winner of race 2.",
            {
                "company": "35.00 and 52.50 in wallets of two events, ledgered from the first moment",
                "partner": "its shares at once: 20.00 in all",
            },
        )

    async def name_the_payee(self) -> Step:
        """X3: the company says whose it is."""
        people = self.people
        await people.clients["company"].do(
            "/v1/designations",
            {
                "owner": f"{OF_EVENT}{self._race('1')}",
                "to_owner": people.ids["payee"],
                "why": self._why(self._race("1"), "The winner is known"),
            },
        )
        await people.holds("payee", "122.51")
        return Step(
            "The winner of race 1 is the payee",
            "The company names the payee; one journal moves the money.",
            {"payee": "122.51 EUR: 87.51 of the order, 35.00 of the race"},
        )

    async def claim_with_a_code(self) -> Step:
        """F28: the winner of race 2 claims with a code, once; a second claim is refused and alarmed."""
        people = self.people
        race = self._race("2")
        issued = await people.clients["company"].do(
            "/v1/claims",
            {
                "owner": f"{OF_EVENT}{race}",
                "expires_at": _DEADLINE,
                "why": self._why(race, "A code for the winner"),
            },
        )
        if "sealed_code" in issued["outcome"]["data"]:
            raise StoryFailed("a claim's code is shown to the company that issued it")
        claim = issued["subject"]
        code = await people.post.claim_code(claim)
        for name in ("winner", "impostor"):
            await people.join(name, "payee", under="aggregator")
            await people.show_contact(name, f"{name}@{people.run}.example")
        given = {"code": code, "why": self._why(race, "I won")}
        await eventually(
            "the winner claims", lambda: self._redeemed(people.clients["winner"], claim, given)
        )
        await people.holds("winner", "52.50")
        path = f"/v1/claims/{claim}/redeem"
        refused = await people.clients["impostor"].refused(path, given, "claim_used")
        await eventually("the alarm", lambda: self._alarm(claim, people.ids["impostor"]))
        expect("what the impostor has", await people.balances("impostor"), {})
        return Step(
            "The winner of race 2 claims the money with a code",
            "The company never sees the code. The winner shows a contact to be its own and claims; "
            "a second claim with the same code is refused and alarmed.",
            {
                "winner": "52.50 EUR",
                "impostor": f"{refused['code']}: {refused['remedy']}",
                "aggregator": "an alarm: who tried, and when",
            },
        )

    async def show_who_one_is(self) -> Step:
        """F27, F30: credited at level none, the payee shows who it is when it likes to."""
        people = self.people
        path = f"/v1/parties/{people.ids['payee']}/identity"
        before = await people.clients["payee"].see(path)
        expect("the payee's level while it was credited", before["level"], "none")
        (task,) = (each["task_id"] for each in before["tasks"])
        evidence = [{"reference": "vault:payee", "digest": "5b" * 32}]
        await people.clients["payee"].do(f"/v1/tasks/{task}/submit", {"evidence": evidence})
        verdict = {"outcome": "passed", "expires_at": _DEADLINE}
        await people.clients["payee"].refused(f"/v1/tasks/{task}/decide", verdict, "not_permitted")
        await people.clients["aggregator"].do(f"/v1/tasks/{task}/decide", verdict)
        level = (await people.clients["payee"].see(path))["level"]
        expect("the payee's level", level, "basic")
        hidden = await people.clients["company"].get(path)
        expect("the payee's identity, to the company", hidden.status_code, 404)
        return Step(
            "The payee shows who it is",
            "Nothing waited for it: its money came at level none. It submits evidence, the aggregator "
            "passes it, and the level follows.",
            {
                "payee": f"level {level}",
                "company": "not_found, as long as the payee does not consent",
            },
        )

    async def hold_in_escrow(self) -> Step:
        """F8: payee and partner agree; the company approves, nobody else can."""
        people = self.people
        ids, clients = people.ids, people.clients
        why = self._why("delivery-1", "Held until delivered")
        proposed = await clients["payee"].do(
            "/v1/agreements",
            {
                "payer": ids["payee"],
                "payee": ids["partner"],
                "amount": {"currency": "EUR", "amount": "60.00"},
                "condition": {"kind": "approval", "approvers": [ids["company"]], "needed": 1},
                "deadline": _DEADLINE,
                "on_deadline": "refund",
                "why": why,
            },
        )
        agreement = f"/v1/agreements/{proposed['subject']}"
        await clients["payee"].do(f"{agreement}/fund", {"why": why})
        await people.holds("payee", "62.51")
        await clients["rival"].refused(f"{agreement}/approve", {"why": why}, "not_found")
        await clients["company"].do(f"{agreement}/approve", {"why": why})
        await people.holds("partner", "80.00")
        return Step(
            "60.00 EUR wait in escrow until the delivery",
            "The payee pays in; the rival cannot approve; the company does, and the partner is paid.",
            {
                "payee": "62.51 EUR left",
                "partner": "80.00 EUR",
                "rival": "not_found: for it there is no such agreement",
            },
        )

    async def give_back(self) -> Step:
        """F15: the order is given back: reversed where the wallet has it, owed where it has not."""
        people = self.people
        await people.clients["company"].do(
            f"/v1/pay-ins/{self.order}/returns",
            {
                "kind": "refund",
                "amount": {"currency": "EUR", "amount": "100.01"},
                "why": self._why("order:order-1", "Goods returned"),
            },
        )
        await people.holds("aggregator", "2.50")
        await people.holds("partner", "70.00")
        owed = await eventually("the receivable", self._receivable)
        await people.holds("payee", "62.51")
        await people.clients["company"].refused(
            f"/v1/receivables/{owed['receivable_id']}/settlements",
            {"amount": owed["amount"], "why": self._why("order:order-1", "Taken for it")},
            "not_the_owner",
        )
        return Step(
            "The order is given back",
            "Aggregator and partner give their parts back; the payee has spent its part and owes it. "
            "Nobody but the payee can settle that from its wallet.",
            {
                "aggregator": "2.50 EUR: its parts of the races",
                "partner": "70.00 EUR",
                "payee": f"62.51 EUR, and a debt of {owed['amount']['amount']} EUR",
                "company": f"the receivable {owed['receivable_id']}",
            },
        )

    async def look_across(self) -> Step:
        """F17, X1, X2: everyone sees what is theirs, and nobody a sibling's."""
        clients, ids = self.people.clients, self.people.ids
        for name in ("rival", "rival's partner"):
            expect(f"pay-ins of {name}", (await clients[name].see("/v1/pay-ins"))["items"], [])
            answered = await clients[name].get(f"/v1/pay-ins/{self.order}")
            expect(f"the order, to {name}", answered.status_code, 404)
            log = str(await clients[name].events())
            hidden = [
                each for each in ("company", "payee", "partner", "winner") if ids[each] in log
            ]
            expect(f"strangers in the log of {name}", hidden, [])
        logs = {name: len(await client.events()) for name, client in clients.items()}
        names = ("aggregator", "company", "partner", "payee", "rival")
        return Step(
            "Each reads its own log",
            "Every fact is in the logs of those it concerns, with the fields that are theirs to see.",
            {name: f"{logs[name]} events" for name in names},
        )

    async def _pay_in(self, name: str, amount: str, beneficiary: dict[str, str]) -> str:
        return await self.people.pay_in(
            f"{self.people.run}-{name}",
            {"currency": "EUR", "amount": amount},
            beneficiary,
            self.program,
        )

    async def _tree(self, name: str, wanted: set[str]) -> None:
        async def shown() -> bool:
            listed = await self.people.clients[name].see("/v1/parties")
            return {item["party_id"] for item in listed["items"]} == wanted

        await eventually(f"the tree of {name} is {sorted(wanted)}", shown)

    async def _redeemed(self, client: Client, claim: str, given: Mapping[str, Any]) -> bool:
        answered = await client.post(f"/v1/claims/{claim}/redeem", given)
        # Funding hears of the contact from the directory, as of everything: a moment later.
        early = answered.json().get("code") in {"party_unknown", "wrong_person"}
        if not early:
            expect("the claim", answered.status_code, 200)
        return not early

    async def _alarm(self, claim: str, tried_by: str) -> bool:
        told = await self.people.clients["aggregator"].events("funding.claim.alarm_raised.v1")
        return any(
            each["data"]["claim_id"] == claim
            and each["data"]["code"] == "claim_used"
            and each["data"]["attempted_by"] == tried_by
            for each in told
        )

    async def _receivable(self) -> dict[str, Any] | None:
        told = await self.people.clients["payee"].events("funding.receivable.opened.v1")
        found: dict[str, Any] | None = told[0]["data"] if told else None
        return found

    def _race(self, number: str) -> str:
        return f"race-{number}-{self.people.run}"

    def _why(self, event: str, reason: str) -> dict[str, str]:
        return {"program": self.program, "event": event, "reason": reason}

    def _rule(self) -> dict[str, Any]:
        return {
            "schema": 2,
            "rule": self.program,
            "version": 1,
            "match": {"programs": [self.program], "currencies": ["EUR"]},
            "lines": [
                {"role": "aggregator", "to": {"role": "aggregator"}, "percent": "2.5"},
                {"role": "partner", "to": {"relation": "reseller"}, "percent": "10"},
                {"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": True},
            ],
            "rounding": "half_even",
        }

    def _sample(self, document: str) -> dict[str, Any]:
        return {
            "document": document,
            "samples": [
                {
                    "source": "cards",
                    "amount": {"currency": "EUR", "amount": "100.01"},
                    "company": self.people.ids["company"],
                    "program": self.program,
                    "event": "order:0",
                    "beneficiary": {"party": self.people.ids["payee"]},
                    "occurred_at": "2099-01-01T00:00:00Z",
                }
            ],
        }
