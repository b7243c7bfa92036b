"""Budgets at rest with the sums of their tiers, and whose the things of programs are."""

from collections.abc import Mapping, Sequence

from tally_portfolio.domain.budgets import Budget, BudgetStep
from tally_portfolio.domain.tree import Belonging
from tally_portfolio.store.looking import columns
from tally_postgres import Connection

# Rows of `budget`, then of `tier`, are locked by key order.
_SAVE = """
WITH news AS (
    SELECT * FROM unnest(
        $1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[],
        $8::numeric[]
    ) n (budget_id, sequence, holder, currency, path, budgeted, reserved, used)
),
saved AS (
    INSERT INTO budget AS b (budget_id, sequence, budgeted, reserved, used)
    SELECT budget_id, sequence, budgeted, reserved, used FROM news ORDER BY budget_id
    ON CONFLICT (budget_id) DO UPDATE SET (sequence, budgeted, reserved, used) = (
        excluded.sequence, excluded.budgeted, excluded.reserved, excluded.used
    )
    WHERE b.sequence < excluded.sequence
    RETURNING b.budget_id, new.budgeted - COALESCE(old.budgeted, 0) AS budgeted,
              new.reserved - COALESCE(old.reserved, 0) AS reserved,
              new.used - COALESCE(old.used, 0) AS used
),
tiers AS (
    INSERT INTO tier AS t (budget_id, reserved, used)
    SELECT x.budget_id, sum(x.reserved), sum(x.used)
    FROM (
        SELECT budget_id, reserved, used FROM saved
        UNION ALL
        SELECT p.budget_id, s.reserved, s.used
        FROM saved s JOIN news n USING (budget_id)
        CROSS JOIN unnest(string_to_array(n.path, ',')) p (budget_id)
    ) x
    GROUP BY 1 ORDER BY 1
    ON CONFLICT (budget_id) DO UPDATE
    SET reserved = t.reserved + excluded.reserved, used = t.used + excluded.used
)
SELECT n.holder, n.currency, s.budgeted, s.reserved, s.used
FROM saved s JOIN news n USING (budget_id)
"""
_TIERS = "SELECT budget_id, reserved, used FROM tier WHERE budget_id = ANY($1::text[])"

_SAVE_BELONGINGS = """
INSERT INTO belonging AS b (subject, whose, kind, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
ON CONFLICT (subject, whose) DO UPDATE SET at = excluded.at WHERE excluded.at < b.at
"""
_SAVE_KEEPERS = """
INSERT INTO keeper (thing, party) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING RETURNING thing
"""
_INVOLVE = """
INSERT INTO involvement AS i (subject, party, kind, at)
SELECT x.subject, k.party, max(x.kind), min(x.at)
FROM (
    SELECT * FROM belonging WHERE subject = ANY($1::text[])
    UNION
    SELECT * FROM belonging WHERE whose = ANY($2::text[])
) x
JOIN keeper k ON k.thing = x.whose
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (subject, party) DO UPDATE SET at = excluded.at WHERE excluded.at < i.at
RETURNING subject
"""


async def save_budgets(conn: Connection, budgets: Mapping[str, Budget]) -> list[BudgetStep]:
    """Take in budgets' newest changes; returns what they add to their holders' sums."""
    rows = [
        (b.budget_id, b.sequence, b.holder, b.currency, ",".join(b.path), *b[-3:])
        for b in (budgets[key] for key in sorted(budgets))
    ]
    return [BudgetStep(*row) for row in await conn.fetch(_SAVE, *columns(rows))]


async def tiers(conn: Connection, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """What is reserved and used of budgets and of all below them, by budget."""
    rows = await conn.fetch(_TIERS, ids)
    return {row["budget_id"]: (row["reserved"], row["used"]) for row in rows}


async def involve_keepers(
    conn: Connection, belongings: Sequence[Belonging], keepers: Mapping[str, str]
) -> list[str]:
    """Let things be also of who keeps what they belong to; returns those that have become so."""
    if belongings:
        await conn.execute(_SAVE_BELONGINGS, *columns([tuple(row) for row in sorted(belongings)]))
    new: list[str] = []
    if keepers:
        rows = await conn.fetch(_SAVE_KEEPERS, *columns(sorted(keepers.items())))
        new = [row[0] for row in rows]
    subjects = sorted({belonging.subject for belonging in belongings})
    return [row[0] for row in await conn.fetch(_INVOLVE, subjects, new)]
