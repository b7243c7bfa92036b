"""Commands in one line each: names become derived ids."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tally_contracts.base import AskedAmount, Where, Who, Why
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    Leg,
    OpenAccount,
    PlaceHold,
    PostJournal,
    RegisterAsset,
    ReleaseHold,
    ReversalLeg,
    ReverseJournal,
    UnfreezeAccount,
)
from tally_contracts.ledger_batches import BatchItem, PostBatch
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
        amount=AskedAmount(currency=currency, amount=amount),
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
        "amount": AskedAmount(currency="EUR", amount=amount),
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
        "amount": AskedAmount(currency="EUR", amount=amount),
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


def back(name: str, target: str, amount: str) -> ReversalLeg:
    return ReversalLeg(
        id=identify("tr", name),
        reverses=identify("tr", target),
        amount=AskedAmount(currency="EUR", amount=amount),
        code="chargeback",
    )


def reverse(name: str, target: str, *legs: ReversalLeg, **changes: Any) -> ReverseJournal:
    """The reversal of a journal; name a capture's id with `reverses`."""
    fields: dict[str, Any] = {
        "journal_id": identify("jrn", name),
        "ledger": "main",
        "reference": identify("pin", target),
        "reverses": identify("jrn", target),
        "legs": legs,
        "effective_at": NOW,
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return ReverseJournal(**{**fields, **changes})


def _change(name: str, account: str) -> dict[str, Any]:
    return {
        "change_id": identify("chg", name),
        "account": identify("acc", account),
        "ledger": "main",
        "who": WHO,
        "why": WHY,
        "occurred_at": NOW,
    }


def freeze(name: str, account: str, direction: str = "both") -> FreezeAccount:
    return FreezeAccount(**_change(name, account), direction=direction)


def unfreeze(name: str, account: str, direction: str = "both") -> UnfreezeAccount:
    return UnfreezeAccount(**_change(name, account), direction=direction)


def close(name: str, account: str) -> CloseAccount:
    return CloseAccount(**_change(name, account))


def register(name: str, asset: str, scale: int, kind: str = "crypto") -> RegisterAsset:
    return RegisterAsset(
        registration_id=identify("reg", name),
        ledger="main",
        asset=asset,
        scale=scale,
        kind=kind,
        who=WHO,
        why=WHY,
        occurred_at=NOW,
    )


def item(name: str, leg: Leg) -> BatchItem:
    return BatchItem(journal_id=identify("jrn", name), reference=identify("pin", name), leg=leg)


def batch(name: str, *items: BatchItem, **changes: Any) -> PostBatch:
    fields: dict[str, Any] = {
        "batch_id": identify("bat", name),
        "ledger": "main",
        "reference": identify("run", name),
        "items": items,
        "effective_at": NOW,
        "who": WHO,
        "where": WHERE,
        "why": WHY,
        "occurred_at": NOW,
    }
    return PostBatch(**{**fields, **changes})


def alone(asked: PostBatch, item: BatchItem) -> PostJournal:
    """The journal that an item of a batch is."""
    return PostJournal(
        journal_id=item.journal_id,
        ledger=asked.ledger,
        reference=item.reference,
        legs=(item.leg,),
        effective_at=asked.effective_at,
        who=asked.who,
        where=asked.where,
        why=asked.why,
        occurred_at=asked.occurred_at,
    )


Event = (
    OpenAccount
    | PostJournal
    | PlaceHold
    | CaptureHold
    | ReleaseHold
    | ReverseJournal
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | RegisterAsset
    | PostBatch
)
