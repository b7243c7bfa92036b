"""Programs, payouts and control, by number, through the public API on every service.

F24, F25, F40 to F42, F60, F61, F63 to F65, X8. Each test has parties of its own. F62 is shown by
tests/e2e/test_export.py, which needs two installations.
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from .conftest import Whole
from .stage import Cast, eventually, money, parted

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
PAYOUT = "payouts.payout.changed.v1"
PAYMENT = "programs.payment.changed.v1"
ACH = {
    "routing_number": "021000021",
    "account_number": "123456789",
    "account_type": "checking",
    "holder_name": "Supplier Ltd",
}


async def program_of(cast: Cast, **policy: Any) -> str:
    """A program of the company, with a policy if one is given; its id."""
    made = await cast["company"].do(
        "/v1/programs",
        {"program": cast.program, "company": cast.ids["company"], "title": "A program"},
    )
    program: str = made["subject"]
    if policy:
        await publish(cast, program, 1, **policy)
    return program


async def publish(cast: Cast, program: str, version: int, **policy: Any) -> None:
    """Put a version of the program's policy in force now."""
    await cast["company"].do(
        f"/v1/programs/{program}/policies", {"version": version, "policy": policy}
    )


async def chooses(cast: Cast, rail: str, currency: str = "EUR") -> None:
    """The payee registers where to be paid to, and chooses it."""
    details = ACH
    if rail == "wallet":
        opened = await cast.wallet("payee", currency, purpose="spending")
        details = {"account": opened["account"]}
    payee = f"/v1/parties/{cast.ids['payee']}"
    made = await cast["payee"].do(
        f"{payee}/instruments", {"rail": rail, "currency": currency, "details": details}
    )
    await cast["payee"].do(
        f"{payee}/methods", {"currency": currency, "rail": rail, "instrument": made["subject"]}
    )


async def withdraws(cast: Cast, amount: str, currency: str = "EUR") -> dict[str, Any]:
    """The payee asks for a payout of the program from the wallet it was paid to; the command."""
    (wallet,) = [
        each
        for each in await cast.own_wallets("payee")
        if (each["currency"], each["purpose"]) == (currency, "default")
    ]
    answered = await cast["payee"].post(
        "/v1/payouts",
        {
            "wallet": wallet["wallet_id"],
            "amount": money(amount, currency),
            "why": cast.why("withdrawal"),
        },
    )
    found: dict[str, Any] = answered.json()
    return found


async def stands(cast: Cast, payout: str, state: str, reason: str | None = None) -> None:
    """Wait until the company sees a payout in a state, for a reason."""

    async def ask() -> bool:
        found = await cast["company"].get(f"/v1/payouts/{payout}")
        if found.status_code != httpx.codes.OK:
            return False
        shown = found.json()
        return shown["state"] == state and (reason is None or shown["reason_code"] == reason)

    await eventually(ask)


async def test_f24_a_kind_of_value_selects_rules_and_endpoints(cast: Cast) -> None:
    await cast.rule(
        "royalties",
        parted(cast, "50"),
        match={"programs": [cast.program], "kinds": ["profit_share"]},
    )
    payee = {"party": cast.ids["payee"]}
    await cast.pay_in(money("10.00"), payee, kind="payroll")
    await cast.pay_in(money("8.00"), payee, kind="profit_share")
    await cast.holds("partner", "4.00")
    await cast.holds("payee", "14.00")

    restriction = {"forbids": ["cash"], "countries": [], "sources": [], "kinds": ["loyalty"]}
    program = await program_of(cast, restrictions=[restriction])
    await budget(cast, program, await cast.wallet("company"), "100.00")
    body = {
        "holder": cast.ids["company"],
        "payee": cast.ids["payee"],
        "amount": money("1.00"),
        "rail": "ach",
        "kind": "loyalty",
        "why": cast.why("points"),
    }
    payments = f"/v1/programs/{program}/payments"
    refused = (await cast["company"].post(payments, body)).json()
    assert refused["code"] == "class_forbidden_for_kind", refused


async def budget(
    cast: Cast, program: str, wallet: dict[str, Any], amount: str, *, order: Any = ()
) -> str:
    """A budget of the company out of a wallet; `order` are wallets put in the funding order."""
    accounts = [each["account"] for each in order or (wallet,)]
    if order is not None:
        await cast["company"].do(
            f"/v1/programs/{program}/funding-order",
            {"version": 1, "wallets": [{"account": a, "currency": "EUR"} for a in accounts]},
        )
    made = await cast["company"].do(
        f"/v1/programs/{program}/budgets",
        {
            "holder": cast.ids["company"],
            "amount": money(amount),
            "wallet": wallet["account"],
            "why": cast.why("2026"),
        },
    )
    return str(made["subject"])


async def test_f25_one_query_leads_from_the_event_to_wallets_and_payouts(cast: Cast) -> None:
    await chooses(cast, "wallet")
    await cast.rule(
        "at-once",
        [
            {"role": "partner", "to": {"party": cast.ids["partner"]}, "percent": "10"},
            {"to": {"role": "beneficiary"}, "remainder": True, "pay_out": True},
        ],
    )
    pay_in = await cast.pay_in(money("20.00"), {"party": cast.ids["payee"]}, event="order:77")
    dotted = "inv.2026/7#a"
    other = await cast.pay_in(money("10.00"), {"party": cast.ids["payee"]}, event=dotted)

    async def whole() -> dict[str, Any] | None:
        found: dict[str, Any] = (await cast["company"].get(f"/v1/payments/{pay_in}")).json()
        return found if [p["state"] for p in found["payouts"]] == ["paid"] else None

    payment = await eventually(whole)
    assert payment["pay_in"]["company"] == cast.ids["company"]
    shares = {each["owner"]: each["amount"]["amount"] for each in payment["shares"]}
    assert shares == {cast.ids["partner"]: "2.00", cast.ids["payee"]: "18.00"}
    (payout,) = payment["payouts"]
    assert (payout["owner"], payout["amount"]) == (cast.ids["payee"], money("18.00"))
    assert {hop["why"]["event"] for hop in payment["hops"] if hop["why"]} == {"order:77"}
    by_payout = (await cast["company"].get(f"/v1/payments/{payout['payout_id']}")).json()
    assert by_payout["payment_id"] == payment["payment_id"]
    for event, of, received in (("order:77", pay_in, "18.00"), (dotted, other, "9.00")):
        seen = await money_of(cast, "company", event)
        assert [one["payment_id"] for one in seen["payments"]] == [of]
        assert {one["owner"] for one in seen["payments"][0]["shares"]} == set(shares)
        assert {one["owner"] for one in seen["wallets"]} == set(shares)
        own = await money_of(cast, "payee", event)
        assert (own["event"], [one["payment_id"] for one in own["payments"]]) == (event, [of])
        (share,) = own["payments"][0]["shares"]
        assert (share["owner"], share["amount"]) == (cast.ids["payee"], money(received))
        assert {one["owner"] for one in own["wallets"]} == {cast.ids["payee"]}
        assert cast.ids["partner"] not in str(own)
        assert await money_of(cast, "rival", event) is None


async def money_of(cast: Cast, name: str, event: str) -> Any:
    """What a party sees of an event's money; None if there is nothing for it."""
    answered = await cast[name].get(f"/v1/events/{quote(event, safe='')}/money")
    if answered.status_code == httpx.codes.NOT_FOUND:
        return None
    assert answered.status_code == httpx.codes.OK, answered.text
    return answered.json()


async def test_f40_a_policy_never_alters_a_payout_in_flight(cast: Cast) -> None:
    program = await program_of(cast, rails=["wallet"])
    await cast.pay_in(money("30.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "30.00")
    first = (await withdraws(cast, "10.00"))["subject"]
    await stands(cast, first, "claimable", "no_method")
    await publish(cast, program, 2, rails=["ach"])
    await chooses(cast, "wallet")
    await stands(cast, first, "paid")
    second = (await withdraws(cast, "5.00"))["subject"]
    await stands(cast, second, "claimable", "rail_forbidden_by_program")
    for payout, version in ((first, 1), (second, 2)):
        told = await cast.told("company", PAYOUT, payout_id=payout)
        assert told["policy_version"] == version


async def test_f41_a_policy_forbids_a_class_of_endpoints(cast: Cast) -> None:
    program = await program_of(cast, classes=["closed_loop"])
    await chooses(cast, "wallet")
    await cast.pay_in(money("9.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "9.00")
    payout = (await withdraws(cast, "9.00"))["subject"]
    await stands(cast, payout, "claimable", "class_forbidden_by_program")
    policy = "programs.policy.published.v1"
    published = await cast.told("company", policy, program_id=program)
    classes = {each["rail"]: each["endpoint_class"] for each in published["endpoints"]}
    assert (classes["wallet"], classes["giftcard"]) == ("cash_like", "closed_loop")


async def test_f42_a_funding_source_that_forbids_cash_leaves_what_is_not_cash(cast: Cast) -> None:
    restriction = {"forbids": ["cash"], "countries": [], "sources": ["manual"], "kinds": []}
    await program_of(cast, restrictions=[restriction])
    await cast.rule(
        "at-once", [{"to": {"role": "beneficiary"}, "remainder": True, "pay_out": True}]
    )
    await chooses(cast, "ach", "USD")
    await cast.pay_in(money("7.00", "USD"), {"party": cast.ids["payee"]})
    payouts = await eventually(lambda: cast.items("company", "/v1/payouts"))
    (payout,) = payouts
    await stands(cast, payout["payout_id"], "claimable", "class_forbidden_for_source")
    # What is no cash is open: the payee takes it.
    await chooses(cast, "wallet", "USD")
    await stands(cast, payout["payout_id"], "paid")


async def test_f60_a_payment_draws_on_funding_wallets_in_their_order(cast: Cast) -> None:
    first = await cast.wallet("company")
    second = await cast.wallet("company", purpose="reserve")
    await cast.pay_in(money("100.00"), {"party": cast.ids["company"]})
    await cast.holds("company", "100.00")
    await cast["company"].do(
        f"/v1/wallets/{first['wallet_id']}/transfers",
        {"to_wallet": second["wallet_id"], "amount": money("60.00"), "why": cast.why("reserve")},
    )
    program = await program_of(cast, rails=["wallet"])
    top = await budget(cast, program, first, "30.00", order=(first, second))
    rest = await budget(cast, program, second, "60.00", order=None)
    made = await cast["company"].do(
        f"/v1/programs/{program}/payments",
        {
            "holder": cast.ids["company"],
            "payee": cast.ids["payee"],
            "amount": money("50.00"),
            "rail": "wallet",
            "kind": "payables",
            "why": cast.why("invoice:1"),
        },
    )
    paid = "programs.payment.changed.v1"
    told = await cast.told("company", paid, payment_id=made["subject"], state="paid")
    assert [(d["budget_id"], d["wallet"], d["amount"]) for d in told["draws"]] == [
        (top, first["account"], money("30.00")),
        (rest, second["account"], money("20.00")),
    ]
    await cast.holds("payee", "50.00")


async def test_f61_of_many_rows_each_has_its_own_result(cast: Cast) -> None:
    company = cast["company"]
    row = {"kind": "payee", "parent": cast.ids["company"], "reason": "Joined"}
    rows = [json.dumps({**row, "external_id": f"row-{number}"}) for number in range(500)]
    rows[7] = '{"kind": "payee"'
    rows[250] = json.dumps({**row, "parent": cast.ids["rival"]})
    rows[499] = json.dumps({**row, "country": "Deutschland"})

    async def send() -> dict[str, Any]:
        sent = await company.http.post(
            "/v1/imports",
            params={"kind": "parties"},
            content="\n".join(rows).encode(),
            headers={
                "Authorization": f"Bearer {company.key}",
                "Idempotency-Key": f"run-{cast.root}",
                "Content-Type": "application/x-ndjson",
            },
        )
        assert sent.status_code == httpx.codes.CREATED, sent.text
        found: dict[str, Any] = sent.json()
        return found

    begun = await send()
    assert (begun["rows_accepted"], begun["rows_refused"]) == (497, 3)
    path = f"/v1/imports/{begun['id']}"

    async def all_done() -> bool:
        return bool((await company.get(path)).json()["rows"].get("succeeded") == 497)

    await eventually(all_done)
    answers = [json.loads(line) for line in (await company.get(f"{path}/rows")).text.splitlines()]
    bad = {each["row"]: each["code"] for each in answers if each["state"] != "succeeded"}
    assert sorted(bad) == [8, 251, 500]
    assert (bad[8], bad[251]) == ("malformed_row", "not_found")
    assert (await send())["id"] == begun["id"], "sent again, it is the same import"
    assert len({each["subject"] for each in answers if each["subject"]}) == 497


async def test_f63_the_time_from_pay_in_to_the_payees_notice_is_shown(cast: Cast) -> None:
    pay_in = await cast.pay_in(money("3.00"), {"party": cast.ids["payee"]})
    allocated = "funding.pay_in.allocated.v1"
    await cast.told("payee", allocated, pay_in_id=pay_in)
    for name in ("company", "payee"):
        line = (await cast[name].get(f"/v1/payments/{pay_in}")).json()
        passed = [hop["since_first_ms"] for hop in line["hops"]]
        assert passed == sorted(passed)
        (notice,) = [hop for hop in line["hops"] if hop["type"] == allocated]
        assert notice["since_first_ms"] > 0
        assert notice["at"] > line["hops"][0]["at"]


async def test_f64_a_movement_is_limited_held_cancelled_and_released(cast: Cast) -> None:
    limit = {"currency": "USD", "minimum": "1.00", "maximum": "50.00"}
    await program_of(cast, limits=[limit])
    await chooses(cast, "ach", "USD")
    await cast.pay_in(money("80.00", "USD"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "80.00", "USD")
    beyond = await withdraws(cast, "50.01", "USD")
    assert beyond["code"] == "amount_above_maximum", beyond

    payout = (await withdraws(cast, "50.00", "USD"))["subject"]

    async def held(amount: str) -> bool:
        (wallet,) = await cast.own_wallets("payee")
        return wallet["held"] == money(amount, "USD")

    await eventually(lambda: held("50.00"))
    (wallet,) = await cast.own_wallets("payee")
    assert wallet["available"] == money("30.00", "USD")
    cancel = f"/v1/payouts/{payout}/cancel"
    assert (await cast["rival"].post(cancel, {"reason": "Mine"})).status_code == 404
    await cast["company"].do(cancel, {"reason": "Wrong amount"})
    await stands(cast, payout, "cancelled")
    await eventually(lambda: held("0.00"))
    again = await cast["company"].do(cancel, {"reason": "Again"})
    assert again["outcome"]["data"]["state"] == "cancelled"


async def test_f64_a_payment_waits_for_as_many_people_as_its_amount_needs(cast: Cast) -> None:
    level = {"currency": "EUR", "above": "10.00", "approvals": 2}
    program = await program_of(cast, rails=["wallet"], approvals=[level])
    wallet = await cast.wallet("company")
    await cast.pay_in(money("100.00"), {"party": cast.ids["company"]})
    await cast.holds("company", "100.00")
    top = await budget(cast, program, wallet, "100.00")
    people = [await cast.client("company") for _ in range(3)]
    for given in ("payer", "payee"):
        line = {
            "rail": "wallet",
            "currency": "EUR",
            "fixed": "1.00",
            "percent": "0",
            "floor": None,
            "cap": None,
            "bearer": given,
            "payer_percent": None,
        }
        version = 1 if given == "payer" else 2
        fees = {"version": version, "lines": [line]}
        await cast["company"].do(f"/v1/programs/{program}/fees", fees)
        path = await propose(cast, program, "20.00")
        for who, code in ((cast["company"], "same_person"), (cast["rival"], "not_found")):
            await who.refused(f"{path}/approve", {}, code)
        for _ in range(2):
            await people[0].do(f"{path}/approve", {})
        payment = path.rpartition("/")[2]
        seen = [each["data"] for each in await cast.log("company", PAYMENT)]
        told = [each for each in seen if each["payment_id"] == payment][-1]
        assert (told["state"], told["approvals_needed"]) == ("proposed", 2)
        assert len(told["approved_by"]) == 1, "one person's word counts once"
        await people[1].do(f"{path}/approve", {})
        paid = await cast.told("company", PAYMENT, payment_id=path.rpartition("/")[2], state="paid")
        assert paid["fee"][given] == money("1.00")
        assert paid["draws"][0]["amount"] == money("21.00" if given == "payer" else "20.00")
    await cast.holds("payee", "39.00")

    path = await propose(cast, program, "50.00")
    await people[2].do(f"{path}/reject", {"reason": "Wrong amount"})
    await people[0].refused(f"{path}/approve", {}, "payment_not_proposed")

    async def free() -> bool:
        shown = await cast["company"].see(f"/v1/budgets/{top}")
        return bool(shown["available"] == money("59.00"))

    await eventually(free)


async def propose(cast: Cast, program: str, amount: str) -> str:
    """Propose a payment to the payee; its address."""
    made = await cast["company"].do(
        f"/v1/programs/{program}/payments",
        {
            "holder": cast.ids["company"],
            "payee": cast.ids["payee"],
            "amount": money(amount),
            "rail": "wallet",
            "kind": "payables",
            "why": cast.why("invoice:1"),
        },
    )
    return f"/v1/programs/{program}/payments/{made['subject']}"


async def test_f64_f17_part_of_a_budget_is_set_aside_used_freed_and_claimed(cast: Cast) -> None:
    program = await program_of(cast, rails=["wallet"])
    wallet = await cast.wallet("company")
    top = await budget(cast, program, wallet, "100.00")
    budgets, why = f"/v1/programs/{program}/budgets", cast.why("fair")
    below = {"holder": cast.ids["partner"], "amount": money("40.00"), "parent": top, "why": why}
    of_partner = (await cast["company"].do(budgets, below))["subject"]
    path = f"{budgets}/{of_partner}"
    aside = {"amount": money("30.00"), "reference": "order-17", "why": why}
    set_aside = await cast["partner"].do(f"{path}/reservations", aside)
    reservation = set_aside["outcome"]["data"]["subject"]
    too_much = {**aside, "amount": money("10.01")}
    refused = await cast["partner"].refused(f"{path}/reservations", too_much, "budget_exceeded")
    assert refused["field"] == "/amount"
    use = {"reservation_id": reservation, "amount": money("12.00"), "why": why}
    await cast["partner"].do(f"{path}/uses", use)
    freed = {"reservation_id": reservation, "why": why}
    await cast["partner"].do(f"{path}/releases", freed)

    claims = f"/v1/programs/{program}/budget-claims"
    claim = {
        "budget_id": of_partner,
        "amount": money("20.00"),
        "kind": "marketing",
        "evidence": "doc-77",
        "why": why,
    }
    submitted = (await cast["partner"].do(claims, claim))["subject"]
    decide = f"{claims}/{submitted}/decide"
    granted = {"approve": True, "amount": money("15.00"), "why": why}
    assert (await cast["rival"].post(decide, granted)).status_code == httpx.codes.NOT_FOUND
    assert (await cast["partner"].post(decide, granted)).status_code in {404, 422}
    await cast["company"].do(decide, granted)

    async def shown() -> bool:
        mine = await cast["partner"].see(f"/v1/budgets/{of_partner}")
        (seen,) = await cast.items("partner", "/v1/budget-claims")
        return bool(
            (seen["state"], seen["granted"]) == ("approved", money("15.00"))
            and (mine["spent"], mine["committed"]) == (money("12.00"), money("15.00"))
            and mine["available"] == money("13.00")
        )

    await eventually(shown)
    assert await cast.items("rival", "/v1/budgets") == []
    back = {"amount": money("13.00"), "take_back": True, "why": why}
    await cast["company"].do(f"{path}/allocations", back)
    more = {**back, "amount": money("0.01")}
    await cast["company"].refused(f"{path}/allocations", more, "budget_exceeded")


async def test_f65_a_payable_is_open_part_paid_paid_or_over_paid(cast: Cast) -> None:
    program = await program_of(cast)
    number = f"INV-{cast.root[-6:]}"
    made = await cast["company"].do(
        f"/v1/programs/{program}/payables",
        {
            "document": "invoice",
            "number": number,
            "payer": cast.ids["rival"],
            "payee": cast.ids["company"],
            "amount": money("100.00"),
            "due": "2026-12-31",
            "kind": "receivables",
            "settled_by": "pay_in",
            "why": cast.why(number),
        },
    )
    assert made["outcome"]["data"]["state"] == "open"
    steps = (("40.00", "part_paid"), ("60.00", "paid"), ("0.01", "over_paid"))
    for amount, state in steps:
        pay_in = await cast.pay_in(money(amount), {"party": cast.ids["company"]}, event=number)
        changed = "programs.payable.changed.v1"
        told = await cast.told("company", changed, payable_id=made["subject"], state=state)
        assert told["reference"] == pay_in
    assert told["paid"] == money("100.01")


async def test_x8_a_past_statement_has_the_same_bytes_whenever_it_is_asked_for(cast: Cast) -> None:
    await cast.rule("parts", parted(cast, "10"))
    await cast.pay_in(money("20.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "18.00")
    listed = (await cast["payee"].get("/v1/wallets")).json()
    (wallet,) = listed["items"]
    path = f"/v1/wallets/{wallet['wallet_id']}/statement"
    span = {"from": wallet["opened_at"], "until": listed["as_of"]}
    asked = await cast["payee"].get(path, **span)
    assert asked.status_code == httpx.codes.OK, asked.text
    document = asked.json()
    canonical = json.dumps(
        document["statement"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert hashlib.sha256(canonical.encode()).hexdigest() == document["sha256"]
    assert "18.00" in canonical

    # Later money, another rule: the past stays what it was.
    await cast.rule("other", parted(cast, "90"), priority=1)
    await cast.pay_in(money("20.00"), {"party": cast.ids["payee"]})
    await cast.holds("payee", "20.00")
    again = await cast["payee"].get(path, **span)
    assert again.content == asked.content


async def test_the_oracle_finds_all_of_it_in_order(whole: Whole) -> None:
    """Whatever the tests of this module did: nothing was lost, nothing was made."""
    await whole.is_in_order()
