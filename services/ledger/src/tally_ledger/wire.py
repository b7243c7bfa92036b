"""Wire models to domain commands, and answers to the facts that are published."""

import hashlib
from typing import Any

from tally_contracts.base import Amount
from tally_contracts.ledger import (
    AccountOpened,
    AccountRejected,
    AccountSpec,
    CaptureHold,
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    JournalRejected,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from tally_ledger.domain import (
    Account,
    Answer,
    Capture,
    Command,
    Context,
    Done,
    Leg,
    Open,
    Opened,
    Place,
    PostLegs,
    Rejected,
    Release,
    Transfer,
)
from tally_money import Money, currency

WireMovement = PostJournal | PlaceHold | CaptureHold | ReleaseHold
WireCommand = WireMovement | OpenAccount
Fact = JournalPosted | JournalRejected | HoldPlaced | HoldCaptured | HoldReleased | HoldRejected

JOURNALS = "ledger.journals.v1"
HOLDS = "ledger.holds.v1"
ACCOUNTS = "ledger.accounts.v1"


def command_of(event: WireCommand) -> Command:
    """The command as the domain knows it."""
    if isinstance(event, OpenAccount):
        return Open(_account(event.account))
    context = Context(
        event.who.actor,
        event.who.principal,
        event.where.channel,
        event.where.country,
        event.why.program,
        event.why.event,
        event.why.reason,
    )
    match event:
        case PostJournal():
            return _journal(event, context)
        case PlaceHold():
            return _place(event, context)
        case CaptureHold():
            return _capture(event, context)
        case ReleaseHold():
            return Release(
                event.transfer_id,
                event.reference,
                event.hold_id,
                event.code,
                event.occurred_at,
                context,
                _request_hash(
                    "release", event, context, event.transfer_id, event.hold_id, event.code
                ),
            )


def account_fact_of(event: OpenAccount, answer: Answer) -> AccountOpened | AccountRejected:
    """What is published about an account that was asked for."""
    outcome = answer.outcome
    if isinstance(outcome, Rejected):
        return AccountRejected(
            account=event.account,
            ledger=event.ledger,
            code=outcome.code,
            detail=outcome.detail,
            occurred_at=answer.recorded_at,
        )
    assert isinstance(outcome, Opened), "an account that is asked for is opened or refused"
    return opened(outcome.account, event.ledger)


def fact_of(event: WireMovement, answer: Answer) -> Fact:
    """What is published about a movement: new, or the same again."""
    common: dict[str, Any] = {
        "ledger": event.ledger,
        "reference": event.reference,
        "who": event.who,
        "where": event.where,
        "why": event.why,
        "occurred_at": answer.recorded_at,
    }
    outcome = answer.outcome
    if isinstance(outcome, Rejected):
        return _rejected(event, outcome, common)
    assert isinstance(outcome, Done), "a movement is done or refused"
    common["log_seq"] = outcome.log_seq
    if isinstance(event, PostJournal):
        return JournalPosted(
            journal_id=event.journal_id,
            legs=event.legs,
            effective_at=event.effective_at,
            **common,
        )
    transfer = outcome.transfer
    assert transfer is not None, "a hold's answer remembers its transfer"
    match event:
        case PlaceHold():
            return HoldPlaced(
                hold_id=event.hold_id,
                debit=event.debit,
                credit=event.credit,
                amount=event.amount,
                expires_at=event.expires_at,
                **common,
            )
        case CaptureHold():
            return HoldCaptured(
                transfer_id=event.transfer_id,
                hold_id=event.hold_id,
                debit=transfer.debit,
                credit=transfer.credit,
                amount=event.amount,
                remaining=_amount(transfer.remaining or 0, transfer.currency),
                **common,
            )
        case ReleaseHold():
            return released(transfer, expired=False, common=common)


def released(transfer: Transfer, *, expired: bool, common: dict[str, Any]) -> HoldReleased:
    """The fact that what was left of a hold is free again; `common` are the fields all facts have."""
    return HoldReleased(
        transfer_id=transfer.id,
        hold_id=transfer.pending_id or "",
        debit=transfer.debit,
        amount=_amount(transfer.amount, transfer.currency),
        expired=expired,
        **common,
    )


def opened(account: Account, ledger: str) -> AccountOpened:
    """The fact that an account exists from the time it was opened."""
    assert account.opened_at is not None, "the books say when an account was opened"
    return AccountOpened(
        account=AccountSpec(
            id=account.id,
            owner=account.owner,
            purpose=account.purpose,
            path=account.path,
            currency=account.currency,
            guarded=account.guarded,
        ),
        ledger=ledger,
        occurred_at=account.opened_at,
    )


def _journal(event: PostJournal, context: Context) -> PostLegs:
    legs = tuple(
        Leg(
            leg.id,
            leg.debit,
            leg.credit,
            leg.amount.currency,
            leg.amount.money().minor,
            leg.code,
        )
        for leg in event.legs
    )
    return PostLegs(
        event.journal_id,
        event.reference,
        _accounts(event.open_accounts),
        legs,
        event.effective_at,
        context,
        _request_hash(
            "journal",
            event,
            context,
            event.journal_id,
            event.effective_at.isoformat(),
            *_specs(event.open_accounts),
            *(str(part) for leg in legs for part in leg),
        ),
    )


def _place(event: PlaceHold, context: Context) -> Place:
    leg = Leg(
        event.hold_id,
        event.debit,
        event.credit,
        event.amount.currency,
        event.amount.money().minor,
        event.code,
    )
    expires_at = event.expires_at
    return Place(
        event.hold_id,
        event.reference,
        _accounts(event.open_accounts),
        leg,
        expires_at,
        event.occurred_at,
        context,
        _request_hash(
            "place",
            event,
            context,
            "" if expires_at is None else expires_at.isoformat(),
            *_specs(event.open_accounts),
            *(str(part) for part in leg),
        ),
    )


def _capture(event: CaptureHold, context: Context) -> Capture:
    minor = event.amount.money().minor
    return Capture(
        event.transfer_id,
        event.reference,
        event.hold_id,
        event.amount.currency,
        minor,
        event.code,
        event.occurred_at,
        context,
        _request_hash(
            "capture",
            event,
            context,
            event.transfer_id,
            event.hold_id,
            event.amount.currency,
            str(minor),
            event.code,
        ),
    )


def _accounts(specs: tuple[AccountSpec, ...]) -> tuple[Account, ...]:
    return tuple(map(_account, specs))


def _account(spec: AccountSpec) -> Account:
    return Account(spec.id, spec.currency, spec.owner, spec.purpose, spec.path, spec.guarded)


def _specs(specs: tuple[AccountSpec, ...]) -> list[str]:
    parts = [str(len(specs))]
    for spec in specs:
        parts += (
            spec.id,
            spec.currency,
            spec.owner,
            spec.purpose,
            spec.path,
            str(spec.guarded),
        )
    return parts


def _request_hash(operation: str, event: WireMovement, context: Context, *parts: str) -> bytes:
    """SHA-256 over all the request says but `occurred_at`: a sender may ask again at a later time.

    U+001F cannot occur in a field, and lists are preceded by their length, so no two requests
    have the same text.
    """
    text = "\x1f".join(
        (operation, event.ledger, event.reference, *(part or "" for part in context), *parts)
    )
    return hashlib.sha256(text.encode()).digest()


def _rejected(
    event: WireMovement, rejected: Rejected, common: dict[str, Any]
) -> JournalRejected | HoldRejected:
    if isinstance(event, PostJournal):
        return JournalRejected(
            journal_id=event.journal_id, code=rejected.code, detail=rejected.detail, **common
        )
    command_id, operation = (
        (event.hold_id, "place")
        if isinstance(event, PlaceHold)
        else (event.transfer_id, "capture" if isinstance(event, CaptureHold) else "release")
    )
    return HoldRejected(
        command_id=command_id,
        operation=operation,
        hold_id=event.hold_id,
        code=rejected.code,
        detail=rejected.detail,
        **common,
    )


def _amount(minor: int, code: str) -> Amount:
    return Amount.of(Money(minor, currency(code)))
