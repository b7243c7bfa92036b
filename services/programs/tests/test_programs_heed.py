"""What the programs service leaves on its topics unread, or reads and leaves."""


async def test_facts_of_others_payments_enter_no_inbox_and_cost_no_transaction(world, make):
    await world.begin()
    await world.feed(make.propose())
    sent, paid = (make.payout("one", "order-7", state=state) for state in ("sent", "paid"))
    posted = make.posted()
    counted = "SELECT count(*) FROM inbox"
    before = await world.pool.fetchval(counted)
    await world.feed(posted.model_copy(update={"reference": "pin_1"}), sent)
    assert await world.pool.fetchval(counted) == before
    await world.feed(posted, paid)
    assert await world.pool.fetchval(counted) == before + 2
