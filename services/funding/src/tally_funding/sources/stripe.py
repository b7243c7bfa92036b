"""Events in Stripe's format: bytes in, what they say of a payment out. Pure; nothing is raised.

Amounts are integers in the processor's own smallest units, which differ from ISO 4217 for some
currencies (https://docs.stripe.com/currencies).
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from tally_funding.answers.refusal import Refusal
from tally_funding.sources.cards import CardEvent, Dispute, FailedRefund, Standing
from tally_money import Money, UnknownCurrency, currency

_TOKEN: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_TYPE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_SECONDS_MAX: Final = 253_402_300_799
_MINOR_DIGITS_MAX: Final = 18
_METADATA_MAX: Final = 50
_REFUND_FAILED: Final = frozenset({"failed", "canceled"})

_NO_DECIMALS: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
     "XOF", "XPF"}
)  # fmt: skip
# Kept at two by the processor, although they have none.
_TWO_DECIMALS: Final = frozenset({"ISK", "UGX"})


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """One event. `says` None: it moves no money, or is about no payment.

    `payment` is the id that all events of one payment share; `digest` is of what the event says.
    """

    event_id: str
    event_type: str
    digest: bytes
    created: datetime
    payment: str | None = None
    says: CardEvent | None = None
    customer: str | None = None
    country: str | None = None
    failure: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Wrong(Exception):  # noqa: N818 - inside this module only
    def __init__(self, code: str, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(
            code,
            pointer,
            detail,
            "see what the processor shows of the event, and have it sent again",
        )


def read_event(body: bytes) -> StripeEvent | Refusal:
    """Read one event; the pointer of a refusal leads into its JSON."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Refusal(
            "body_not_json", None, f"the body is no JSON: {type(error).__name__}", "send the event"
        )
    try:
        return _event(found)
    except _Wrong as wrong:
        return wrong.refusal


def _event(found: object) -> StripeEvent:
    event = _Object(found, "")
    event_id, event_type = event.token("id"), event.text("type")
    if _TYPE.fullmatch(event_type) is None:
        raise _Wrong("event_type", "/type", "the type is no lower-case name")
    created = datetime.fromtimestamp(event.whole("created", _SECONDS_MAX), UTC)
    thing = event.object("data").object("object")
    said = json.dumps([event_type, thing.raw], ensure_ascii=False, sort_keys=True)
    digest = hashlib.blake2b(
        said.encode("utf-8", "backslashreplace"), digest_size=16, person=b"tally-stripe"
    ).digest()
    read = _READERS.get(event_type)
    if read is None:
        return StripeEvent(event_id, event_type, digest, created)
    says = read(thing)
    if says is None:
        return StripeEvent(event_id, event_type, digest, created)
    says = _dated(says, int(created.timestamp()))
    return StripeEvent(
        event_id,
        event_type,
        digest,
        created,
        payment=_payment(thing),
        says=says,
        customer=thing.maybe_token("customer"),
        country=_country(thing),
        failure=_failure(thing),
        metadata=_metadata(thing),
    )


def _dated(says: CardEvent, second: int) -> CardEvent:
    """What is said of refunds, with when: totals leave out what failed before."""
    if says.refunded is not None:
        return replace(says, second=second)
    failed = {name: replace(refund, second=second) for name, refund in says.failed_refunds.items()}
    return replace(says, failed_refunds=failed)


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object of the event and the pointer to it."""

    value: object
    pointer: str

    @property
    def raw(self) -> Mapping[str, Any]:
        if not isinstance(self.value, dict):
            raise _Wrong("field_type", self.pointer or "/", "this is no object")
        return self.value

    def object(self, name: str) -> "_Object":
        return _Object(self.raw.get(name), f"{self.pointer}/{name}")

    def text(self, name: str) -> str:
        value = self.raw.get(name)
        if not isinstance(value, str):
            raise _Wrong("field_missing", f"{self.pointer}/{name}", "this is no text")
        return value

    def token(self, name: str) -> str:
        value = self.text(name)
        if _TOKEN.fullmatch(value) is None:
            raise _Wrong("field_format", f"{self.pointer}/{name}", "this is no id")
        return value

    def maybe_token(self, name: str) -> str | None:
        """An id, or None; an object in an id's place (expanded by the sender) is read by its own id."""
        value = self.raw.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return self.object(name).token("id")
        return self.token(name)

    def whole(self, name: str, most: int = 10**_MINOR_DIGITS_MAX) -> int:
        value = self.raw.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise _Wrong("amount_format", f"{self.pointer}/{name}", "this is no whole number")
        return value

    def money(self, name: str) -> Money:
        minor, code = self.whole(name), self.text("currency").upper()
        try:
            unit = currency(code)
        except UnknownCurrency as error:
            raise _Wrong(error.code, f"{self.pointer}/currency", str(error)) from error
        decimals = (
            0 if code in _NO_DECIMALS else 2 if code in _TWO_DECIMALS else max(2, unit.exponent)
        )
        more = unit.exponent - decimals
        if more >= 0:
            return Money(minor * 10**more, unit)
        whole, rest = divmod(minor, 10**-more)
        if rest:
            raise _Wrong(
                "too_many_decimals",
                f"{self.pointer}/{name}",
                f"{code} has fewer decimals than this",
            )
        return Money(whole, unit)

    def positive(self, name: str) -> Money:
        amount = self.money(name)
        if not amount:
            raise _Wrong("amount_not_positive", f"{self.pointer}/{name}", "the amount is zero")
        return amount


def _payment(thing: _Object) -> str:
    """An intent joins its charges, refunds and disputes; a charge without one stands for itself."""
    if thing.raw.get("object") == "payment_intent":
        return thing.token("id")
    intent = thing.maybe_token("payment_intent")
    if intent is not None:
        return intent
    if thing.raw.get("object") in {"dispute", "refund"}:
        charge = thing.maybe_token("charge")
        if charge is None:
            raise _Wrong("field_missing", f"{thing.pointer}/charge", "this names no charge")
        return charge
    return thing.token("id")


def _charge_succeeded(thing: _Object) -> CardEvent | None:
    if thing.raw.get("captured") is False:
        return None  # Only reserved: the money comes when it is captured.
    captured = "amount_captured" if thing.raw.get("amount_captured") is not None else "amount"
    return CardEvent(Standing.RECEIVED, thing.positive(captured), charge=thing.token("id"))


def _charge_pending(thing: _Object) -> CardEvent:
    return CardEvent(Standing.PENDING, thing.positive("amount"))


def _charge_failed(thing: _Object) -> CardEvent:
    return CardEvent(Standing.FAILED, thing.positive("amount"), charge=thing.token("id"))


def _charge_refunded(thing: _Object) -> CardEvent:
    return CardEvent(refunded=thing.money("amount_refunded"))


def _refund_changed(thing: _Object) -> CardEvent | None:
    if thing.text("status") not in _REFUND_FAILED:
        return None
    return _refund_failed(thing)


def _refund_failed(thing: _Object) -> CardEvent:
    refund = FailedRefund(thing.positive("amount"), second=0)
    return CardEvent(failed_refunds={thing.token("id"): refund})


def _intent_processing(thing: _Object) -> CardEvent:
    return CardEvent(Standing.PENDING, thing.positive("amount"))


def _intent_succeeded(thing: _Object) -> CardEvent:
    received = "amount_received" if thing.raw.get("amount_received") is not None else "amount"
    charge = thing.maybe_token("latest_charge")
    return CardEvent(Standing.RECEIVED, thing.positive(received), charge=charge)


def _intent_failed(thing: _Object) -> CardEvent:
    return CardEvent(Standing.FAILED, thing.positive("amount"))


def _dispute_withdrawn(thing: _Object) -> CardEvent:
    dispute = Dispute(thing.positive("amount"), withdrawn=True)
    return CardEvent(disputes={thing.token("id"): dispute})


def _dispute_reinstated(thing: _Object) -> CardEvent:
    dispute = Dispute(thing.positive("amount"), reinstated=True)
    return CardEvent(disputes={thing.token("id"): dispute})


_READERS: Final[Mapping[str, Callable[[_Object], CardEvent | None]]] = MappingProxyType(
    {
        "charge.succeeded": _charge_succeeded,
        "charge.captured": _charge_succeeded,
        "charge.pending": _charge_pending,
        "charge.failed": _charge_failed,
        "charge.refunded": _charge_refunded,
        "charge.refund.updated": _refund_changed,
        "refund.updated": _refund_changed,
        "refund.failed": _refund_failed,
        "charge.dispute.funds_withdrawn": _dispute_withdrawn,
        "charge.dispute.funds_reinstated": _dispute_reinstated,
        "payment_intent.processing": _intent_processing,
        "payment_intent.succeeded": _intent_succeeded,
        "payment_intent.payment_failed": _intent_failed,
        "payment_intent.canceled": _intent_failed,
    }
)
"""Events that move money; a dispute opened or closed moves none by itself."""


def _country(thing: _Object) -> str | None:
    place: object = thing.raw
    for name in ("billing_details", "address", "country"):
        place = place.get(name) if isinstance(place, dict) else None
    return place if isinstance(place, str) and _COUNTRY.fullmatch(place) else None


def _failure(thing: _Object) -> str | None:
    code = thing.raw.get("failure_code")
    error = thing.raw.get("last_payment_error")
    if code is None and isinstance(error, dict):
        code = error.get("code")
    return code if isinstance(code, str) and _TYPE.fullmatch(code) else None


def _metadata(thing: _Object) -> Mapping[str, str]:
    found = thing.raw.get("metadata")
    if not isinstance(found, dict) or len(found) > _METADATA_MAX:
        return {}
    return {name: text for name, text in found.items() if isinstance(text, str) and text}
