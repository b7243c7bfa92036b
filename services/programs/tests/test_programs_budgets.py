"""Budgets over a real database: down the tiers, set aside, used, claimed (F17, F60)."""

import pytest

from tally_contracts.programs import BudgetChanged, BudgetClaimChanged, ProgramCommandRefused

PARTNER_BY = "user:paul"


@pytest.fixture
async def tiers(world, make, ids):
    """A budget of 100.00 at the top, and 40.00 of it with a partner."""
    await world.begin()
    partner = ids("party", "partner")
    await world.feed(make.budget("partner", "40.00", parent="top", holder=partner))
    return make.by(PARTNER_BY, partner)


def left(budget):
    parts = (budget.limit, budget.allocated, budget.reserved, budget.used)
    limit, *taken = (part.money().minor for part in parts)
    return limit - sum(taken)


async def latest(world, ids, name):
    changed = [b for b in await world.facts(BudgetChanged) if b.budget_id == ids("bud", name)]
    assert [b.sequence for b in changed] == list(range(1, len(changed) + 1))
    return changed[-1]


async def test_f17_budget_of_a_child_is_taken_from_its_parents(world, ids, tiers):
    top, partner = await latest(world, ids, "top"), await latest(world, ids, "partner")
    assert top.allocated.amount == "40.00"
    assert left(top) == 60_00
    assert partner.path == (ids("bud", "top"),)
    assert partner.wallet == top.wallet
    assert left(partner) == 40_00


async def test_f17_no_tier_gives_on_more_than_it_has_left(world, make, ids, tiers):
    assert await world.refusal(make.budget("more", "60.01", parent="top")) == "budget_exceeded"
    below = tiers.budget("below", "40.01", parent="partner", holder=ids("party", "payee"))
    assert await world.refusal(below) == "budget_exceeded"
    await world.ask(make.budget("more", "60.00", parent="top"))
    assert left(await latest(world, ids, "top")) == 0


async def test_f17_holder_has_no_say_over_the_tier_above_nor_over_a_sibling(
    world, make, ids, tiers
):
    sibling = ids("party", "sibling")
    await world.ask(make.budget("sibling", "10.00", parent="top", holder=sibling))
    assert await world.refusal(tiers.allocate("up", "partner", "1.00")) == "not_permitted"
    assert await world.refusal(tiers.reserve("side", "sibling", "1.00")) == "not_permitted"
    assert await world.refusal(tiers.budget("x", "1.00", parent="top")) == "not_permitted"
    assert await world.refusal(tiers.budget("x", "1.00")) == "not_permitted"


async def test_budget_given_more_and_taken_back_keeps_the_sum(world, make, ids, tiers):
    await world.ask(make.allocate("more", "partner", "20.00"))
    assert (await latest(world, ids, "top")).allocated.amount == "60.00"
    await world.ask(make.allocate("back", "partner", "55.00", take_back=True))
    top, partner = await latest(world, ids, "top"), await latest(world, ids, "partner")
    assert (top.allocated.amount, partner.limit.amount) == ("5.00", "5.00")
    taken = make.allocate("back2", "partner", "5.01", take_back=True)
    assert await world.refusal(taken) == "budget_exceeded"


async def test_reservation_is_used_in_parts_and_the_rest_released(world, ids, tiers):
    await world.ask(
        tiers.reserve("r", "partner", "30.00"),
        tiers.use("u", "partner", "r", "12.34"),
    )
    assert await world.refusal(tiers.use("u2", "partner", "r", "17.67")) == "reservation_exceeded"
    await world.ask(tiers.release("l", "partner", "r"))
    partner = await latest(world, ids, "partner")
    assert (partner.reserved.amount, partner.used.amount) == ("0.00", "12.34")
    assert await world.refusal(tiers.release("l2", "partner", "r")) == "reservation_closed"
    assert await world.refusal(tiers.use("u3", "partner", "r", "0.01")) == "reservation_exceeded"


async def test_f60_budgets_in_two_currencies_do_not_mix(world, make, ids, tiers):
    assert await world.refusal(tiers.reserve("r", "partner", "1.00", "EUR")) == "currency_mismatch"
    euro = make.budget("euro", "1.00", parent="top", currency="EUR")
    assert await world.refusal(euro) == "currency_mismatch"


async def test_f60_budget_at_the_top_is_backed_by_a_wallet_of_the_funding_order(world, make, tiers):
    assert await world.refusal(make.budget("euro", currency="EUR")) == "wallet_not_in_order"
    assert await world.refusal(make.budget("none", wallet=None)) == "wallet_missing"


async def test_claim_sets_aside_and_approval_grants_in_part(world, make, ids, tiers):
    [claimed, reserved] = await world.ask(tiers.claim("c", "partner", "30.00"))
    assert (claimed.state, reserved.reserved.amount) == ("submitted", "30.00")
    assert await world.refusal(tiers.decide("c")) == "not_permitted"
    await world.ask(make.by("user:otto", ids("party", "company")).decide("c", amount="20.00"))
    [*_, granted] = await world.facts(BudgetClaimChanged)
    assert (granted.state, granted.granted.amount) == ("approved", "20.00")
    partner = await latest(world, ids, "partner")
    assert (partner.reserved.amount, left(partner)) == ("20.00", 20_00)
    used = tiers.use("u", "partner", "x", "20.00").model_copy(
        update={"reservation_id": granted.reservation_id}
    )
    await world.ask(used)
    assert (await latest(world, ids, "partner")).used.amount == "20.00"
    assert (
        await world.refusal(make.by("user:o", ids("party", "company")).decide("c", approve=False))
        == "id_conflict"
    )


async def test_claim_is_not_decided_by_who_submitted_it_and_a_rejected_one_frees_its_amount(
    world, make, ids, tiers
):
    company = ids("party", "company")
    await world.ask(make.by("user:first", company).claim("c", "partner", "30.00"))
    assert await world.refusal(make.by("user:first", company).decide("c")) == "same_person"
    await world.ask(make.by("user:otto", company).decide("c", approve=False))
    assert left(await latest(world, ids, "partner")) == 40_00


async def test_command_repeated_is_answered_as_before_and_changes_nothing(world, ids, tiers):
    command = tiers.reserve("r", "partner", "30.00")
    [first] = await world.ask(command)
    await world.ask(tiers.use("u", "partner", "r", "10.00"))
    before = await world.dump()
    [again] = await world.ask(command.model_copy(update={"occurred_at": first.occurred_at}))
    assert again == first
    assert {**await world.dump(), "outbox": None} == {**before, "outbox": None}


async def test_used_id_with_other_content_is_refused_and_the_first_stands(world, tiers):
    await world.ask(tiers.reserve("r", "partner", "30.00"))
    assert await world.refusal(tiers.reserve("r", "partner", "31.00")) == "id_conflict"


async def test_budgets_of_another_tenant_are_as_unknown_as_none(world, make, ids, tiers):
    theirs = make.of(ids("party", "other")).by("user:eve", ids("party", "other"))
    for command in (
        theirs.reserve("r", "top", "1.00"),
        theirs.budget("x", "1.00", parent="top"),
        theirs.allocate("a", "top", "1.00"),
        theirs.claim("c", "top", "1.00"),
    ):
        assert await world.refusal(command) == "budget_unknown"
    assert await world.refusal(theirs.budget("y")) == "program_unknown"


async def test_command_about_money_names_the_program_it_is_for(world, make, tiers):
    other = {"program": "another", "event": "order-7", "reason": "a rebate"}
    assert await world.refusal(make.budget("x", why=other, parent="top")) == "program_mismatch"


async def test_every_command_of_a_batch_is_answered_with_itself_as_the_cause(world, make, ids):
    commands = [
        make.create(),
        make.order(),
        make.budget("top"),
        make.budget("top", "7.00"),
        make.budget("below", "500.00", parent="top"),
    ]
    records = [world.raw(command, event_id=f"c-{n}") for n, command in enumerate(commands)]
    await world.feed(*records)
    told = {item.caused_by: item.event for item in await world.sent("programs.programs.v1")}
    assert set(told) == {f"c-{n}" for n in range(5)}
    codes = [told[f"c-{n}"].code for n in (3, 4)]
    assert codes == ["id_conflict", "budget_exceeded"]
    assert all(isinstance(told[f"c-{n}"], ProgramCommandRefused) for n in (3, 4))
