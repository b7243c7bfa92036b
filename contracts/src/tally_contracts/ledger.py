"""Balances: commands to the ledger and what it did with them."""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from tally_contracts.base import (
    AskedAmount,
    AssetAmount,
    AssetCode,
    Count,
    DecimalText,
    Event,
    MoneyEvent,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
    Why,
)


class AccountSpec(Shape):
    """An account to open with the journal if it is not there yet; opening it again is a no-op.

    `purpose`: wallet, clearing, suspense, fee, position, rounding, in_transit (more may come).
    `path` is readable and never a key. A `guarded` account is never debited below zero, holds
    counted; clearing accounts of sources and rails are not guarded. `no_credit_overdraft` is the
    same for an account that owes: it is never credited above zero. `aggregated`: one entry for each
    batch, for accounts that nearly every transfer touches. `balance_limit` is the most it may come
    to, holds in its favour counted, as a decimal string of its currency.
    """

    id: TypeId
    owner: Token
    purpose: Slug
    path: Token
    currency: AssetCode
    guarded: StrictBool
    no_credit_overdraft: StrictBool = False
    aggregated: StrictBool = False
    balance_limit: DecimalText | None = None


class Leg(Shape):
    """One transfer of a journal. `id` is the caller's idempotency id."""

    id: TypeId
    debit: TypeId
    credit: TypeId
    amount: AskedAmount
    code: Slug


class ReversalLeg(Shape):
    """A transfer asked for that moves back part or all of the transfer `reverses`."""

    id: TypeId
    reverses: TypeId
    amount: AskedAmount
    code: Slug


class ReversedLeg(ReversalLeg):
    """A transfer that moved back part or all of the transfer `reverses`."""

    debit: TypeId
    credit: TypeId


class PostJournal(MoneyEvent):
    """Command: post all legs or none. May span currencies (FX), never ledgers.

    `effective_at` lies at most a day ahead of the books' own time and ten years behind it.
    """

    TYPE: ClassVar[str] = "ledger.journal.post.v1"

    journal_id: TypeId
    ledger: Slug
    reference: TypeId
    open_accounts: Annotated[tuple[AccountSpec, ...], Field(max_length=128)] = ()
    legs: Annotated[tuple[Leg, ...], Field(min_length=1, max_length=128)]
    effective_at: UtcTime


class ReverseJournal(MoneyEvent):
    """Command: move back what the journal or capture `reverses` moved, in whole or in part.

    Each leg names the transfer it reverses; all reversals of a transfer together never exceed it.
    The funds are checked as for any journal: an account that no longer has the money refuses.
    """

    TYPE: ClassVar[str] = "ledger.journal.reverse.v1"

    journal_id: TypeId
    ledger: Slug
    reference: TypeId
    reverses: TypeId
    legs: Annotated[tuple[ReversalLeg, ...], Field(min_length=1, max_length=128)]
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
    amount: AskedAmount
    code: Slug
    expires_at: UtcTime | None = None


class CaptureHold(MoneyEvent):
    """Command: move part or all of what a hold reserved. Beyond the remainder is refused."""

    TYPE: ClassVar[str] = "ledger.hold.capture.v1"

    transfer_id: TypeId
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    amount: AskedAmount
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


class JournalReversed(MoneyEvent):
    """The reversal is in the books; its legs say which transfers they moved back, and how much."""

    TYPE: ClassVar[str] = "ledger.journal.reversed.v1"

    journal_id: TypeId
    ledger: Slug
    reference: TypeId
    log_seq: Count
    reverses: TypeId
    legs: tuple[ReversedLeg, ...]
    effective_at: UtcTime


class JournalRejected(MoneyEvent):
    """A journal or reversal was refused and changed nothing; the same id gets the same answer again.

    `code`: insufficient_funds, credit_overdraft, balance_limit_exceeded, account_unknown,
    account_frozen, account_closed, account_mismatch, currency_mismatch, currency_unknown,
    same_account, id_conflict, duplicate_leg, amount_not_positive, amount_too_large, amount_format,
    too_many_decimals, effective_in_future, effective_too_old, journal_unknown, not_reversible,
    reversal_exceeds_target (more may come).
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
    amount: AskedAmount
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
    amount: AskedAmount
    remaining: AssetAmount


class HoldReleased(MoneyEvent):
    """What was left of the hold is free again; `expired` tells a time-out from a command."""

    TYPE: ClassVar[str] = "ledger.hold.released.v1"

    transfer_id: TypeId
    hold_id: TypeId
    ledger: Slug
    reference: TypeId
    log_seq: Count
    debit: TypeId
    amount: AssetAmount
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

    `code`: account_mismatch, account_flags, currency_unknown, ledger_unknown, too_many_decimals,
    amount_too_large (more may come).
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


class _AccountCommand(Event):
    """What the commands about one account have in common; `change_id` is the idempotency id."""

    change_id: TypeId
    account: TypeId
    ledger: Slug
    who: Who
    why: Why
    occurred_at: UtcTime


class FreezeAccount(_AccountCommand):
    """Command: let no new money in or out. `direction`: in, out, both.

    What holds have reserved already is still captured and released.
    """

    TYPE: ClassVar[str] = "ledger.account.freeze.v1"

    direction: Slug


class UnfreezeAccount(_AccountCommand):
    """Command: let money in or out again. `direction`: in, out, both."""

    TYPE: ClassVar[str] = "ledger.account.unfreeze.v1"

    direction: Slug


class CloseAccount(_AccountCommand):
    """Command: close an account for ever; refused unless it is at zero and nothing is pending."""

    TYPE: ClassVar[str] = "ledger.account.close.v1"


class AccountChanged(Event):
    """An account was frozen, unfrozen or closed, and stands as the three flags say.

    `operation`: freeze, unfreeze, close (more may come).
    """

    TYPE: ClassVar[str] = "ledger.account.changed.v1"

    change_id: TypeId
    account: TypeId
    ledger: Slug
    operation: Slug
    frozen_in: StrictBool
    frozen_out: StrictBool
    closed: StrictBool
    who: Who
    why: Why
    occurred_at: UtcTime


class AccountChangeRejected(Event):
    """A change of an account was refused; asked again, the same id gets the same answer.

    `operation` as in AccountChanged. `code`: account_unknown, account_closed, account_not_settled,
    direction_unknown, id_conflict, ledger_unknown (more may come).
    """

    TYPE: ClassVar[str] = "ledger.account.change_rejected.v1"

    change_id: TypeId
    account: TypeId
    ledger: Slug
    operation: Slug
    code: Slug
    detail: Text
    who: Who
    why: Why
    occurred_at: UtcTime


class RegisterAsset(Event):
    """Command: enter an asset that is no ISO 4217 currency; its scale never changes afterwards.

    `scale` is its number of decimals, 0 to 18; `kind`: fiat, crypto, closed_loop. Registering the
    same again is a no-op; `ledger` answers, and all ledgers of the installation know the asset.
    """

    TYPE: ClassVar[str] = "ledger.asset.register.v1"

    registration_id: TypeId
    ledger: Slug
    asset: AssetCode
    scale: Count
    kind: Slug
    who: Who
    why: Why
    occurred_at: UtcTime


class AssetRegistered(Event):
    """The asset can be booked from now on; `occurred_at` is when it was first registered."""

    TYPE: ClassVar[str] = "ledger.asset.registered.v1"

    registration_id: TypeId
    ledger: Slug
    asset: AssetCode
    scale: Count
    kind: Slug
    who: Who
    why: Why
    occurred_at: UtcTime


class AssetRejected(Event):
    """The asset was not registered; asked again, the same id gets the same answer.

    `code`: asset_mismatch, scale_out_of_range, kind_unknown, id_conflict, ledger_unknown (more may
    come).
    """

    TYPE: ClassVar[str] = "ledger.asset.rejected.v1"

    registration_id: TypeId
    ledger: Slug
    asset: AssetCode
    scale: Count
    kind: Slug
    code: Slug
    detail: Text
    who: Who
    why: Why
    occurred_at: UtcTime
