"""Wallets and what is theirs, by number, through the API: F1 to F10.

Every service runs; each test has parties of its own.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tally_cli.demo.api import Client
from tally_reconciliation import Sources, Verdict, verify
from tally_runtime import SystemClock

from .conftest import SERVICES, SWIFT, Whole
from .stage import Cast, eventually, money

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]
# As in production: a payee's debits go through with the code that is sent to them.
SETTINGS = {**SWIFT, "gateway": {**SWIFT["gateway"], "step_up": "required"}}
POSTED = "ledger.journal.posted.v1"
FAR = "2099-12-31T00:00:00Z"


async def refused(client: Client, path: str, body: Any) -> str:
    """The code of a command that must not succeed, and says what to do instead."""
    answered = await client.post(path, body)
    problem: dict[str, Any] = answered.json()
    assert answered.status_code in {403, 404, 422}, f"{path}: {answered.status_code} {problem}"
    assert problem["remedy"]
    return str(problem["code"])


def of_transfer(cast: Cast, to: str, amount: str, currency: str = "EUR") -> dict[str, Any]:
    """The body of a transfer to a wallet."""
    return {"to_wallet": to, "amount": money(amount, currency), "why": cast.why("moved")}


async def default_wallet(cast: Cast, name: str, currency: str = "EUR") -> str:
    """The id of a party's default wallet, once money or a command has opened it."""

    async def ask() -> str | None:
        for item in await cast.own_wallets(name):
            if (item["currency"], item["purpose"]) == (currency, "default"):
                return str(item["wallet_id"])
        return None

    return str(await eventually(ask))


async def connected(cast: Cast, by: str, to: str, access: str) -> str:
    """A connection that a party asked for and the other accepted; its id."""
    asked = {"from_party": cast.ids[by], "to_party": cast.ids[to], "access": access}
    made = await cast[by].do("/v1/connections", {**asked, "reason": "We work together"})
    path = f"/v1/connections/{made['subject']}"
    await cast[to].do(f"{path}/accept", {"reason": "We do"})
    return path


async def funded(cast: Cast, name: str, amount: str, currency: str = "EUR") -> str:
    """Money for a party; its default wallet's id."""
    await cast.pay_in(money(amount, currency), {"party": cast.ids[name]})
    await cast.holds(name, amount, currency)
    return await default_wallet(cast, name, currency)


async def posted(cast: Cast, name: str) -> dict[str, str]:
    """What each of a party's own wallets holds, by its id."""
    return {each["wallet_id"]: each["posted"]["amount"] for each in await cast.own_wallets(name)}


async def test_f01_balance_at_any_past_time(cast: Cast) -> None:
    for amount in ("10.00", "20.00", "5.00"):
        await cast.pay_in(money(amount), {"party": cast.ids["payee"]})
    await cast.holds("payee", "35.00")
    path = f"/v1/wallets/{await default_wallet(cast, 'payee')}"
    newest_first = await cast.items("payee", f"{path}/movements")
    moments = [each["at"] for each in reversed(newest_first)]
    after = datetime.fromisoformat(moments[-1]) + timedelta(microseconds=1)
    balances = []
    for at in (*moments, after.isoformat().replace("+00:00", "Z")):
        said = (await cast["payee"].see(f"{path}/statement", at=at))["statement"]
        balances.append(said["closing"]["posted"]["amount"])
        span = {"from": "2020-01-01T00:00:00Z", "until": at}
        postings = (await cast["payee"].see(f"{path}/statement", **span))["statement"]["entries"]
        cents = [int(entry["posted"]["amount"].replace(".", "")) for entry in postings]
        assert sum(cents) == int(balances[-1].replace(".", ""))
    assert balances == ["0.00", "10.00", "30.00", "35.00"]


async def test_f02_a_wallet_for_any_purpose(cast: Cast) -> None:
    purse = await funded(cast, "payee", "50.00")
    for reference, amount in (("trip-1", "30.00"), ("trip-2", "15.00")):
        opened = await cast.wallet("payee", purpose="travel", reference=reference)
        path = f"/v1/wallets/{purse}/transfers"
        await cast["payee"].do(path, of_transfer(cast, opened["wallet_id"], amount))
    await cast.wallet("payee", purpose="customer", reference="customer-7")

    async def shown() -> bool:
        held = {
            (item["purpose"], item["reference"]): item["posted"]["amount"]
            for item in await cast.own_wallets("payee")
        }
        return held == {
            ("default", None): "5.00",
            ("travel", "trip-1"): "30.00",
            ("travel", "trip-2"): "15.00",
            ("customer", "customer-7"): "0.00",
        }

    await eventually(shown)
    travel = await cast.items("payee", "/v1/wallets", purpose="travel")
    assert sorted(item["reference"] for item in travel) == ["trip-1", "trip-2"]


async def test_f03_wallets_at_any_tier_and_a_tree_query_returns_what_the_caller_may_see(
    cast: Cast,
) -> None:
    tiers = ("aggregator", "company", "rival", "partner", "payee")
    wallets = {name: (await cast.wallet(name))["wallet_id"] for name in tiers}
    seen = {
        "aggregator": tiers,
        "company": ("company", "partner", "payee"),
        "rival": ("rival",),
        "partner": ("partner",),
        "payee": ("payee",),
    }
    for name, wanted in seen.items():
        expected = {wallets[each] for each in wanted}

        async def shown(name: str = name, expected: set[str] = expected) -> bool:
            listed = await cast.items(name, "/v1/wallets")
            return {item["wallet_id"] for item in listed} == expected

        await eventually(shown)
    below = await cast.items("company", "/v1/wallets", under=cast.ids["partner"])
    assert [item["wallet_id"] for item in below] == [wallets["partner"]]
    beside = await cast["company"].get("/v1/wallets", under=cast.ids["rival"])
    assert beside.status_code == 404
    assert (await cast["rival"].get(f"/v1/wallets/{wallets['payee']}")).status_code == 404


async def test_f04_several_currencies_are_never_mixed(cast: Cast) -> None:
    euros = await funded(cast, "payee", "10.00", "EUR")
    dollars = await funded(cast, "payee", "7.50", "USD")
    yen = await funded(cast, "payee", "900", "JPY")
    before = await posted(cast, "payee")
    assert before == {euros: "10.00", dollars: "7.50", yen: "900"}
    for source, target, currency in (
        (euros, dollars, "EUR"),
        (euros, dollars, "USD"),
        (dollars, yen, "JPY"),
    ):
        body = of_transfer(cast, target, "1" if currency == "JPY" else "1.00", currency)
        code = await refused(cast["payee"], f"/v1/wallets/{source}/transfers", body)
        assert code == "currency_mismatch"
    assert await posted(cast, "payee") == before
    totals = await cast.items("payee", "/v1/totals")
    resting = {item["currency"]: item["resting"]["amount"] for item in totals}
    assert resting == {"EUR": "10.00", "USD": "7.50", "JPY": "900"}


async def confirmed(cast: Cast, path: str, body: Any, key: str) -> None:
    """Send a payee's debit step by step: without a code, with a wrong one, and with the right one."""
    bare, before = replace(cast["payee"], codes=None), await posted(cast, "payee")
    asked = [await bare.post(path, body, **{"Idempotency-Key": key}) for _ in range(2)]
    assert {(each.status_code, each.json()["code"]) for each in asked} == {
        (403, "step_up_required")
    }
    (challenge,) = {each.json()["challenge"] for each in asked}
    code = await cast.post.step_up_code(challenge)
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    for given, answer in ((wrong, (403, "step_up_wrong")), (code, (200, None))):
        headers = {"Idempotency-Key": key, "Tally-Step-Up": f"{challenge}:{given}"}
        answered = await bare.post(path, body, **headers)
        assert (answered.status_code, answered.json().get("code")) == answer, answered.text
        if given == wrong:
            assert await posted(cast, "payee") == before
    told = await cast.told("payee", "gateway.step_up.issued.v1", challenge_id=challenge)
    assert body["to_wallet"] in told["asked"]
    assert "sealed_code" not in told


async def test_f05_wallet_to_wallet_is_atomic_told_to_both_and_harmless_again(cast: Cast) -> None:
    await cast.party("friend", "payee", "partner")
    purse = await funded(cast, "payee", "20.00")
    to_friend = (await cast.wallet("friend"))["wallet_id"]
    to_company = (await cast.wallet("company"))["wallet_id"]
    path = f"/v1/wallets/{purse}/transfers"
    assert await refused(cast["payee"], path, of_transfer(cast, to_friend, "5.00")) == "not_found"
    for other in ("friend", "company"):
        await connected(cast, "payee", other, "pay")

    body = of_transfer(cast, to_friend, "5.00")
    await confirmed(cast, path, body, "to-a-person")
    answers = [
        await cast["payee"].post(path, body, **{"Idempotency-Key": "to-a-person"}) for _ in range(3)
    ]
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["id"] for each in answers}) == 1
    other = of_transfer(cast, to_friend, "6.00")
    reused = await cast["payee"].post(path, other, **{"Idempotency-Key": "to-a-person"})
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    await cast["payee"].do(path, of_transfer(cast, to_company, "8.00"))
    too_much = of_transfer(cast, to_company, "7.01")
    assert await refused(cast["payee"], path, too_much) == "insufficient_funds"

    await cast.holds("payee", "7.00")
    await cast.holds("friend", "5.00")
    await cast.holds("company", "8.00")
    person, business = answers[0].json()["subject"], None
    for name in ("payee", "friend"):
        told = await cast.told(name, POSTED, journal_id=person)
        assert told["legs"][0]["amount"] == money("5.00")
    business = [each["data"]["journal_id"] for each in await cast.log("company", POSTED)]
    assert person in business, "the company stands above its payee"
    friends = [each["data"]["journal_id"] for each in await cast.log("friend", POSTED)]
    assert friends == [person]


async def test_f06_a_grant_shares_named_fields_every_look_is_logged_and_no_money_moves(
    cast: Cast,
) -> None:
    await cast.party("auditor", "partner", "rival")
    purse = await funded(cast, "payee", "20.00")
    path, looker = f"/v1/wallets/{purse}", cast["auditor"]
    assert (await looker.get(path)).status_code == 404
    shared = {"to_party": cast.ids["auditor"], "reason": "The yearly audit"}
    narrow = await cast["payee"].do(f"{path}/grants", {**shared, "fields": ["status"]})

    async def seen(*fields: str) -> bool:
        answered = await looker.get(path)
        return answered.status_code == 200 and answered.json().keys() == set(fields)

    await eventually(lambda: seen("wallet_id", "currency", "opened_at", "value_kind"))
    assert (await looker.get(f"{path}/movements")).status_code == 404
    grant = narrow["outcome"]["data"]["grant_id"]
    wider = {"fields": ["balance", "history"], "reason": "The auditor needs more"}
    again = {**shared, "fields": ["balance"]}
    assert await refused(cast["payee"], f"{path}/grants", again) == "grant_exists"
    assert await refused(looker, f"/v1/grants/{grant}/fields", wider) == "not_found"
    widened = await cast["payee"].do(f"/v1/grants/{grant}/fields", wider)
    assert widened["outcome"]["data"]["grant_id"] == grant
    await eventually(lambda: seen("wallet_id", "currency", "posted", "held", "available"))
    for name in ("payee", "auditor", "company"):
        (listed,) = await eventually(
            lambda name=name: cast.items(name, "/v1/grants", state="given")
        )
        assert (listed["wallet"], listed["to_party"]) == (purse, cast.ids["auditor"])
        assert listed["fields"] == ["balance", "history"]
    assert await cast.items("partner", "/v1/grants") == []
    (movement,) = (await looker.see(f"{path}/movements"))["items"]
    assert "actor" not in movement
    assert "counter_account" not in movement

    looks = await eventually(lambda: cast.log("payee", "directory.view.logged.v1"))
    views = [view for look in looks for view in look["data"]["views"]]
    assert {view["viewer"] for view in views} == {cast.ids["auditor"]}
    assert {view["wallet"] for view in views} == {purse}
    mine = (await cast.wallet("auditor"))["wallet_id"]
    grab = of_transfer(cast, mine, "1.00")
    assert await refused(looker, f"{path}/transfers", grab) == "not_found"

    (as_company,) = await cast.items("company", f"{path}/movements")
    (as_payee,) = await cast.items("payee", f"{path}/movements")
    assert as_payee["reason"] == as_company["reason"]
    assert as_company.keys() - as_payee.keys() >= {"actor", "channel", "transfer_id"}
    await cast["payee"].do(f"/v1/grants/{grant}/revoke", {"reason": "Audit done"})

    async def gone() -> bool:
        return (await looker.get(path)).status_code == 404

    await eventually(gone)
    (over,) = await eventually(lambda: cast.items("payee", "/v1/grants", state="revoked"))
    assert over["grant_id"] == grant


async def test_f07_no_debit_without_the_owners_mandate_whoever_tries_and_however(
    cast: Cast, whole: Whole
) -> None:
    purse = await funded(cast, "payee", "20.00")
    owner = cast.ids["payee"]
    operator = await whole.platform.operator()
    tries = [("operator", operator, "mandate_missing")]
    tries += [(name, cast[name], "mandate_missing") for name in ("aggregator", "company")]
    tries += [(name, cast[name], "not_found") for name in ("partner", "rival")]
    for name, client, wanted in tries:
        to = purse if name == "operator" else (await cast.wallet(name))["wallet_id"]
        for path, body in (
            (f"/v1/wallets/{purse}/transfers", of_transfer(cast, to, "1.00")),
            ("/v1/payouts", {"wallet": purse, "amount": money("1.00"), "why": cast.why("mine")}),
        ):
            assert await refused(client, path, body) == wanted, (name, path)
    await _by_ways_round(cast, operator, owner, purse)
    assert await posted(cast, "payee") == {purse: "20.00"}
    movements = await cast.items("payee", f"/v1/wallets/{purse}/movements")
    assert len(movements) == 1

    connection = await connected(cast, "company", "payee", "manage")
    mine = await default_wallet(cast, "company")
    transfer = of_transfer(cast, mine, "3.00")
    await cast["company"].do(f"/v1/wallets/{purse}/transfers", transfer)
    await cast.holds("payee", "17.00")
    await cast["payee"].do(f"{connection}/revoke", {"reason": "No longer"})
    code = await refused(cast["company"], f"/v1/wallets/{purse}/transfers", transfer)
    assert code == "mandate_missing"


async def _by_ways_round(cast: Cast, operator: Client, owner: str, purse: str) -> None:
    """What would lead to the owner's money or speak in its name, tried by who stands above it."""
    company, why = cast["company"], cast.why("mine")
    document = {
        "schema": 2,
        "rule": "grab",
        "version": 1,
        "match": {"programs": [cast.program]},
        "lines": [{"role": "rest", "to": {"role": "beneficiary"}, "remainder": True}],
        "charges": [
            {
                "role": "fee",
                "from": owner,
                "to": {"role": "company"},
                "fixed": {"EUR": "1.00"},
            }
        ],
        "rounding": "half_even",
    }
    unsigned = {"document": json.dumps(document)}
    assert await refused(cast["aggregator"], "/v1/rules", unsigned) == "signature_missing"
    made = await company.do(
        "/v1/programs", {"program": cast.program, "company": cast.ids["company"], "title": "P"}
    )
    (wallet,) = await cast.items("company", "/v1/wallets", under=owner)
    order = {"version": 1, "wallets": [{"account": wallet["account"], "currency": "EUR"}]}
    path = f"/v1/programs/{made['subject']}/funding-order"
    assert await refused(company, path, order) == "wallet_not_owned"
    escrow = {
        "payer": owner,
        "payee": cast.ids["company"],
        "amount": money("1.00"),
        "condition": {"kind": "date", "at": FAR},
        "deadline": FAR,
        "why": why,
    }
    proposed = await company.post("/v1/agreements", escrow)
    if proposed.status_code == 200:
        path = f"/v1/agreements/{proposed.json()['subject']}/fund"
        assert await refused(company, path, {"why": why}) == "not_allowed"
    claim = {"owner": owner, "expires_at": FAR, "why": why}
    assert await refused(company, "/v1/claims", claim) == "owner_not_claimable"
    designation = {"owner": owner, "to_owner": cast.ids["company"], "why": why}
    assert await refused(company, "/v1/designations", designation) == "owner_not_claimable"
    for scope in ("transfers:write", "parties:write"):
        key = {"label": "theirs", "party": owner, "scopes": [scope]}
        assert await refused(company, "/v1/api-keys", key) == "mandate_missing"
    method = {"currency": "EUR", "rail": "wallet", "instrument": purse}
    assert await refused(company, f"/v1/parties/{owner}/methods", method) == "mandate_missing"
    signing = {"public_key": "A" * 43 + "="}
    assert await refused(company, f"/v1/parties/{owner}/signing-keys", signing) == "mandate_missing"
    into = f"/v1/parties/{await cast.party('double', 'payee', 'company')}/merge"
    merge = {"merged": owner, "reason": "The same person"}
    assert await refused(company, into, merge) == "mandate_missing"
    invited = {"from_party": cast.ids["company"], "to_party": owner, "access": "manage"}
    made = await company.do("/v1/connections", {**invited, "reason": "They work for us"})
    accept = f"/v1/connections/{made['subject']}/accept"
    for client in (company, cast["aggregator"], operator):
        assert await refused(client, accept, {"reason": "We do"}) == "mandate_missing"


async def test_f08_escrow_leaves_balanced_books_by_each_path(cast: Cast, whole: Whole) -> None:
    await funded(cast, "payee", "100.00")
    digest = hashlib.sha256(b"bill of lading").hexdigest()
    approval = {"kind": "approval", "approvers": [cast.ids["company"]], "needed": 1}
    soon = (SystemClock().now() + timedelta(seconds=20)).isoformat().replace("+00:00", "Z")

    async def agreed(amount: str, condition: dict[str, Any], **more: Any) -> str:
        """An agreement of payee (who pays) and partner, with its money in it; its address."""
        proposed = await cast["payee"].do(
            "/v1/agreements",
            {
                "payer": cast.ids["payee"],
                "payee": cast.ids["partner"],
                "amount": money(amount),
                "condition": condition,
                "deadline": FAR,
                "why": cast.why("delivery"),
                **more,
            },
        )
        path = f"/v1/agreements/{proposed['subject']}"
        await cast["payee"].do(f"{path}/fund", {"why": cast.why("delivery")})
        await reached(path, "funded")
        return path

    async def reached(path: str, state: str) -> None:
        async def ask() -> bool:
            answered = await cast["payee"].get(path)
            return answered.status_code == 200 and answered.json()["state"] == state

        await eventually(ask)

    async def act(by: str, path: str, word: str, **more: Any) -> None:
        await cast[by].do(f"{path}/{word}", {"why": cast.why("delivery"), **more})

    expiring = await agreed("5.00", approval, deadline=soon, on_deadline="refund")
    in_parts = await agreed("10.00", approval)
    await act("payee", in_parts, "release", amount=money("4.00"))
    await reached(in_parts, "part_released")
    await act("company", in_parts, "approve")
    await reached(in_parts, "released")
    refunded = await agreed("20.00", approval)
    await act("partner", refunded, "refund")
    await reached(refunded, "refunded")
    disputed = await agreed("30.00", approval, arbiter=cast.ids["aggregator"])
    await act("partner", disputed, "dispute")
    await reached(disputed, "disputed")
    halves = {"to_payee": money("12.00"), "to_payer": money("18.00")}
    await act("aggregator", disputed, "arbitrate", **halves)
    await reached(disputed, "arbitrated")
    shipped = {"kind": "document", "document": digest, "presenter": cast.ids["partner"]}
    by_document = await agreed("7.00", shipped)
    await act("partner", by_document, "documents", document=digest)
    await reached(by_document, "released")
    told = {"kind": "event", "event": "pay_in_allocated", "event_reference": "shipment:1"}
    by_event = await agreed("2.00", told)
    await cast.pay_in(money("1.00"), {"party": cast.ids["payee"]}, event="shipment:1")
    await reached(by_event, "released")
    await reached(expiring, "expired")
    later = (SystemClock().now() + timedelta(seconds=10)).isoformat().replace("+00:00", "Z")
    await reached(await agreed("3.00", {"kind": "date", "at": later}), "released")

    # 10 in two parts, 12 by the arbiter, 7 for the document, 2 for an event, 3 in time; the rest came
    # back, and 1 came in.
    await cast.holds("partner", "34.00")
    await cast.holds("payee", "67.00")
    report = await verify(
        Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES), wait_s=60
    )
    faults = [(check.id, one.what, one.row) for check in report.checks for one in check.faults]
    assert (report.verdict, faults) == (Verdict.GREEN, [])


async def test_f09_an_unknown_contact_makes_a_party_and_a_wallet_once(cast: Cast) -> None:
    contact = f"tok-{cast.root[-12:]}"
    for amount in ("10.00", "5.50"):
        await cast.pay_in(money(amount), {"contact": contact})
    made = await cast.told("aggregator", "directory.party.registered.v1", state="unclaimed")
    assert made["kind"] == "payee"

    async def shown() -> list[dict[str, Any]]:
        listed = await cast.items("aggregator", "/v1/wallets")
        return [
            item
            for item in listed
            if item["owner"] == made["party_id"] and item["posted"]["amount"] == "15.50"
        ]

    (wallet,) = await eventually(shown)
    assert (wallet["currency"], wallet["purpose"]) == ("EUR", "default")
    told = await cast.log("aggregator", "directory.party.registered.v1")
    unclaimed = [each for each in told if each["data"]["state"] == "unclaimed"]
    assert len(unclaimed) == 1
    assert made["party_id"] not in str(await cast.log("rival"))


async def test_f10_funding_details_per_party_and_currency(cast: Cast) -> None:
    async def details(by: str, name: str, currency: str) -> str:
        path = f"/v1/parties/{cast.ids[name]}/funding-details"
        made = await cast[by].do(path, {"currency": currency, "reason": "To be paid on"})
        return str(made["outcome"]["data"]["virtual_account"])

    issued = {
        (name, currency): await details("aggregator", name, currency)
        for name in ("company", "payee")
        for currency in ("EUR", "USD")
    }
    assert len(set(issued.values())) == 4
    assert all(account.startswith("RF") for account in issued.values())
    path = f"/v1/parties/{cast.ids['payee']}/funding-details"
    again = await cast["payee"].post(path, {"currency": "EUR", "reason": "Again"})
    assert again.status_code == 200, again.text
    told = await cast.log("payee", "directory.funding_details.issued.v1")
    of_payee = {each["data"]["currency"]: each["data"]["virtual_account"] for each in told}
    assert of_payee == {code: issued["payee", code] for code in ("EUR", "USD")}
    asked = {"currency": "EUR", "reason": "Mine"}
    assert await refused(cast["rival"], path, asked) == "not_found"
