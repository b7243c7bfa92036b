"""Book transfers over a real database."""

from tally_contracts.rails import InstrumentRefused, InstrumentRegistered
from tally_runtime import derived_id


async def test_wallet_instrument_is_registered_with_its_settlement_account(world, make):
    await world.feed(make.register("purse", "wallet"))
    assert await world.quarantined() == []
    [registered] = await world.events(InstrumentRegistered)
    account = derived_id("acc", "test", "purse")
    assert registered.settlement_account == account
    assert registered.masked == f"wallet …{account[-4:]}"
    [sent] = await world.sent("rails.instruments.v1")
    assert sent.key == registered.instrument_id


async def test_wallet_payout_is_submitted_and_paid_in_one_unit(world, make):
    await world.feed(make.register("purse", "wallet"), make.submit("one", "purse", rail="wallet"))
    assert await world.quarantined() == []
    assert await world.states() == ["submitted", "paid"]
    sent = await world.sent("rails.attempts.v1")
    assert {item.key for item in sent} == {derived_id("po", "test", "one")}
    assert {item.correlation for item in sent} == {"payment-1"}


async def test_wallet_payout_in_another_currency_fails_and_says_what_to_fix(world, make):
    await world.feed(
        make.register("purse", "wallet"),
        make.submit("one", "purse", rail="wallet", currency="EUR"),
    )
    [change] = await world.changes()
    assert (change.state, change.code, change.action) == (
        "failed",
        "currency_mismatch",
        "fix_details",
    )


async def test_wallet_account_that_is_none_is_refused_with_field_and_remedy(world, make):
    await world.feed(make.register("purse", "wallet", {"account": "main"}))
    [refused] = await world.events(InstrumentRefused)
    assert (refused.code, refused.field) == ("account_malformed", "account")
    assert "acc_" in refused.remedy
    assert await world.pool.fetchval("SELECT count(*) FROM instrument") == 0
