"""F12, F14, F65 on a real ledger: money in suspense finds its owner, or waits for a person's word."""

from typing import Any

import pytest

from tally_contracts.base import AskedAmount, PositiveAmount, Where, Who, Why
from tally_contracts.directory_facts import FundingDetailsIssued
from tally_contracts.funding import Beneficiary, FundingReceived, Originator, PayInAllocated
from tally_contracts.funding_sources import (
    DecideEntry,
    DecideMatch,
    EnterPayIn,
    EntryDecided,
    EntryProposed,
    ExpectationPaid,
    ExpectPayIn,
    MatchProposed,
    PayInExpected,
    PayInMatched,
    PayInRefunded,
    ReturnPayIn,
    SourceCommandRefused,
)
from tally_funding.postings import Books
from tally_runtime import derived_id

from .conftest import START, Platform

BOOKS = Books("main", "main")
TREASURY = Who(actor="user:treasury", principal="co_1")
CONTROLLER = Who(actor="user:controller", principal="co_1")
STRANGER = Who(actor="user:other", principal="co_2")
WHERE = Where(channel="api")
WHY = Why(program="unmatched", event="m", reason="Bank credit")
COMMANDS = "funding.sources.commands.v1"
PAYEE = Beneficiary(party="pty_1")


def usd(amount: str) -> AskedAmount:
    return AskedAmount(currency="USD", amount=amount)


async def money(
    platform: Platform, external_id: str = "m-1", text: str = "thanks", **more: Any
) -> str:
    """100.00 USD that name nobody, with the payer's words; the pay-in's id."""
    event = FundingReceived(
        **{
            "who": TREASURY,
            "where": WHERE,
            "why": WHY,
            "occurred_at": START,
            "external_id": external_id,
            "amount": PositiveAmount(currency="USD", amount="100.00"),
            "originator": Originator(reference="cust-1"),
            "company": "co_1",
            "value_date": START.date(),
            "references": {"note": text},
            **more,
        }
    )
    await platform.send(event, "funding.inbound.bank.v1", "k")
    return BOOKS.pay_in_id("bank", external_id)


async def expect(platform: Platform, number: int = 1, **changes: Any) -> str:
    command = ExpectPayIn(
        **{
            "expectation_id": derived_id("exp", str(number)),
            "kind": "invoice",
            "reference": f"INV-100{number}",
            "amount": usd("100.00"),
            "currency": "USD",
            "company": "co_1",
            "beneficiary": PAYEE,
            "program": "supplier-payments",
            "who": TREASURY,
            "where": WHERE,
            "why": WHY,
            "occurred_at": START,
            **changes,
        }
    )
    await platform.send(command, COMMANDS, command.expectation_id)
    return command.expectation_id


async def decide(platform: Platform, pay_in_id: str, number: int = 1, **changes: Any) -> str:
    command = DecideMatch(
        **{
            "match_id": derived_id("match", str(number)),
            "pay_in_id": pay_in_id,
            "beneficiary": PAYEE,
            "program": "supplier-payments",
            "note": "Customer called",
            "who": CONTROLLER,
            "occurred_at": START,
            **changes,
        }
    )
    await platform.send(command, COMMANDS, pay_in_id)
    return command.match_id


ALLOCATED = {
    "clearing/bank/USD": -10_000,
    "wallet/aggregator/USD": 250,
    "wallet/co_1/USD": 30,
    "wallet/pty_1/USD": 9_720,
}


async def test_f14_money_that_names_an_invoice_is_matched_without_a_person(
    platform: Platform,
) -> None:
    expectation_id = await expect(platform)
    pay_in_id = await money(platform, text="Payment of INV-1001, thank you")
    assert await platform.balance("suspense/bank/USD") == 10_000
    await platform.work("matcher")
    (matched,) = platform.facts(PayInMatched)
    assert (matched.expectation_id, matched.confidence) == (expectation_id, 98)
    assert matched.automatic
    (allocated,) = platform.facts(PayInAllocated)
    assert allocated.pay_in_id == pay_in_id
    assert allocated.why.program == "supplier-payments"
    assert [(a.owner, a.amount.amount) for a in allocated.allocations] == [
        ("aggregator", "2.50"),
        ("co_1", "0.30"),
        ("pty_1", "97.20"),
    ]
    assert await platform.balances() == ALLOCATED
    (paid,) = platform.facts(ExpectationPaid)
    assert (paid.standing, paid.received.amount) == ("paid", "100.00")
    (row,) = await platform.rows("SELECT closed_at FROM suspense_case")
    assert row[0] == START
    await platform.again()
    await platform.work("matcher")
    assert await platform.balances() == ALLOCATED
    assert len(platform.facts(PayInAllocated)) == 1


async def test_f65_invoices_are_part_paid_paid_and_over_paid(platform: Platform) -> None:
    await expect(platform, amount=usd("250.00"), payer="cust-1")
    pay_ins = [await money(platform, f"m-{n}", text="INV-1001") for n in range(3)]
    await platform.work("matcher")
    assert platform.facts(PayInMatched) == [], "another amount than expected is a person's matter"
    assert {p.candidates[0].confidence for p in platform.facts(MatchProposed)} == {92}
    for number, pay_in_id in enumerate(pay_ins):
        await decide(
            platform,
            pay_in_id,
            number,
            beneficiary=None,
            program=None,
            expectation_id=derived_id("exp", "1"),
        )
    standings = [(f.standing, f.received.amount) for f in platform.facts(ExpectationPaid)]
    assert standings == [("part_paid", "100.00"), ("part_paid", "200.00"), ("over_paid", "300.00")]


async def test_f14_what_is_expected_after_the_money_came_is_found_too(platform: Platform) -> None:
    await money(platform, text="INV-1001")
    await platform.work("matcher")
    assert platform.facts(MatchProposed) == []
    await expect(platform)
    await platform.work("matcher")
    assert await platform.balances() == ALLOCATED


async def test_f10_money_that_quotes_a_virtual_account_is_its_partys(platform: Platform) -> None:
    event = FundingDetailsIssued(
        tenant="party_01m3250v00e008000000000009",
        who=TREASURY,
        reason="Customer asked",
        occurred_at=START,
        party_id="party_01m3250v00e008000000000001",
        currency="USD",
        virtual_account="RF18539007547034",
    )
    await platform.send(event, "directory.parties.v1", event.party_id)
    await platform.send(event, "directory.parties.v1", event.party_id)
    await money(platform, text="RF18 5390 0754 7034")
    await platform.work("matcher")
    (matched,) = platform.facts(PayInMatched)
    assert (matched.confidence, matched.note) == (100, "virtual_account")
    assert await platform.balance(f"wallet/{event.party_id}/USD") == 9_720


async def test_f14_two_as_likely_wait_for_a_person(platform: Platform) -> None:
    await expect(platform, 1)
    await expect(platform, 2)
    pay_in_id = await money(platform, text="INV-1001 and INV-1002")
    await platform.work("matcher")
    (proposed,) = platform.facts(MatchProposed)
    assert {c.reference for c in proposed.candidates} == {"INV-1001", "INV-1002"}
    assert await platform.balance("suspense/bank/USD") == 10_000
    await decide(platform, pay_in_id)
    assert await platform.balances() == ALLOCATED
    (matched,) = platform.facts(PayInMatched)
    assert (matched.automatic, matched.confidence, matched.who) == (False, 100, CONTROLLER)


async def test_f15_matched_money_is_returned_like_any_other(platform: Platform) -> None:
    pay_in_id = await money(platform)
    await decide(platform, pay_in_id)
    command = ReturnPayIn(
        who=TREASURY,
        where=WHERE,
        why=WHY,
        occurred_at=START,
        return_id=derived_id("ret", "1"),
        pay_in_id=pay_in_id,
        kind="refund",
        amount=usd("100.00"),
    )
    await platform.send(command, COMMANDS, pay_in_id)
    assert len(platform.facts(PayInRefunded)) == 1
    assert await platform.balances() == {}


async def test_a_decision_again_is_answered_again_and_moves_nothing(platform: Platform) -> None:
    pay_in_id = await money(platform)
    await decide(platform, pay_in_id)
    await decide(platform, pay_in_id)
    assert len(platform.facts(PayInMatched)) == 2
    assert await platform.balances() == ALLOCATED
    await decide(platform, pay_in_id, note="Another note")
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == ("id_conflict", "/match_id")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"who": STRANGER}, "not_the_company", "/who/principal"),
        ({"pay_in_id": derived_id("pin", "x")}, "pay_in_unknown", "/pay_in_id"),
        ({"match_id": derived_id("ret", "x")}, "id_prefix", "/match_id"),
        ({"program": None}, "match_ambiguous", None),
        ({"expectation_id": derived_id("exp", "1")}, "match_ambiguous", None),
        (
            {"beneficiary": Beneficiary(party="contact:x")},
            "beneficiary_ambiguous",
            "/beneficiary",
        ),
        (
            {"beneficiary": None, "program": None, "expectation_id": derived_id("exp", "9")},
            "expectation_unknown",
            "/expectation_id",
        ),
        (
            {"beneficiary": None, "program": None, "expectation_id": derived_id("exp", "1")},
            "currency_mismatch",
            "/expectation_id",
        ),
    ],
)
async def test_f14_a_decision_that_cannot_be_is_refused_and_the_money_stays(
    platform: Platform, changes: dict[str, Any], code: str, field: str | None
) -> None:
    amount = AskedAmount(currency="EUR", amount="1")
    await expect(platform, reference="EUR-1001", amount=amount, currency="EUR")
    pay_in_id = await money(platform)
    before = await platform.balances()
    await decide(platform, **{"pay_in_id": pay_in_id, **changes})
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == (code, field)
    assert await platform.balances() == before


async def test_money_that_is_allocated_cannot_be_matched(platform: Platform) -> None:
    pay_in_id = await money(platform)
    await decide(platform, pay_in_id)
    await decide(platform, pay_in_id, 2, beneficiary=Beneficiary(party="pty_2"))
    (refused,) = platform.facts(SourceCommandRefused)
    assert refused.code == "not_in_suspense"
    assert await platform.balances() == ALLOCATED


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"reference": "inv-1001"}, "reference_taken", "/reference"),
        ({"amount": usd("0.00")}, "amount_not_positive", "/amount/amount"),
        ({"currency": "EUR"}, "currency_mismatch", "/amount/currency"),
        ({"currency": "ZZZ"}, "unknown_currency", "/currency"),
        ({"who": STRANGER}, "not_the_company", "/who/principal"),
    ],
)
async def test_an_expectation_that_cannot_be_is_refused(
    platform: Platform, changes: dict[str, Any], code: str, field: str
) -> None:
    await expect(platform)
    await expect(platform, 2, **changes)
    assert len(platform.facts(PayInExpected)) == 1
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == (code, field)


async def enter(platform: Platform, number: int = 1, **changes: Any) -> str:
    command = EnterPayIn(
        **{
            "who": TREASURY,
            "where": WHERE,
            "why": Why(program="supplier-payments", event="cheque:7", reason="Cheque 7"),
            "occurred_at": START,
            "entry_id": derived_id("ent", str(number)),
            "external_id": f"cheque-{number}",
            "amount": usd("100.00"),
            "originator": Originator(reference="cust-1"),
            "company": "co_1",
            "beneficiary": PAYEE,
            "value_date": START.date(),
            **changes,
        }
    )
    await platform.send(command, COMMANDS, command.entry_id)
    return command.entry_id


async def rule_on(
    platform: Platform, entry_id: str, who: Who = CONTROLLER, *, approve: bool = True
) -> None:
    command = DecideEntry(
        entry_id=entry_id, approve=approve, note="Seen", who=who, occurred_at=START
    )
    await platform.send(command, COMMANDS, entry_id)


async def test_f12_a_pay_in_by_hand_needs_two_people(platform: Platform) -> None:
    entry_id = await enter(platform)
    assert len(platform.facts(EntryProposed)) == 1
    assert await platform.balances() == {}
    await rule_on(platform, entry_id, TREASURY)
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == ("same_person", "/who/actor")
    assert await platform.balances() == {}
    await rule_on(platform, entry_id)
    await rule_on(platform, entry_id)
    decided = platform.facts(EntryDecided)
    assert [(d.approved, d.pay_in_id) for d in decided] == [
        (True, BOOKS.pay_in_id("manual", "cheque-1"))
    ] * 2
    assert await platform.balance("clearing/manual/USD") == -10_000
    assert await platform.balance("wallet/pty_1/USD") == 9_720


async def test_f12_a_declined_entry_moves_nothing_and_frees_its_external_id(
    platform: Platform,
) -> None:
    entry_id = await enter(platform)
    await rule_on(platform, entry_id, TREASURY, approve=False)
    await rule_on(platform, entry_id)
    (refused,) = platform.facts(SourceCommandRefused)
    assert refused.code == "entry_decided"
    again = await enter(platform, 2, external_id="cheque-1")
    await rule_on(platform, again)
    assert await platform.balance("wallet/pty_1/USD") == 9_720


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"external_id": "cheque-1"}, "external_id_taken", "/external_id"),
        ({"amount": usd("-1")}, "amount_format", "/amount/amount"),
        ({"who": STRANGER}, "not_the_company", "/who/principal"),
        ({"entry_id": derived_id("ent", "1")}, "id_conflict", "/entry_id"),
    ],
)
async def test_an_entry_that_cannot_be_is_refused(
    platform: Platform, changes: dict[str, Any], code: str, field: str
) -> None:
    await enter(platform)
    await enter(platform, 2, **changes)
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == (code, field)


async def test_a_stranger_does_not_decide_and_an_unknown_entry_is_refused(
    platform: Platform,
) -> None:
    entry_id = await enter(platform)
    await rule_on(platform, entry_id, STRANGER)
    await rule_on(platform, derived_id("ent", "9"))
    codes = [refused.code for refused in platform.facts(SourceCommandRefused)]
    assert codes == ["not_the_company", "entry_unknown"]
    assert await platform.balances() == {}
