"""ACH over real SFTP against the bank simulator: what the bank does, the attempts tell."""

from tally_contracts.rails import InstrumentRefused

PLAIN, REFUSED_ENTRY, BEFORE, CLOSED = "55550100", "55550901", "55550003", "55550002"


async def test_payout_goes_from_its_window_to_paid_by_the_calendar(ach, bank):
    await ach.paid_to(PLAIN)
    assert await ach.states() == ["scheduled"]
    await ach.send()
    assert await ach.states() == ["scheduled", "submitting", "submitted"]
    await ach.reaches("in_transit")
    await ach.watch()
    assert (await ach.states())[-1] == "in_transit"
    bank.day("2026-11-24")
    await ach.reaches("paid")
    assert await ach.states() == [
        "scheduled",
        "submitting",
        "submitted",
        "in_transit",
        "paid",
    ]
    assert await ach.quarantined() == []
    changes = await ach.changes()
    trace = await ach.trace()
    assert [change.provider_reference for change in changes] == [None, *[trace] * 4]
    assert [c.source for c in changes[2:]] == ["answer", "acknowledgement", "settlement"]
    entry = bank.book()[trace]
    assert (entry["state"], entry["amount_cents"]) == ("settled", 2500)
    assert entry["account"].strip() == PLAIN
    assert await ach.cases() == []


async def test_refused_entry_fails_alone(ach, bank):
    await ach.paid_to(PLAIN, REFUSED_ENTRY)
    await ach.send()
    await ach.reaches("failed", "two")
    assert (await ach.states("one"))[-1] == "in_transit"
    change = (await ach.changes("two"))[-1]
    assert (change.code, change.action, change.source) == ("refused", "operator", "acknowledgement")


async def test_return_before_settlement_fails_the_attempt_and_disables_the_instrument(ach, bank):
    await ach.paid_to(BEFORE)
    await ach.send()
    await ach.reaches("failed")
    change = (await ach.changes())[-1]
    assert (change.code, change.action, change.source) == ("R03", "fix_details", "return_file")
    [refused] = await ach.events(InstrumentRefused)
    assert refused.code == "r03"
    bank.day("2026-11-30")
    await ach.watch()
    assert (await ach.states())[-1] == "failed"


async def test_return_after_settlement_returns_the_paid_attempt(ach, bank):
    await ach.paid_to(CLOSED)
    await ach.send()
    await ach.reaches("in_transit")
    bank.day("2026-11-24")
    await ach.reaches("paid")
    bank.day("2026-11-25")
    await ach.reaches("returned")
    change = (await ach.changes())[-1]
    assert (change.code, change.action) == ("R02", "fix_details")
    [notice] = bank.book()[await ach.trace()]["notices"]
    assert change.return_reference == notice["trace"]
