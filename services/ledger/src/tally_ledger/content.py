"""What a request says, as a hash: by it the same request asked again is told from another one.

From what is on the wire and not from how it was read, so a request has one content for ever, whether
its amounts could be read or not.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from tally_contracts.base import AskedAmount, MoneyEvent, Who, Why
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    Leg,
    PlaceHold,
    PostJournal,
    RegisterAsset,
    ReleaseHold,
    ReversalLeg,
    ReverseJournal,
    UnfreezeAccount,
)
from tally_contracts.ledger_batches import BatchItem
from tally_ledger.domain import Capture, Context, Place, PostLegs, Release, Reverse

WireHold = PlaceHold | CaptureHold | ReleaseHold
WireMovement = PostJournal | ReverseJournal | WireHold
WireChange = FreezeAccount | UnfreezeAccount | CloseAccount

OPERATIONS: Mapping[type[WireMovement | WireChange], str] = {
    PostJournal: PostLegs.operation,
    ReverseJournal: Reverse.operation,
    PlaceHold: Place.operation,
    CaptureHold: Capture.operation,
    ReleaseHold: Release.operation,
    FreezeAccount: "freeze",
    UnfreezeAccount: "unfreeze",
    CloseAccount: "close",
}
_CHANGES_CHANNEL = "ledger"
_FIELD = "\x1f"


def movement_context(event: MoneyEvent) -> Context:
    """Who, where and why of a command that moves money."""
    who, where, why = event.who, event.where, event.why
    return Context(
        who.actor, who.principal, where.channel, where.country, why.program, why.event, why.reason
    )


def context_of(who: Who, why: Why) -> Context:
    """Who and why of a command that moves no money and comes through no channel of its own."""
    return Context(
        who.actor, who.principal, _CHANGES_CHANNEL, None, why.program, why.event, why.reason
    )


def content_of(event: WireMovement, context: Context) -> bytes:
    """The hash of a movement."""
    match event:
        case PostJournal():
            parts = [event.journal_id, event.effective_at.isoformat()]
            parts += _specs(event.open_accounts)
            parts += [_leg(leg) for leg in event.legs]
        case PlaceHold():
            expires_at = event.expires_at
            parts = ["" if expires_at is None else expires_at.isoformat()]
            parts += _specs(event.open_accounts)
            parts += (event.hold_id, event.debit, event.credit, _amount(event.amount), event.code)
        case CaptureHold():
            parts = [event.transfer_id, event.hold_id, _amount(event.amount), event.code]
        case ReleaseHold():
            parts = [event.transfer_id, event.hold_id, event.code]
        case ReverseJournal():
            parts = [event.journal_id, event.reverses, event.effective_at.isoformat()]
            parts += [_reversal(leg) for leg in event.legs]
    return hashed(OPERATIONS[type(event)], event.ledger, event.reference, context, parts)


class ItemContents:
    """Hashes of the items of one batch: each the one its journal would have if it came alone."""

    __slots__ = ("_after", "_before", "_between")

    def __init__(self, ledger: str, context: Context, effective_at: datetime) -> None:
        self._before = f"{PostLegs.operation}{_FIELD}{ledger}{_FIELD}"
        self._between = f"{_FIELD}{_told(context)}{_FIELD}"
        no_accounts = _FIELD.join(_specs(()))
        self._after = f"{_FIELD}{effective_at.isoformat()}{_FIELD}{no_accounts}{_FIELD}"

    def of(self, item: BatchItem) -> bytes:
        """The hash of one item."""
        text = (
            f"{self._before}{item.reference}{self._between}{item.journal_id}{self._after}"
            f"{_leg(item.leg)}"
        )
        return hashlib.sha256(text.encode()).digest()


def registration_hash(event: RegisterAsset) -> bytes:
    """The hash of a registration."""
    parts = [event.registration_id, str(event.scale), event.kind]
    context = context_of(event.who, event.why)
    return hashed("register", event.ledger, event.asset, context, parts)


def hashed(
    operation: str, ledger: str, reference: str, context: Context, parts: list[str]
) -> bytes:
    """SHA-256 over all the request says but `occurred_at`: a sender may ask again at a later time.

    U+001F cannot occur in a field, and lists are preceded by their length, so no two requests
    have the same text.
    """
    text = _FIELD.join((operation, ledger, reference, _told(context), *parts))
    return hashlib.sha256(text.encode()).digest()


def _told(context: Context) -> str:
    actor, principal, channel, country, program, event, reason = context
    return (
        f"{actor}{_FIELD}{principal}{_FIELD}{channel}{_FIELD}{country or ''}{_FIELD}"
        f"{program}{_FIELD}{event}{_FIELD}{reason}"
    )


def _leg(leg: Leg) -> str:
    return (
        f"{leg.id}{_FIELD}{leg.debit}{_FIELD}{leg.credit}{_FIELD}{_amount(leg.amount)}{_FIELD}"
        f"{leg.code}"
    )


def _reversal(leg: ReversalLeg) -> str:
    return f"{leg.id}{_FIELD}{leg.reverses}{_FIELD}{_amount(leg.amount)}{_FIELD}{leg.code}"


def _amount(asked: AskedAmount) -> str:
    """Currency and amount, without the noughts that change nothing: 1.50 is 1.5."""
    text = asked.amount
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{asked.currency}{_FIELD}{text}"


def _specs(specs: tuple[AccountSpec, ...]) -> list[str]:
    parts = [str(len(specs))]
    for spec in specs:
        parts += (
            spec.id,
            spec.currency,
            spec.owner,
            spec.purpose,
            spec.path,
            f"{spec.guarded}{spec.no_credit_overdraft}{spec.aggregated}",
            spec.balance_limit or "",
        )
    return parts
