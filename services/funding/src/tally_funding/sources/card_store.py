"""Webhooks and the payments folded from them, in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tally_funding.sources.cards import CardPayment, Dispute, FailedRefund, Standing
from tally_funding.sources.stripe import StripeEvent
from tally_money import Money, currency
from tally_postgres import Connection, Record

_NOTE_EVENT = """
INSERT INTO webhook_event (source, event_id, digest, event_type, outcome, pay_in_id, received_at, company,
    tenant)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (source, event_id) DO NOTHING
"""

_KNOWN_EVENT = """
SELECT digest, pay_in_id FROM webhook_event WHERE source = $1 AND event_id = $2
"""

# Entered first, so that there is a row to lock.
_ENTER = """
INSERT INTO card_payment (
    pay_in_id, source, external_id, company, standing, failed_charges, refunded, first_seen_at,
    changed_at, tenant)
VALUES ($1, $2, $3, $4, 'unknown', '{}', 0, $5, $5, $6)
ON CONFLICT DO NOTHING
"""

_LOCK = """
SELECT company, standing, currency, amount, charge, failed_charges, refunded, refund_totals
FROM card_payment WHERE pay_in_id = $1 FOR UPDATE
"""

_DISPUTES = """
SELECT dispute, amount, withdrawn, reinstated, currency FROM card_dispute WHERE pay_in_id = $1
"""

_SAVE = """
UPDATE card_payment
SET standing = $2, currency = $3, amount = $4, charge = $5, failed_charges = $6, refunded = $7,
    changed_at = $8, refund_totals = $9
WHERE pay_in_id = $1
"""

_FAILED_REFUNDS = """
SELECT refund, currency, amount, failed_at FROM card_refund_failure WHERE pay_in_id = $1
"""

_SAVE_FAILED_REFUNDS = """
INSERT INTO card_refund_failure (pay_in_id, refund, currency, amount, failed_at)
SELECT $1, r.* FROM unnest($2::text[], $3::text[], $4::numeric[], $5::timestamptz[])
    AS r (refund, currency, amount, failed_at)
ON CONFLICT (pay_in_id, refund) DO UPDATE SET failed_at = EXCLUDED.failed_at
"""

_NOT_UNDONE = """
SELECT refund, currency, amount FROM card_refund_failure
WHERE pay_in_id = $1 AND return_id IS NULL AND handed_over_at IS NULL
ORDER BY failed_at, refund
"""

_UNDO = "UPDATE card_refund_failure SET return_id = $3 WHERE pay_in_id = $1 AND refund = $2"

_HAND_OVER = """
UPDATE card_refund_failure SET handed_over_at = $3 WHERE pay_in_id = $1 AND refund = $2
"""

_SAVE_DISPUTES = """
INSERT INTO card_dispute (pay_in_id, dispute, currency, amount, withdrawn, reinstated)
SELECT $1, d.* FROM unnest($2::text[], $3::text[], $4::numeric[], $5::boolean[], $6::boolean[])
    AS d (dispute, currency, amount, withdrawn, reinstated)
ON CONFLICT (pay_in_id, dispute) DO UPDATE
SET amount = EXCLUDED.amount, withdrawn = EXCLUDED.withdrawn, reinstated = EXCLUDED.reinstated
"""


@dataclass(frozen=True, slots=True)
class Whose:
    """The company whose processor account a webhook came by, and its tenant."""

    company: str
    tenant: str


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """A webhook that came before."""

    digest: bytes
    pay_in_id: str | None


@dataclass(frozen=True, slots=True)
class KeptPayment:
    """A payment as stored, locked, and the company whose processor account it came by."""

    company: str
    payment: CardPayment


async def note_event(  # noqa: PLR0917 - a row, field by field
    conn: Connection,
    source: str,
    event: StripeEvent,
    outcome: str,
    pay_in_id: str | None,
    whose: Whose,
    now: datetime,
) -> KnownEvent | None:
    """Enter a webhook; if it came before, what is known of it."""
    status = await conn.execute(
        _NOTE_EVENT,
        source,
        event.event_id,
        event.digest,
        event.event_type,
        outcome,
        pay_in_id,
        now,
        whose.company,
        whose.tenant,
    )
    if status == "INSERT 0 1":
        return None
    row = await conn.fetchrow(_KNOWN_EVENT, source, event.event_id)
    assert row is not None, "it was there when it could not be entered"
    return KnownEvent(bytes(row["digest"]), row["pay_in_id"])


async def lock_payment(  # noqa: PLR0917 - a row's identity
    conn: Connection, pay_in_id: str, source: str, external_id: str, whose: Whose, now: datetime
) -> KeptPayment:
    """The payment, locked; entered if it was not known."""
    await conn.execute(_ENTER, pay_in_id, source, external_id, whose.company, now, whose.tenant)
    row = await conn.fetchrow(_LOCK, pay_in_id)
    assert row is not None, "it was entered above"
    unit = None if row["currency"] is None else currency(row["currency"])
    disputes = {
        found["dispute"]: Dispute(
            Money(found["amount"], currency(found["currency"])),
            found["withdrawn"],
            found["reinstated"],
        )
        for found in await conn.fetch(_DISPUTES, pay_in_id)
    }
    return KeptPayment(
        row["company"],
        CardPayment(
            Standing(row["standing"]),
            None if unit is None else Money(row["amount"], unit),
            row["charge"],
            frozenset(row["failed_charges"]),
            _totals(row),
            {
                found["refund"]: FailedRefund(
                    Money(found["amount"], currency(found["currency"])),
                    int(found["failed_at"].timestamp()),
                )
                for found in await conn.fetch(_FAILED_REFUNDS, pay_in_id)
            },
            disputes,
        ),
    )


def _totals(row: Record) -> Mapping[int, int]:
    """Totals by second; of what came before they were kept only the largest is known."""
    totals = {int(second): int(total) for second, total in row["refund_totals"].items()}
    if not totals and row["refunded"]:
        return {0: int(row["refunded"])}
    return totals


async def save_payment(
    conn: Connection, pay_in_id: str, payment: CardPayment, now: datetime
) -> None:
    """Keep a payment after one more event."""
    amount = payment.amount
    await conn.execute(
        _SAVE,
        pay_in_id,
        payment.standing.value,
        None if amount is None else amount.currency.code,
        None if amount is None else amount.minor,
        payment.charge,
        sorted(payment.failed_charges),
        payment.refunded_minor,
        now,
        {str(second): total for second, total in sorted(payment.refund_totals.items())},
    )
    if payment.failed_refunds:
        failed = sorted(payment.failed_refunds.items())
        await conn.execute(
            _SAVE_FAILED_REFUNDS,
            pay_in_id,
            [name for name, _ in failed],
            [refund.amount.currency.code for _, refund in failed],
            [refund.amount.minor for _, refund in failed],
            [datetime.fromtimestamp(refund.second, UTC) for _, refund in failed],
        )
    if payment.disputes:
        names = sorted(payment.disputes)
        disputes = [payment.disputes[name] for name in names]
        await conn.execute(
            _SAVE_DISPUTES,
            pay_in_id,
            names,
            [dispute.amount.currency.code for dispute in disputes],
            [dispute.amount.minor for dispute in disputes],
            [dispute.withdrawn for dispute in disputes],
            [dispute.reinstated for dispute in disputes],
        )


async def not_undone(conn: Connection, pay_in_id: str) -> tuple[tuple[str, Money], ...]:
    """Failed refunds (id and amount) that are neither undone nor a person's; the first that failed first."""
    return tuple(
        (row["refund"], Money(row["amount"], currency(row["currency"])))
        for row in await conn.fetch(_NOT_UNDONE, pay_in_id)
    )


async def undo(conn: Connection, pay_in_id: str, refund: str, return_id: str) -> None:
    """Note which return is undone for a failed refund."""
    await conn.execute(_UNDO, pay_in_id, refund, return_id)


async def hand_over(conn: Connection, pay_in_id: str, refund: str, now: datetime) -> None:
    """Note that a failed refund is a person's to undo from now on."""
    await conn.execute(_HAND_OVER, pay_in_id, refund, now)
