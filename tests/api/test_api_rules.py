"""Allocation rules, by number, through the public API on every service: F22, F23.

Each test has parties of its own.
"""

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tally_runtime import SystemClock

from .conftest import Whole
from .stage import Cast, eventually, money, parted

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]


async def dry_run(cast: Cast, **asked: Any) -> list[dict[str, Any]]:
    made = await cast["aggregator"].do("/v1/rules/dry-runs", asked)
    found: list[dict[str, Any]] = made["outcome"]["data"]["results"]
    return found


def sample(cast: Cast, amount: dict[str, str]) -> dict[str, Any]:
    """Money that did not come in."""
    return {
        "source": "cards",
        "amount": amount,
        "company": cast.ids["company"],
        "program": cast.program,
        "event": "order:0",
        "beneficiary": {"party": cast.ids["payee"]},
        "occurred_at": "2099-01-01T00:00:00Z",
    }


async def test_f22_rules_have_versions_and_dry_runs_and_old_money_keeps_its_version(
    cast: Cast,
) -> None:
    rule = await cast.rule("parts", parted(cast, "10"))
    first = await cast.pay_in(money("50.00"), {"party": cast.ids["payee"]})
    (tried,) = await dry_run(cast, samples=[sample(cast, money("50.00"))])
    assert [line["amount"]["amount"] for line in tried["lines"]] == ["5.00", "45.00"]
    await cast.holds("partner", "5.00")

    await cast.rule("parts", parted(cast, "20"), rule_id=rule, version=2)
    await cast.pay_in(money("50.00"), {"party": cast.ids["payee"]})
    await cast.holds("partner", "15.00")
    for asked in ({}, {"rule_id": rule, "version": 1}):
        (old,) = await dry_run(cast, pay_ins=[first], **asked)
        assert [line["amount"]["amount"] for line in old["lines"]] == ["5.00", "45.00"]
        assert old["rule"].endswith("1")


async def test_f22_a_company_divides_by_a_rule_of_its_own_what_is_left_to_it(cast: Cast) -> None:
    fee, rest = parted(cast, "10")
    await cast.rule("parts", [fee, {**rest, "delegate": True}])
    gift = {"role": "gift", "to": {"party": cast.ids["rival"]}, "percent": "50"}
    document = {
        "schema": 2,
        "rule": "own",
        "version": 1,
        "lines": [gift, {"role": "beneficiary", **rest}],
        "rounding": "half_even",
    }
    made = await cast["company"].do("/v1/rules", {"document": json.dumps(document)})
    versions = f"/v1/rules/{made['subject']}/versions"
    foreign = {**document, "version": 2, "match": {"companies": [cast.ids["rival"]]}}
    await cast["company"].refused(versions, {"document": json.dumps(foreign)}, "rule_invalid")
    taken = await cast["rival"].post(versions, {"document": json.dumps(document)})
    assert taken.status_code in {httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN}, taken.text

    await cast.pay_in(money("50.00"), {"party": cast.ids["payee"]})
    await cast.holds("partner", "5.00")
    await cast.holds("rival", "22.50")
    await cast.holds("payee", "22.50")
    (tried,) = await dry_run(cast, samples=[sample(cast, money("50.00"))])
    assert [line.get("rule") for line in tried["lines"]] == [None, *[f"{made['subject']}:1"] * 2]


async def test_f23_every_split_sums_to_the_minor_unit(cast: Cast) -> None:
    await cast.rule(
        "split",
        [
            {
                "role": "fee",
                "to": {"role": "aggregator"},
                "percent": "2.5",
                "floor": {"EUR": "0.30", "JPY": "30", "KWD": "0.100"},
                "cap": {"EUR": "20.00", "JPY": "2000", "KWD": "6.000"},
            },
            {"role": "partner", "to": {"party": cast.ids["partner"]}, "weight": 1},
            {"role": "company", "to": {"role": "company"}, "weight": 2},
            {"to": {"role": "beneficiary"}, "weight": 4},
        ],
        shortfall="in_order",
    )
    amounts = [
        *(money(text) for text in ("0.01", "0.29", "0.31", "100.01", "99999.99")),
        *(money(text, "JPY") for text in ("1", "31", "1000001")),
        *(money(text, "KWD") for text in ("0.001", "1.237", "12345.679")),
    ]
    results = await dry_run(cast, samples=[sample(cast, each) for each in amounts])
    for asked, result in zip(amounts, results, strict=True):
        shares = [Decimal(line["amount"]["amount"]) for line in result["lines"]]
        assert sum(shares) == Decimal(asked["amount"]), result
        assert {line["amount"]["currency"] for line in result["lines"]} == {asked["currency"]}
    capped = results[4]["lines"][0]
    assert (capped["role"], capped["amount"]) == ("fee", money("20.00"))

    pay_in = await cast.pay_in(money("100.01"), {"party": cast.ids["payee"]})
    told = await cast.told("company", "funding.pay_in.allocated.v1", pay_in_id=pay_in)
    booked = [Decimal(share["amount"]["amount"]) for share in told["allocations"]]
    assert sum(booked) == Decimal("100.01")
    assert len(booked) == 4


async def test_f22_a_rule_selects_by_each_of_its_conditions_and_no_more_once_it_is_retired(
    cast: Cast,
) -> None:
    group = await cast.party("group", "group", "company")
    joins = {"party": cast.ids["payee"], "member": True, "reason": "Joined"}
    await cast["company"].do(f"/v1/groups/{group}/members", joins)
    rule = await cast.rule(
        "picky",
        parted(cast, "50"),
        priority=1,
        match={
            "sources": ["cards"],
            "programs": [cast.program],
            "kinds": ["payroll"],
            "currencies": ["EUR"],
            "countries": ["DE"],
            "companies": [cast.ids["company"]],
            "amounts": {"EUR": {"from": "50.00", "below": "100.00"}},
            "tags": {"site": ["a", "b"]},
            "groups": [group],
        },
    )
    right = {
        **sample(cast, money("99.99")),
        "kind": "payroll",
        "originator_country": "DE",
        "references": {"site": "b"},
    }
    wrong: list[dict[str, Any]] = [
        {"source": "bank"},
        {"program": "another"},
        {"kind": "benefits"},
        {"amount": money("99.99", "USD")},
        {"amount": money("49.99")},
        {"amount": money("100.00")},
        {"originator_country": "FR"},
        {"originator_country": None},
        {"company": cast.ids["rival"]},
        {"references": {"site": "c"}},
        {"references": {}},
        {"beneficiary": {"party": cast.ids["partner"]}},
    ]
    asked = [right, {**right, "amount": money("50.00")}, *({**right, **one} for one in wrong)]

    async def divided_by_it() -> list[bool]:
        results = await dry_run(cast, samples=asked)
        return [str(result["rule"]).startswith(rule) for result in results]

    # Groups come to where money is divided by a topic of their own.
    await eventually(lambda: _first(divided_by_it))
    assert await divided_by_it() == [True, True, *[False] * len(wrong)]
    await cast["aggregator"].do(f"/v1/rules/{rule}/retire", {"reason": "Contract ended"})
    now = SystemClock().now().isoformat().replace("+00:00", "Z")
    (later,) = await dry_run(cast, samples=[{**right, "occurred_at": now}])
    assert not str(later["rule"]).startswith(rule)


async def _first(question: Callable[[], Awaitable[list[bool]]]) -> bool:
    return (await question())[0]


async def test_f23_a_document_is_tried_on_past_and_made_up_money_line_by_line(cast: Cast) -> None:
    pay_in = await cast.pay_in(money("250.00"), {"party": cast.ids["payee"]})
    document = {
        "schema": 2,
        "rule": "tried",
        "version": 1,
        "match": {"programs": [cast.program]},
        "lines": [
            {"role": "fee", "to": {"role": "aggregator"}, "fixed": {"EUR": "1.00"}},
            {
                "role": "partner",
                "to": {"party": cast.ids["partner"]},
                "tiers": {"EUR": [{"up_to": "100.00", "percent": "10"}, {"percent": "5"}]},
            },
            {"role": "company", "to": {"role": "company"}, "percent": "50", "basis": "left"},
            {"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": True},
        ],
        "rounding": "half_even",
        "shortfall": "in_order",
    }
    results = await dry_run(
        cast,
        document=json.dumps(document),
        pay_ins=[pay_in],
        samples=[sample(cast, money(text)) for text in ("250.00", "0.50", "1.01")],
    )
    found = [
        {line["role"]: line["amount"]["amount"] for line in result["lines"]} for result in results
    ]
    whole = {"fee": "1.00", "partner": "17.50", "company": "115.75", "beneficiary": "115.75"}
    assert found[:2] == [whole, whole]
    assert [sum(map(Decimal, one.values())) for one in found[2:]] == [
        Decimal("0.50"),
        Decimal("1.01"),
    ]
    assert found[2]["fee"] == "0.50", "lines are served in order, and never beyond the pay-in"
    await cast.holds("payee", "250.00")
    assert await cast.own_wallets("partner") == [], "nothing is booked by trying"


async def test_the_oracle_finds_all_of_it_in_order(whole: Whole) -> None:
    """Whatever the tests of this module did: nothing was lost, nothing was made."""
    await whole.is_in_order()
