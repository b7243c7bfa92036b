"""Budgets and reservations at rest."""

from collections.abc import Collection, Sequence

from tally_money import Money, currency
from tally_postgres import Connection
from tally_programs.domain.budgets import Budget, Reservation
from tally_programs.store.table import Table

Holder = tuple[str, str]
"""Program id and holder."""

BUDGET = Table(
    "budget",
    ("id",),
    (
        ("id", "text"),
        ("tenant", "text"),
        ("program_id", "text"),
        ("parent", "text"),
        ("path", "text"),
        ("holder", "text"),
        ("wallet", "text"),
        ("currency", "text"),
        ("amount", "numeric"),
        ("allocated", "numeric"),
        ("reserved", "numeric"),
        ("used", "numeric"),
        ("sequence", "integer"),
    ),
    ("amount", "allocated", "reserved", "used", "sequence"),
)

RESERVATION = Table(
    "reservation",
    ("id",),
    (
        ("id", "text"),
        ("tenant", "text"),
        ("budget_id", "text"),
        ("amount", "numeric"),
        ("used", "numeric"),
        ("reference", "text"),
        ("open", "boolean"),
        ("sequence", "integer"),
        ("bound", "boolean"),
    ),
    ("amount", "used", "open", "sequence", "bound"),
)

# In id order, so that two appliers never wait for each other in a circle.
_LOAD_BUDGETS = f"""
SELECT {BUDGET.names} FROM budget
WHERE id = ANY(
    $1::text[]
    || ARRAY(SELECT parent FROM budget WHERE id = ANY($1::text[]) AND parent IS NOT NULL)
    || ARRAY(
        SELECT b.id FROM unnest($2::text[], $3::text[]) AS k (program_id, holder)
        JOIN budget b ON b.program_id = k.program_id AND b.holder = k.holder
    )
)
ORDER BY id
FOR UPDATE
"""

_LOAD_RESERVATIONS = """
SELECT r.id, r.tenant, r.budget_id, b.currency, r.amount, r.used, r.reference, r.open, r.sequence,
       r.bound
FROM reservation r JOIN budget b ON b.id = r.budget_id
WHERE r.id = ANY($1::text[])
ORDER BY r.id
FOR UPDATE OF r
"""


async def load_budgets(
    conn: Connection, ids: Collection[str], holders: Collection[Holder]
) -> dict[str, Budget]:
    """Lock and read budgets, the parents of those named, and all of these holders' budgets."""
    if not ids and not holders:
        return {}
    rows = await conn.fetch(
        _LOAD_BUDGETS, list(ids), [key[0] for key in holders], [key[1] for key in holders]
    )
    budgets = {}
    for (
        budget_id,
        tenant,
        program_id,
        parent,
        path,
        holder,
        wallet,
        code,
        *amounts,
        sequence,
    ) in rows:
        unit = currency(code)
        limit, allocated, reserved, used = (Money(minor, unit) for minor in amounts)
        budgets[budget_id] = Budget(
            budget_id,
            tenant,
            program_id,
            parent,
            tuple(path.split("/")) if path else (),
            holder,
            wallet,
            limit,
            allocated,
            reserved,
            used,
            sequence,
        )
    return budgets


async def save_budgets(conn: Connection, budgets: Sequence[Budget]) -> None:
    """Insert new budgets and write changed ones."""
    await BUDGET.save(
        conn,
        [
            (
                b.id,
                b.tenant,
                b.program_id,
                b.parent,
                "/".join(b.path),
                b.holder,
                b.wallet,
                b.limit.currency.code,
                b.limit.minor,
                b.allocated.minor,
                b.reserved.minor,
                b.used.minor,
                b.sequence,
            )
            for b in budgets
        ],
    )


async def load_reservations(conn: Connection, ids: Collection[str]) -> dict[str, Reservation]:
    """Lock and read reservations; their budgets are locked already."""
    if not ids:
        return {}
    reservations = {}
    for (
        reservation_id,
        tenant,
        budget_id,
        code,
        amount,
        used,
        reference,
        still_open,
        sequence,
        bound,
    ) in await conn.fetch(_LOAD_RESERVATIONS, list(ids)):
        unit = currency(code)
        reservations[reservation_id] = Reservation(
            reservation_id,
            tenant,
            budget_id,
            Money(amount, unit),
            Money(used, unit),
            reference,
            still_open,
            sequence,
            bound,
        )
    return reservations


async def save_reservations(conn: Connection, reservations: Sequence[Reservation]) -> None:
    """Insert new reservations and write changed ones."""
    await RESERVATION.save(
        conn,
        [
            (
                r.id,
                r.tenant,
                r.budget_id,
                r.amount.minor,
                r.used.minor,
                r.reference,
                r.open,
                r.sequence,
                r.bound,
            )
            for r in reservations
        ],
    )
