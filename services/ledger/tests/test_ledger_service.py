"""The ledger on a real database: what is answered, what is written, what is published."""

from .conftest import LedgerFixture
from .ledger_builders import account, capture, identify, journal, leg, place, release

CLEARING = account("cards", guarded=False)
WALLET = account("ann")
BANK = account("ach", guarded=False)


async def test_a_funding_journal_opens_the_wallets_it_credits(ledger: LedgerFixture) -> None:
    command = journal("j1", leg("l1", "cards", "ann", "10.00"), opens=[CLEARING, WALLET])
    facts = await ledger.apply(command)
    assert [fact.type for fact in facts] == [
        "ledger.account.opened.v1",
        "ledger.account.opened.v1",
        "ledger.journal.posted.v1",
    ]
    posted = facts[-1]
    assert posted.key == command.reference
    assert posted.topic == "ledger.journals.v1"
    assert posted.body["log_seq"] == 1
    assert posted.body["legs"] == [leg.model_dump() for leg in command.legs]
    assert await ledger.balance("ann") == (1000, 1000)
    assert await ledger.balance("cards") == (-1000, -1000)


async def test_a_hold_is_captured_in_parts_and_its_rest_released(ledger: LedgerFixture) -> None:
    await ledger.apply(
        journal("j1", leg("l1", "cards", "ann", "10.00"), opens=[CLEARING, WALLET, BANK])
    )
    placed, first, second, rest = await ledger.apply(
        place("h1", "ann", "ach", "8.00"),
        capture("c1", "h1", "3.00"),
        capture("c2", "h1", "1.00"),
        release("r1", "h1"),
    )
    assert placed.body["amount"] == {"currency": "EUR", "amount": "8.00"}
    assert first.body["remaining"]["amount"] == "5.00"
    assert second.body["remaining"]["amount"] == "4.00"
    assert rest.body["amount"]["amount"] == "4.00"
    assert rest.body["expired"] is False
    assert {fact.key for fact in (placed, first, second, rest)} == {identify("po", "h1")}
    assert await ledger.balance("ann") == (600, 600)
    assert await ledger.balance("ach") == (400, 400)
