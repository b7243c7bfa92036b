"""Bank statements as the rest of the platform sees them, whatever message they came in."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from tally_money import Currency, Money

SignedMoney = Money
"""A balance: positive is money in the account, negative an overdraft."""


class MessageKind(StrEnum):
    """REPORT is intraday, STATEMENT is final, NOTIFICATION announces single entries."""

    REPORT = "camt.052"
    STATEMENT = "camt.053"
    NOTIFICATION = "camt.054"


class EntryStatus(StrEnum):
    """Only BOOKED entries move money; future-dated ones are PENDING."""

    BOOKED = "booked"
    PENDING = "pending"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Account:
    number: str
    is_iban: bool


@dataclass(frozen=True, slots=True)
class Period:
    """From and to, in UTC; a time without an offset is taken as UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Page:
    number: int
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BankTransactionCode:
    """The ISO code (domain, family, sub-family), the bank's own, or both."""

    domain: str | None = None
    family: str | None = None
    sub_family: str | None = None
    proprietary: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Party:
    name: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredRemittance:
    """A creditor reference with its type, numbers of documents paid, and what was added in words."""

    reference: str | None = None
    reference_type: str | None = None
    documents: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTransaction:
    """One payment inside an entry.

    `amount` is None where a bank lists several payments without their amounts; `credit` is seen
    from the account's owner. An end-to-end id of NOTPROVIDED is read as None.
    """

    amount: Money | None
    credit: bool
    end_to_end_id: str | None = None
    uetr: str | None = None
    instruction_id: str | None = None
    transaction_id: str | None = None
    account_servicer_ref: str | None = None
    mandate_id: str | None = None
    debtor: Party = Party()
    creditor: Party = Party()
    bank_transaction_code: BankTransactionCode | None = None
    unstructured: tuple[str, ...] = ()
    structured: tuple[StructuredRemittance, ...] = ()
    return_reason: str | None = None
    additional_info: str | None = None

    @property
    def signed(self) -> Money | None:
        return self.amount if self.amount is None or self.credit else -self.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """One entry; `index` counts from 0, `line` is where it starts in the XML.

    `amount` is never negative; `credit` is its effect on the account, also where `reversal` marks
    it as undoing an earlier entry. `batch_size` is the number of payments the bank booked as one,
    where it says so; it may list fewer.
    """

    index: int
    line: int = field(compare=False)
    amount: Money
    credit: bool
    reversal: bool = False
    status: EntryStatus = EntryStatus.BOOKED
    booking_date: date | None = None
    value_date: date | None = None
    entry_ref: str | None = None
    account_servicer_ref: str | None = None
    bank_transaction_code: BankTransactionCode | None = None
    batch_size: int | None = None
    transactions: tuple[EntryTransaction, ...] = ()
    additional_info: str | None = None

    @property
    def signed(self) -> Money:
        return self.amount if self.credit else -self.amount

    @property
    def splits_exactly(self) -> bool:
        """Whether the payments listed add up to the entry, so that it may be booked in parts."""
        total = 0
        for transaction in self.transactions:
            part = transaction.signed
            if part is None or part.currency != self.amount.currency:
                return False
            total += part.minor
        return bool(self.transactions) and total == self.signed.minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One account over one period; account, number and period are its identity.

    `opening` and `closing` are booked balances; reports and notifications may have none. A page of
    a longer statement opens or closes with an interim balance. `line` is where it starts.
    """

    kind: MessageKind = MessageKind.STATEMENT
    message_id: str
    id: str
    account: Account
    currency: Currency | None
    electronic_sequence: int | None = None
    legal_sequence: int | None = None
    page: Page | None = None
    created_at: datetime
    period: Period | None = None
    copy_duplicate: str | None = None
    opening: SignedMoney | None = None
    opening_date: date | None = None
    closing: SignedMoney | None = None
    closing_date: date | None = None
    entries: tuple[StatementEntry, ...] = ()
    line: int = field(default=0, compare=False)

    @property
    def booked(self) -> tuple[StatementEntry, ...]:
        return tuple(e for e in self.entries if e.status is EntryStatus.BOOKED)
