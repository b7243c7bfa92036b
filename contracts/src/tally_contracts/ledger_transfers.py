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
    """`to_ledger` has credited the payee, for good."""

    TYPE: ClassVar[str] = "ledger.transfer.credited.v1"

    transfer_id: TypeId
    ledger: Slug
    to_ledger: Slug
    journal_id: TypeId
    amount: AssetAmount


class TransferDeclined(MoneyEvent):
    """`to_ledger` has refused the money, for good: `ledger` gives back what it reserved.

    `code` as in JournalRejected, and transfer_expired (more may come).
    """

    TYPE: ClassVar[str] = "ledger.transfer.declined.v1"

    transfer_id: TypeId
    ledger: Slug
    to_ledger: Slug
    amount: AssetAmount
    code: Slug
    detail: Text


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

    `ledger` moves what stands on its account in transit for `other` to its clearing account for
    `other`; `other` then mirrors it. What is on its way meanwhile stays for the next time.
    """

    TYPE: ClassVar[str] = "ledger.transit.settle.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    currency: AssetCode


class TransitSettled(MoneyEvent):
    """`ledger` has moved `amount`, owed by `owed_by`, to its clearing account; `other` mirrors it.

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

    `code` as in JournalRejected, and same_ledger (more may come).
    """

    TYPE: ClassVar[str] = "ledger.transit.refused.v1"

    settlement_id: TypeId
    ledger: Slug
    other: Slug
    code: Slug
    detail: Text


COMMANDS: tuple[type[Event], ...] = (StartTransfer, SettleTransit)
FACTS: tuple[type[Event], ...] = (
    TransferStarted,
    TransferCredited,
    TransferDeclined,
    TransferCompleted,
    TransferRefused,
    TransitSettled,
    TransitRefused,
)
