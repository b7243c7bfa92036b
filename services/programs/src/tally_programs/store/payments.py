"""Payments and claims at rest."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_money import Money, currency
from tally_postgres import Connection
from tally_programs.domain.claims import Claim, ClaimState
from tally_programs.domain.fees import Fee
from tally_programs.domain.payments import Payment, PaymentState, Reserved
from tally_programs.store.table import Table

PAYMENT = Table(
    "payment",
    ("id",),
    (
        ("id", "text"),
        ("tenant", "text"),
        ("program_id", "text"),
        ("holder", "text"),
        ("payee", "text"),
        ("currency", "text"),
        ("amount", "numeric"),
        ("rail", "text"),
        ("kind", "text"),
        ("payable_id", "text"),
        ("policy_version", "integer"),
        ("fees_version", "integer"),
        ("payer_fee", "numeric"),
        ("payee_fee", "numeric"),
        ("draws", "jsonb"),
        ("circumstances", "jsonb"),
        ("approvals_needed", "integer"),
        ("proposed_by", "text"),
        ("approved_by", "jsonb"),
        ("state", "text"),
        ("reason_code", "text"),
        ("sequence", "integer"),
        ("changed_at", "timestamptz"),
    ),
    ("approved_by", "state", "reason_code", "sequence", "changed_at"),
)

CLAIM = Table(
    "claim",
    ("id",),
    (
        ("id", "text"),
        ("tenant", "text"),
        ("program_id", "text"),
        ("budget_id", "text"),
        ("reservation_id", "text"),
        ("holder", "text"),
        ("currency", "text"),
        ("amount", "numeric"),
        ("kind", "text"),
        ("evidence", "text"),
        ("submitted_by", "text"),
        ("state", "text"),
        ("granted", "numeric"),
        ("reason", "text"),
        ("sequence", "integer"),
        ("changed_at", "timestamptz"),
    ),
    ("state", "granted", "reason", "sequence", "changed_at"),
)

_LOAD_PAYMENTS = f"""
SELECT {PAYMENT.names} FROM payment WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""

_LOAD_CLAIMS = f"""
SELECT {CLAIM.names} FROM claim WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """A payment with the where and why it was proposed with."""

    payment: Payment
    circumstances: Mapping[str, Any]


async def load_payments(conn: Connection, ids: Collection[str]) -> dict[str, StoredPayment]:
    """Lock and read payments."""
    if not ids:
        return {}
    payments = {}
    for row in await conn.fetch(_LOAD_PAYMENTS, list(ids)):
        (
            payment_id, tenant, program_id, holder, payee, code, amount, rail, kind, payable_id,
            policy_version, fees_version, payer_fee, payee_fee, draws, circumstances,
            approvals_needed, proposed_by, approved_by, state, reason_code, sequence, _changed_at,
        ) = row  # fmt: skip
        unit = currency(code)
        payment = Payment(
            id=payment_id,
            tenant=tenant,
            program_id=program_id,
            holder=holder,
            payee=payee,
            amount=Money(amount, unit),
            rail=rail,
            kind=kind,
            payable_id=payable_id,
            policy_version=policy_version,
            fees_version=fees_version,
            fee=Fee(Money(payer_fee, unit), Money(payee_fee, unit)),
            draws=tuple(
                Reserved(budget, reservation, wallet, Money(int(minor), unit))
                for budget, reservation, wallet, minor in draws["parts"]
            ),
            approvals_needed=approvals_needed,
            proposed_by=proposed_by,
            approved_by=tuple(approved_by["people"]),
            state=PaymentState(state),
            reason_code=reason_code,
            sequence=sequence,
        )
        payments[payment_id] = StoredPayment(payment, circumstances)
    return payments


async def save_payments(conn: Connection, payments: Sequence[StoredPayment], now: datetime) -> None:
    """Insert new payments and write changed ones."""
    await PAYMENT.save(conn, [_payment_row(stored, now) for stored in payments])


def _payment_row(stored: StoredPayment, now: datetime) -> tuple[object, ...]:
    p = stored.payment
    # Minor units as text: a JSON reader may not keep so large a number exact.
    draws = [(d.budget_id, d.reservation_id, d.wallet, str(d.amount.minor)) for d in p.draws]
    # As members, since the driver takes a list within an array for another dimension.
    return (
        p.id,
        p.tenant,
        p.program_id,
        p.holder,
        p.payee,
        p.amount.currency.code,
        p.amount.minor,
        p.rail,
        p.kind,
        p.payable_id,
        p.policy_version,
        p.fees_version,
        p.fee.payer.minor,
        p.fee.payee.minor,
        {"parts": draws},
        stored.circumstances,
        p.approvals_needed,
        p.proposed_by,
        {"people": p.approved_by},
        p.state,
        p.reason_code,
        p.sequence,
        now,
    )


async def load_claims(conn: Connection, ids: Collection[str]) -> dict[str, Claim]:
    """Lock and read claims."""
    if not ids:
        return {}
    claims = {}
    for row in await conn.fetch(_LOAD_CLAIMS, list(ids)):
        (
            claim_id, tenant, program_id, budget_id, reservation_id, holder, code, amount, kind,
            evidence, submitted_by, state, granted, reason, sequence, _changed_at,
        ) = row  # fmt: skip
        unit = currency(code)
        claims[claim_id] = Claim(
            id=claim_id,
            tenant=tenant,
            program_id=program_id,
            budget_id=budget_id,
            reservation_id=reservation_id,
            holder=holder,
            amount=Money(amount, unit),
            kind=kind,
            evidence=evidence,
            submitted_by=submitted_by,
            state=ClaimState(state),
            granted=None if granted is None else Money(granted, unit),
            reason=reason,
            sequence=sequence,
        )
    return claims


async def save_claims(conn: Connection, claims: Sequence[Claim], now: datetime) -> None:
    """Insert new claims and write changed ones."""
    await CLAIM.save(
        conn,
        [
            (
                c.id,
                c.tenant,
                c.program_id,
                c.budget_id,
                c.reservation_id,
                c.holder,
                c.amount.currency.code,
                c.amount.minor,
                c.kind,
                c.evidence,
                c.submitted_by,
                c.state,
                None if c.granted is None else c.granted.minor,
                c.reason,
                c.sequence,
                now,
            )
            for c in claims
        ],
    )
