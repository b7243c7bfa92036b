"""F12, F15: what a card processor says, in its own format, doubled and in any order."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.answers.refusal import Refusal
from tally_funding.sources.cards import (
    CardEvent,
    CardPayment,
    Dispute,
    FailedRefund,
    MoneyBack,
    Standing,
    fold,
    wanted_returns,
    won_disputes,
)
from tally_funding.sources.stripe import StripeEvent, read_event
from tally_money import Money, currency

USD = currency("USD")


def usd(minor: int) -> Money:
    return Money(minor, USD)


def body(event_type: str, thing: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": event_type,
            "created": 1_790_000_000,
            "pending_webhooks": 1,
            "data": {"object": thing},
            **more,
        }
    ).encode()


CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 10_000,
    "amount_captured": 10_000,
    "amount_refunded": 0,
    "captured": True,
    "currency": "usd",
    "payment_intent": "pi_1",
    "customer": "cus_1",
    "billing_details": {"address": {"country": "DE"}},
    "metadata": {"tally_program": "supplier-payments", "tally_party": "pty_1"},
}


def read(event_type: str, **changes: Any) -> StripeEvent:
    event = read_event(body(event_type, {**CHARGE, **changes}))
    assert isinstance(event, StripeEvent), event
    return event


def test_f12_a_charge_that_succeeded_says_who_paid_how_much_and_for_what() -> None:
    event = read("charge.succeeded")
    assert event.says == CardEvent(Standing.RECEIVED, usd(10_000), charge="ch_1")
    assert (event.payment, event.customer, event.country) == ("pi_1", "cus_1", "DE")
    assert event.metadata["tally_party"] == "pty_1"


def test_f12_charge_intent_and_dispute_of_one_payment_share_its_id() -> None:
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 1, "currency": "usd"}
    dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "amount": 1, "currency": "usd"}
    assert read("charge.succeeded").payment == "pi_1"
    of_intent = read_event(body("payment_intent.succeeded", intent))
    of_dispute = read_event(
        body("charge.dispute.funds_withdrawn", {**dispute, "payment_intent": "pi_1"})
    )
    alone = read_event(body("charge.dispute.funds_withdrawn", dispute))
    assert isinstance(of_intent, StripeEvent)
    assert isinstance(of_dispute, StripeEvent)
    assert isinstance(alone, StripeEvent)
    assert (of_intent.payment, of_dispute.payment, alone.payment) == ("pi_1", "pi_1", "ch_1")


@pytest.mark.parametrize(
    ("event_type", "changes"),
    [
        ("charge.succeeded", {"captured": False}),
        ("charge.dispute.created", {}),
        ("charge.dispute.closed", {}),
        ("customer.created", {}),
    ],
)
def test_events_that_move_no_money_say_nothing(event_type: str, changes: dict[str, Any]) -> None:
    assert read(event_type, **changes).says is None


@pytest.mark.parametrize(
    ("code", "given_amount", "minor"),
    [
        ("usd", 1234, 1234),
        ("jpy", 500, 500),
        ("kwd", 1250, 1250),
        ("ugx", 500, 5),
        ("isk", 500, 5),
        ("mga", 500, 50_000),
    ],
)
def test_amounts_are_read_in_the_processors_units(code: str, given_amount: int, minor: int) -> None:
    says = read("charge.succeeded", currency=code, amount_captured=given_amount).says
    assert says is not None
    assert says.amount == Money(minor, currency(code.upper()))


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"currency": "ugx", "amount_captured": 501}, "too_many_decimals", "amount_captured"),
        ({"currency": "zzz"}, "unknown_currency", "currency"),
        ({"amount_captured": 10.5}, "amount_format", "amount_captured"),
        ({"amount_captured": True}, "amount_format", "amount_captured"),
        ({"amount_captured": -1}, "amount_format", "amount_captured"),
        ({"amount_captured": 10**30}, "amount_format", "amount_captured"),
        ({"amount_captured": 0}, "amount_not_positive", "amount_captured"),
        ({"payment_intent": "pi 1"}, "field_format", "payment_intent"),
        ({"id": None}, "field_missing", "id"),
        ({"currency": None}, "field_missing", "currency"),
    ],
)
def test_a_wrong_field_is_refused_with_its_place(
    changes: dict[str, Any], code: str, field: str
) -> None:
    refused = read_event(body("charge.succeeded", {**CHARGE, **changes}))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field) == (code, f"/data/object/{field}")
    assert refused.remedy


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 10_000, b'{"id": 1}']
)
def test_bytes_that_are_no_event_are_refused(raw: bytes) -> None:
    assert isinstance(read_event(raw), Refusal)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["id", "type", "data", "object", "created",
                                                       "amount", "currency", "metadata"]),
                                      inner, max_size=8), max_leaves=20))  # fmt: skip
def test_no_json_raises(value: Any) -> None:
    assert isinstance(read_event(json.dumps(value).encode()), Refusal)
    found = read_event(body("charge.succeeded", value))
    assert isinstance(found, Refusal | StripeEvent)


def test_the_same_event_sent_again_has_the_same_digest_whatever_is_pending() -> None:
    first = read_event(body("charge.succeeded", CHARGE))
    again = read_event(body("charge.succeeded", CHARGE, pending_webhooks=0))
    other = read_event(body("charge.succeeded", {**CHARGE, "amount_captured": 9_999}))
    assert isinstance(first, StripeEvent)
    assert isinstance(again, StripeEvent)
    assert isinstance(other, StripeEvent)
    assert first.digest == again.digest != other.digest


HISTORY: tuple[CardEvent, ...] = (
    CardEvent(Standing.PENDING, usd(100)),
    CardEvent(Standing.FAILED, usd(100), charge="ch_0"),
    CardEvent(Standing.RECEIVED, usd(100), charge="ch_1"),
    CardEvent(refunded=usd(20), second=10),
    CardEvent(refunded=usd(30), second=20),
    CardEvent(failed_refunds={"re_1": FailedRefund(usd(20), second=30)}),
    # The total leaves out what has failed; this is what was refunded again.
    CardEvent(refunded=usd(30), second=40),
    CardEvent(failed_refunds={"re_1": FailedRefund(usd(20), second=45)}),
    CardEvent(disputes={"dp_1": Dispute(usd(50), withdrawn=True)}),
    CardEvent(disputes={"dp_1": Dispute(usd(50), reinstated=True)}),
)


def played(events: Sequence[CardEvent]) -> tuple[CardPayment, dict[str, int], list[str]]:
    """The end of a history, what goes back by name, and the disputes won, each as often as told."""
    payment, back, won = CardPayment(), {}, []
    for event in events:
        after = fold(payment, event)
        for wanted in wanted_returns(payment, after):
            assert wanted.name not in back, "no return is asked for twice"
            back[wanted.name] = wanted.amount.minor if wanted.amount else -1
        won.extend(won_disputes(payment, after))
        payment = after
    return payment, back, won


@given(seed=st.integers(0, 10**6), doubled=st.integers(0, 3))
def test_f12_every_order_of_events_with_doubles_comes_to_the_same_end(
    seed: int, doubled: int
) -> None:
    mixed = list(HISTORY) * (1 + doubled)
    random.Random(seed).shuffle(mixed)
    payment, back, won = played(mixed)
    assert payment == played(HISTORY)[0]
    refunds = sum(minor for name, minor in back.items() if name.startswith("refund"))
    assert (refunds, back["dispute:dp_1"], won) == (50, 50, ["dp_1"])
    assert payment.failed_refunds == {"re_1": FailedRefund(usd(20), second=30)}
    assert "failure" not in back, "an attempt that failed is not the one that brought the money"


def test_f12_a_direct_debit_that_fails_after_it_was_credited_goes_back_whole() -> None:
    _, back, _ = played(
        [
            CardEvent(Standing.RECEIVED, usd(100), charge="py_1"),
            CardEvent(Standing.FAILED, usd(100), charge="py_1"),
        ]
    )
    assert back == {"failure": -1}


def test_f12_what_goes_back_before_the_money_is_there_waits_for_it() -> None:
    early = fold(CardPayment(), CardEvent(refunded=usd(30)))
    assert wanted_returns(CardPayment(), early) == ()
    there = fold(early, CardEvent(Standing.RECEIVED, usd(100), charge="ch_1"))
    (wanted,) = wanted_returns(early, there)
    assert (wanted.why, wanted.amount) == (MoneyBack.REFUND, usd(30))
