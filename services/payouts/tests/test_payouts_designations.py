"""X3: a payout for an owner nobody knew follows the money to its new owner, and pays no other."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from tally_contracts.ledger import PlaceHold
from tally_contracts.payouts import PayoutChanged
from tally_runtime import derived_id

from .conftest import AT, payout_id_of, wallet

EVENT, GALA = "event:expo", "event:gala"


RESTRICTED = "restricted:ann"


def at(minute):
    return AT + timedelta(minutes=minute)


@pytest.fixture
def restricted(make):
    """Money for Ann that stands apart, allocated at a minute."""

    def build(name, minute, amount="25.00", **more):
        return make.pay_in(name, RESTRICTED, amount, occurred_at=at(minute), **more)

    return build


@pytest.fixture
def released(make):
    """All there is of it is released, as asked for at a minute."""

    def build(minute, *amounts, currency="USD"):
        return make.designated(
            RESTRICTED,
            "ann",
            *amounts,
            reason_code="released",
            currency=currency,
            asked_at=at(minute),
        )

    return build


def found_of(found, name):
    """State and reason of a payout of restricted money, and the state of what follows it."""
    waited = first(name, RESTRICTED)
    after = found.get(successor(waited))
    return found[waited][1:], None if after is None else after[1]


MOVED, GONE = ("cancelled", "designation_moved"), ("cancelled", "designation_money_gone")
WAITS = ("claimable", "no_method")


def first(name, owner=EVENT):
    return payout_id_of(name, owner)


def successor(payout_id, owner="ann"):
    return derived_id("po", payout_id, owner)


async def stands(world):
    """Owner, state and reason of every payout, by its id, as last told."""
    told = await world.events(PayoutChanged)
    return {c.payout_id: (c.owner, c.state, c.reason_code) for c in told}


async def test_x3_payout_goes_on_under_the_owner_the_money_was_moved_to(world, make):
    await world.with_method()
    await world.feed(make.pay_in("one", EVENT))
    await world.feed(make.designated(EVENT, "ann", "25.00"))
    new = successor(first("one"))
    assert await stands(world) == {
        first("one"): (EVENT, "cancelled", "designation_moved"),
        new: ("ann", "approved", "reserving_funds"),
    }
    (hold,) = await world.events(PlaceHold)
    assert (hold.reference, hold.debit) == (new, wallet("ann"))
    correlations = {item.correlation for item in await world.sent() if item.key == new}
    assert correlations == {"payment-1"}


async def test_f27_payout_of_restricted_money_opens_for_its_payee_once_it_is_released(
    world, restricted, released
):
    await world.with_method()
    await world.feed(restricted("one", 0))
    assert await stands(world) == {first("one", RESTRICTED): (RESTRICTED, "claimable", "no_method")}
    assert await world.events(PlaceHold) == []
    await world.feed(released(1, "25.00"))
    new = successor(first("one", RESTRICTED))
    assert (await stands(world))[new] == ("ann", "approved", "reserving_funds")
    (hold,) = await world.events(PlaceHold)
    assert (hold.reference, hold.debit) == (new, wallet("ann"))
    # What is restricted later waits for a release of its own.
    await world.feed(restricted("two", 2))
    assert (await stands(world))[first("two", RESTRICTED)][1] == "claimable"
    await world.feed(released(3, "25.00"))
    assert (await stands(world))[successor(first("two", RESTRICTED))][:2] == ("ann", "approved")


async def test_f27_money_released_for_the_wallet_pays_nothing_that_comes_later(
    world, restricted, released
):
    await world.with_method()
    await world.feed(restricted("kept", 0, pay_out=False))
    await world.feed(released(1, "25.00"))
    await world.feed(restricted("one", 2))
    assert found_of(await stands(world), "one") == (WAITS, None)
    assert await world.events(PlaceHold) == []
    await world.feed(released(3, "25.00"))
    assert found_of(await stands(world), "one") == (MOVED, "approved")


async def test_f27_releases_told_before_their_pay_ins_pay_each_its_own(world, restricted, released):
    await world.with_method()
    await world.feed(released(1, "25.00"), released(3, "40.00"))
    await world.feed(restricted("two", 2, "40.00"))
    await world.feed(restricted("one", 0), restricted("three", 4))
    found = await stands(world)
    assert found_of(found, "one") == (MOVED, "approved")
    assert found_of(found, "two") == (MOVED, "approved")
    assert found_of(found, "three") == (WAITS, None)


@pytest.mark.parametrize("told_first", ["pay-in", "release"])
async def test_f27_release_that_does_not_cover_a_payout_ends_it_and_leaves_nothing_to_others(
    world, restricted, released, told_first
):
    """10 of 25 had been given back before: the rest is in the wallet, for its payee to withdraw."""
    await world.with_method()
    messages = [restricted("one", 0), released(1, "15.00")]
    await world.one_by_one(*(messages if told_first == "pay-in" else reversed(messages)))
    assert found_of(await stands(world), "one") == (GONE, None)
    await world.feed(restricted("two", 2, "15.00"))
    assert found_of(await stands(world), "two") == (WAITS, None)
    await world.feed(released(3, "15.00"))
    assert found_of(await stands(world), "two") == (MOVED, "approved")


async def test_f27_release_of_one_currency_ends_no_payout_of_another(world, restricted, released):
    await world.with_method()
    await world.feed(restricted("one", 0))
    await world.feed(released(1, "15.00", currency="EUR"))
    assert found_of(await stands(world), "one") == (WAITS, None)


async def test_f27_redesignated_money_waits_for_the_release_after_it_came(
    world, make, restricted, released
):
    await world.with_method()
    await world.feed(make.pay_in("one", EVENT))
    await world.feed(restricted("kept", 0, pay_out=False), released(1, "25.00"))
    claimed = make.designated(EVENT, RESTRICTED, "25.00", asked_at=at(2))
    await world.feed(claimed)
    waits = successor(first("one"), RESTRICTED)
    assert (await stands(world))[waits][1:] == WAITS
    await world.feed(released(3, "25.00"))
    assert (await stands(world))[successor(waits)][:2] == ("ann", "approved")


async def test_x3_payout_waits_for_the_method_of_its_new_owner(world, make):
    # Whoever chooses for an owner nobody knows does not get its money: neither what is there nor later.
    await world.feed(make.pay_in("one", EVENT))
    await world.with_method(EVENT, "stolen")
    await world.feed(make.pay_in("two", EVENT))
    assert [state for _, state, _ in (await stands(world)).values()] == ["claimable", "claimable"]
    await world.feed(make.designated(EVENT, "ann", "25.00"))
    new = successor(first("one"))
    assert (await stands(world))[new] == ("ann", "claimable", "no_method")
    assert await world.events(PlaceHold) == []
    await world.with_method()
    (hold,) = await world.events(PlaceHold)
    assert (hold.reference, hold.debit) == (new, wallet("ann"))


async def test_x3_payout_told_after_its_money_had_moved_follows_all_the_same(world, make):
    await world.with_method()
    await world.feed(make.designated(EVENT, "ann", "25.00"))
    await world.feed(make.pay_in("one", EVENT))
    assert (await stands(world))[successor(first("one"))][:2] == ("ann", "approved")
    # What was moved is taken once: the next waits until its own money has followed.
    await world.feed(make.pay_in("two", EVENT))
    assert (await stands(world))[first("two")][1] == "claimable"
    await world.feed(make.designated(EVENT, "ann", "25.00", reason_code="followed"))
    assert (await stands(world))[successor(first("two"))][:2] == ("ann", "approved")


async def test_x3_payout_whose_money_is_gone_ends_and_says_so(world, make):
    await world.with_method()
    await world.feed(make.pay_in("one", EVENT), make.pay_in("two", EVENT))
    await world.feed(make.designated(EVENT, "ann", "25.00"))
    found = sorted((state, reason) for _, state, reason in (await stands(world)).values())
    assert found == [
        ("approved", "reserving_funds"),
        ("cancelled", "designation_money_gone"),
        ("cancelled", "designation_moved"),
    ]
    await world.feed(make.pay_in("three", GALA), make.designated(GALA, "ann"))
    assert (await stands(world))[first("three", GALA)][1:] == (
        "cancelled",
        "designation_money_gone",
    )


@pytest.mark.parametrize("names", [("one", "two"), ("two", "one")])
async def test_x3_payout_opened_while_money_was_on_its_way_waits_for_its_own(world, make, names):
    """Whichever is found first: the money on its way is that of the payout that was there."""
    await world.with_method()
    before, since = (first(name) for name in names)
    await world.feed(make.pay_in(names[0], EVENT))
    (asked_at,) = await world.pool.fetchrow("SELECT opened_at FROM payout")
    await world.feed(make.pay_in(names[1], EVENT))
    await world.feed(make.designated(EVENT, "ann", "25.00", asked_at=asked_at))
    found = await stands(world)
    assert found[before][1:] == ("cancelled", "designation_moved")
    assert found[since][1:] == ("claimable", "no_method")
    await world.feed(make.designated(EVENT, "ann", "25.00", reason_code="followed"))
    found = await stands(world)
    assert found[since][1:] == ("cancelled", "designation_moved")
    assert [found[successor(one)][1] for one in (before, since)] == ["approved", "approved"]
    # What was there by then and is not covered has lost its money.
    await world.feed(make.pay_in("three", GALA))
    (late,) = await world.pool.fetchrow("SELECT max(opened_at) FROM payout")
    await world.feed(make.designated(GALA, "ann", asked_at=late))
    assert (await stands(world))[first("three", GALA)][2] == "designation_money_gone"


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
async def test_x3_payout_follows_through_two_owners_in_whatever_order_it_is_told(
    world, make, order
):
    await world.with_method()
    told = (
        make.pay_in("one", EVENT),
        make.designated(EVENT, GALA, "25.00", reason_code="redesignated"),
        make.designated(GALA, "ann", "25.00"),
    )
    await world.one_by_one(*(told[index] for index in order))
    last = successor(successor(first("one"), GALA))
    found = await stands(world)
    assert found[last] == ("ann", "approved", "reserving_funds")
    assert {state for owner, state, _ in found.values() if owner != "ann"} == {"cancelled"}
    assert [hold.reference for hold in await world.events(PlaceHold)] == [last]


async def test_x3_payout_and_move_told_at_the_same_moment_meet(world, make):
    await world.with_method()
    await asyncio.gather(
        world.feed(make.pay_in("one", EVENT)), world.feed(make.designated(EVENT, "ann", "25.00"))
    )
    found = await stands(world)
    # Where the move came first nothing waited; either way the one payout is the new owner's.
    assert found[successor(first("one"))][:2] == ("ann", "approved")
    assert found[first("one")][1] == "cancelled"


async def test_x3_the_same_move_again_changes_nothing(world, make, raw):
    await world.feed(make.pay_in("one", EVENT))
    move = make.designated(EVENT, "ann", "25.00")
    await world.feed(raw(move, event_id="move"))
    before = await world.dump()
    await world.feed(raw(move, event_id="move"))
    assert await world.dump() == before


async def test_x3_what_no_designation_names_stays(world, make):
    await world.feed(make.pay_in("one", EVENT), make.pay_in("two", "ben"))
    await world.feed(make.designated(GALA, "ann", "25.00"), make.designated("ben", "ann", "25.00"))
    assert [state for _, state, _ in (await stands(world)).values()] == ["claimable", "claimable"]
