"""Invoices and purchase orders: open, part-paid, paid and over-paid told apart (F65)."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from tally_money import Money
from tally_programs.domain.refusal import Refusal

NOBODY = "*"
"""Tenant of a settlement whose payable nobody has registered yet."""


class PayableState(StrEnum):
    OPEN = "open"
    PART_PAID = "part_paid"
    PAID = "paid"
    OVER_PAID = "over_paid"
    CANCELLED = "cancelled"


class SettledBy(StrEnum):
    """Which money counts: what the company is paid, what payees were paid out, or payments here."""

    PAY_IN = "pay_in"
    PAYOUT = "payout"
    PAYMENT = "payment"


class Document(StrEnum):
    INVOICE = "invoice"
    PURCHASE_ORDER = "purchase_order"


@dataclass(frozen=True, slots=True)
class Payable:
    """An amount that is to be paid, and what of it was. `sequence` counts its changes."""

    id: str
    tenant: str
    program_id: str
    program: str
    document: Document
    number: str
    payer: str
    payee: str
    amount: Money
    due: date
    kind: str
    settled_by: SettledBy
    paid: Money
    cancelled: bool = False
    sequence: int = 1

    @property
    def state(self) -> PayableState:
        """What is paid against what is owed; of a cancelled one nothing is owed any more."""
        if self.cancelled:
            return PayableState.OVER_PAID if self.paid else PayableState.CANCELLED
        if not self.paid:
            return PayableState.OPEN
        if self.paid < self.amount:
            return PayableState.PART_PAID
        return PayableState.PAID if self.paid == self.amount else PayableState.OVER_PAID

    @property
    def company(self) -> str:
        """Whose money counts: who is owed where money comes in, who owes where it goes out."""
        return self.payee if self.settled_by is SettledBy.PAY_IN else self.payer


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one pay-in, payout or payment counts for now: nothing once it was returned.

    `sequence` is the source's own: a fact that is older than what is known changes nothing.
    """

    payable_id: str
    reference: str
    tenant: str
    settled_by: SettledBy
    company: str
    amount: Money
    sequence: int


def decide_settle(payable: Payable, before: Settlement | None, now: Settlement) -> Payable | str:
    """The payable after a word about money; or the code of why it does not count."""
    if now.settled_by is not payable.settled_by:
        return "settled_by_other_money"
    if now.company != payable.company:
        return "settled_by_other_company"
    if now.amount.currency != payable.amount.currency:
        return "settled_in_other_currency"
    if before is not None and before.sequence >= now.sequence:
        return "settlement_stale"
    counted = Money(0, now.amount.currency) if before is None else before.amount
    if counted == now.amount:
        return "settlement_known"
    paid = payable.paid + (now.amount - counted)
    return replace(payable, paid=paid, sequence=payable.sequence + 1)


def decide_cancel(payable: Payable) -> Payable | Refusal:
    """Nothing more is to be paid; what was paid already has to be sent back first."""
    if payable.cancelled:
        return Refusal(
            "payable_cancelled", "/payable_id", "it is cancelled already", "nothing is to be done"
        )
    if payable.paid:
        return Refusal(
            "payable_has_payments",
            "/payable_id",
            f"{payable.paid} was paid for it",
            "have the payments sent back first",
        )
    return replace(payable, cancelled=True, sequence=payable.sequence + 1)
