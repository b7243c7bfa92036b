"""What travels and what decides: contracts to domain and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from tally_contracts.base import Amount
from tally_contracts.programs import (
    BudgetChanged,
    BudgetClaimChanged,
    Draw,
    Endpoint,
    FeeLine,
    PayableChanged,
    PaymentChanged,
    PaymentFee,
    PolicyDocument,
)
from tally_money import Money, MoneyError
from tally_programs.domain import fees
from tally_programs.domain.budgets import BudgetMoved
from tally_programs.domain.claims import Claim
from tally_programs.domain.payables import Payable
from tally_programs.domain.payments import Payment
from tally_programs.domain.policy import ApprovalLevel, Limit, Policy, Restriction
from tally_programs.domain.refusal import Refusal

Fields = Mapping[str, Any]
"""The fields every fact has: tenant, program, who and when; about amounts also where and why."""

_EXACT = "give a plain decimal with no more decimals than the currency has"


def policy_from(
    document: PolicyDocument, version: int, endpoints: Sequence[Endpoint]
) -> Policy | Refusal:
    """A policy as it decides, or which of its amounts is none."""
    limits, approvals = [], []
    for position, limit in enumerate(document.limits):
        field = f"/policy/limits/{position}"
        minimum = _amount(limit.minimum, limit.currency, f"{field}/minimum")
        maximum = _bound(limit.maximum, limit.currency, f"{field}/maximum")
        if isinstance(minimum, Refusal):
            return minimum
        if isinstance(maximum, Refusal):
            return maximum
        limits.append(Limit(minimum, maximum))
    for position, level in enumerate(document.approvals):
        above = _amount(level.above, level.currency, f"/policy/approvals/{position}/above")
        if isinstance(above, Refusal):
            return above
        approvals.append(ApprovalLevel(above, level.approvals))
    return Policy(
        version=version,
        rails=frozenset(document.rails),
        classes=frozenset(document.classes),
        countries=frozenset(document.countries),
        currencies=frozenset(document.currencies),
        limits=tuple(limits),
        approvals=tuple(approvals),
        restrictions=tuple(
            Restriction(
                frozenset(restriction.forbids),
                frozenset(restriction.countries),
                frozenset(restriction.sources),
                frozenset(restriction.kinds),
            )
            for restriction in document.restrictions
        ),
        endpoints={endpoint.rail: endpoint.endpoint_class for endpoint in endpoints},
    )


def fee_lines_from(lines: Sequence[FeeLine]) -> tuple[fees.FeeLine, ...] | Refusal:
    """A fee schedule as it computes, or what is wrong with it."""
    read = []
    for position, line in enumerate(lines):
        found = _fee_line(line, f"/lines/{position}")
        if isinstance(found, Refusal):
            return found
        read.append(found)
    return fees.check_lines(read) or tuple(read)


def _fee_line(line: FeeLine, field: str) -> fees.FeeLine | Refusal:
    if line.bearer not in frozenset(fees.Bearer):
        known = ", ".join(fees.Bearer)
        return Refusal(
            "bearer_unknown",
            f"{field}/bearer",
            f"nobody is called {line.bearer}",
            f"one of {known}",
        )
    percent = fees.read_percent(line.percent, f"{field}/percent")
    if isinstance(percent, Refusal):
        return percent
    bearer = fees.Bearer(line.bearer)
    if (bearer is fees.Bearer.SHARED) != (line.payer_percent is not None):
        return Refusal(
            "share_mismatch",
            f"{field}/payer_percent",
            "a shared fee, and no other, says how much of it the payer bears",
            "give payer_percent with the bearer shared, and leave it out otherwise",
        )
    payer = (
        None
        if line.payer_percent is None
        else fees.read_percent(line.payer_percent, f"{field}/payer_percent")
    )
    if isinstance(payer, Refusal):
        return payer
    fixed = _amount(line.fixed, line.currency, f"{field}/fixed")
    floor = _bound(line.floor, line.currency, f"{field}/floor")
    cap = _bound(line.cap, line.currency, f"{field}/cap")
    if isinstance(fixed, Refusal):
        return fixed
    if isinstance(floor, Refusal):
        return floor
    if isinstance(cap, Refusal):
        return cap
    return fees.FeeLine(line.rail, fixed, percent, floor, cap, bearer, payer)


def _bound(text: str | None, code: str, field: str) -> Money | Refusal | None:
    return None if text is None else _amount(text, code, field)


def _amount(text: str, code: str, field: str) -> Money | Refusal:
    try:
        return Money.parse(text, code)
    except MoneyError as error:
        return Refusal(error.code, field, str(error), _EXACT)


def budget_changed(moved: BudgetMoved, fields: Fields) -> BudgetChanged:
    budget = moved.budget
    return BudgetChanged(
        budget_id=budget.id,
        sequence=budget.sequence,
        parent=budget.parent,
        path=budget.path,
        holder=budget.holder,
        wallet=budget.wallet,
        limit=Amount.of(budget.limit),
        allocated=Amount.of(budget.allocated),
        reserved=Amount.of(budget.reserved),
        used=Amount.of(budget.used),
        change=moved.change,
        changed_by=Amount.of(moved.amount),
        subject=moved.subject,
        **fields,
    )


def payable_changed(payable: Payable, reference: str | None, fields: Fields) -> PayableChanged:
    return PayableChanged(
        payable_id=payable.id,
        sequence=payable.sequence,
        state=payable.state,
        document=payable.document,
        number=payable.number,
        payer=payable.payer,
        payee=payable.payee,
        amount=Amount.of(payable.amount),
        paid=Amount.of(payable.paid),
        due=payable.due,
        kind=payable.kind,
        settled_by=payable.settled_by,
        reference=reference,
        **fields,
    )


def payment_changed(payment: Payment, journal_id: str | None, fields: Fields) -> PaymentChanged:
    return PaymentChanged(
        payment_id=payment.id,
        sequence=payment.sequence,
        state=payment.state,
        holder=payment.holder,
        payee=payment.payee,
        amount=Amount.of(payment.amount),
        rail=payment.rail,
        kind=payment.kind,
        payable_id=payment.payable_id,
        policy_version=payment.policy_version,
        fees_version=payment.fees_version,
        fee=PaymentFee(
            total=Amount.of(payment.fee.total),
            payer=Amount.of(payment.fee.payer),
            payee=Amount.of(payment.fee.payee),
        ),
        draws=tuple(
            Draw(
                budget_id=part.budget_id,
                reservation_id=part.reservation_id,
                wallet=part.wallet,
                amount=Amount.of(part.amount),
            )
            for part in payment.draws
        ),
        approvals_needed=payment.approvals_needed,
        approved_by=payment.approved_by,
        journal_id=journal_id,
        reason_code=payment.reason_code,
        **fields,
    )


def claim_changed(claim: Claim, fields: Fields) -> BudgetClaimChanged:
    return BudgetClaimChanged(
        claim_id=claim.id,
        sequence=claim.sequence,
        state=claim.state,
        budget_id=claim.budget_id,
        reservation_id=claim.reservation_id,
        holder=claim.holder,
        amount=Amount.of(claim.amount),
        granted=None if claim.granted is None else Amount.of(claim.granted),
        kind=claim.kind,
        evidence=claim.evidence,
        reason=claim.reason,
        **fields,
    )
