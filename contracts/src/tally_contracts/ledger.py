"""Balances: commands to the ledger and what it did with them."""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from tally_contracts.base import (
    Amount,
    Count,
    Event,
    MoneyEvent,
    PositiveAmount,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)


class AccountSpec(Shape):
    """An account to open with the journal if it is not there yet; opening it again is a no-op.

    `purpose`: wallet, clearing, suspense, fee, position, rounding, in_transit (more may come).
    `path` is readable and never a key. A `guarded` account is never debited below zero, holds
    counted; clearing accounts of sources and rails are not guarded.
    """

    id: TypeId
    owner: Token
    purpose: Slug
    path: Token
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
    guarded: StrictBool


class Leg(Shape):
    """One transfer of a journal. `id` is the caller's idempotency id."""

    id: TypeId
    debit: TypeId
    credit: TypeId
    amount: PositiveAmount
    code: Slug


class PostJournal(MoneyEvent):
    """Command: post all legs or none. May span currencies (FX), never ledgers."""

    TYPE: ClassVar[str] = "ledger.journal.post.v1"

    journal_id: TypeId
    ledger: Slug
    reference: TypeId
    open_accounts: Annotated[tuple[AccountSpec, ...], Field(max_length=128)] = ()
    legs: Annotated[tuple[Leg, ...], Field(min_length=1, max_length=128)]
    effective_at: UtcTime


class PlaceHold(MoneyEvent):
    """Command: reserve money on `debit` in favour of `credit`; the funds are checked now."""

    TYPE: ClassVar[str] = "ledger.hold.place.v1"

    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    open_accounts: Annotated[tuple[AccountSpec, ...], Field(max_length=8)] = ()
    debit: TypeId
    credit: TypeId
    amount: PositiveAmount
    code: Slug
    expires_at: UtcTime | None = None


class CaptureHold(MoneyEvent):
    """Command: move part or all of what a hold reserved. Beyond the remainder is refused."""

    TYPE: ClassVar[str] = "ledger.hold.capture.v1"

    transfer_id: TypeId
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    amount: PositiveAmount
    code: Slug


class ReleaseHold(MoneyEvent):
    """Command: give back what is left of a hold."""

    TYPE: ClassVar[str] = "ledger.hold.release.v1"

    transfer_id: TypeId
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    code: Slug


class JournalPosted(MoneyEvent):
    """The journal is in the books; `log_seq` is its place in the ledger's gap-free log."""

    TYPE: ClassVar[str] = "ledger.journal.posted.v1"

    journal_id: TypeId
    ledger: Slug
    reference: TypeId
    log_seq: Count
    legs: tuple[Leg, ...]
    effective_at: UtcTime


class JournalRejected(MoneyEvent):
    """Nothing changed; asked again, the same id gets the same answer.

    `code`: insufficient_funds, account_unknown, account_frozen, account_closed, currency_mismatch,
    same_account, id_conflict, duplicate_leg, amount_too_large (more may come).
    """

    TYPE: ClassVar[str] = "ledger.journal.rejected.v1"

    journal_id: TypeId
    ledger: Slug
    reference: TypeId
    code: Slug
    detail: Text


class HoldPlaced(MoneyEvent):
    """The money is reserved."""

    TYPE: ClassVar[str] = "ledger.hold.placed.v1"

    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    log_seq: Count
    debit: TypeId
    credit: TypeId
    amount: Amount
    expires_at: UtcTime | None


class HoldCaptured(MoneyEvent):
    """Part or all of a hold was moved; `remaining` is still reserved."""

    TYPE: ClassVar[str] = "ledger.hold.captured.v1"

    transfer_id: TypeId
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    log_seq: Count
    debit: TypeId
    credit: TypeId
    amount: Amount
    remaining: Amount


class HoldReleased(MoneyEvent):
    """What was left of the hold is free again; `expired` tells a time-out from a command."""

    TYPE: ClassVar[str] = "ledger.hold.released.v1"

    transfer_id: TypeId
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    log_seq: Count
    debit: TypeId
    amount: Amount
    expired: StrictBool


class HoldRejected(MoneyEvent):
    """A hold command was refused and changed nothing.

    `operation`: place, capture, release. `code` as in JournalRejected, and hold_unknown,
    hold_not_open, capture_exceeds_hold (more may come).
    """

    TYPE: ClassVar[str] = "ledger.hold.rejected.v1"

    command_id: TypeId
    operation: Slug
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    code: Slug
    detail: Text


class OpenAccount(Event):
    """Command: open an account before any money needs it. Opening it again is a no-op."""

    TYPE: ClassVar[str] = "ledger.account.open.v1"

    account: AccountSpec
    ledger: Slug
    who: Who
    occurred_at: UtcTime


class AccountRejected(Event):
    """The account was not opened: it exists with other attributes, or its currency is unknown.

    `code`: account_mismatch, currency_unknown, ledger_unknown (more may come).
    """

    TYPE: ClassVar[str] = "ledger.account.rejected.v1"

    account: AccountSpec
    ledger: Slug
    code: Slug
    detail: Text
    occurred_at: UtcTime


class AccountOpened(Event):
    """An account exists from now on."""

    TYPE: ClassVar[str] = "ledger.account.opened.v1"

    account: AccountSpec
    ledger: Slug
    occurred_at: UtcTime
