"""Payments that people approve, by levels, before any money moves."""

from dataclasses import dataclass, replace
from enum import StrEnum

from tally_money import Money
from tally_programs.domain.fees import Fee
from tally_programs.domain.refusal import Refusal


class PaymentState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAID = "paid"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reserved:
    """Part of a payment, set aside in a budget."""

    budget_id: str
    reservation_id: str
    wallet: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment keeps the policy, the fee and the number of approvals it was proposed under (F40)."""

    id: str
    tenant: str
    program_id: str
    holder: str
    payee: str
    amount: Money
    rail: str
    kind: str
    payable_id: str | None
    policy_version: int
    fees_version: int | None
    fee: Fee
    draws: tuple[Reserved, ...]
    approvals_needed: int
    proposed_by: str
    approved_by: tuple[str, ...] = ()
    state: PaymentState = PaymentState.PROPOSED
    reason_code: str | None = None
    sequence: int = 1


def proposed(payment: Payment) -> Payment:
    """A payment in its first state: approved at once where nobody has to."""
    if payment.approvals_needed:
        return payment
    return replace(payment, state=PaymentState.APPROVED)


def decide_approve(payment: Payment, actor: str) -> Payment | Refusal:
    """One person's approval; the last one needed approves the payment."""
    if payment.state is not PaymentState.PROPOSED:
        return _settled(payment)
    if actor == payment.proposed_by or actor in payment.approved_by:
        return Refusal(
            "same_person",
            "/who/actor",
            "who proposed or approved a payment does not approve it again",
            "have somebody else approve it",
        )
    approved_by = (*payment.approved_by, actor)
    enough = len(approved_by) >= payment.approvals_needed
    state = PaymentState.APPROVED if enough else PaymentState.PROPOSED
    return replace(payment, state=state, approved_by=approved_by, sequence=payment.sequence + 1)


def decide_reject(payment: Payment) -> Payment | Refusal:
    """Call a payment off that has not been approved."""
    if payment.state is not PaymentState.PROPOSED:
        return _settled(payment)
    return _ended(payment, PaymentState.REJECTED, "rejected_by_approver")


def decide_posted(payment: Payment) -> Payment | None:
    """The ledger moved the money; None when that was known."""
    if payment.state is not PaymentState.APPROVED:
        return None
    return _ended(payment, PaymentState.PAID, None)


def decide_refused(payment: Payment, code: str) -> Payment | None:
    """The ledger moved nothing, for the reason it gave; None when that was known."""
    if payment.state is not PaymentState.APPROVED:
        return None
    return _ended(payment, PaymentState.FAILED, code)


def _settled(payment: Payment) -> Refusal:
    return Refusal(
        "payment_not_proposed",
        "/payment_id",
        f"the payment is {payment.state}",
        "propose another payment",
    )


def _ended(payment: Payment, state: PaymentState, reason_code: str | None) -> Payment:
    return replace(payment, state=state, reason_code=reason_code, sequence=payment.sequence + 1)
