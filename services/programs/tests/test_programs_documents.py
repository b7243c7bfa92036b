"""Programs and their versioned documents over a real database (F39 to F42, X8)."""

import pytest

from tally_contracts.directory import OPERATOR
from tally_contracts.programs import (
    AmountLimit,
    ApprovalLevel,
    FundingOrderSet,
    PolicyDocument,
    ProgramCommandRefused,
    ProgramCreated,
    ProgramFeesSet,
    ProgramPolicyPublished,
    Restriction,
)
from tally_runtime import derived_id

NAMES = ("company", "tenant", "stranger")


async def test_program_is_created_once_and_its_name_is_taken_for_all(world, make, ids):
    [created] = await world.ask(make.create())
    assert isinstance(created, ProgramCreated)
    assert (created.program, created.company) == ("rebates", ids("party", "company"))
    other = ids("party", "other")
    theirs = make.of(other).by("user:eve", other)
    named = theirs.create(program_id=ids("prog", "theirs"), company=other)
    assert await world.refusal(named) == "program_taken"
    again = theirs.create("bonus", company=other)
    assert await world.refusal(again) == "id_conflict"


async def test_nobody_creates_a_program_for_a_company_they_do_not_act_for(world, make, ids):
    stranger = make.by("user:eve", ids("party", "stranger"))
    assert await world.refusal(stranger.create()) == "not_permitted"
    await world.ask(make.create())
    for command in (stranger.policy(), stranger.fees(), stranger.order()):
        assert await world.refusal(command) == "not_permitted"


async def test_f40_policy_is_published_whole_with_the_class_of_every_rail(world, make):
    restriction = Restriction(forbids=("cash",), sources=("opex",))
    await world.ask(make.create())
    [published] = await world.ask(
        make.policy(rails=("ach", "giftcard"), restrictions=(restriction,))
    )
    assert isinstance(published, ProgramPolicyPublished)
    assert published.policy == PolicyDocument(
        rails=("ach", "giftcard"), restrictions=(restriction,)
    )
    classes = {endpoint.rail: endpoint.endpoint_class for endpoint in published.endpoints}
    assert (classes["ach"], classes["prepaid"], classes["giftcard"]) == (
        "cash",
        "cash_like",
        "closed_loop",
    )
    assert published.effective_from == world.clock.now()


async def test_x8_versions_neither_overlap_nor_change_the_past(world, make, later):
    now = world.clock.now()
    await world.ask(make.create(), make.policy(1))
    assert await world.refusal(make.policy(1, rails=("ach",))) == "id_conflict"
    assert await world.refusal(make.policy(3)) == "version_not_next"
    assert await world.refusal(make.policy(2, begins=now)) == "effective_overlap"
    then = later(2)
    assert await world.refusal(make.policy(2, begins=now)) == "effective_past"
    assert await world.refusal(make.policy(2, begins=then, ends=then)) == "effective_empty"
    await world.ask(make.policy(2, begins=then, ends=then.replace(day=28, month=2)))
    inside = then.replace(day=27, month=2)
    assert await world.refusal(make.policy(3, begins=inside)) == "effective_overlap"
    await world.ask(make.policy(3, begins=then.replace(day=28, month=2)))
    assert [p.version for p in await world.facts(ProgramPolicyPublished)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("policy", "code", "field"),
    [
        ({"rails": ("ach", "pigeon")}, "rail_unknown", "/policy/rails/1"),
        ({"classes": ("cash", "gold")}, "class_unknown", "/policy/classes"),
        (
            {"restrictions": (Restriction(forbids=("gold",)),)},
            "class_unknown",
            "/policy/restrictions/0/forbids",
        ),
        (
            {"limits": (AmountLimit(currency="USD", minimum="1", maximum="1.001"),)},
            "too_many_decimals",
            "/policy/limits/0/maximum",
        ),
        (
            {"limits": (AmountLimit(currency="ABC", minimum="1", maximum=None),)},
            "unknown_currency",
            "/policy/limits/0/minimum",
        ),
        (
            {"approvals": (ApprovalLevel(currency="JPY", above="0.5", approvals=1),)},
            "too_many_decimals",
            "/policy/approvals/0/above",
        ),
        (
            {"limits": (AmountLimit(currency="USD", minimum="2.00", maximum="1.00"),)},
            "limit_empty",
            "/policy/limits/0/maximum",
        ),
        (
            {"limits": (AmountLimit(currency="USD", minimum="1.00", maximum=None),) * 2},
            "limit_twice",
            "/policy/limits/1",
        ),
    ],
)
async def test_policy_that_cannot_be_right_is_refused_with_its_place(
    world, make, policy, code, field
):
    await world.ask(make.create())
    [refused] = await world.ask(make.policy(**policy))
    assert isinstance(refused, ProgramCommandRefused)
    assert (refused.code, refused.field) == (code, field)
    assert await world.facts(ProgramPolicyPublished) == []


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        ({"percent": "100.1"}, "percent_format", "/lines/0/percent"),
        ({"percent": "0.0000001"}, "percent_format", "/lines/0/percent"),
        ({"bearer": "nobody"}, "bearer_unknown", "/lines/0/bearer"),
        ({"bearer": "shared"}, "share_mismatch", "/lines/0/payer_percent"),
        ({"payer_percent": "50"}, "share_mismatch", "/lines/0/payer_percent"),
        (
            {"bearer": "shared", "payer_percent": "101"},
            "percent_format",
            "/lines/0/payer_percent",
        ),
        ({"cap": "1.001"}, "too_many_decimals", "/lines/0/cap"),
        ({"floor": "2.00", "cap": "1.00"}, "cap_below_floor", "/lines/0/cap"),
    ],
)
async def test_fee_line_that_cannot_be_right_is_refused_with_its_place(
    world, make, line, code, field
):
    await world.ask(make.create())
    [refused] = await world.ask(make.fees(1, line))
    assert (refused.code, refused.field) == (code, field)


async def test_fees_are_set_by_version_and_one_line_per_rail_and_currency(world, make):
    await world.ask(make.create())
    assert await world.refusal(make.fees(1, {}, {})) == "line_twice"
    await world.ask(make.fees(1, {"percent": "1"}, {"rail": "ach", "percent": "2"}))
    [fees] = await world.facts(ProgramFeesSet)
    assert [line.percent for line in fees.lines] == ["1", "2"]


async def test_f7_wallet_funds_a_program_only_when_its_owner_says_so(world, make, ids):
    await world.ask(make.create())
    named = ids("acc", "campaign")
    theirs = ids("acc", "theirs")
    await world.feed(
        make.wallet_opened(named), make.wallet_opened(theirs, ids("party", "stranger"))
    )
    for account in (theirs, ids("acc", "unheard of")):
        assert await world.refusal(make.order(1, (account, "USD"))) == "wallet_not_owned"
    assert await world.refusal(make.order(1, (named, "EUR"))) == "wallet_not_owned"
    assert await world.refusal(make.order(1, (named, "USD"), (named, "USD"))) == "wallet_twice"
    await world.ask(make.order(1, (named, "USD")))
    tenant = make.by("user:tom", ids("party", "tenant"))
    await world.ask(tenant.order(2, (named, "USD")))
    assert [len(order.wallets) for order in await world.facts(FundingOrderSet)] == [1, 1]


async def test_f7_installation_signs_for_the_company_and_the_tenant_and_for_nobody_else(
    world, make, ids
):
    operator = make.by("cli", OPERATOR)
    await world.ask(operator.create())
    mains = [derived_id("acc", "main", f"wallet/{ids('party', n)}/USD") for n in NAMES]
    company, tenant, stranger = mains
    assert await world.refusal(operator.order(1, (stranger, "USD"))) == "wallet_not_owned"
    await world.ask(operator.order(1, (company, "USD"), (tenant, "USD")))
    [order] = await world.facts(FundingOrderSet)
    assert [wallet.account for wallet in order.wallets] == [company, tenant]
