"""F12, F15: a card processor's webhooks move money on a real ledger once, in whatever order."""

import base64
import itertools
import json
from typing import Any

import pytest

from tally_contracts.base import Who
from tally_contracts.funding import PayInReceived
from tally_contracts.funding_sources import (
    PayInChargedBack,
    PayInFailed,
    PayInPending,
    PayInRefunded,
    PayInReinstated,
    ReceiveWebhook,
    SourceCommandRefused,
    WebhookReceived,
)
from tally_runtime import derived_id

from .conftest import START, Platform

METADATA = {
    "tally_program": "supplier-payments",
    "tally_event": "invoice:7",
    "tally_reason": "Invoice 7",
    "tally_party": "pty_1",
}


def charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 10_000,
        "captured": True,
        "currency": "usd",
        "payment_intent": "pi_1",
        "metadata": METADATA,
        **changes,
    }


def dispute(**changes: Any) -> dict[str, Any]:
    return {
        "id": "dp_1",
        "object": "dispute",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "amount": 10_000,
        "currency": "usd",
        **changes,
    }


SUCCEEDED = ("evt_1", "charge.succeeded", charge())
REFUNDED_30 = ("evt_2", "charge.refunded", charge(amount_refunded=3_000))
REFUNDED_50 = ("evt_3", "charge.refunded", charge(amount_refunded=5_000))
WITHDRAWN = ("evt_4", "charge.dispute.funds_withdrawn", dispute(amount=2_000))
REINSTATED = ("evt_5", "charge.dispute.funds_reinstated", dispute(amount=2_000))


async def hook(
    platform: Platform,
    event_id: str,
    event_type: str,
    thing: Any,
    *,
    raw: bytes | None = None,
    company: str = "co_1",
    later_s: int = 0,
) -> None:
    event = {
        "id": event_id,
        "type": event_type,
        "created": int(START.timestamp()) + later_s,
        "data": {"object": thing},
    }
    content = raw if raw is not None else json.dumps(event).encode()
    number = len(platform.facts(WebhookReceived)) + len(platform.facts(SourceCommandRefused))
    command = ReceiveWebhook(
        webhook_id=derived_id("whk", str(number)),
        source="cards",
        content=base64.b64encode(content).decode(),
        who=Who(actor="svc:stripe", principal=company),
        occurred_at=START,
    )
    await platform.send(command, "funding.sources.commands.v1", command.webhook_id)


async def test_f12_a_card_payment_is_a_pay_in_like_any_other(platform: Platform) -> None:
    await hook(platform, *SUCCEEDED)
    (received,) = platform.facts(PayInReceived)
    assert (received.source, received.external_id, received.company) == ("cards", "pi_1", "co_1")
    assert received.why.event == "invoice:7"
    (answer,) = platform.facts(WebhookReceived)
    assert (answer.outcome, answer.pay_in_id) == ("applied", received.pay_in_id)
    assert await platform.balance("wallet/pty_1/USD") == 9_720
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 10_000, "currency": "usd"}
    await hook(platform, "evt_6", "payment_intent.succeeded", {**intent, "metadata": METADATA})
    assert len(platform.facts(PayInReceived)) == 1, "charge and intent are one payment"


@pytest.mark.parametrize(
    "order",
    list(itertools.permutations(range(5)))[::17],
    ids=lambda order: "".join(map(str, order)),
)
async def test_f15_any_order_of_events_leads_to_the_same_books(
    platform: Platform, order: tuple[int, ...]
) -> None:
    events = (SUCCEEDED, REFUNDED_30, REFUNDED_50, WITHDRAWN, REINSTATED)
    for index in order:
        await hook(platform, *events[index])
        await hook(platform, *events[index])
    await platform.work("returns_due")
    await platform.work("returns_due")
    assert await platform.balance("clearing/cards/USD") == -5_000
    assert sum((await platform.balances()).values()) == 0
    assert [a.outcome for a in platform.facts(WebhookReceived)].count("known") == 5
    assert len(platform.facts(PayInChargedBack)) == len(platform.facts(PayInReinstated)) == 1
    refunds = [f.amount.money().minor for f in platform.facts(PayInRefunded)]
    assert sum(refunds) == 5_000
    assert await platform.set_aside() == []


async def test_f12_a_direct_debit_is_pending_until_it_clears(platform: Platform) -> None:
    await hook(platform, "evt_1", "charge.pending", charge())
    (pending,) = platform.facts(PayInPending)
    assert pending.amount.amount == "100.00"
    assert await platform.balances() == {}, "no wallet has what has not cleared"
    await hook(platform, "evt_2", "charge.succeeded", charge())
    (received,) = platform.facts(PayInReceived)
    assert received.pay_in_id == pending.pay_in_id
    assert await platform.balance("wallet/pty_1/USD") == 9_720


async def test_f12_a_direct_debit_that_fails_while_pending_leaves_nothing(
    platform: Platform,
) -> None:
    await hook(platform, "evt_1", "charge.pending", charge())
    await hook(platform, "evt_2", "charge.failed", charge(failure_code="insufficient_funds"))
    (failed,) = platform.facts(PayInFailed)
    assert failed.code == "insufficient_funds"
    assert platform.facts(PayInReceived) == []
    assert await platform.balances() == {}


async def test_f15_a_direct_debit_that_fails_late_is_taken_back_whole(platform: Platform) -> None:
    await hook(platform, *SUCCEEDED)
    await hook(platform, *REFUNDED_30)
    await hook(platform, "evt_9", "charge.failed", charge())
    (back,) = platform.facts(PayInChargedBack)
    assert (back.amount.amount, back.returned.amount) == ("70.00", "100.00")
    assert await platform.balances() == {}


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 3_000,
        "currency": "usd",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "status": "failed",
        **changes,
    }


@pytest.mark.parametrize("early", [False, True], ids=["after", "before"])
async def test_f15_a_refund_the_processor_could_not_pay_out_is_given_back_and_can_be_made_again(
    platform: Platform, early: bool
) -> None:
    await hook(platform, *SUCCEEDED)
    whole = await platform.balances()
    events = [REFUNDED_30, ("evt_7", "charge.refund.updated", refund())]
    for event in reversed(events) if early else events:
        await hook(platform, *event, later_s=60)
    await hook(platform, "evt_8", "refund.failed", refund(), later_s=61)
    await platform.work("returns_due")
    (reinstated,) = platform.facts(PayInReinstated)
    assert (reinstated.amount.amount, reinstated.returned.amount) == ("30.00", "0.00")
    assert await platform.balances() == whole
    await hook(platform, "evt_9", "charge.refunded", charge(amount_refunded=3_000), later_s=120)
    await platform.work("returns_due")
    assert [fact.amount.amount for fact in platform.facts(PayInRefunded)] == ["30.00", "30.00"]
    assert await platform.balance("clearing/cards/USD") == -7_000
    assert await platform.rows("SELECT FROM suspense_case") == []
    assert await platform.set_aside() == []


async def test_a_failed_refund_that_is_no_return_of_its_own_is_a_case_and_no_booking(
    platform: Platform,
) -> None:
    await hook(platform, *SUCCEEDED)
    await hook(platform, *REFUNDED_50)
    await hook(platform, "evt_7", "refund.failed", refund(), later_s=60)
    await hook(platform, "evt_8", "refund.updated", refund(), later_s=61)
    await hook(platform, "evt_9", "refund.updated", refund(id="re_2", status="succeeded"))
    await platform.work("returns_due")
    reasons = await platform.rows("SELECT reason_code FROM suspense_case")
    assert [row[0] for row in reasons] == ["card_refund_failed"]
    assert platform.facts(PayInReinstated) == []
    assert await platform.balance("clearing/cards/USD") == -5_000


async def test_f15_a_failed_refund_handed_to_a_person_is_not_undone_by_the_refund_made_again(
    platform: Platform,
) -> None:
    """Two refunds in one total, of 20 and 30; that of 20 fails, and succeeds when it is made again."""
    await hook(platform, *SUCCEEDED)
    await hook(platform, *REFUNDED_50)
    await hook(platform, "evt_7", "refund.failed", refund(amount=2_000), later_s=60)
    again = charge(amount_refunded=5_000)
    await hook(platform, "evt_8", "charge.refunded", again, later_s=120)
    await hook(platform, "evt_9", "refund.failed", refund(amount=2_000), later_s=121)
    await platform.work("returns_due")
    assert [fact.amount.amount for fact in platform.facts(PayInRefunded)] == ["50.00", "20.00"]
    assert platform.facts(PayInReinstated) == [], "the person enters it by hand"
    assert await platform.balance("clearing/cards/USD") == -3_000
    assert len(await platform.rows("SELECT FROM suspense_case")) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_f15_a_failed_refund_is_undone_or_handed_over_never_both_whatever_comes_first(
    platform: Platform, order: tuple[int, ...]
) -> None:
    events = (
        ("evt_2", "charge.refunded", charge(amount_refunded=3_000), 10),
        ("evt_3", "charge.refunded", charge(amount_refunded=5_000), 20),
        ("evt_7", "refund.failed", refund(amount=2_000), 60),
    )
    await hook(platform, *SUCCEEDED)
    for index in order:
        event_id, event_type, thing, later_s = events[index]
        await hook(platform, event_id, event_type, thing, later_s=later_s)
        await platform.work("returns_due")
    handed_over = len(await platform.rows("SELECT FROM suspense_case"))
    undone = platform.facts(PayInReinstated)
    assert len(undone) + handed_over == 1
    assert await platform.balance("clearing/cards/USD") == -5_000 - 2_000 * len(undone)
    assert await platform.set_aside() == []


async def test_money_without_metadata_stands_in_suspense(platform: Platform) -> None:
    await hook(platform, "evt_1", "charge.succeeded", charge(metadata={}))
    assert await platform.balances() == {
        "clearing/cards/USD": -10_000,
        "suspense/cards/USD": 10_000,
    }


@pytest.mark.parametrize("metadata", [{"tally_program": "No Slug"}, {"tally_event": "a b"}])
async def test_metadata_of_no_use_is_no_reason_to_lose_money(
    platform: Platform, metadata: dict[str, str]
) -> None:
    await hook(platform, "evt_1", "charge.succeeded", charge(metadata=metadata))
    assert await platform.balance("suspense/cards/USD") == 10_000


async def test_an_event_id_with_other_content_is_refused_and_the_first_stands(
    platform: Platform,
) -> None:
    await hook(platform, *SUCCEEDED)
    before = await platform.balances()
    await hook(platform, "evt_1", "charge.refunded", charge(amount_refunded=10_000))
    (refused,) = platform.facts(SourceCommandRefused)
    assert (refused.code, refused.field) == ("event_conflict", "/content")
    assert await platform.balances() == before


async def test_more_taken_back_than_came_in_is_a_case_and_no_booking(platform: Platform) -> None:
    await hook(platform, *SUCCEEDED)
    await hook(platform, "evt_2", "charge.refunded", charge(amount_refunded=10_001))
    reasons = await platform.rows("SELECT reason_code FROM suspense_case")
    assert [row[0] for row in reasons] == ["card_return_refused"]
    assert await platform.balance("clearing/cards/USD") == -10_000


@pytest.mark.parametrize(
    "raw", [b"not json", b"{}", b'{"id": "evt_1", "type": "charge.succeeded"}']
)
async def test_a_body_that_is_no_event_is_answered_and_changes_nothing(
    platform: Platform, raw: bytes
) -> None:
    await hook(platform, "", "", None, raw=raw)
    (refused,) = platform.facts(SourceCommandRefused)
    assert refused.remedy
    assert await platform.rows("SELECT FROM webhook_event") == []
