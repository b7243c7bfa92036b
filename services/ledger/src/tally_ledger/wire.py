"""Answers to the facts that are published."""

from typing import Any

from tally_contracts.base import AssetAmount
from tally_contracts.ledger import (
    AccountChanged,
    AccountChangeRejected,
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
    JournalReversed,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    ReversalLeg,
    ReversedLeg,
    ReverseJournal,
)
from tally_ledger.content import OPERATIONS, WireChange, WireHold, WireMovement
from tally_ledger.domain import Account, Answer, Books, Changed, Done, Opened, Rejected, Transfer
from tally_ledger.reading import Units, WireCommand, command_of, id_of
from tally_money import Currency, Money

__all__ = [
    "WireChange",
    "WireCommand",
    "WireMovement",
    "account_fact_of",
    "change_fact_of",
    "command_of",
    "fact_of",
    "opened",
    "released",
]

Fact = (
    JournalPosted
    | JournalReversed
    | JournalRejected
    | HoldPlaced
    | HoldCaptured
    | HoldReleased
    | HoldRejected
)

JOURNALS = "ledger.journals.v1"
HOLDS = "ledger.holds.v1"
ACCOUNTS = "ledger.accounts.v1"


def account_fact_of(
    event: OpenAccount, answer: Answer, units: Units
) -> AccountOpened | AccountRejected:
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
    return opened(outcome.account, event.ledger, units)


def change_fact_of(event: WireChange, answer: Answer) -> AccountChanged | AccountChangeRejected:
    """What is published about an account that was to be frozen, unfrozen or closed."""
    common: dict[str, Any] = {
        "change_id": event.change_id,
        "account": event.account,
        "ledger": event.ledger,
        "operation": OPERATIONS[type(event)],
        "who": event.who,
        "why": event.why,
        "occurred_at": answer.recorded_at,
    }
    outcome = answer.outcome
    if isinstance(outcome, Rejected):
        return AccountChangeRejected(code=outcome.code, detail=outcome.detail, **common)
    assert isinstance(outcome, Changed), "a change is made or refused"
    return AccountChanged(
        frozen_in=outcome.frozen_in,
        frozen_out=outcome.frozen_out,
        closed=outcome.closed,
        **common,
    )


def fact_of(event: WireMovement, answer: Answer, books: Books, units: Units) -> Fact:
    """What is published about a movement: new, or the same again.

    `books` know the transfers of reversals' targets, `units` the assets of what was answered.
    """
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
    if isinstance(event, ReverseJournal):
        return JournalReversed(
            journal_id=event.journal_id,
            reverses=event.reverses,
            legs=_reversed(event.legs, books.journals[event.reverses]),
            effective_at=event.effective_at,
            **common,
        )
    transfer = outcome.transfer
    assert transfer is not None, "a hold's answer remembers its transfer"
    return _held(event, transfer, units, common)


def _held(
    event: WireHold, transfer: Transfer, units: Units, common: dict[str, Any]
) -> HoldPlaced | HoldCaptured | HoldReleased:
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
                remaining=_amount(transfer.remaining or 0, units[transfer.currency]),
                **common,
            )
        case ReleaseHold():
            return released(transfer, units, expired=False, common=common)


def _reversed(
    legs: tuple[ReversalLeg, ...], target: tuple[Transfer, ...]
) -> tuple[ReversedLeg, ...]:
    sides = {transfer.id: (transfer.credit, transfer.debit) for transfer in target}
    return tuple(
        ReversedLeg(
            id=leg.id,
            reverses=leg.reverses,
            amount=leg.amount,
            code=leg.code,
            debit=sides[leg.reverses][0],
            credit=sides[leg.reverses][1],
        )
        for leg in legs
    )


def released(
    transfer: Transfer, units: Units, *, expired: bool, common: dict[str, Any]
) -> HoldReleased:
    """The fact that what was left of a hold is free again; `common` are the fields all facts have."""
    return HoldReleased(
        transfer_id=transfer.id,
        hold_id=transfer.pending_id or "",
        debit=transfer.debit,
        amount=_amount(transfer.amount, units[transfer.currency]),
        expired=expired,
        **common,
    )


def opened(account: Account, ledger: str, units: Units) -> AccountOpened:
    """The fact that an account exists from the time it was opened."""
    assert account.opened_at is not None, "the books say when an account was opened"
    limit = account.max_balance
    return AccountOpened(
        account=AccountSpec(
            id=account.id,
            owner=account.owner,
            purpose=account.purpose,
            path=account.path,
            currency=account.currency,
            guarded=account.guarded,
            no_credit_overdraft=account.no_credit_overdraft,
            aggregated=account.aggregated,
            balance_limit=None if limit is None else _amount(limit, units[account.currency]).amount,
        ),
        ledger=ledger,
        occurred_at=account.opened_at,
    )


def _rejected(
    event: WireMovement, rejected: Rejected, common: dict[str, Any]
) -> JournalRejected | HoldRejected:
    if isinstance(event, PostJournal | ReverseJournal):
        return JournalRejected(
            journal_id=event.journal_id, code=rejected.code, detail=rejected.detail, **common
        )
    return HoldRejected(
        command_id=id_of(event),
        operation=OPERATIONS[type(event)],
        hold_id=event.hold_id,
        code=rejected.code,
        detail=rejected.detail,
        **common,
    )


def _amount(minor: int, unit: Currency) -> AssetAmount:
    return AssetAmount.of(Money(minor, unit))
