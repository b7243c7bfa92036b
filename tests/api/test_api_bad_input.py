"""Bad input, by the public API on every service: each a coded problem that names field and remedy.

Nothing is changed by any of it: what stands is read before and after.
"""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tally_cli.demo.api import Client
from tally_gateway.domain.concerns import is_refusal
from tally_gateway.routes import ROUTES
from tally_gateway.routes.model import CommandRoute
from tally_runtime import Ids, SystemClock
from tally_security.webhooks import WebhookSecrets, sign_stripe

from .bank_statement import statement
from .conftest import SWIFT, Whole
from .stage import Cast, money

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
SECRET = "whsec_0123456789abcdef"
SETTINGS = {
    **SWIFT,
    "gateway": {
        **SWIFT["gateway"],
        "webhooks": json.dumps({"cards": {"company": Ids().new("party"), "secrets": [SECRET]}}),
    },
}
FAR = "2099-12-31T00:00:00Z"
REST = {"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": True}
STANDING = ("parties", "wallets", "pay-ins", "rules", "programs", "budgets", "payables", "claims")


async def stands(cast: Cast) -> dict[str, Any]:
    """All that stands in the tree, and every fact of it but refusals and alarms."""
    found: dict[str, Any] = {}
    for name in STANDING:
        listed = await cast["aggregator"].see(f"/v1/{name}", limit=200)
        found[name] = listed["items"]
    found["facts"] = [
        each["id"]
        for each in await cast.log("aggregator")
        if not is_refusal(each["type"]) and "alarm" not in each["type"]
    ]
    return found


@asynccontextmanager
async def nothing_changes(cast: Cast) -> AsyncIterator[None]:
    """Insist that what is done within changes nothing; one command at the end shows what was before it."""
    before = await stands(cast)
    yield
    assert await stands(cast) == before


async def problem(client: Client, path: str, body: Any, **headers: str) -> dict[str, Any]:
    """The problem that a command is answered with: it says what to do, and where the code is explained."""
    answered = await client.post(path, body, **headers)
    assert answered.headers["content-type"] == "application/problem+json", answered.text
    found: dict[str, Any] = answered.json()
    assert found["remedy"]
    assert found["type"] == f"/v1/problems/{found['code']}"
    assert found["status"] == answered.status_code
    return found


def first(found: dict[str, Any]) -> tuple[int, str, str]:
    """Status, code and field of a problem: of its first error, where it lists some."""
    error = (found.get("errors") or [found])[0]
    assert error["remedy"], error
    return found["status"], error["code"], error["field"]


def rule(cast: Cast, *lines: dict[str, Any], **more: Any) -> dict[str, str]:
    """The body that publishes a rule for the test's program."""
    document = {
        "schema": 2,
        "rule": "wanted",
        "version": 1,
        "match": {"programs": [cast.program]},
        "lines": [{"role": "part", **line} for line in lines],
        "rounding": "half_even",
        "priority": 100,
        **more,
    }
    return {"document": json.dumps(document)}


def with_why(route: CommandRoute) -> bool:
    """Whether a route's body has to say why, in one word or in three."""
    fields = route.body.model_fields
    return any(name in fields and fields[name].is_required() for name in ("why", "reason"))


async def test_a_missing_or_wrong_why_is_refused_by_every_command_that_takes_one(
    cast: Cast,
) -> None:
    asked = [route for route in ROUTES if route.method == "POST" and with_why(route)]
    assert len(asked) > 45
    async with nothing_changes(cast):
        for route in asked:
            name = "why" if "why" in route.body.model_fields else "reason"
            absent = {key: value for key, value in route.example.items() if key != name}
            found = await problem(cast["aggregator"], route.path, absent)
            assert (found["status"], f"/{name}") in {
                (422, each["field"]) for each in found["errors"]
            } | {(found["status"], found.get("field"))}, route.path
        body = {
            "external_id": "x-1",
            "amount": money("1.00"),
            "originator": {"reference": "customer-1"},
            "company": cast.ids["company"],
            "value_date": "2026-09-21",
        }
        for wrong, field, code in (
            ({"program": "Not A Slug"}, "/why/program", "bad_format"),
            ({"event": ""}, "/why/event", "too_short"),
            ({"reason": ""}, "/why/reason", "too_short"),
            ({"reason": None}, "/why/reason", "wrong_type"),
        ):
            why = {**cast.why("order:1"), **wrong}
            found = await problem(cast["company"], "/v1/pay-ins", {**body, "why": why})
            assert first(found) == (422, code, field)


async def test_a_field_that_nobody_reads_is_refused_wherever_it_stands(cast: Cast) -> None:
    made = await cast["company"].do(
        "/v1/programs",
        {"program": cast.program, "company": cast.ids["company"], "title": "A program"},
    )
    policies = f"/v1/programs/{made['subject']}/policies"
    agreement = {
        "payer": cast.ids["company"],
        "payee": cast.ids["partner"],
        "amount": money("1.00"),
        "condition": {"kind": "approval", "approvers": [cast.ids["company"]], "needed": 1},
        "deadline": FAR,
        "why": cast.why("contract:1"),
    }
    limit = {"currency": "EUR", "minimum": "1.00", "maximum": "5.00"}
    needed = {**agreement["condition"], "quorum": 2}
    asked: list[tuple[str, dict[str, Any], str]] = [
        # Without it every rail would be open, which is the opposite of what was meant.
        (policies, {"version": 1, "policy": {"rail": ["wallet"]}}, "/policy/rail"),
        (
            policies,
            {"version": 1, "policy": {"limits": [limit, {**limit, "most": "1.00"}]}},
            "/policy/limits/1/most",
        ),
        ("/v1/agreements", {**agreement, "condition": needed}, "/condition/quorum"),
        (
            "/v1/agreements",
            {**agreement, "why": {**agreement["why"], "a/b": ""}},
            "/why/a~1b",
        ),
    ]
    async with nothing_changes(cast):
        for path, body, field in asked:
            found = await problem(cast["company"], path, body)
            assert first(found) == (422, "unknown_field", field)
    described = (await cast["company"].get("/v1/openapi.json")).json()["components"]["schemas"]
    assert described["Why"]["additionalProperties"] is False


async def test_a_party_nobody_knows_is_named_and_gets_neither_money_nor_a_say(cast: Cast) -> None:
    nobody, company, why = Ids().new("party"), cast.ids["company"], cast.why("order:1")
    wallet = await cast.wallet("company")
    made = await cast["company"].do(
        "/v1/programs", {"program": cast.program, "company": company, "title": "A program"}
    )
    program = f"/v1/programs/{made['subject']}"
    agreement = {
        "payer": company,
        "payee": cast.ids["partner"],
        "amount": money("1.00"),
        "condition": {"kind": "date", "at": FAR},
        "deadline": FAR,
        "why": why,
    }
    payable = {
        "document": "invoice",
        "number": "INV-1",
        "payer": company,
        "payee": cast.ids["partner"],
        "amount": money("1.00"),
        "due": "2026-12-31",
        "kind": "payables",
        "settled_by": "pay_in",
        "why": why,
    }
    pay_in = {
        "external_id": "x-1",
        "amount": money("1.00"),
        "originator": {"reference": "customer-1"},
        "company": company,
        "beneficiary": {"party": nobody},
        "value_date": "2026-09-21",
        "why": why,
    }
    expected = {
        "kind": "invoice",
        "reference": "INV-1",
        "amount": money("1.00"),
        "currency": "EUR",
        "company": company,
        "beneficiary": {"party": nobody},
        "program": cast.program,
        "why": why,
    }
    approvers = {"kind": "approval", "approvers": [company, nobody], "needed": 1}
    to_nobody = {"to": {"party": nobody}, "percent": "10"}
    asked: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("aggregator", "/v1/parties", {"kind": "payee", "parent": nobody, "reason": "x"}, 404, "/parent"),
        ("company", "/v1/pay-ins", {**pay_in, "company": nobody}, 404, "/company"),
        ("company", "/v1/pay-ins", pay_in, 422, "/beneficiary/party"),
        ("company", "/v1/expectations", expected, 422, "/beneficiary/party"),
        ("company", "/v1/agreements", {**agreement, "payee": nobody}, 422, "/payee"),
        ("company", "/v1/agreements", {**agreement, "arbiter": nobody}, 422, "/arbiter"),
        ("company", "/v1/agreements", {**agreement, "condition": approvers}, 422, "/condition/approvers/1"),
        ("company", f"{program}/budgets", {"holder": nobody, "amount": money("1.00"), "wallet": wallet["account"], "why": why}, 422, "/holder"),
        ("company", f"{program}/payables", {**payable, "payee": nobody}, 422, "/payee"),
        ("company", f"{program}/payments", {"holder": company, "payee": nobody, "amount": money("1.00"), "rail": "wallet", "kind": "payables", "why": why}, 422, "/payee"),
        ("company", "/v1/designations", {"owner": "event:e", "to_owner": nobody, "why": why}, 404, "/to_owner"),
        ("company", "/v1/claims", {"owner": "event:e", "expires_at": FAR, "expires_to": nobody, "why": why}, 422, "/expires_to"),
        ("company", f"/v1/wallets/{wallet['wallet_id']}/grants", {"to_party": nobody, "fields": ["balance"], "reason": "x"}, 422, "/to_party"),
        ("company", "/v1/connections", {"from_party": company, "to_party": nobody, "access": "pay", "reason": "x"}, 422, "/to_party"),
        ("company", f"/v1/parties/{company}/relations", {"party": nobody, "relation": "supplier", "reason": "x"}, 422, "/party"),
        ("aggregator", "/v1/api-keys", {"label": "x", "party": nobody, "scopes": ["wallets:read"]}, 404, "/party"),
        ("aggregator", "/v1/rules", rule(cast, to_nobody, REST), 422, "/document/lines/0/to/party"),
        ("aggregator", "/v1/rules", rule(cast, {"to": {"group": nobody}, "percent": "10"}, REST), 422, "/document/lines/0/to/group"),
        ("aggregator", "/v1/rules/lint", rule(cast, REST, match={"companies": [nobody]}), 422, "/document/match/companies/0"),
    ]  # fmt: skip
    async with nothing_changes(cast):
        for by, path, body, status, field in asked:
            found = await problem(cast[by], path, body)
            assert (found["status"], found["field"]) == (status, field), (path, found)
            assert found["code"] == ("not_found" if status == 404 else "unknown_party"), path
    # An own word for somebody is no id of a party, and tags are the payer's words.
    tagged = {"programs": [cast.program], "tags": {"site": [nobody]}}
    await cast["aggregator"].do("/v1/rules", rule(cast, REST, match=tagged))


async def test_a_party_is_never_below_itself(cast: Cast) -> None:
    async with nothing_changes(cast):
        for name in ("company", "partner"):
            path = f"/v1/parties/{cast.ids['company']}/move"
            found = await problem(
                cast["aggregator"], path, {"parent": cast.ids[name], "reason": "Reorganised"}
            )
            assert first(found) == (422, "cycle", "/parent")


async def test_a_rule_that_cannot_be_is_refused_with_every_place_that_is_wrong(cast: Cast) -> None:
    partner = {"to": {"party": cast.ids["partner"]}}
    asked: list[tuple[dict[str, str], dict[str, str]]] = [
        (
            rule(cast, {**partner, "percent": "101"}, REST),
            {"/document/lines/0/percent": "bad_percent", "/document/lines": "shares_exceed_whole"},
        ),
        (
            rule(cast, {**partner, "percent": "60"}, {**partner, "percent": "41"}, REST),
            {"/document/lines": "shares_exceed_whole"},
        ),
        (rule(cast, {**partner, "percent": "60"}), {"/document/lines": "no_remainder"}),
        (
            rule(cast, {**partner, "fixed": {"EUR": "5.00"}}, REST),
            {"/document/lines": "could_exceed_amount"},
        ),
        (
            rule(cast, {**partner, "percent": "1", "fixed": {"EUR": "5.00"}}, REST),
            {"/document/lines/0": "share_ambiguous"},
        ),
        (rule(cast, REST, colour="red"), {"/document/colour": "unknown_field"}),
        (
            rule(cast, REST, effective_from="2020-01-01T00:00:00Z"),
            {"/document/effective_from": "effective_in_past"},
        ),
    ]
    async with nothing_changes(cast):
        for body, faults in asked:
            found = await problem(cast["aggregator"], "/v1/rules", body)
            assert (found["status"], found["field"]) == (422, "/document")
            assert {each["field"]: each["code"] for each in found["errors"]} == faults
            assert all(each["remedy"] and each["detail"] for each in found["errors"])
            document = json.loads(body["document"])
            if "effective_from" in document:
                continue
            linted = await cast["aggregator"].do("/v1/rules/lint", body)
            told = linted["outcome"]["data"]["faults"]
            assert {f"/document{each['pointer']}": each["code"] for each in told} == faults


async def test_two_versions_are_never_in_force_at_once(cast: Cast) -> None:
    span = {"effective_from": "2098-01-01T00:00:00Z", "effective_until": "2098-06-01T00:00:00Z"}
    within = {"effective_from": "2098-03-01T00:00:00Z"}
    first_rule = await cast["aggregator"].do("/v1/rules", rule(cast, REST, **span))
    made = await cast["company"].do(
        "/v1/programs",
        {"program": cast.program, "company": cast.ids["company"], "title": "A program"},
    )
    policies = f"/v1/programs/{made['subject']}/policies"
    body = {"policy": {"rails": ["wallet"]}}
    await cast["company"].do(policies, {"version": 1, **body, **span})
    async with nothing_changes(cast):
        versions = f"/v1/rules/{first_rule['subject']}/versions"
        second = rule(cast, REST, version=2, **within)
        found = await problem(cast["aggregator"], versions, second)
        assert first(found) == (422, "effective_overlap", "/document/effective_from")
        found = await problem(cast["company"], policies, {"version": 2, **body, **within})
        assert first(found) == (422, "effective_overlap", "/effective_from")


async def test_a_signature_that_is_expired_or_replayed_or_anothers_opens_no_wallet(
    cast: Cast,
) -> None:
    key, now = Ed25519PrivateKey.generate(), SystemClock().now()
    owner = cast.ids["partner"]
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    second = await cast.client("partner")
    for client in (cast["partner"], second):
        await client.do(f"/v1/parties/{owner}/signing-keys", {"public_key": public})
    await cast.pay_in(money("20.00"), {"party": owner})
    await cast.holds("partner", "20.00")
    gift = {
        "role": "gift",
        "from": owner,
        "to": {"role": "beneficiary"},
        "percent": "10",
        "cap": {"EUR": "5.00"},
    }

    async def signed(
        body: dict[str, str], nonce: str, *, by: Ed25519PrivateKey = key, hours: int = 2
    ) -> dict[str, Any]:
        """The body with the owner's consent, as it would sign it."""
        linted = await cast["aggregator"].do("/v1/rules/lint", body)
        until = (now + timedelta(hours=hours)).replace(microsecond=0)
        expires_at = until.isoformat().replace("+00:00", "Z")
        lines = (
            "tally-rule-consent:1",
            linted["outcome"]["data"]["digest"],
            owner,
            nonce,
            expires_at,
        )
        text = by.sign("\n".join(lines).encode())
        signature = base64.b64encode(text).decode()
        consent = {"owner": owner, "nonce": nonce, "expires_at": expires_at, "signature": signature}
        return {**body, "signatures": [consent]}

    match = {"programs": [cast.program], "currencies": ["EUR"]}
    body = rule(cast, REST, match=match, charges=[gift])
    async with nothing_changes(cast):
        other = Ed25519PrivateKey.generate()
        for given, code, name in (
            (await signed(body, "n-1", hours=-1), "signature_expired", "/0/expires_at"),
            (await signed(body, "n-1", by=other), "signature_wrong", "/0/signature"),
            (body, "signature_missing", ""),
        ):
            found = await problem(cast["aggregator"], "/v1/rules", given)
            assert first(found) == (422, code, f"/signatures{name}")
    made = await cast["aggregator"].do("/v1/rules", await signed(body, "n-1"))
    async with nothing_changes(cast):
        later = rule(cast, REST, match=match, charges=[gift], version=2)
        versions = f"/v1/rules/{made['subject']}/versions"
        found = await problem(cast["aggregator"], versions, await signed(later, "n-1"))
        assert first(found) == (422, "nonce_used", "/signatures/0/nonce")

    # F7: what the owner did sign is taken, and no more than that.
    await cast.pay_in(money("90.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "95.00")
    await cast.holds("partner", "15.00")


async def test_a_webhook_with_an_old_signature_is_nobodys_and_one_told_again_is_the_same(
    cast: Cast, whole: Whole
) -> None:
    body = json.dumps({"id": "evt_1", "type": "charge.unknown", "data": {"object": {}}}).encode()
    secrets, now = WebhookSecrets.stripe(SECRET), SystemClock().now()
    async with nothing_changes(cast):
        headers = sign_stripe(body, secrets, now=now - timedelta(hours=1))
        answered = await whole.platform.http.post(
            "/v1/webhooks/cards", content=body, headers=headers
        )
        assert answered.json()["remedy"]
        assert first(answered.json()) == (401, "signature_expired", "stripe-signature")
    fresh = sign_stripe(body, secrets, now=now)
    again = [
        (await whole.platform.http.post("/v1/webhooks/cards", content=body, headers=fresh)).json()
        for _ in range(2)
    ]
    assert again[0]["id"] == again[1]["id"]


async def test_a_statement_that_does_not_balance_is_refused_whole_and_names_the_place(
    cast: Cast, whole: Whole
) -> None:
    operator = await whole.platform.operator()
    marked = f"TALLY:{cast.program}:{cast.ids['payee']}"
    good = statement([(marked, 100), (marked, 250)])
    file = base64.b64decode(good)
    torn = base64.b64encode(file.replace(b">3.50<", b">3.51<", 1)).decode()
    body = {"file_name": "september.xml", "content": good, "company": cast.ids["company"]}
    async with nothing_changes(cast):
        found = await problem(operator, "/v1/statements", {**body, "content": torn})
        assert first(found) == (422, "statement_unbalanced", "/content")
        assert re.search(r"line [0-9]+, Bal/Amt", found["detail"])
        assert "3.50 EUR" in found["remedy"]
        no_file = base64.b64encode(b"Dear customer").decode()
        for content, code in ((no_file, "xml_encoding"), ("abcde", "bad_base64")):
            found = await problem(operator, "/v1/statements", {**body, "content": content})
            assert first(found) == (422, code, "/content")
        nobody = {**body, "company": Ids().new("party")}
        found = await problem(operator, "/v1/statements", nobody)
        assert first(found) == (422, "unknown_party", "/company")
    done = await operator.do("/v1/statements", body)
    assert done["outcome"]["data"]["pay_ins"] == 2


async def test_a_key_of_another_request_is_refused_and_the_first_answer_stands(cast: Cast) -> None:
    body = {
        "owner": cast.ids["company"],
        "currency": "USD",
        "purpose": "default",
        "reason": "Wanted",
    }
    key = {"Idempotency-Key": f"once-{cast.root}"}
    made = await cast["company"].post("/v1/wallets", body, **key)
    async with nothing_changes(cast):
        for path, other in (
            ("/v1/wallets", {**body, "currency": "JPY"}),
            ("/v1/programs", {"program": "p", "company": cast.ids["company"], "title": "P"}),
        ):
            found = await problem(cast["company"], path, other, **key)
            assert first(found) == (409, "idempotency_key_reused", "Idempotency-Key")
        found = await problem(cast["company"], "/v1/wallets", body, **{"Idempotency-Key": "a b"})
        assert first(found) == (400, "idempotency_key_missing", "Idempotency-Key")
        again = await cast["company"].post("/v1/wallets", body, **key)
    assert (again.status_code, again.json()) == (200, made.json())


async def test_money_is_claimed_once_and_whoever_tries_again_is_told_what_to_do(cast: Cast) -> None:
    await cast.party("late", "payee", "company")
    for name in ("payee", "late"):
        await cast.verified(name, f"{name}-{cast.root[-8:]}@payees.example")
    event, why = f"{cast.program}-race", cast.why("race")
    await cast.pay_in(money("40.00"), {"event_reference": event})
    clock = "funding.claim.dormancy_changed.v1"
    await cast.told("aggregator", clock, owner=f"event:{event}")
    issue = {"owner": f"event:{event}", "expires_at": FAR, "why": why}
    claim = (await cast["company"].do("/v1/claims", issue))["subject"]
    code = await cast.post.claim_code(claim)
    await cast["payee"].do(f"/v1/claims/{claim}/redeem", {"code": code, "why": why})
    await cast.holds("payee", "40.00")
    async with nothing_changes(cast):
        for name in ("late", "payee"):
            redeem = {"code": code, "why": why}
            found = await problem(cast[name], f"/v1/claims/{claim}/redeem", redeem)
            assert first(found) == (422, "claim_used", "/claim_id")
        found = await problem(cast["company"], "/v1/claims", issue)
        assert found["status"] == 422
        assert (found["code"], found["field"]) == ("owner_claimed", "/owner")
    digest = hashlib.sha256(code.encode()).hexdigest()
    assert digest not in str(await cast.log("aggregator"))
