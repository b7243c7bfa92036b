"""Refunds, debts, escrow, claims and charges as each persona sees them (F15, F51, X2)."""

import random
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tally_contracts.funding_claims import ClaimChanged, ClaimIssued, DesignationMoved
from tally_contracts.funding_escrow import AgreementChanged
from tally_contracts.funding_rules import ChargeTaken
from tally_contracts.funding_sources import (
    PayInChargedBack,
    PayInRefunded,
    PayInReinstated,
    ReceivableOpened,
    ReceivableSettled,
)
from tally_contracts.ledger import JournalPosted, Leg
from tally_money import Money
from tally_portfolio.service import time_line


def _usd(amount: str) -> dict[str, str]:
    return {"currency": "USD", "amount": amount}


async def _answer(portfolio: Any, viewer: Any, path: str, status: int = 200) -> Any:
    async with portfolio.asks(viewer) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def parties(tree: Any) -> Any:
    return tree().small().opens("ann", company="acme")


@pytest.fixture
def paid(parties: Any, story: Any) -> Any:
    """Ann was paid 100 that ACME's customer sent."""
    return story("s1", owner=parties.party("ann"), company=parties.party("acme")).whole()


def _debt(told: Any, amount: str) -> None:
    told.fact(
        ReceivableOpened,
        "owed",
        receivable_id=told.id("rcv"),
        return_id=told.id("ret", "12"),
        pay_in_id=told.pay_in_id,
        owner=told.owner,
        company=told.company,
        account=told.wallet,
        amount=_usd(amount),
        reason_code="refund",
    )


def _settles(told: Any, label: str, amount: str, left: str) -> None:
    told.fact(
        ReceivableSettled,
        label,
        receivable_id=told.id("rcv"),
        settlement_id=told.id("set", label),
        owner=told.owner,
        company=told.company,
        amount=_usd(amount),
        open_amount=_usd(left),
        settled_by="owner",
    )


async def test_f15_a_returned_pay_in_says_so_in_lists_and_in_its_time_line(
    portfolio: Any, parties: Any, paid: Any, viewer_of: Any
) -> None:
    acme = viewer_of(parties, "acme", "company")
    await portfolio.tell(parties, paid)
    for kind, state, amount, so_far in (
        (PayInRefunded, "partly_refunded", "30.00", "30.00"),
        (PayInChargedBack, "charged_back", "70.00", "100.00"),
        (PayInReinstated, "partly_refunded", "70.00", "30.00"),
        (PayInRefunded, "refunded", "70.00", "100.00"),
    ):
        paid.returned(kind, state, amount, so_far)
        await portfolio.process(paid.records[-1])
        (shown,) = (await _answer(portfolio, acme, "/pay-ins"))["items"]
        assert (shown["state"], shown["returned"]) == (state, _usd(so_far))
        found = await _answer(portfolio, acme, f"/pay-ins?state={state}")
        assert [item["pay_in_id"] for item in found["items"]] == [paid.pay_in_id]
        waits = (await _answer(portfolio, acme, "/exceptions"))["items"]
        assert [item["state"] for item in waits] == ["charged_back"] * (state == "charged_back")
    payment = await _answer(portfolio, acme, f"/payments/{paid.pay_in_id}")
    assert [one["state"] for one in payment["returns"]] == [
        "refunded", "reinstated", "partly_refunded"
    ]  # fmt: skip
    assert payment["complete"] is True
    assert payment["waiting"] == []
    # Ann spent it before it went back: that much is owed.
    assert payment["money"][0]["resting"] == "-100.00"


async def test_x2_a_payee_learns_that_a_pay_in_went_back_and_not_how_much(
    portfolio: Any, parties: Any, paid: Any, viewer_of: Any
) -> None:
    paid.returned(PayInRefunded, "partly_refunded", "30.00", "30.00")
    await portfolio.tell(parties, paid)
    ann = viewer_of(parties, "ann", "payee")
    payment = await _answer(portfolio, ann, f"/payments/{paid.pay_in_id}")
    assert payment["pay_in"]["state"] == "partly_refunded"
    assert "returns" not in payment
    assert "30.00" not in str(payment)


@pytest.mark.parametrize("seed", range(3))
async def test_a_pay_in_stands_as_its_last_return_left_it_whatever_order_facts_come_in(
    portfolio: Any, parties: Any, paid: Any, viewer_of: Any, seed: int
) -> None:
    paid.returned(PayInChargedBack, "charged_back", "100.00", "100.00")
    paid.returned(PayInReinstated, "", "100.00", "0.00")
    records = parties.records + paid.records
    random.Random(seed).shuffle(records)
    for record in records:
        await portfolio.process(record)
    acme = viewer_of(parties, "acme", "company")
    (shown,) = (await _answer(portfolio, acme, "/pay-ins"))["items"]
    assert (shown["state"], shown["returned"]) == ("allocated", _usd("0.00"))
    assert (await _answer(portfolio, acme, "/exceptions"))["items"] == []


async def test_what_went_back_whole_is_due_to_nobody(
    portfolio: Any, parties: Any, story: Any
) -> None:
    told = story("s1", owner=parties.party("ann"), company=parties.party("acme"))
    told.received().suspended().returned(PayInRefunded, "refunded", "100.00", "100.00")
    await portfolio.tell(parties, told)
    line = await time_line(portfolio.pool, told.pay_in_id)
    assert line is not None
    assert line.payment.waiting() == ()
    assert line.payment.complete
    (flow,) = line.payment.flows()
    assert (flow.returned, flow.resting) == (
        Money.parse("100.00", "USD"), Money.parse("0.00", "USD")
    )  # fmt: skip


async def test_f15_a_debt_is_seen_by_who_owes_it_and_by_those_above_until_it_is_settled(
    portfolio: Any, parties: Any, paid: Any, viewer_of: Any
) -> None:
    await portfolio.tell(parties, paid)
    path = f"/receivables/{paid.id('rcv')}"
    debts = (
        (lambda: _debt(paid, "40.00"), "open", "40.00"),
        (lambda: _settles(paid, "first", "15.00", "25.00"), "part_settled", "25.00"),
        (lambda: _settles(paid, "second", "25.00", "0.00"), "settled", "0.00"),
    )
    for steps, (tell, state, left) in enumerate(debts, start=1):
        tell()
        await portfolio.process(paid.records[-1])
        for label, persona in (("acme", "company"), ("root", "aggregator"), ("ann", "payee")):
            viewer = viewer_of(parties, label, persona)
            shown = await _answer(portfolio, viewer, path)
            assert (shown["state"], shown["open_amount"]) == (state, _usd(left))
            assert shown["amount"] == _usd("40.00")
            assert len(shown["history"]) == steps
            assert shown["reason"] == "Rebate"
            listed = await _answer(portfolio, viewer, f"/receivables?state={state}")
            assert [one["receivable_id"] for one in listed["items"]] == [paid.id("rcv")]
            assert ("account" in shown) is (persona != "payee")
    for label, persona in (("zeta", "company"), ("bob", "payee"), ("pat", "partner")):
        await _answer(portfolio, viewer_of(parties, label, persona), path, 404)


async def test_a_debt_settled_before_it_is_told_of_is_shown_once_it_is(
    portfolio: Any, parties: Any, paid: Any, viewer_of: Any
) -> None:
    _debt(paid, "40.00")
    _settles(paid, "all", "40.00", "0.00")
    opened, settled = paid.records[-2:]
    acme, path = viewer_of(parties, "acme", "company"), f"/receivables/{paid.id('rcv')}"
    await portfolio.tell(parties)
    await portfolio.process(settled)
    await _answer(portfolio, acme, path, 404)
    assert (await _answer(portfolio, acme, "/receivables"))["items"] == []
    await portfolio.process(opened)
    assert (await _answer(portfolio, acme, path))["state"] == "settled"


def _agreement(told: Any, parties: Any, sequence: int, state: str, held: str) -> None:
    told.fact(
        AgreementChanged,
        f"agreement{sequence}",
        agreement_id=told.id("agr"),
        tenant=parties.root,
        sequence=sequence,
        state=state,
        previous=None,
        payer=parties.party("acme"),
        payee=parties.party("bob"),
        arbiter=None,
        amount=_usd("80.00"),
        held=_usd(held),
        released=_usd("0.00"),
        refunded=_usd("0.00"),
        account=told.wallet,
        journal_id=None,
        approvals=(),
        condition_met=False,
        deadline="2027-01-01T00:00:00Z",
        reason_code=None,
    )


async def test_an_agreement_is_shown_to_both_sides_with_what_led_to_its_state(
    portfolio: Any, parties: Any, story: Any, viewer_of: Any
) -> None:
    told = story("s1", owner=parties.party("bob"), company=parties.party("acme"))
    _agreement(told, parties, 1, "proposed", "0.00")
    _agreement(told, parties, 2, "funded", "80.00")
    await portfolio.tell(parties)
    await portfolio.process(*reversed(told.records))
    path = f"/agreements/{told.id('agr')}"
    for label, persona in (
        ("acme", "company"), ("bob", "payee"), ("zeta", "company"), ("root", "aggregator"),
    ):  # fmt: skip
        shown = await _answer(portfolio, viewer_of(parties, label, persona), path)
        assert (shown["state"], shown["held"]) == ("funded", _usd("80.00"))
        assert [step["state"] for step in shown["history"]] == ["proposed", "funded"]
        assert {step["reason"] for step in shown["history"]} == {"Rebate"}
    for label, persona in (("ann", "payee"), ("pat", "partner")):
        viewer = viewer_of(parties, label, persona)
        await _answer(portfolio, viewer, path, 404)
        assert (await _answer(portfolio, viewer, "/agreements"))["items"] == []


async def test_a_claim_and_a_charge_are_shown_and_a_contact_only_to_the_top(
    portfolio: Any, parties: Any, story: Any, viewer_of: Any
) -> None:
    told = story("s1", owner=parties.party("ann"), company=parties.party("acme"))
    claim = {"claim_id": told.id("clm"), "owner": "contact:tok1", "tenant": parties.root}
    told.fact(
        ClaimIssued, "issued", contact="tok1", expires_at="2027-01-01T00:00:00Z", expires_to=None,
        sealed_code="sealed-secret", **claim,
    )  # fmt: skip
    told.fact(
        ClaimChanged, "redeemed", state="redeemed", previous="issued", journal_id=None,
        reason_code=None, claimant=parties.party("ann"), **claim,
    )  # fmt: skip
    told.fact(
        DesignationMoved, "moved", movement_id=told.id("mov"), owner="contact:tok1",
        to_owner=parties.party("ann"), tenant=parties.root, reason_code="claimed",
        amounts=(_usd("9.00"),), journal_id=told.id("jrn"),
    )  # fmt: skip
    told.fact(
        ChargeTaken, "charge", charge_id=told.id("chg"), pay_in_id=told.pay_in_id, rule="fees@1",
        tenant=parties.root, payer=parties.party("ann"), owner=parties.party("acme"),
        amount=_usd("1.00"), journal_id=told.id("jrn", "c"), debit=told.wallet, credit=told.wallet,
    )  # fmt: skip
    await portfolio.tell(parties, told)
    root = await _answer(
        portfolio, viewer_of(parties, "root", "aggregator"), f"/claims/{told.id('clm')}"
    )
    assert (root["state"], root["contact"]) == ("redeemed", "tok1")
    assert "sealed" not in str(root)
    ann = viewer_of(parties, "ann", "payee")
    claim_seen = await _answer(portfolio, ann, f"/claims/{told.id('clm')}")
    assert claim_seen["claimant"] == parties.party("ann")
    assert "tok1" not in str(claim_seen)
    (moved,) = (await _answer(portfolio, ann, "/designations"))["items"]
    assert (moved["state"], moved["amounts"]) == ("moved", [_usd("9.00")])
    (charge,) = (await _answer(portfolio, ann, "/charges?state=taken"))["items"]
    assert (charge["payer"], charge["amount"]) == (parties.party("ann"), _usd("1.00"))
    assert "rule" not in charge
    bob = viewer_of(parties, "bob", "payee")
    for path in ("/claims", "/designations", "/charges"):
        assert (await _answer(portfolio, bob, path))["items"] == []


async def test_f25_an_event_leads_to_its_wallets_and_payouts_also_after_a_re_designation(
    portfolio: Any, parties: Any, story: Any, viewer_of: Any
) -> None:
    """Money for an order nobody knew the payee of, designated to a contact, then to ann, who withdraws."""
    acme = parties.party("acme")
    told = story("order", owner="event:order:order", company=acme).received().posted()
    told.split({"event:order:order": "60.00", acme: "40.00"})
    first, second = told.id("mov", "1"), told.id("mov", "2")
    for movement, owner, to in (
        (first, "event:order:order", "contact:tok1"),
        (second, "contact:tok1", parties.party("ann")),
    ):
        told.fact(
            DesignationMoved, movement, movement_id=movement, owner=owner, to_owner=to,
            tenant=parties.root, reason_code="redesignated", amounts=(_usd("60.00"),),
            journal_id=told.id("jrn", movement),
        )  # fmt: skip
    later = told.at + timedelta(hours=1)
    moved = story("order", at=later, owner=parties.party("ann"), company=acme)
    leg = Leg(id=told.id("trf", "2"), debit=told.wallet, credit=moved.wallet,
              amount=_usd("60.00"), code="claim")  # fmt: skip
    told.fact(
        JournalPosted, "journal", journal_id=told.id("jrn", second), ledger="main",
        reference=second, log_seq=9, legs=(leg,), effective_at=told.at,
    )  # fmt: skip
    moved.payout(1, "approved", "request", withdrawal=True)
    await portfolio.tell(parties, told, moved)
    company = viewer_of(parties, "acme", "company")
    path = "/events/order:order/money"
    seen = await _answer(portfolio, company, path)
    assert [one["payment_id"] for one in seen["payments"]] == [moved.payout_id, told.pay_in_id]
    assert {share["owner"] for share in seen["payments"][1]["shares"]} == {
        "event:order:order", acme
    }  # fmt: skip
    assert seen["more"] is False
    root = await _answer(portfolio, viewer_of(parties, "root", "aggregator"), path)
    assert {one["movement_id"] for one in root["designations"]} == {first, second}
    assert [one["owner"] for one in root["wallets"]] == [parties.party("ann")]
    ann = await _answer(portfolio, viewer_of(parties, "ann", "payee"), path)
    assert [one["payment_id"] for one in ann["payments"]] == [moved.payout_id]
    assert "40.00" not in str(ann)
    for label, persona in (("zeta", "company"), ("bob", "payee")):
        await _answer(portfolio, viewer_of(parties, label, persona), path, 404)
    await _answer(portfolio, company, "/events/order:other/money", 404)


async def test_f25_each_payee_finds_its_own_among_many_payments_of_one_event_under_any_reference(
    portfolio: Any, parties: Any, tree: Any, story: Any, viewer_of: Any
) -> None:
    """Ann's is the oldest of 151, a stranger's 30 with the same reference the newest of all."""
    reference, acme = "inv.2026/7#a?b=%41", parties.party("acme")
    strange = tree("t2").small()

    def pay_in(number: int, owner: str, company: str) -> Any:
        at = portfolio.clock.now() + timedelta(minutes=number)
        told = story(f"n{number}", owner=owner, company=company, reference=reference, at=at)
        return told.received()

    own = pay_in(0, parties.party("ann"), acme)
    others = [pay_in(number, f"payee-{number}", acme) for number in range(1, 151)]
    strangers = [
        pay_in(number, strange.party("ann"), strange.party("acme")) for number in range(151, 181)
    ]
    await portfolio.tell(parties, strange, own, *others, *strangers)
    path = f"/events/{quote(reference, safe='')}/money"
    seen = await _answer(portfolio, viewer_of(parties, "ann", "payee"), path)
    assert [one["payment_id"] for one in seen["payments"]] == [own.pay_in_id]
    assert (seen["event"], seen["more"]) == (reference, False)
    company, newest_first, more = viewer_of(parties, "acme", "company"), [], ""
    for size, rest in ((70, True), (70, True), (11, False)):
        page = await _answer(portfolio, company, f"{path}?limit=70&fields=payments,more{more}")
        newest_first += [one["payment_id"] for one in page["payments"]]
        assert (len(page["payments"]), page["more"]) == (size, rest)
        more = f"&cursor={page['next']}"
    assert page["next"] is None
    assert newest_first == [told.pay_in_id for told in [*others[::-1], own]]
    rival = await _answer(portfolio, viewer_of(strange, "acme", "company"), path)
    assert {one["payment_id"] for one in rival["payments"]} == {one.pay_in_id for one in strangers}
    assert rival["more"] is False
    for label, persona in (("zeta", "company"), ("bob", "payee")):
        await _answer(portfolio, viewer_of(parties, label, persona), path, 404)
