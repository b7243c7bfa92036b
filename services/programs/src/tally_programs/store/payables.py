"""Payables, and what settles them, at rest."""

from collections.abc import Collection, Sequence

from tally_money import Money, currency
from tally_postgres import Connection
from tally_programs.domain.payables import Document, Payable, SettledBy, Settlement
from tally_programs.store.table import Table

PAYABLE = Table(
    "payable",
    ("id",),
    (
        ("id", "text"),
        ("tenant", "text"),
        ("program_id", "text"),
        ("document", "text"),
        ("number", "text"),
        ("payer", "text"),
        ("payee", "text"),
        ("currency", "text"),
        ("amount", "numeric"),
        ("due", "date"),
        ("kind", "text"),
        ("settled_by", "text"),
        ("paid", "numeric"),
        ("cancelled", "boolean"),
        ("sequence", "integer"),
    ),
    ("paid", "cancelled", "sequence"),
)

SETTLEMENT = Table(
    "settlement",
    ("payable_id", "reference"),
    (
        ("payable_id", "text"),
        ("reference", "text"),
        ("tenant", "text"),
        ("settled_by", "text"),
        ("company", "text"),
        ("currency", "text"),
        ("amount", "numeric"),
        ("sequence", "bigint"),
    ),
    ("tenant", "amount", "sequence"),
    # The same word is written again once its payable is registered: then it has a tenant.
    later="t.sequence <= excluded.sequence",
)

# Money and the payable it is for may come at the same time: whoever is second sees the first, also
# where there is no row to lock yet.
_LOCK_IDS = """
SELECT pg_advisory_xact_lock(hashtextextended(id, 0))
FROM (SELECT id FROM unnest($1::text[]) AS k (id) ORDER BY id) AS k
"""

_LOAD_PAYABLES = f"""
SELECT {", ".join(f"p.{name}" for name, _ in PAYABLE.columns)}, g.name
FROM payable p JOIN program g ON g.id = p.program_id
WHERE p.id = ANY($1::text[] || ARRAY(
    SELECT q.id FROM unnest($2::text[], $3::text[]) AS k (name, number)
    JOIN program h ON h.name = k.name
    JOIN payable q ON q.program_id = h.id AND q.number = k.number
) || ARRAY(
    SELECT q.id FROM unnest($4::text[], $5::text[]) AS k (program_id, number)
    JOIN payable q ON q.program_id = k.program_id AND q.number = k.number
))
ORDER BY p.id
FOR UPDATE OF p
"""

_LOAD_SETTLEMENTS = """
SELECT payable_id, reference, tenant, settled_by, company, currency, amount, sequence
FROM settlement
WHERE payable_id = ANY($1::text[])
    OR (payable_id = ANY($2::text[]) AND reference = ANY($3::text[]))
"""

Number = tuple[str, str]
"""Name or id of a program, and the number of a document."""


async def load_payables(
    conn: Connection,
    ids: Collection[str],
    numbers: Collection[Number],
    registering: Collection[Number],
) -> dict[str, Payable]:
    """Lock and read payables by id, by their program's name and number, and by its id and number."""
    if not ids and not numbers:
        return {}
    await conn.execute(_LOCK_IDS, sorted(ids))
    rows = await conn.fetch(
        _LOAD_PAYABLES,
        list(ids),
        [key[0] for key in numbers],
        [key[1] for key in numbers],
        [key[0] for key in registering],
        [key[1] for key in registering],
    )
    payables = {}
    for row in rows:
        (
            payable_id, tenant, program_id, document, number, payer, payee, code, amount, due,
            kind, settled_by, paid, cancelled, sequence, program,
        ) = row  # fmt: skip
        unit = currency(code)
        payables[payable_id] = Payable(
            payable_id,
            tenant,
            program_id,
            program,
            Document(document),
            number,
            payer,
            payee,
            Money(amount, unit),
            due,
            kind,
            SettledBy(settled_by),
            Money(paid, unit),
            cancelled,
            sequence,
        )
    return payables


async def save_payables(conn: Connection, payables: Sequence[Payable]) -> None:
    """Insert new payables and write changed ones."""
    await PAYABLE.save(
        conn,
        [
            (
                p.id,
                p.tenant,
                p.program_id,
                p.document,
                p.number,
                p.payer,
                p.payee,
                p.amount.currency.code,
                p.amount.minor,
                p.due,
                p.kind,
                p.settled_by,
                p.paid.minor,
                p.cancelled,
                p.sequence,
            )
            for p in payables
        ],
    )


async def load_settlements(
    conn: Connection,
    registering: Collection[str],
    payables: Collection[str],
    references: Collection[str],
) -> dict[tuple[str, str], Settlement]:
    """All settlements of payables being registered; of others, what these references count for."""
    if not registering and not references:
        return {}
    rows = await conn.fetch(_LOAD_SETTLEMENTS, list(registering), list(payables), list(references))
    return {
        (payable_id, reference): Settlement(
            payable_id,
            reference,
            tenant,
            SettledBy(settled_by),
            company,
            Money(amount, currency(code)),
            sequence,
        )
        for payable_id, reference, tenant, settled_by, company, code, amount, sequence in rows
    }


async def save_settlements(conn: Connection, settlements: Sequence[Settlement]) -> None:
    """Write what money counts for now."""
    await SETTLEMENT.save(
        conn,
        [
            (
                s.payable_id,
                s.reference,
                s.tenant,
                s.settled_by,
                s.company,
                s.amount.currency.code,
                s.amount.minor,
                s.sequence,
            )
            for s in settlements
        ],
    )
