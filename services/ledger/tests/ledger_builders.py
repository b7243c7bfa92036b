"""Commands in one line each: names become derived ids."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    Leg,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from tally_runtime import derived_id

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WHO = Who(actor="funding", principal="acme")
WHERE = Where(channel="cards", country="DE")
WHY = Why(program="creators", event="order-17", reason="Sale of order 17")


def identify(prefix: str, name: str) -> str:
    return derived_id(prefix, name)


def account(
    name: str, *, guarded: bool = True, currency: str = "EUR", **changes: Any
) -> AccountSpec:
    fields: dict[str, Any] = {
        "id": identify("acc", name),
        "owner": f"owner-{name}",
        "purpose": "wallet" if guarded else "clearing",
        "path": f"{'wallet' if guarded else 'clearing'}/{name}",
        "currency": currency,
        "guarded": guarded,
    }
    return AccountSpec(**{**fields, **changes})


def leg(name: str, debit: str, credit: str, amount: str, currency: str = "EUR") -> Leg:
    return Leg(
        id=identify("tr", name),
        debit=identify("acc", debit),
        credit=identify("acc", credit),
        amount=PositiveAmount(currency=currency, amount=amount),
        code="allocation",
    )


def journal(
    name: str, *legs: Leg, opens: Sequence[AccountSpec] = (), **changes: Any
) -> PostJournal:
    fields: dict[str, Any] = {
        "journal_id": identify("jrn", name),
        "ledger": "main",
        "reference": identify("pin", name),
        "open_accounts": tuple(opens),
        "legs": legs,
        "effective_at": NOW,
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return PostJournal(**{**fields, **changes})


def place(name: str, debit: str, credit: str, amount: str, **changes: Any) -> PlaceHold:
    fields: dict[str, Any] = {
        "hold_id": identify("hld", name),
        "ledger": "main",
        "reference": identify("po", name),
        "debit": identify("acc", debit),
        "credit": identify("acc", credit),
        "amount": PositiveAmount(currency="EUR", amount=amount),
        "code": "payout",
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return PlaceHold(**{**fields, **changes})


def capture(name: str, hold: str, amount: str, **changes: Any) -> CaptureHold:
    fields: dict[str, Any] = {
        "transfer_id": identify("tr", name),
        "hold_id": identify("hld", hold),
        "ledger": "main",
        "reference": identify("po", hold),
        "amount": PositiveAmount(currency="EUR", amount=amount),
        "code": "payout",
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return CaptureHold(**{**fields, **changes})


def release(name: str, hold: str, **changes: Any) -> ReleaseHold:
    fields: dict[str, Any] = {
        "transfer_id": identify("tr", name),
        "hold_id": identify("hld", hold),
        "ledger": "main",
        "reference": identify("po", hold),
        "code": "payout",
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return ReleaseHold(**{**fields, **changes})


def open_account(spec: AccountSpec, **changes: Any) -> OpenAccount:
    fields: dict[str, Any] = {"account": spec, "ledger": "main", "who": WHO, "occurred_at": NOW}
    return OpenAccount(**{**fields, **changes})


Event = OpenAccount | PostJournal | PlaceHold | CaptureHold | ReleaseHold
