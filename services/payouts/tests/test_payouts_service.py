"""The saga over a real database: what is published, in which order, for each way a payout can go."""

from tally_contracts.ledger import CaptureHold, PlaceHold
from tally_contracts.payouts import PayoutChanged, PayoutStatus
from tally_contracts.rails import SubmitPayout


async def test_payout_of_a_pay_in_goes_from_hold_to_paid(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.one_by_one(
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "submitted"),
        make.attempt(payout, "in_transit"),
        make.attempt(payout, "paid"),
        make.captured(payout),
    )
    assert await world.quarantined() == []
    states = ["approved", "submitting", "submitted", "in_transit", "paid"]
    assert await world.states(payout) == states
    statuses = await world.events(PayoutStatus)
    assert [s.sequence for s in statuses] == [1, 2, 3, 4, 5]
    assert [s.rank for s in statuses] == sorted({s.rank for s in statuses})
    assert statuses[-1].external_id == "ext-one"
    assert [c.previous for c in await world.events(PayoutChanged)] == [None, *states[:-1]]
    [hold], [submit], [capture] = [
        await world.events(kind) for kind in (PlaceHold, SubmitPayout, CaptureHold)
    ]
    assert hold.hold_id == capture.hold_id
    assert hold.open_accounts[0].path == "clearing/ach/USD"
    assert hold.credit == hold.open_accounts[0].id
    assert submit.amount.amount == "25.00"
    assert {s.key for s in await world.sent("ledger.commands.v1")} == {"main"}
    assert {s.key for s in await world.sent("rails.ach.commands.v1")} == {payout}


async def test_batch_that_takes_a_payout_through_every_state_tells_each_in_order(world, make, ids):
    payout = ids("one")
    await world.feed(
        make.registered(),
        make.choose(),
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "submitted"),
        make.attempt(payout, "paid"),
        make.captured(payout),
        make.returned(payout),
        make.posted(payout),
    )
    states = ["approved", "submitting", "submitted", "paid", "returned"]
    assert await world.states(payout) == states
    history = await world.pool.fetch("SELECT state FROM payout_history ORDER BY sequence")
    assert [row[0] for row in history] == states
