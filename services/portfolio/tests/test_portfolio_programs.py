"""Programs in the portfolio: budgets tier by tier, policies by version, payables and payments."""

import random
from typing import Any

import pytest

from tally_contracts.programs import (
    FundingOrderSet,
    FundingWallet,
    PayableChanged,
    PaymentChanged,
    PaymentFee,
    PolicyDocument,
    ProgramCreated,
    ProgramFeesSet,
    ProgramPolicyPublished,
)

PROGRAM = "rebates"


def _usd(amount: str) -> dict[str, str]:
    return {"currency": "USD", "amount": amount}


async def _answer(portfolio: Any, viewer: Any, path: str, status: int = 200) -> Any:
    async with portfolio.asks(viewer) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def parties(tree: Any) -> Any:
    """Below the company a partner, and below that another; beside them the other company."""
    return tree().small().registers("sub", "partner", "root", "acme", "pat")


@pytest.fixture
def program(parties: Any, story: Any) -> Any:
    told = story("s1", owner=parties.party("ann"), company=parties.party("acme"))
    return told.fact(
        ProgramCreated,
        "created",
        tenant=parties.root,
        program_id=told.id("prog", PROGRAM),
        program=PROGRAM,
        company=parties.party("acme"),
        title="Rebates of 2026",
    )


def _tiers(told: Any, parties: Any) -> None:
    """1000 of the company's, 300 of which are the partner's, 100 of which the one's below."""
    acme, pat, sub = (parties.party(label) for label in ("acme", "pat", "sub"))
    low = ("top", "mid")
    told.budget(PROGRAM, "top", acme, limit="1000.00")
    told.budget(PROGRAM, "mid", pat, "top", limit="300.00")
    told.budget(PROGRAM, "top", acme, sequence=2, limit="1000.00", allocated="300.00")
    told.budget(PROGRAM, "low", sub, *low, limit="100.00")
    told.budget(PROGRAM, "mid", pat, "top", sequence=2, limit="300.00", allocated="100.00")
    told.budget(PROGRAM, "low", sub, *low, sequence=2, limit="100.00", reserved="30.00")
    used = {"limit": "100.00", "reserved": "10.00", "used": "20.00"}
    told.budget(PROGRAM, "low", sub, *low, sequence=3, **used)
    used = {"limit": "300.00", "allocated": "100.00", "used": "50.00"}
    told.budget(PROGRAM, "mid", pat, "top", sequence=3, **used)


@pytest.mark.parametrize("seed", range(3))
async def test_f17_a_budget_flows_down_and_each_tier_sees_its_own_sub_tree(
    portfolio: Any, parties: Any, program: Any, viewer_of: Any, seed: int
) -> None:
    _tiers(program, parties)
    records = [*parties.records, *program.records, *program.records]
    random.Random(seed).shuffle(records)
    while records:
        await portfolio.process(*(records.pop() for _ in range(min(5, len(records)))))
    top, mid, low = (program.id("bud", PROGRAM, label) for label in ("top", "mid", "low"))
    for label, persona, seen, budget in (
        ("root", "aggregator", {top, mid, low}, ("1000.00", "10.00", "70.00", "920.00")),
        ("acme", "company", {top, mid, low}, ("1000.00", "10.00", "70.00", "920.00")),
        ("pat", "partner", {mid, low}, ("300.00", "10.00", "70.00", "220.00")),
        ("sub", "partner", {low}, ("100.00", "10.00", "20.00", "70.00")),
    ):
        viewer = viewer_of(parties, label, persona)
        listed = (await _answer(portfolio, viewer, "/budgets"))["items"]
        assert {one["budget_id"] for one in listed} == seen
        (total,) = (await _answer(portfolio, viewer, "/totals"))["items"]
        names = ("limit", "committed", "spent", "available")
        assert tuple(total["budget"][name]["amount"] for name in names) == budget
    for label, persona in (("zeta", "company"), ("ann", "payee")):
        viewer = viewer_of(parties, label, persona)
        assert (await _answer(portfolio, viewer, "/budgets"))["items"] == []
        await _answer(portfolio, viewer, f"/budgets/{mid}", 404)


async def test_a_tier_shows_what_it_gave_on_set_aside_and_spent_and_what_happened_below(
    portfolio: Any, parties: Any, program: Any, viewer_of: Any
) -> None:
    _tiers(program, parties)
    await portfolio.tell(parties, program)
    pat = viewer_of(parties, "pat", "partner")
    path = f"/budgets/{program.id('bud', PROGRAM, 'mid')}"
    shown = await _answer(portfolio, pat, path)
    assert (shown["tier"], shown["limit"], shown["allocated"]) == (
        2, _usd("300.00"), _usd("100.00")
    )  # fmt: skip
    assert (shown["committed"], shown["spent"], shown["available"]) == (
        _usd("0.00"), _usd("50.00"), _usd("150.00")
    )  # fmt: skip
    assert shown["below"] == {
        "committed": _usd("10.00"), "spent": _usd("70.00"), "available": _usd("220.00")
    }  # fmt: skip
    assert len(shown["history"]) == 3
    assert not {"parent", "wallet"} & shown.keys()
    assert "parent" in await _answer(portfolio, viewer_of(parties, "acme", "company"), path)
    listed = await _answer(portfolio, pat, f"/budgets?holder={parties.party('sub')}")
    assert [one["holder"] for one in listed["items"]] == [parties.party("sub")]


@pytest.mark.parametrize("program_first", [True, False])
async def test_a_program_s_company_and_the_tiers_above_see_what_hangs_elsewhere_in_the_tree(
    portfolio: Any, parties: Any, program: Any, viewer_of: Any, *, program_first: bool
) -> None:
    """The holder is the other company: only the program and its budgets join the two."""
    zeta = parties.party("zeta")
    program.budget(PROGRAM, "top", parties.party("pat"), limit="50.00")
    program.budget(PROGRAM, "low", zeta, "top", limit="20.00")
    records = program.records if program_first else program.records[::-1]
    await portfolio.tell(parties)
    for record in records:
        await portfolio.process(record)
    low = f"/budgets/{program.id('bud', PROGRAM, 'low')}"
    for label, persona in (("acme", "company"), ("pat", "partner"), ("zeta", "company")):
        viewer = viewer_of(parties, label, persona)
        assert (await _answer(portfolio, viewer, low))["limit"] == _usd("20.00")
    await _answer(portfolio, viewer_of(parties, "sub", "partner"), low, 404)
    programs = await _answer(portfolio, viewer_of(parties, "zeta", "company"), "/programs")
    assert [one["title"] for one in programs["items"]] == ["Rebates of 2026"]


async def test_f40_f60_policies_fees_and_funding_orders_are_listed_by_version_newest_first(
    portfolio: Any, parties: Any, program: Any, viewer_of: Any
) -> None:
    common = {
        "tenant": parties.root,
        "program_id": program.id("prog", PROGRAM),
        "program": PROGRAM,
    }
    for version in (1, 2, 3):
        program.fact(
            ProgramPolicyPublished,
            f"policy{version}",
            version=version,
            effective_from=f"2026-10-0{version}T00:00:00Z",
            effective_until=None,
            policy=PolicyDocument(rails=("ach", "wallet")[:version]),
            endpoints=(),
            **common,
        )
    program.fact(
        ProgramFeesSet, "fees", version=1, effective_from="2026-10-01T00:00:00Z", lines=(), **common
    )
    order = tuple(
        FundingWallet(account=program.id("acc", code), currency=code) for code in ("USD", "EUR")
    )
    program.fact(FundingOrderSet, "order", version=1, wallets=order, **common)
    await portfolio.tell(parties, program)
    acme = viewer_of(parties, "acme", "company")
    below = f"/programs/{program.id('prog', PROGRAM)}"
    versions, cursor = [], ""
    while cursor is not None:
        page = await _answer(portfolio, acme, f"{below}/policies?limit=2{cursor}")
        versions += [(one["version"], one["policy"]["rails"]) for one in page["items"]]
        cursor = page["next"] and f"&cursor={page['next']}"
    assert versions == [(3, ["ach", "wallet"]), (2, ["ach", "wallet"]), (1, ["ach"])]
    assert len((await _answer(portfolio, acme, f"{below}/fees"))["items"]) == 1
    (shown,) = (await _answer(portfolio, acme, f"{below}/funding-orders"))["items"]
    assert [one["currency"] for one in shown["wallets"]] == ["USD", "EUR"]
    zeta = viewer_of(parties, "zeta", "company")
    for path in ("", "/policies", "/fees", "/funding-orders"):
        await _answer(portfolio, zeta, f"{below}{path}", 404)


def _payable(program: Any, parties: Any, sequence: int, state: str, paid: str) -> None:
    program.fact(
        PayableChanged,
        f"payable{sequence}",
        tenant=parties.root,
        program_id=program.id("prog", PROGRAM),
        payable_id=program.id("pbl"),
        sequence=sequence,
        state=state,
        document="invoice",
        number="2026-0107",
        payer=parties.party("acme"),
        payee=parties.party("ann"),
        amount=_usd("40.00"),
        paid=_usd(paid),
        due="2026-10-31",
        kind="payables",
        settled_by="payout",
        reference=None,
    )


async def test_f65_a_payable_is_open_part_paid_paid_or_over_paid_for_both_sides(
    portfolio: Any, parties: Any, program: Any, viewer_of: Any
) -> None:
    await portfolio.tell(parties, program)
    path = f"/payables/{program.id('pbl')}"
    states = [("open", "0.00"), ("part_paid", "15.00"), ("paid", "40.00"), ("over_paid", "41.00")]
    for sequence, (state, paid) in enumerate(states, start=1):
        _payable(program, parties, sequence, state, paid)
        await portfolio.process(program.records[-1])
        for label, persona in (("acme", "company"), ("ann", "payee"), ("root", "aggregator")):
            viewer = viewer_of(parties, label, persona)
            shown = await _answer(portfolio, viewer, path)
            assert (shown["state"], shown["paid"], shown["number"]) == (
                state, _usd(paid), "2026-0107"
            )  # fmt: skip
            listed = await _answer(portfolio, viewer, f"/payables?state={state}")
            assert [one["payable_id"] for one in listed["items"]] == [program.id("pbl")]
            assert len(shown["history"]) == sequence
    for label, persona in (("zeta", "company"), ("bob", "payee"), ("pat", "partner")):
        await _answer(portfolio, viewer_of(parties, label, persona), path, 404)


async def test_a_program_s_payment_is_its_holder_s_its_company_s_and_its_payee_s(
    portfolio: Any, parties: Any, program: Any, viewer_of: Any
) -> None:
    nothing = _usd("0.00")
    program.fact(
        PaymentChanged,
        "payment",
        tenant=parties.root,
        program_id=program.id("prog", PROGRAM),
        payment_id=program.id("pay"),
        sequence=1,
        state="approved",
        holder=parties.party("zeta"),
        payee=parties.party("ann"),
        amount=_usd("40.00"),
        rail="wallet",
        kind="rebates",
        payable_id=None,
        policy_version=3,
        fees_version=None,
        fee=PaymentFee(total=nothing, payer=nothing, payee=nothing),
        draws=(),
        approvals_needed=1,
        approved_by=("user:first",),
        journal_id=None,
        reason_code=None,
    )
    await portfolio.tell(program, parties)
    path = f"/program-payments/{program.id('pay')}"
    company = await _answer(portfolio, viewer_of(parties, "acme", "company"), path)
    assert (company["policy_version"], company["approved_by"]) == (3, ["user:first"])
    assert (await _answer(portfolio, viewer_of(parties, "zeta", "company"), path)) == company
    payee = await _answer(portfolio, viewer_of(parties, "ann", "payee"), path)
    assert (payee["state"], payee["amount"]) == ("approved", _usd("40.00"))
    assert "user:first" not in str(payee)
    assert parties.party("zeta") not in str(payee)
    await _answer(portfolio, viewer_of(parties, "bob", "payee"), path, 404)
