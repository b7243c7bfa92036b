"""Payouts obey the program's policy in force when they open, and keep it (F39 to F42)."""

from datetime import UTC, datetime

import pytest

from tally_contracts.base import Where
from tally_contracts.ledger import PlaceHold
from tally_contracts.payouts import PayoutChanged
from tally_contracts.programs import AmountLimit, Restriction


async def last(world, payout):
    changed = [c for c in await world.events(PayoutChanged) if c.payout_id == payout]
    return changed[-1]


async def stands(world, payout):
    found = await last(world, payout)
    return found.state, found.reason_code, found.must_act, found.policy_version


async def with_wallet(world, make):
    """The payee takes the money into a wallet from now on."""
    await world.feed(
        make.registered(rail="wallet", instrument="purse"),
        make.choose(rail="wallet", instrument="purse"),
    )


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"rails": ("wallet",)}, "rail_forbidden_by_program"),
        ({"classes": ("cash_like", "closed_loop")}, "class_forbidden_by_program"),
        ({"restrictions": (Restriction(forbids=("cash",), countries=("US",)),)},
         "class_forbidden_in_country"),
        ({"restrictions": (Restriction(forbids=("cash",), sources=("cards",)),)},
         "class_forbidden_for_source"),
        ({"restrictions": (Restriction(forbids=("cash",), kinds=("loyalty", "payables")),)},
         "class_forbidden_for_kind"),
    ],
)  # fmt: skip
async def test_f41_f42_payout_whose_endpoint_the_program_forbids_waits_for_another_choice(
    world, make, ids, policy, code
):
    await world.with_method()
    await world.feed(make.policy(**policy))
    await world.feed(make.pay_in("one"))
    assert await stands(world, ids("one")) == ("claimable", code, "payee", 1)
    assert await world.events(PlaceHold) == []
    remedy = (await last(world, ids("one"))).remedy
    assert remedy == (None if code.startswith("rail") else "choose a method of wallet (cash_like)")
    await with_wallet(world, make)
    assert await stands(world, ids("one")) == ("approved", "reserving_funds", "platform", 1)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"countries": ("CA",)}, "country_forbidden_by_program"),
        ({"currencies": ("EUR",)}, "currency_forbidden_by_program"),
        ({"limits": (AmountLimit(currency="USD", minimum="25.01", maximum=None),)},
         "amount_below_minimum"),
        ({"limits": (AmountLimit(currency="USD", minimum="0.00", maximum="24.99"),)},
         "amount_above_maximum"),
    ],
)  # fmt: skip
async def test_payout_that_no_endpoint_may_carry_is_rejected_and_the_money_stays(
    world, make, ids, policy, code
):
    await world.with_method()
    await world.feed(make.policy(**policy))
    await world.feed(make.pay_in("one"))
    assert await stands(world, ids("one")) == ("rejected", code, None, 1)
    assert await world.events(PlaceHold) == []


async def test_f40_payout_keeps_the_policy_it_opened_with(world, make, ids):
    await world.feed(make.policy(1, rails=("wallet",)))
    await world.feed(make.pay_in("before"))
    await world.feed(make.policy(2, begins=datetime(2026, 2, 1, tzinfo=UTC)))
    await world.feed(make.pay_in("after"))
    await world.with_method()
    before = await world.row(ids("before"))
    assert (before["state"], before["reason_code"], before["must_act"]) == (
        "claimable",
        "rail_forbidden_by_program",
        "payee",
    )
    assert (await last(world, ids("after"))).state == "approved"
    assert (await last(world, ids("after"))).policy_version == 2
    await world.feed(make.policy(3, rails=("giftcard",), begins=datetime(2026, 2, 2, tzinfo=UTC)))
    await world.feed(make.placed(ids("after")))
    assert (await last(world, ids("after"))).state == "submitting"
    await with_wallet(world, make)
    assert (await last(world, ids("before"))).state == "approved"


async def test_policies_of_other_programs_of_later_and_of_ended_versions_do_not_count(
    world, make, ids
):
    await world.with_method()
    await world.feed(
        make.policy(1, program="another", rails=("wallet",)),
        make.policy(1, rails=("wallet",), ends=datetime(2026, 1, 31, tzinfo=UTC)),
        make.policy(2, rails=("wallet",), begins=datetime(9000, 1, 1, tzinfo=UTC)),
    )
    await world.feed(make.pay_in("one"))
    assert await stands(world, ids("one")) == ("approved", "reserving_funds", "platform", None)


async def test_policy_of_the_same_batch_counts_for_what_opens_after_it(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"), make.policy(1, rails=("wallet",)), make.pay_in("two"))
    assert (await last(world, ids("one"))).policy_version is None
    assert await stands(world, ids("two")) == (
        "claimable",
        "rail_forbidden_by_program",
        "payee",
        1,
    )


async def test_withdrawal_obeys_too_and_a_country_nobody_knows_is_not_an_allowed_one(world, make):
    await world.with_method()
    await world.feed(make.policy(1, countries=("US",)))
    request = make.request("w1", where=Where(channel="api"))
    await world.feed(make.pay_in("one", pay_out=False), request)
    assert await stands(world, request.payout_id) == ("rejected", "country_unknown", None, 1)


async def test_f42_payout_that_no_class_may_carry_sends_the_payee_to_the_company(world, make, ids):
    await world.with_method()
    everything = Restriction(forbids=("cash", "cash_like"), kinds=("payables",))
    await world.feed(make.policy(restrictions=(everything,)))
    await world.feed(make.pay_in("one"), make.pay_in("other", kind="loyalty"))
    assert (await stands(world, ids("one")))[:2] == ("claimable", "class_forbidden_for_kind")
    assert (await last(world, ids("one"))).remedy.startswith("ask the company")
    assert (await stands(world, ids("other")))[0] == "approved"


async def test_policy_told_twice_stands_as_it_was_told_first(world, make, ids):
    await world.with_method()
    await world.feed(make.policy(1, rails=("wallet",)))
    await world.feed(make.policy(1))
    await world.feed(make.pay_in("one"))
    assert (await last(world, ids("one"))).state == "claimable"
