"""From an announcement to the ledger and back, on a real Postgres."""

from typing import Any

from tally_contracts.funding import PayInAllocated, PayInReceived, PayInSuspended
from tally_contracts.ledger import PostJournal


async def test_f13_money_announced_is_allocated_exactly_once_the_ledger_holds_it(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce()))
    received, journal = await funding.told()
    assert isinstance(received, PayInReceived)
    assert isinstance(journal, PostJournal)
    assert journal.reference == received.pay_in_id
    assert [leg.amount.amount for leg in journal.legs] == ["2.50", "0.30", "97.20"]
    assert {leg.debit for leg in journal.legs} == {journal.open_accounts[0].id}
    assert [(a.path, a.guarded) for a in journal.open_accounts] == [
        ("clearing/cards/USD", False),
        ("wallet/aggregator/USD", True),
        ("wallet/co_1/USD", True),
        ("wallet/pty_1/USD", True),
    ]
    assert await funding.states() == {"m-1": "allocating"}

    await funding.process(funding.posted(journal))
    (allocated,) = await funding.told()
    assert isinstance(allocated, PayInAllocated)
    assert allocated.rule == "standard:1"
    assert [(a.owner, a.role, a.amount.amount, a.pay_out) for a in allocated.allocations] == [
        ("aggregator", "aggregator", "2.50", False),
        ("co_1", "company", "0.30", False),
        ("pty_1", "beneficiary", "97.20", True),
    ]
    assert [a.account for a in allocated.allocations] == [leg.credit for leg in journal.legs]
    assert await funding.states() == {"m-1": "allocated"}


async def test_f14_unmatched_money_stands_in_suspense_with_a_case(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce(beneficiary=None)))
    _, journal = await funding.told()
    assert [a.path for a in journal.open_accounts] == ["clearing/cards/USD", "suspense/cards/USD"]
    assert [leg.amount.amount for leg in journal.legs] == ["100.00"]
    await funding.process(funding.posted(journal))
    (suspended,) = await funding.told()
    assert isinstance(suspended, PayInSuspended)
    assert (suspended.reason_code, suspended.journal_id) == ("no_beneficiary", journal.journal_id)
    assert await funding.states() == {"m-1": "suspense"}
    assert await funding.cases() == [("m-1", "no_beneficiary")]
