"""Money in, its division and its way back, and who acted, by number, through the API: F11 to F16.

Every service runs; each test has parties of its own. Webhooks are those of one company, whose id
the gateway is told when it starts, as an operator tells it.
"""

import asyncio
import json
from typing import Any

import pytest

from tally_cli.demo.api import Client
from tally_cli.publishing import publication, publish
from tally_contracts.base import Event, PositiveAmount, Where, Who, Why
from tally_contracts.directory import RegisterParty
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_runtime import Ids, SystemClock, derived_id, party_id_of
from tally_security.webhooks import WebhookSecrets, sign_stripe

from .bank_statement import statement
from .conftest import SWIFT, Whole
from .stage import Cast, eventually, money
from .test_api_merged import chooses_a_wallet, shown, withdraws

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT, SHOP = derived_id("party", "shop-root"), derived_id("party", "shop")
SECRET = "whsec_0123456789abcdef"
SETTINGS = {
    **SWIFT,
    "gateway": {
        **SWIFT["gateway"],
        "webhooks": json.dumps({"cards": {"company": SHOP, "secrets": [SECRET]}}),
    },
}
RECEIVED, ALLOCATED = "funding.pay_in.received.v1", "funding.pay_in.allocated.v1"
_IDS = Ids()


async def told_upstream(whole: Whole, topic: str, event: Event, key: str) -> None:
    """Publish a record, as an upstream system or an operator's tool does."""
    record = publication(
        event,
        topic=topic,
        key=key,
        event_id=str(_IDS.uuid7()),
        source="/tests",
        clock=SystemClock(),
    )
    await publish(whole.kafka, [record])


@pytest.fixture(scope="module")
async def shop(whole: Whole) -> Cast:
    """The company that the card processor's webhooks are for, below an aggregator."""
    for party, kind, parent in ((ROOT, "aggregator", None), (SHOP, "company", ROOT)):
        command = RegisterParty(
            command_id=_IDS.new("cmd"),
            tenant=ROOT,
            party_id=party,
            kind=kind,
            parent=parent,
            who=Who(actor="setup", principal="operator"),
            reason="Signed",
            occurred_at=SystemClock().now(),
        )
        await told_upstream(whole, "directory.commands.v1", command, party)
    operator = await whole.platform.operator()
    shop = Cast.empty(whole.platform, operator, whole.post())
    for name, party in (("aggregator", ROOT), ("company", SHOP)):
        shop.ids[name] = party
        shop.people.clients[name] = await shop.client(name)

    async def known() -> bool:
        return (await operator.get(f"/v1/parties/{SHOP}")).status_code == 200

    await eventually(known)
    await shop.rule("whole", [{"to": {"role": "beneficiary"}, "remainder": True}], match={})
    # A processor tells whole seconds: money of this one would be from before the rule.
    await asyncio.sleep(1 - SystemClock().now().microsecond / 1_000_000)
    return shop


async def hook(whole: Whole, event_type: str, thing: dict[str, Any]) -> None:
    """What the card processor sends, signed."""
    event = {
        "id": f"evt_{_IDS.uuid7().hex}",
        "type": event_type,
        "created": int(SystemClock().now().timestamp()),
        "data": {"object": thing},
    }
    body = json.dumps(event).encode()
    headers = sign_stripe(body, WebhookSecrets.stripe(SECRET), now=SystemClock().now())
    answered = await whole.platform.http.post("/v1/webhooks/cards", content=body, headers=headers)
    assert answered.status_code == 202, answered.text


def charge(shop: Cast, payee: str, minor: int) -> dict[str, Any]:
    """A charge in the processor's words, for one of the shop's payees."""
    name = _IDS.uuid7().hex
    return {
        "id": f"ch_{name}",
        "object": "charge",
        "amount": minor,
        "captured": True,
        "currency": "usd",
        "payment_intent": f"pi_{name}",
        "metadata": {
            "tally_program": shop.program,
            "tally_event": f"order:{name}",
            "tally_reason": "Order paid",
            "tally_party": shop.ids[payee],
        },
    }


async def refused(client: Client, path: str, body: Any) -> str:
    """The code of a command that must not succeed, and says what to do instead."""
    answered = await client.post(path, body)
    problem: dict[str, Any] = answered.json()
    assert answered.status_code in {403, 404, 422}, f"{path}: {answered.status_code} {problem}"
    assert problem["remedy"]
    return str(problem["code"])


async def test_f11_a_customers_money_is_pending_then_available(shop: Cast, whole: Whole) -> None:
    await shop.party("waiting", "payee", "company")
    paid, bounced = charge(shop, "waiting", 10_000), charge(shop, "waiting", 5_000)
    for each in (paid, bounced):
        await hook(whole, "charge.pending", each)
        intent = each["payment_intent"]
        pending = await shop.told("company", "funding.pay_in.pending.v1", external_id=intent)
        assert pending["amount"]["currency"] == "USD"
    assert await shop.own_wallets("waiting") == []
    await hook(whole, "charge.failed", {**bounced, "failure_code": "insufficient_funds"})
    await shop.told("company", "funding.pay_in.failed.v1", external_id=bounced["payment_intent"])
    await hook(whole, "charge.succeeded", paid)
    await shop.holds("waiting", "100.00", "USD")
    (wallet,) = await shop.own_wallets("waiting")
    assert wallet["available"] == money("100.00", "USD")
    received = await shop.told("company", RECEIVED, external_id=paid["payment_intent"])
    waited = await shop.told(
        "company", "funding.pay_in.pending.v1", external_id=paid["payment_intent"]
    )
    assert received["pay_in_id"] == waited["pay_in_id"]


async def test_f12_a_card_payment_is_a_pay_in_once_however_often_it_is_told(
    shop: Cast, whole: Whole
) -> None:
    await shop.party("carded", "payee", "company")
    paid = charge(shop, "carded", 4_200)
    for _ in range(2):
        await hook(whole, "charge.succeeded", paid)
    intent = {**paid, "id": paid["payment_intent"], "object": "payment_intent"}
    await hook(whole, "payment_intent.succeeded", intent)
    await shop.holds("carded", "42.00", "USD")
    forged = json.dumps({"id": "evt_1", "type": "charge.succeeded"}).encode()
    headers = sign_stripe(
        forged, WebhookSecrets.stripe("whsec_somebody_elses_0"), now=SystemClock().now()
    )
    answered = await shop.platform.http.post("/v1/webhooks/cards", content=forged, headers=headers)
    assert (answered.status_code, answered.json()["code"]) == (401, "signature_wrong")
    told = [
        each
        for each in await shop.log("company", RECEIVED)
        if each["data"]["external_id"] == paid["payment_intent"]
    ]
    assert len(told) == 1
    assert told[0]["data"]["source"] == "cards"


async def test_f12_statement_lines_reach_those_they_name_by_account_invoice_order_and_prefund(
    cast: Cast, whole: Whole
) -> None:
    names = ("account", "invoice", "purchase_order", "prefund", "marked")
    for name in names:
        await cast.party(name, "payee", "company")
    made = await cast["company"].do(
        f"/v1/parties/{cast.ids['account']}/funding-details",
        {"currency": "EUR", "reason": "To be paid on"},
    )
    lines = [(f"Rent {made['outcome']['data']['virtual_account']}", 1_100)]
    for number, kind in enumerate(names[1:4]):
        reference = f"{kind.upper()}-{cast.root[-8:]}".replace("_", "-")
        amount = 1_200 + 100 * number
        await cast["company"].do(
            "/v1/expectations",
            {
                "kind": kind,
                "reference": reference,
                "amount": money(f"{amount // 100}.00"),
                "currency": "EUR",
                "company": cast.ids["company"],
                "beneficiary": {"party": cast.ids[kind]},
                "program": cast.program,
                "why": cast.why(reference),
            },
        )
        lines.append((f"Payment of {reference} thank you", amount))
    lines.append((f"TALLY:{cast.program}:{cast.ids['marked']}", 1_500))
    operator = await whole.platform.operator()
    file = {
        "file_name": "september.xml",
        "content": statement(lines),
        "company": cast.ids["company"],
    }
    imported = await operator.do("/v1/statements", file)
    assert imported["outcome"]["data"]["pay_ins"] == 5
    again = (await operator.do("/v1/statements", file))["outcome"]["data"]
    assert again["already_known"] == 5
    # It occurred before this tree had a rule, so the installation's own divides it: 2.5 % and 0.25.
    for name, amount in zip(names, ("10.47", "11.45", "12.43", "13.40", "14.37"), strict=True):
        await cast.holds(name, amount)
    assert await refused(cast["company"], "/v1/statements", file) == "scope_missing"


def announced_upstream(cast: Cast, payee: str, amount: str) -> FundingReceived:
    """Money for a payee as an upstream system names it."""
    return FundingReceived(
        external_id=f"up-{amount}-{cast.root[-10:]}",
        amount=PositiveAmount.model_validate(money(amount)),
        originator=Originator(reference="customer-9", country="FR"),
        company=cast.ids["company"],
        beneficiary=Beneficiary(party=payee),
        value_date="2026-09-21",
        who=Who(actor="shop-feed", principal=cast.ids["company"]),
        where=Where(channel="card", country="FR"),
        why=Why(**cast.why("order:9")),
        occurred_at=SystemClock().now(),
    )


async def test_f12_money_comes_by_an_upstream_topic_and_by_hand_in_the_one_shape(
    cast: Cast, whole: Whole
) -> None:
    announced = announced_upstream(cast, cast.ids["payee"], "30.00")
    for _ in range(2):
        key = announced.external_id
        await told_upstream(whole, "funding.inbound.cards.v1", announced, key)
    await cast.holds("payee", "30.00")
    by_hand = await cast.pay_in(money("12.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "42.00")
    topic = await cast.told("company", RECEIVED, external_id=announced.external_id)
    hand = await cast.told("company", RECEIVED, pay_in_id=by_hand)
    assert topic.keys() == hand.keys()
    assert topic["source"] != hand["source"]
    assert topic["where"]["country"] == "FR"


async def test_f09_payee_withdraws_what_an_upstream_system_paid_it_under_a_reference(
    cast: Cast, whole: Whole
) -> None:
    reference = f"user-{cast.root[-10:]}"
    cast.ids["user"] = party_id_of(reference, "main")
    announced = announced_upstream(cast, reference, "30.00")
    await told_upstream(whole, "funding.inbound.cards.v1", announced, announced.external_id)
    cast.people.clients["user"] = await cast.client("user")
    await cast.holds("user", "30.00")
    (wallet,) = await cast.own_wallets("user")
    purse = await chooses_a_wallet(cast, "user")
    payout = await withdraws(cast, "user", wallet["wallet_id"], "12.00")
    await shown(cast, "user", f"/v1/payouts/{payout}", state="paid")

    async def moved() -> bool:
        held = {each["wallet_id"]: each["posted"] for each in await cast.own_wallets("user")}
        return held == {wallet["wallet_id"]: money("18.00"), purse: money("12.00")}

    await eventually(moved)


async def test_f13_one_pay_in_is_divided_among_several_owners_to_the_minor_unit(
    cast: Cast,
) -> None:
    lines = [
        {"role": "first", "to": {"party": cast.ids["company"]}, "percent": "33.333333"},
        {"role": "second", "to": {"party": cast.ids["partner"]}, "percent": "33.333333"},
        {"role": "third", "to": {"role": "beneficiary"}, "remainder": True},
    ]
    rule = await cast.rule("thirds", lines)
    for amount, code in (("100.01", "EUR"), ("0.02", "EUR"), ("1000", "JPY"), ("1.001", "KWD")):
        pay_in = await cast.pay_in(money(amount, code), {"party": cast.ids["payee"]})
        told = await cast.told("company", ALLOCATED, pay_in_id=pay_in)
        shares = [each["amount"]["amount"].replace(".", "") for each in told["allocations"]]
        assert sum(map(int, shares)) == int(amount.replace(".", "")), (amount, shares)
        assert told["rule"] == f"{rule}:1"
    for name, amount in (("company", "334"), ("partner", "333"), ("payee", "333")):
        await cast.holds(name, amount, "JPY")
    (mine,) = (await cast.told("payee", ALLOCATED, pay_in_id=pay_in))["allocations"]
    assert mine["owner"] == cast.ids["payee"]


async def test_f14_unmatched_money_is_listed_and_a_person_says_whose_it_is(cast: Cast) -> None:
    second = await cast.client("company")
    proposed = await cast["company"].do(
        "/v1/pay-ins",
        {
            "external_id": f"cheque-{cast.root[-8:]}",
            "amount": money("1.250", "KWD"),
            "originator": {"reference": "customer-3", "country": "KW"},
            "company": cast.ids["company"],
            "value_date": "2026-09-21",
            "why": cast.why("letter:3"),
        },
    )
    entry = f"/v1/pay-in-entries/{proposed['subject']}/decide"
    await second.do(entry, {"approve": True, "note": "It is on the account"})

    async def listed() -> list[dict[str, Any]]:
        return await cast.items("company", "/v1/pay-ins", state="suspense")

    (stands,) = await eventually(listed)
    pay_in = stands["pay_in_id"]
    assert stands["amount"] == money("1.250", "KWD")
    waiting = await cast.items("company", "/v1/exceptions")
    assert [each["id"] for each in waiting] == [pay_in]
    assert waiting[0]["since"]
    assert waiting[0]["remedy"]
    received = await cast.told("company", RECEIVED, pay_in_id=pay_in)
    assert received["originator"]["country"] == "KW"

    path = f"/v1/pay-ins/{pay_in}/match"
    whose = {
        "beneficiary": {"party": cast.ids["payee"]},
        "program": cast.program,
        "note": "Named in the letter",
    }
    assert await refused(cast["rival"], path, whose) == "not_found"
    await second.do(path, whose)
    await cast.holds("payee", "1.250", "KWD")
    matched = await cast.told("company", "funding.pay_in.matched.v1", pay_in_id=pay_in)
    assert (matched["automatic"], matched["note"]) == (False, whose["note"])

    async def settled() -> bool:
        return await cast.items("company", "/v1/exceptions") == []

    await eventually(settled)
    other = {**whose, "beneficiary": {"party": cast.ids["partner"]}}
    assert await refused(second, path, other) == "not_in_suspense"


async def test_f14_candidates_are_told_with_their_confidence_and_a_person_chooses_one(
    cast: Cast, whole: Whole
) -> None:
    await cast.party("other", "payee", "company")
    number = cast.root[-8:].upper()
    expected = {}
    for name in ("payee", "other"):
        made = await cast["company"].do(
            "/v1/expectations",
            {
                "kind": "invoice",
                "reference": f"{name.upper()}-{number}",
                "amount": money("70.00"),
                "currency": "EUR",
                "company": cast.ids["company"],
                "beneficiary": {"party": cast.ids[name]},
                "program": cast.program,
                "why": cast.why(f"invoice:{name}"),
            },
        )
        expected[name] = made["subject"]
    operator = await whole.platform.operator()
    text = f"For PAYEE-{number} or OTHER-{number}"
    file = {"file_name": "october.xml", "content": statement([(text, 7_000)])}
    await operator.do("/v1/statements", {**file, "company": cast.ids["company"]})
    proposed = await cast.told("company", "funding.match.proposed.v1")
    candidates = {each["expectation_id"]: each["confidence"] for each in proposed["candidates"]}
    assert candidates == dict.fromkeys(expected.values(), 98)
    (waiting,) = await eventually(lambda: cast.items("company", "/v1/exceptions"))
    assert waiting["id"] == proposed["pay_in_id"]

    path = f"/v1/pay-ins/{proposed['pay_in_id']}/match"
    note = {"note": "The payer said so"}
    nobody = {**note, "expectation_id": _IDS.new("expect")}
    assert await refused(cast["company"], path, nobody) == "expectation_unknown"
    assert await refused(cast["company"], path, note) == "match_ambiguous"
    await cast["company"].do(path, {**note, "expectation_id": expected["other"]})
    # The money occurred before this tree had a rule: the installation's own divides it.
    await cast.holds("other", "68.00")
    matched = await cast.told("company", "funding.pay_in.matched.v1")
    assert (matched["automatic"], matched["confidence"]) == (False, 100)
    assert await cast.own_wallets("payee") == []
    (paid,) = [
        each
        for each in await cast.items("company", "/v1/expectations")
        if each["expectation_id"] == expected["other"]
    ]
    assert paid["state"] == "paid"


async def test_f15_refund_and_chargeback_reverse_the_shares_and_what_is_spent_is_owed(
    cast: Cast,
) -> None:
    lines = [
        {"role": "partner", "to": {"party": cast.ids["partner"]}, "percent": "40"},
        {"role": "payee", "to": {"role": "beneficiary"}, "remainder": True},
    ]
    await cast.rule("shares", lines)
    pay_in = await cast.pay_in(money("100.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "60.00")
    returns = f"/v1/pay-ins/{pay_in}/returns"

    async def back(kind: str, amount: str) -> None:
        body = {"kind": kind, "amount": money(amount), "why": cast.why("returned")}
        await cast["company"].do(returns, body)

    async def stands(state: str) -> None:
        async def ask() -> bool:
            return (await cast["company"].see(f"/v1/pay-ins/{pay_in}"))["state"] == state

        await eventually(ask)

    await back("refund", "50.00")
    await cast.holds("payee", "30.00")
    await cast.holds("partner", "20.00")
    await stands("partly_refunded")
    (purse,) = await cast.own_wallets("payee")
    savings = await cast.wallet("payee", purpose="savings")
    aside = {"to_wallet": savings["wallet_id"], "amount": money("25.00"), "why": cast.why("saved")}
    await cast["payee"].do(f"/v1/wallets/{purse['wallet_id']}/transfers", aside)
    too_much = {"kind": "chargeback", "amount": money("50.01"), "why": cast.why("returned")}
    assert await refused(cast["company"], returns, too_much) == "return_exceeds_pay_in"
    await back("chargeback", "50.00")
    await cast.holds("partner", "0.00")
    await stands("charged_back")

    for name in ("payee", "company"):
        (owed,) = await eventually(lambda name=name: cast.items(name, "/v1/receivables"))
        assert owed["amount"] == money("30.00")
    assert await cast.items("rival", "/v1/receivables") == []
    debt = f"/v1/receivables/{owed['receivable_id']}/settlements"
    pay = {"amount": money("30.00"), "why": cast.why("settled")}
    assert await refused(cast["company"], debt, pay) == "not_the_owner"
    home = {"to_wallet": purse["wallet_id"], "amount": money("25.00"), "why": cast.why("saved")}
    await cast["payee"].do(f"/v1/wallets/{savings['wallet_id']}/transfers", home)
    await cast["payee"].do(debt, pay)
    await cast.holds("payee", "0.00")


async def test_f16_who_acts_for_whom_is_named_on_every_act_and_scopes_bound_it(
    cast: Cast,
) -> None:
    label = {"label": "Onboarding", "scopes": ["parties:write", "parties:read", "events:read"]}
    made = await cast["aggregator"].post("/v1/api-keys", label)
    assert made.status_code in {200, 201}, made.text
    key = made.json()
    clerk = Client(cast.platform.http, key["secret"])
    joined = await clerk.do(
        "/v1/parties", {"kind": "payee", "parent": cast.ids["company"], "reason": "For them"}
    )
    who = joined["outcome"]["data"]["who"]
    assert who == {"actor": key["actor"], "principal": cast.ids["aggregator"]}
    grown = {"kind": "company", "parent": cast.ids["aggregator"], "reason": "More"}
    assert (await cast["company"].post("/v1/parties", grown)).status_code == 404
    wallet = {
        "owner": cast.ids["company"],
        "currency": "EUR",
        "purpose": "default",
        "reason": "Wanted",
    }
    assert await refused(clerk, "/v1/wallets", wallet) == "scope_missing"
    wider = {"label": "Wider", "scopes": ["payouts:write"]}
    keys = await refused(clerk, "/v1/api-keys", wider)
    assert keys == "scope_missing"

    await cast.pay_in(money("10.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "10.00")
    acts = [
        each
        for name in ("aggregator", "company")
        for each in await cast.log(name)
        if "who" in each["data"]
    ]
    assert {each["type"].split(".")[0] for each in acts} >= {"directory", "funding"}
    assert all(each["data"]["who"]["actor"] for each in acts)
    assert all(each["data"]["who"]["principal"] for each in acts)
    entered = (await cast.told("company", "funding.entry.proposed.v1"))["who"]
    decided = (await cast.told("company", "funding.entry.decided.v1"))["who"]
    assert entered["principal"] == decided["principal"] == cast.ids["company"]
    assert entered["actor"] != decided["actor"]
