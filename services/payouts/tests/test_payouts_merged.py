"""F29: what is paid out of the wallets of a payee that became another, by whose method, within whose limits."""

import dataclasses
import itertools

import pytest

from tally_contracts.ledger import PlaceHold
from tally_contracts.payouts import PayoutChanged
from tally_contracts.rails import SubmitPayout
from tally_payouts.app import build_app
from tally_payouts.domain.families import Families
from tally_payouts.exit_worker import ExitWorker
from tally_payouts.service import PayoutService
from tally_payouts.turn import Installation
from tally_runtime import FixedClock, party_id_of

from .conftest import payout_id_of, tid, wallet
from .test_payouts_exits import FROM_BASIC, NOON, limit
from .test_payouts_store import overlapping, statements_of

ANN, TWIN, THIRD = (tid("party", name) for name in ("ann", "twin", "third"))


@pytest.fixture
def app(settings):
    return build_app(settings, clock=FixedClock(NOON))


# Money names its owner by the id of a party, or by a reference of whoever sent it.
OWNERS = pytest.mark.parametrize("owner", [TWIN, "user-42"])


@pytest.fixture
def former(owner, settings):
    """The party that an owner names."""
    return party_id_of(owner, settings.tenant)


class Recording:
    """A connection that keeps the arguments of each statement."""

    def __init__(self, conn, found):
        self._conn, self._found = conn, found

    def __getattr__(self, name):
        method = getattr(self._conn, name)
        if name not in {"execute", "fetch"}:
            return method

        async def recorded(query, *args):
            self._found[query] = args
            return await method(query, *args)

        return recorded


def of_twin(name):
    return payout_id_of(name, TWIN)


async def submitted(world, payout_id):
    """Whose instrument a payout was handed to its rail with."""
    await world.feed(world.make.placed(payout_id))
    sent = [one for one in await world.events(SubmitPayout) if one.payout_id == payout_id]
    return [(one.owner, one.instrument) for one in sent]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_merges_lead_straight_to_the_end_in_whatever_order_and_however_often(order):
    told = [("b", "a"), ("a", "kept"), ("c", "b")]
    families = Families().joined([told[one] for one in order])
    assert families.became == {"a": "kept", "b": "kept", "c": "kept"}
    assert families.joined(told) == families
    assert families.all_of({"c"}) == {"kept", "a", "b", "c"}
    assert families.all_of({"x"}) == {"x"}
    assert (families.kept("c"), families.kept("x")) == ("kept", "x")


def test_references_of_whom_was_merged_are_names_of_the_kept_one_and_no_ids():
    families = Families({"a": "kept"}, {"user-1": "a", "user-2": "kept", "user-3": "x"})
    for one in ("kept", "a", "user-1"):
        assert families.names_of({one}) == {"kept", "a", "user-1"}
    assert families.all_of({"kept"}) == {"kept", "a"}
    assert [families.kept(one) for one in ("user-1", "user-2", "user-3")] == [
        "kept",
        "user-2",
        "user-3",
    ]
    assert families.joined([("x", "kept")]).kept("user-3") == "kept"


def test_a_circle_of_merges_changes_nothing():
    families = Families().joined([("b", "a")])
    assert families.joined([("a", "b")]) == families


@OWNERS
async def test_what_waits_for_a_method_goes_by_the_kept_ones_as_soon_as_they_are_one(
    world, make, owner, former
):
    one = payout_id_of("one", owner)
    await world.with_method(ANN)
    await world.feed(make.pay_in("one", owner))
    assert await world.states(one) == ["claimable"]
    await world.feed(make.merged(ANN, former))
    assert await world.states(one) == ["claimable", "approved"]
    [placed] = await world.events(PlaceHold)
    assert (placed.debit, placed.reference) == (wallet(owner), one)
    # The rail is told whose instrument it pays: it would refuse it as another's.
    assert await submitted(world, one) == [(ANN, tid("ins", "bank"))]
    assert (await world.row(one))["owner"] == owner
    before = await world.dump()
    await world.feed(make.merged(ANN, former))
    assert (await world.dump())["outbox"] == before["outbox"]


@OWNERS
async def test_the_kept_one_chooses_for_all_that_waits_and_asks_for_new_payouts(
    world, make, owner, former
):
    await world.feed(make.pay_in("one", owner), make.pay_in("two", ANN))
    await world.feed(make.merged(ANN, former))
    await world.feed(make.pay_in("three", owner))
    await world.with_method(ANN)
    for name, whose in (("one", owner), ("two", ANN), ("three", owner)):
        assert await world.states(payout_id_of(name, whose)) == ["claimable", "approved"]
    await world.feed(make.request("w1", owner))
    assert await world.states(tid("po", "w1")) == ["approved"]
    assert await submitted(world, tid("po", "w1")) == [(ANN, tid("ins", "bank"))]


async def test_method_of_the_one_that_was_merged_goes_on_until_the_kept_one_has_its_own(
    world, make
):
    await world.with_method(TWIN, "old")
    await world.feed(make.merged(ANN, TWIN), make.pay_in("one", TWIN))
    assert await submitted(world, of_twin("one")) == [(TWIN, tid("ins", "old"))]
    await world.with_method(ANN)
    await world.feed(make.pay_in("two", TWIN))
    assert await submitted(world, of_twin("two")) == [(ANN, tid("ins", "bank"))]
    # The one that is kept is not paid by a method that was never its own choice.
    await world.feed(make.pay_in("three", THIRD), make.merged(THIRD, ANN))
    assert await world.states(payout_id_of("three", THIRD)) == ["claimable"]


async def test_money_by_a_reference_goes_to_the_end_of_a_chain_and_what_is_restricted_waits(
    world, make, settings
):
    await world.with_method(ANN)
    owners = ("user-42", "restricted:user-42", f"restricted:{TWIN}")
    ours, *restricted = (payout_id_of(owner, owner) for owner in owners)
    await world.feed(*(make.pay_in(owner, owner) for owner in owners))
    await world.feed(make.merged(TWIN, party_id_of("user-42", settings.tenant)))
    assert await world.states(ours) == ["claimable"]
    await world.feed(make.merged(ANN, TWIN))
    assert await world.states(ours) == ["claimable", "approved"]
    for payout_id in restricted:
        assert await world.states(payout_id) == ["claimable"]


@OWNERS
@pytest.mark.parametrize("merged_first", [True, False])
async def test_payout_and_merge_of_one_batch_lead_to_the_kept_ones_method(
    world, make, owner, former, merged_first
):
    await world.with_method(ANN)
    told = [make.merged(ANN, former), make.pay_in("one", owner)]
    await world.feed(*(told if merged_first else reversed(told)))
    assert (await world.row(payout_id_of("one", owner)))["state"] == "approved"


@OWNERS
async def test_payout_that_opens_while_two_become_one_does_not_stay_behind(
    world, make, owner, former
):
    await world.with_method(ANN)
    await overlapping(world, [make.pay_in("one", owner)], [make.merged(ANN, former)])
    assert await world.states(payout_id_of("one", owner)) == ["claimable", "approved"]
    await overlapping(world, [make.merged(ANN, THIRD)], [make.pay_in("two", THIRD)])
    assert await world.states(payout_id_of("two", THIRD)) == ["approved"]


@OWNERS
async def test_two_that_became_one_have_one_limit_and_give_each_other_room(
    world, make, settings, owner, former
):
    installation = Installation(settings.tenant, settings.ledger_name, frozenset({"ach"}))
    worker = ExitWorker(PayoutService(installation))
    one, two = payout_id_of("one", ANN), payout_id_of("two", owner)
    await world.feed(make.limits(limit("lifetime", "40.00")))
    await world.with_method(ANN)
    await world.with_method(owner, "another")
    await world.feed(make.pay_in("one", ANN))
    await world.feed(make.placed(one))
    await world.feed(make.merged(ANN, former), make.pay_in("two", owner))
    await world.feed(make.placed(two))
    assert await world.states(two) == ["approved", "held"]
    await world.one_by_one(make.attempt(one, "failed"), make.released(one))
    assert not await worker.turn(world.processor.transactor)
    assert await world.states(two) == ["approved", "held", "submitting"]


@OWNERS
async def test_level_of_whom_a_payee_became_decides_and_the_one_of_before_opens_nothing(
    world, make, settings, owner, former
):
    installation = Installation(settings.tenant, settings.ledger_name, frozenset({"ach"}))
    worker = ExitWorker(PayoutService(installation))
    await world.feed(make.gates(*FROM_BASIC), make.level(former, "basic"))
    await world.with_method(owner, "old")
    await world.feed(make.pay_in("one", owner), make.pay_in("two", owner))
    await world.feed(make.merged(ANN, former))
    one, two = payout_id_of("one", owner), payout_id_of("two", owner)
    await world.feed(make.placed(one))
    assert await world.states(one) == ["approved", "held"]
    await world.feed(make.level(former, "advanced"))
    assert not await worker.turn(world.processor.transactor)
    assert await world.states(one) == ["approved", "held"]
    await world.feed(make.level(ANN, "basic"), make.placed(two))
    assert await world.states(two) == ["approved", "submitting"]
    assert not await worker.turn(world.processor.transactor)
    assert await world.states(one) == ["approved", "held", "submitting"]


async def test_exit_and_a_merge_of_one_batch_go_by_the_level_of_the_kept_one(world, make):
    await world.feed(make.gates(*FROM_BASIC), make.level(TWIN, "basic"))
    await world.with_method(TWIN)
    await world.feed(make.pay_in("one", TWIN))
    await world.feed(make.merged(ANN, TWIN), make.placed(of_twin("one")))
    assert await world.states(of_twin("one")) == ["approved", "held"]


async def test_ways_out_are_told_as_they_are_for_whom_a_payee_became(world, make):
    await world.feed(make.gates(*FROM_BASIC), make.level(TWIN, "basic"), make.merged(ANN, TWIN))
    await world.feed(make.pay_in("one", TWIN))
    [told] = await world.events(PayoutChanged)
    assert {option.answer for option in told.options} == {"closed"}
    await world.feed(make.level(ANN, "basic"), make.pay_in("two", TWIN))
    told = (await world.events(PayoutChanged))[-1]
    assert {option.answer for option in told.options} == {"open"}


async def test_two_replicas_never_pass_the_limit_of_two_that_became_one(world, make):
    await world.feed(make.limits(limit("lifetime", "40.00")))
    await world.with_method(ANN)
    await world.feed(make.merged(ANN, TWIN), make.pay_in("one", ANN), make.pay_in("two", TWIN))
    one, two = payout_id_of("one", ANN), of_twin("two")
    await overlapping(world, [make.placed(one)], [make.placed(two)])
    assert (await world.row(one))["state"] == "submitting"
    assert (await world.row(two))["state"] == "held"


async def test_merge_has_every_row_it_writes_locked_in_order_with_those_it_asks(world, make):
    await world.feed(make.merged(ANN, TWIN))
    found = {}

    async def work(uow):
        conn = Recording(uow.conn, found)
        merge = world.received(make.merged(THIRD, ANN))
        await world.processor.router.dispatch(dataclasses.replace(uow, conn=conn), [merge])

    await world.processor.transactor.run(work)
    [(locked,)] = [
        args
        for query, args in found.items()
        if "FROM party_level" in query and "FOR UPDATE" in query
    ]
    [(written, _)] = [args for query, args in found.items() if "SET merged_into" in query]
    assert set(written) == {ANN, TWIN}
    assert locked == sorted({ANN, TWIN, THIRD})


async def test_forty_merges_of_one_batch_take_as_many_statements_as_one(world, make):
    async def of(size, tag):
        pairs = [
            (tid("party", tag, str(n)), tid("party", tag, "former", str(n))) for n in range(size)
        ]
        return await statements_of(world, *(make.merged(kept, former) for kept, former in pairs))

    assert await of(1, "small") == await of(40, "large")
