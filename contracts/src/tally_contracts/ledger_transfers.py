"""Money on its way from one ledger to another: what is asked, and what each side did.

The ledger the money leaves reserves it, the one it goes to credits it, the first one then captures
what it reserved: three transactions, joined by these facts. All on one topic, keyed by transfer.
"""

from typing import ClassVar

from tally_contracts.base import (
    AskedAmount,
    AssetAmount,
    AssetCode,
    Event,
    MoneyEvent,
    Slug,
    Text,
    TypeId,
    UtcTime,
)


class StartTransfer(MoneyEvent):
    """Command: move money from an account of `ledger` to an account of `to_ledger`.

    `expires_at`: credited before that time or not at all. The reservation itself never expires,
    since it must outlive the answer of the other ledger.
    """

    TYPE: ClassVar[str] = "ledger.transfer.start.v1"

    transfer_id: TypeId
    ledger: Slug
    debit: TypeId
    to_ledger: Slug
    credit: TypeId
    amount: AskedAmount
    code: Slug
    expires_at: UtcTime | None = None


class TransferStarted(MoneyEvent):
    """The money is reserved in `ledger`; `to_ledger` is to credit or decline it.

    May be published again, under another event id, as long as no answer has come.
    """

    TYPE: ClassVar[str] = "ledger.transfer.started.v1"

    transfer_id: TypeId
    ledger: Slug
    debit: TypeId
    to_ledger: Slug
    credit: TypeId
    amount: AssetAmount
    code: Slug
    expires_at: UtcTime | None


class TransferCredited(MoneyEvent):
    """`to_ledger` has credited the payee, for good.

    `credit` is the payee's account; facts of before do not name it.
    """

    TYPE: ClassVar[str] = "ledger.transfer.credited.v1"

    transfer_id: TypeId
    ledger: Slug
    to_ledger: Slug
    journal_id: TypeId
    amount: AssetAmount
    credit: TypeId | None = None


class TransferDeclined(MoneyEvent):
    """`to_ledger` has refused the money, for good: `ledger` gives back what it reserved.

    `code` as in JournalRejected, and transfer_expired (more may come). `credit` as in
    TransferCredited.
    """

    TYPE: ClassVar[str] = "ledger.transfer.declined.v1"

    transfer_id: TypeId
    ledger: Slug
    to_ledger: Slug
    amount: AssetAmount
    code: Slug
    detail: Text
    credit: TypeId | None = None


class TransferCompleted(MoneyEvent):
    """The payer is debited and the payee credited."""

    TYPE: ClassVar[str] = "ledger.transfer.completed.v1"

    transfer_id: TypeId
    ledger: Slug
    debit: TypeId
    to_ledger: Slug
    credit: TypeId
    amount: AssetAmount
    code: Slug


class TransferRefused(MoneyEvent):
    """Neither ledger was changed for good; asked again, the same id gets the same answer.

    `side`: source, destination. `code`: that of the ledger that refused, as in HoldRejected and
    TransferDeclined, and same_ledger, id_conflict (more may come).
    """

    TYPE: ClassVar[str] = "ledger.transfer.refused.v1"

    transfer_id: TypeId
    ledger: Slug
    to_ledger: Slug
    amount: AskedAmount
    side: Slug
    code: Slug
    detail: Text


class SettleTransit(MoneyEvent):
    """Command: bring the accounts in transit between two ledgers back to zero, for one asset.

    `ledger` reserves what stands on its account in transit for `other` towards its clearing account
    for `other`; `other` books the same or declines; `ledger` then captures or gives back. What is on
    its way meanwhile stays for the next time. One at a time for a pair and an asset.
    """

    TYPE: ClassVar[str] = "ledger.transit.settle.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    currency: AssetCode


class TransitStarted(MoneyEvent):
    """`ledger` has reserved `amount`, owed by `owed_by`; `other` is to book or decline the same.

    May be published again, under another event id, as long as no answer has come.
    """

    TYPE: ClassVar[str] = "ledger.transit.started.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    amount: AssetAmount
    owed_by: Slug


class TransitMirrored(MoneyEvent):
    """`other` has booked its side of a settlement, for good."""

    TYPE: ClassVar[str] = "ledger.transit.mirrored.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    journal_id: TypeId
    amount: AssetAmount


class TransitDeclined(MoneyEvent):
    """`other` has refused its side, for good: `ledger` gives back what it reserved.

    `code` as in JournalRejected (more may come).
    """

    TYPE: ClassVar[str] = "ledger.transit.declined.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    amount: AssetAmount
    code: Slug
    detail: Text


class TransitSettled(MoneyEvent):
    """Both ledgers have moved `amount`, owed by `owed_by`, to their clearing accounts.

    Nothing moved if the amount is zero.
    """

    TYPE: ClassVar[str] = "ledger.transit.settled.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    amount: AssetAmount
    owed_by: Slug


class TransitRefused(MoneyEvent):
    """The settlement was refused and changed nothing; asked again, the same id gets the same answer.

    `side`: source, destination. `code`: that of the ledger that refused, as in HoldRejected and
    TransitDeclined, and same_ledger, currency_unknown, settlement_open, id_conflict (more may come).
    """

    TYPE: ClassVar[str] = "ledger.transit.refused.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    side: Slug = "source"
    code: Slug
    detail: Text


COMMANDS: tuple[type[Event], ...] = (StartTransfer, SettleTransit)
FACTS: tuple[type[Event], ...] = (
    TransferStarted,
    TransferCredited,
    TransferDeclined,
    TransferCompleted,
    TransferRefused,
    TransitStarted,
    TransitMirrored,
    TransitDeclined,
    TransitSettled,
    TransitRefused,
)
