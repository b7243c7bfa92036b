"""Tiers and relations, the unknown payee, and each party's own log, by number, through the API.

F17 to F21, F26 to F29, F31, F32, X1, X2, X3. Every service runs; each test has parties of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tally_cli.demo.api import Client
from tally_reconciliation import Sources, Verdict, verify
from tally_runtime import SystemClock

from .conftest import SERVICES, Whole
from .stage import Cast, eventually, money

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
BUDGET = "programs.budget.changed.v1"
ALLOCATED = "funding.pay_in.allocated.v1"
CLOCK = "funding.claim.dormancy_changed.v1"


async def program_of(cast: Cast) -> str:
    """A program of the company, funded by its wallet; its id."""
    made = await cast["company"].do(
        "/v1/programs",
        {"program": cast.program, "company": cast.ids["company"], "title": "A program"},
    )
    return str(made["subject"])


async def refusal(client: Client, path: str, body: Any) -> tuple[int, str, str | None]:
    """Status, code and field of a command that must not succeed."""
    answered = await client.post(path, body)
    said = answered.json()
    assert said["remedy"], said
    first = (said.get("errors") or [said])[0]
    return answered.status_code, said["code"], first.get("field")


async def test_f17_a_budget_flows_down_tiers_and_siblings_are_not_seen(cast: Cast) -> None:
    await cast.party("sibling", "partner", "company")
    await cast.party("below", "payee", "partner")
    program = await program_of(cast)
    wallet = await cast.wallet("company")
    await cast["company"].do(
        f"/v1/programs/{program}/funding-order",
        {"version": 1, "wallets": [{"account": wallet["account"], "currency": "EUR"}]},
    )
    budgets = f"/v1/programs/{program}/budgets"

    async def opened(by: str, holder: str, amount: str, **more: Any) -> str:
        body = {"holder": cast.ids[holder], "amount": money(amount), "why": cast.why("2026")}
        return str((await cast[by].do(budgets, {**body, **more}))["subject"])

    top = await opened("company", "company", "1000.00", wallet=wallet["account"])
    of_partner = await opened("company", "partner", "300.00", parent=top)
    of_sibling = await opened("company", "sibling", "200.00", parent=top)
    of_below = await opened("partner", "below", "50.00", parent=of_partner)

    body = {"holder": cast.ids["below"], "amount": money("250.01"), "why": cast.why("2026")}
    too_much = await refusal(cast["partner"], budgets, {**body, "parent": of_partner})
    assert too_much == (422, "budget_exceeded", "/amount")
    foreign = await refusal(cast["partner"], budgets, {**body, "parent": of_sibling})
    assert foreign[:2] == (404, "not_found")
    whole = await cast.told("company", BUDGET, budget_id=top, change="allocated")
    assert whole["limit"] == money("1000.00")

    assert (await cast.told("partner", BUDGET, budget_id=of_below))["limit"] == money("50.00")
    partners = str(await cast.log("partner"))
    assert of_partner in partners
    assert of_sibling not in partners
    assert cast.ids["sibling"] not in partners
    seen = {each["data"].get("budget_id") for each in await cast.log("company", BUDGET)}
    assert seen >= {top, of_partner, of_sibling, of_below}
    assert await cast.log("rival", BUDGET) == []


async def test_f18_a_connection_has_three_levels_and_ends_at_once(cast: Cast) -> None:
    mine = await cast.wallet("rival")
    theirs = await cast.wallet("partner")
    await cast.pay_in(money("10.00"), {"party": cast.ids["rival"]}, company="rival")
    await cast.holds("rival", "10.00")
    rival, partner = cast["rival"], cast["partner"]

    async def connected(access: str) -> str:
        invited = await rival.do(
            "/v1/connections",
            {
                "from_party": cast.ids["rival"],
                "to_party": cast.ids["partner"],
                "access": access,
                "reason": "Works with us",
            },
        )
        assert await can() == set(), "an invitation alone opens nothing"
        await partner.do(f"/v1/connections/{invited['subject']}/accept", {"reason": "Known"})
        return str(invited["subject"])

    async def can() -> set[str]:
        paid = await rival.post(
            f"/v1/wallets/{mine['wallet_id']}/transfers",
            {"to_wallet": theirs["wallet_id"], "amount": money("1.00"), "why": cast.why("f18")},
        )
        looked = await rival.get(f"/v1/wallets/{theirs['wallet_id']}")
        managed = await rival.post(
            f"/v1/parties/{cast.ids['partner']}/funding-details",
            {"currency": "EUR", "reason": "To be paid"},
        )
        answers = {"pay": paid, "view": looked, "manage": managed}
        statuses = {name: each.status_code for name, each in answers.items()}
        assert set(statuses.values()) <= {200, 404}, {n: a.text for n, a in answers.items()}
        return {name for name, status in statuses.items() if status == httpx.codes.OK}

    levels = {"pay": {"pay"}, "view": {"pay", "view"}, "manage": {"pay", "view", "manage"}}
    for access, open_to in levels.items():
        connection = await connected(access)

        async def reached(expected: set[str] = open_to) -> bool:
            return await can() == expected

        await eventually(reached)
        await partner.do(f"/v1/connections/{connection}/revoke", {"reason": "Ended"})
        assert (await can()) - {"view"} == set(), f"{access} went on after it was revoked"
        await eventually(lambda: _unseen(rival, f"/v1/wallets/{theirs['wallet_id']}"))
        for name in ("rival", "partner"):
            kind = "directory.connection.changed.v1"
            await cast.told(name, kind, connection_id=connection, state="revoked")


async def _unseen(client: Client, path: str) -> bool:
    return (await client.get(path)).status_code == httpx.codes.NOT_FOUND


async def _members(cast: Cast, group: str, *changes: tuple[str, bool]) -> list[int]:
    versions = []
    for name, member in changes:
        made = await cast["company"].do(
            f"/v1/groups/{group}/members",
            {"party": cast.ids[name], "member": member, "reason": "Joined or left"},
        )
        versions.append(made["outcome"]["data"]["version"])
    return versions


async def test_f19_a_rule_targets_a_group_whose_membership_has_versions(cast: Cast) -> None:
    group = await cast.party("group", "group", "company")
    assert await _members(cast, group, ("payee", True), ("partner", True)) == [1, 2]
    rule = await cast.rule("team", [{"to": {"group": group}, "remainder": True}])
    first = await cast.pay_in(money("10.00"), None)
    await cast.holds("payee", "5.00")
    await cast.holds("partner", "5.00")

    assert await _members(cast, group, ("partner", False)) == [3]
    await cast.pay_in(money("10.00"), None)
    await cast.holds("payee", "15.00")
    await cast.holds("partner", "5.00")
    # Money of before is divided among the members of before.
    again = await cast["aggregator"].do(
        "/v1/rules/dry-runs", {"pay_ins": [first], "rule_id": rule, "version": 1}
    )
    (result,) = again["outcome"]["data"]["results"]
    assert {line["owner"]: line["amount"]["amount"] for line in result["lines"]} == {
        cast.ids["payee"]: "5.00",
        cast.ids["partner"]: "5.00",
    }


async def test_f20_a_company_manages_funding_reports_and_connections_by_api(cast: Cast) -> None:
    company = cast["company"]
    issued = await company.do(
        f"/v1/parties/{cast.ids['company']}/funding-details",
        {"currency": "EUR", "reason": "Customers pay by transfer"},
    )
    assert issued["outcome"]["data"]["virtual_account"].startswith("RF")
    await cast.pay_in(money("75.00"), {"party": cast.ids["payee"]})

    async def received() -> bool:
        totals = (await company.get("/v1/totals")).json()["items"]
        return [each["received"] for each in totals] == [money("75.00")]

    await eventually(received)
    invited = await company.do(
        "/v1/connections",
        {
            "from_party": cast.ids["company"],
            "to_party": cast.ids["rival"],
            "access": "view",
            "reason": "Same owner",
        },
    )
    await cast["rival"].do(f"/v1/connections/{invited['subject']}/accept", {"reason": "Yes"})

    async def listed(name: str, state: str) -> list[tuple[str, str, str]]:
        found = await cast.items(name, "/v1/connections", state=state)
        return [(each["from_party"], each["to_party"], each["access"]) for each in found]

    agreed = [(cast.ids["company"], cast.ids["rival"], "view")]
    for name in ("company", "rival", "aggregator"):
        await eventually(lambda name=name: _is(listed(name, "accepted"), agreed))
    for name in ("partner", "payee"):
        assert await listed(name, "accepted") == []
        assert (await cast[name].get(f"/v1/connections/{invited['subject']}")).status_code == 404
    await company.do(f"/v1/connections/{invited['subject']}/revoke", {"reason": "Over"})
    await eventually(lambda: _is(listed("rival", "revoked"), agreed))
    assert await listed("company", "accepted") == []
    (account,) = await cast.items("company", "/v1/funding-details")
    assert (account["party_id"], account["currency"]) == (cast.ids["company"], "EUR")
    assert account["virtual_account"] == issued["outcome"]["data"]["virtual_account"]
    assert await cast.items("rival", "/v1/funding-details") == []
    made = await company.post("/v1/api-keys", {"label": "reports", "scopes": ["wallets:read"]})
    assert made.status_code == httpx.codes.CREATED, made.text
    reports = Client(company.http, made.json()["secret"])
    assert (await reports.get("/v1/wallets")).status_code == httpx.codes.OK
    assert (await reports.get("/v1/totals")).status_code == httpx.codes.FORBIDDEN


async def _is(asked: Awaitable[Any], wanted: Any) -> bool:
    return bool(await asked == wanted)


async def test_a_key_is_rotated_a_client_gets_a_token_and_a_read_is_narrowed(cast: Cast) -> None:
    company, http = cast["company"], cast.platform.http
    await cast.wallet("company")

    async def shown() -> list[dict[str, Any]]:
        return await cast.items("company", "/v1/wallets", fields="wallet_id,posted")

    (wallet,) = await eventually(shown)
    assert wallet.keys() == {"wallet_id", "posted"}
    (fact,) = (await company.see("/v1/events", types="directory.wallet.opened.v1", fields="owner"))[
        "data"
    ]
    assert fact["data"] == {"owner": cast.ids["company"]}

    asked = {"label": "reports", "scopes": ["wallets:read"]}
    first = (await company.post("/v1/api-keys", asked)).json()
    second = (await company.post(f"/v1/api-keys/{first['id']}/rotate", {"overlap_hours": 1})).json()
    for key in (first, second):
        await Client(http, key["secret"]).see("/v1/wallets")
    third = (await company.post(f"/v1/api-keys/{second['id']}/rotate", {"overlap_hours": 0})).json()
    await Client(http, third["secret"]).see("/v1/wallets")

    async def ended() -> bool:
        answered = await Client(http, second["secret"]).get("/v1/wallets")
        return answered.status_code == httpx.codes.UNAUTHORIZED

    await eventually(ended)
    client = (await company.post("/v1/oauth-clients", asked)).json()
    form = {"client_id": client["id"], "client_secret": client["secret"]}
    got = await http.post("/v1/oauth/token", data={"grant_type": "client_credentials", **form})
    token = Client(http, got.json()["access_token"])
    answered = await token.get("/v1/wallets")
    assert answered.status_code == httpx.codes.OK
    assert int(answered.headers["RateLimit-Limit"]) > 0
    assert (await token.get("/v1/totals")).status_code == httpx.codes.FORBIDDEN


async def test_f28_money_nobody_claims_in_time_goes_to_the_stated_party(cast: Cast) -> None:
    event = f"{cast.program}-late"
    await cast.pay_in(money("12.00"), {"event_reference": event})
    await cast.told("aggregator", CLOCK, owner=f"event:{event}")
    soon = (SystemClock().now() + timedelta(seconds=3)).isoformat().replace("+00:00", "Z")
    issue = {"owner": f"event:{event}", "expires_at": soon, "why": cast.why("late")}
    issued = await cast["company"].do("/v1/claims", {**issue, "expires_to": cast.ids["partner"]})
    await cast.holds("partner", "12.00")
    changed = "funding.claim.changed.v1"
    await cast.told("company", changed, claim_id=issued["subject"], state="expired")
    redeem = {"code": await cast.post.claim_code(issued["subject"]), "why": cast.why("late")}
    await cast.verified("payee", f"late-{cast.root[-8:]}@payees.example")
    path = f"/v1/claims/{issued['subject']}/redeem"
    refused = await refusal(cast["payee"], path, redeem)
    assert refused == (422, "claim_expired", "/claim_id")


async def test_f32_each_calls_a_customer_by_its_own_id_and_both_crms_read_it_in_one_fact(
    cast: Cast,
) -> None:
    payee = await cast.party("customer", "payee", "partner", by="partner")
    path = f"/v1/parties/{payee}/external-ids"
    for name, own in (("company", "sf-001"), ("partner", "crm-4711")):
        body = {"known_to": cast.ids[name], "external_id": own, "reason": "Our customer"}
        await cast[name].do(path, body)
    kind = "directory.party.external_ids_changed.v1"
    last = {name: (await cast.log(name, kind))[-1] for name in ("company", "partner")}
    assert last["company"]["id"] == last["partner"]["id"], "it is one fact"
    for name, own in (("company", "sf-001"), ("partner", "crm-4711")):
        told = last[name]["data"]
        names = {each["known_to"]: each["external_id"] for each in told["external_ids"]}
        assert (told["party_id"], names[cast.ids[name]]) == (payee, own)
    await cast.party("twin", "payee", "partner", by="partner")
    taken = {"known_to": cast.ids["partner"], "external_id": "crm-4711", "reason": "Ours"}
    path = f"/v1/parties/{cast.ids['twin']}/external-ids"
    status, code, field = await refusal(cast["partner"], path, taken)
    assert (status, field) == (422, "/external_id"), code
    assert payee not in str(await cast.log("rival"))


async def test_f21_relation_types_are_data_and_a_wallet_keeps_the_responsible_company(
    cast: Cast,
) -> None:
    company = cast["company"]
    relations = f"/v1/parties/{cast.ids['company']}/relations"
    body = {"party": cast.ids["payee"], "relation": "carrier", "reason": "Contract 7"}
    assert await refusal(company, relations, body) == (422, "unknown_relation", "/relation")
    await cast["aggregator"].do(
        "/v1/relation-types", {"relation": "carrier", "label": "Carrier", "reason": "We ship"}
    )
    related = await company.do(relations, body)
    assert related["outcome"]["data"]["company"] == cast.ids["company"]
    known = {**body, "relation": "influencer", "party": cast.ids["partner"]}
    assert (await company.do(relations, known))["state"] == "succeeded"

    opened = await cast.wallet(
        "payee", by="company", purpose="freight", company=cast.ids["company"]
    )
    assert opened["company"] == cast.ids["company"]

    async def kept() -> bool:
        (shown,) = await cast.items("payee", "/v1/wallets", purpose="freight")
        return shown["company"] == cast.ids["company"]

    await eventually(kept)
    ended = await company.do(relations, {**body, "ended": True})
    assert ended["outcome"]["data"]["ended"] is True


async def test_f26_a_company_sees_an_alias_until_the_payee_consents(cast: Cast) -> None:
    payee = await cast.party("known", "payee", "company", external_id="crm-881", country="DE")
    path = f"/v1/parties/{payee}"

    async def shown() -> dict[str, Any] | None:
        found = await cast["company"].get(path)
        return found.json() if found.status_code == httpx.codes.OK else None

    before = await eventually(shown)
    assert before["alias"]
    assert not {"external_id", "country"} & {k for k, v in before.items() if v is not None}

    consents = f"{path}/consents"
    consent = {"company": cast.ids["company"], "reason": "I work for them"}
    by_another = await refusal(cast["company"], consents, consent)
    assert by_another == (422, "only_the_party", "/party_id")
    await cast["known"].do(consents, consent)

    async def known() -> bool:
        found = await shown()
        return found is not None and (found["external_id"], found["country"]) == ("crm-881", "DE")

    await eventually(known)
    await cast["known"].do(f"{consents}/withdraw", {**consent, "reason": "I left"})

    async def alias_alone() -> bool:
        found = await shown()
        return found is not None and "crm-881" not in str(found)

    await eventually(alias_alone)


async def test_f27_money_is_credited_to_a_payee_nobody_has_verified(cast: Cast) -> None:
    await cast.pay_in(money("12.34"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "12.34")
    (wallet,) = await cast.own_wallets("payee")
    assert wallet["available"] == money("12.34")
    kinds = {each["type"] for each in await cast.log("payee")}
    assert "directory.contact.verified.v1" not in kinds


async def test_f28_a_claim_is_redeemed_once_and_a_second_is_refused_and_alarmed(
    cast: Cast,
) -> None:
    await cast.party("late", "payee", "rival")
    for name in ("payee", "late"):
        await cast.verified(name, f"{name}-{cast.root[-8:]}@payees.example")
    owner = f"event:{cast.program}-race"
    await cast.pay_in(money("40.00"), {"event_reference": owner.removeprefix("event:")})
    await cast.told("aggregator", CLOCK, owner=owner)
    issued = await cast["company"].do(
        "/v1/claims",
        {"owner": owner, "expires_at": "2099-12-31T00:00:00Z", "why": cast.why("race")},
    )
    claim = issued["subject"]
    redeem = f"/v1/claims/{claim}/redeem"
    code = await cast.post.claim_code(claim)
    assert code not in str(await cast.log("aggregator"))

    wrong = await refusal(cast["late"], redeem, {"code": "7Q4X-9KMD", "why": cast.why("race")})
    assert wrong[:2] == (422, "code_wrong")
    await cast["payee"].do(redeem, {"code": code, "why": cast.why("race")})
    await cast.holds("payee", "40.00")
    second = await refusal(cast["late"], redeem, {"code": code, "why": cast.why("race")})
    assert second[:2] == (422, "claim_used")
    assert await cast.own_wallets("late") == []
    alarm = "funding.claim.alarm_raised.v1"
    for attempt in ("code_wrong", "claim_used"):
        raised = await cast.told("aggregator", alarm, claim_id=claim, code=attempt)
        assert raised["attempted_by"] == cast.ids["late"]


async def test_f29_one_payee_for_one_contact_payable_by_another_company_with_consent(
    cast: Cast,
) -> None:
    await cast.party("same", "payee", "rival")
    address = f"ap-{cast.root[-8:]}@payees.example"
    token = await cast.verified("payee", address)
    assert await cast.verified("same", address) == token
    kind = "directory.approval.proposed.v1"
    proposed = await cast.told("aggregator", kind, act="merge_parties")
    # The side of the one that stays decides.
    kept = "payee" if proposed["party_id"] == cast.ids["payee"] else "same"
    merged = "same" if kept == "payee" else "payee"
    side = "company" if kept == "payee" else "rival"
    await cast[side].do(
        f"/v1/approvals/{proposed['approval_id']}/decide", {"approve": True, "reason": "Same"}
    )
    one = await cast.told("aggregator", "directory.party.merged.v1", party_id=cast.ids[kept])
    assert one["merged"] == cast.ids[merged]

    # Both companies pay the one payee, each by the id it knows.
    await cast[kept].do(
        f"/v1/parties/{cast.ids[kept]}/consents",
        {"company": cast.ids["rival"], "reason": "I work for them too"},
    )
    await cast.pay_in(money("1.00"), {"party": cast.ids["payee"]})
    await cast.pay_in(money("2.00"), {"party": cast.ids["same"]}, company="rival")

    async def both() -> bool:
        owned = await cast.own_wallets(kept)
        return sum(int(each["posted"]["amount"].replace(".", "")) for each in owned) == 300

    await eventually(both)


async def test_f31_money_of_an_unknown_payee_has_a_dormancy_clock_that_a_claim_ends(
    cast: Cast,
) -> None:
    owner = f"event:{cast.program}-prize"
    await cast.pay_in(money("9.00"), {"event_reference": owner.removeprefix("event:")})
    started = await cast.told("aggregator", CLOCK, owner=owner, state="active")
    assert started["period"]
    assert started["last_activity_at"] < started["dormant_at"]
    # Money that comes by itself is no activity of the owner's.
    await cast.pay_in(money("1.00"), {"event_reference": owner.removeprefix("event:")})
    assert len([e for e in await cast.log("aggregator", CLOCK) if e["data"]["owner"] == owner]) == 1
    await cast["company"].do(
        "/v1/designations",
        {"owner": owner, "to_owner": cast.ids["payee"], "why": cast.why("prize")},
    )
    await cast.told("aggregator", CLOCK, owner=owner, state="claimed")


async def test_f32_a_new_customer_is_one_event_in_the_logs_of_company_and_partner(
    cast: Cast,
) -> None:
    payee = await cast.party("customer", "payee", "partner", by="partner", external_id="crm-4711")
    seen = {}
    for name in ("company", "partner"):
        kind = "directory.party.registered.v1"
        assert (await cast.told(name, kind, party_id=payee))["external_id"] == "crm-4711"
        (seen[name],) = (e["id"] for e in await cast.log(name, kind) if payee in str(e["data"]))
    assert seen["company"] == seen["partner"]
    assert payee not in str(await cast.log("rival"))


async def test_x1_a_log_is_read_from_a_cursor_and_a_stream_resumes(cast: Cast) -> None:
    company = cast["company"]
    for number in range(3):
        await cast.wallet("company", purpose=f"trip-{number}")
    opened = {"types": "directory.wallet.opened.v1"}
    whole = await cast.log("company", *opened.values())
    assert [each["data"]["purpose"] for each in whole] == ["trip-0", "trip-1", "trip-2"]
    page = (await company.get("/v1/events", limit=1, **opened)).json()
    assert page["has_more"]
    rest = (await company.get("/v1/events", after=page["next"], **opened)).json()
    assert [each["id"] for each in page["data"] + rest["data"]] == [each["id"] for each in whole]

    headers = {"Authorization": f"Bearer {company.key}", "Last-Event-ID": whole[0]["cursor"]}
    stream = cast.platform.http.stream("GET", "/v1/events/stream", params=opened, headers=headers)
    async with stream as answered, asyncio.timeout(60):
        lines = answered.aiter_lines()
        told = [line async for line in _data(lines, 2)]
        await cast.wallet("company", purpose="trip-3")
        told += [line async for line in _data(lines, 1)]
    assert [each["data"]["purpose"] for each in told] == ["trip-1", "trip-2", "trip-3"]
    assert told[:2] == whole[1:]


async def _data(lines: AsyncIterator[str], count: int) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
            count -= 1
            if count == 0:
                return


async def test_x2_the_same_fact_shows_each_persona_its_own_fields(cast: Cast) -> None:
    await cast.rule(
        "shared",
        [
            {"role": "partner", "to": {"party": cast.ids["partner"]}, "percent": "10"},
            {"to": {"role": "beneficiary"}, "remainder": True},
        ],
    )
    pay_in = await cast.pay_in(money("80.00"), {"party": cast.ids["payee"]})
    seen: dict[str, dict[str, Any]] = {}
    ids = set()
    for name in ("aggregator", "company", "partner", "payee"):
        seen[name] = await cast.told(name, ALLOCATED, pay_in_id=pay_in)
        ids |= {e["id"] for e in await cast.log(name, ALLOCATED) if pay_in in str(e["data"])}
    assert len(ids) == 1, "it is one fact"
    for insider in ("aggregator", "company"):
        assert seen[insider]["amount"] == money("80.00")
        assert len(seen[insider]["allocations"]) == 2
        assert seen[insider]["who"]["principal"] == cast.ids["company"]
    for name, share in (("partner", "8.00"), ("payee", "72.00")):
        (own,) = seen[name]["allocations"]
        assert (own["owner"], own["amount"]) == (cast.ids[name], money(share))
        assert not {"amount", "external_id", "rule", "who"} & seen[name].keys()
    assert ALLOCATED not in {each["type"] for each in await cast.log("rival")}


async def test_x3_money_for_an_event_is_designated_again_and_later_money_follows(
    cast: Cast,
) -> None:
    reference = f"{cast.program}-role"
    owner = f"event:{reference}"
    await cast.pay_in(money("40.00"), {"event_reference": reference})
    listed = await cast.items("aggregator", "/v1/payments")
    assert len(listed) == 1, "it is in the books before anybody is known"
    await cast.told("aggregator", CLOCK, owner=owner)
    why = cast.why("role", "The winner is known")
    body = {"owner": owner, "to_owner": cast.ids["payee"], "why": why}
    foreign = await refusal(cast["rival"], "/v1/designations", body)
    assert foreign[0] in {404, 422}
    await cast["company"].do("/v1/designations", body)
    await cast.holds("payee", "40.00")
    moved = "funding.claim.designation_moved.v1"
    first = await cast.told("aggregator", moved, owner=owner, reason_code="redesignated")
    assert (first["to_owner"], first["amounts"]) == (cast.ids["payee"], [money("40.00")])

    later = await cast.pay_in(money("2.00"), {"event_reference": reference})
    await cast.holds("payee", "42.00")
    (share,) = (await cast.told("payee", ALLOCATED, pay_in_id=later))["allocations"]
    assert share["owner"] == cast.ids["payee"], "what comes later is designated straight to it"


async def test_the_oracle_finds_all_of_it_in_order(whole: Whole) -> None:
    """Whatever the tests of this module did: nothing was lost, nothing was made."""
    sources = Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES)
    report = await verify(sources, wait_s=60)
    faults = [(check.id, one.what, one.row) for check in report.checks for one in check.faults]
    assert faults == []
    assert report.verdict is Verdict.GREEN
