"""Movements at rest, and the sums that follow from them."""

from collections.abc import Iterable, Sequence

from tally_portfolio.domain.books import AccountChange, Movement, Sums
from tally_portfolio.domain.budgets import BudgetStep
from tally_portfolio.domain.projection import Account
from tally_portfolio.store.looking import columns, given
from tally_postgres import Connection

_OF_BUDGETS = BudgetStep._fields[2:]
_SUMS = tuple(name for name in Sums._fields if name not in _OF_BUDGETS)


def _added(alias: str, names: Sequence[str] = Sums._fields) -> str:
    """The assignments that add a row's sums to those that are kept."""
    return ", ".join(f"{name} = {alias}.{name} + excluded.{name}" for name in names)


def _totals(names: Sequence[str]) -> str:
    return ", ".join(f"sum(x.{name}) AS {name}" for name in names)


def _slots(width: str) -> str:
    """The part of the statement that adds what moved to sums by slots of time this wide."""
    return f"""
{width}s AS (
    INSERT INTO {width} AS h (account, starts_at, currency, posted, held)
    SELECT account, date_trunc('{width}', at, 'UTC'), currency, sum(posted), sum(held) FROM moved
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (account, starts_at, currency) DO UPDATE
    SET posted = h.posted + excluded.posted, held = h.held + excluded.held
)"""


_EACH, _ALL = ", ".join(_SUMS), ", ".join(Sums._fields)

# Rows of `balance`, `owned` and `total` are locked by key order, in this order of tables.
_SPREAD = f"""
    owners AS (
        INSERT INTO owned AS o (owner, currency, {_ALL})
        SELECT x.owner, x.currency, {_totals(Sums._fields)} FROM news x GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (owner, currency) DO UPDATE SET {_added("o")}
    )
    INSERT INTO total AS t (party, currency, tenant, {_ALL})
    SELECT x.party, x.currency, max(x.tenant), {_totals(Sums._fields)}
    FROM (
        SELECT d.ancestor AS party, d.tenant, n.* FROM news n JOIN descent d ON d.party = n.owner
        UNION ALL
        SELECT '*', '*', n.* FROM news n
    ) x
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (party, currency) DO UPDATE SET {_added("t")}
"""

_MOVEMENT_COLUMNS = ", ".join(Movement._fields)
_MOVEMENT_TYPES = (
    *("text", "timestamptz", "bigint", "text", "text", "text", "text", "numeric", "numeric"),
    *("text", "text", "text", "text", "text", "timestamptz", "jsonb", "text", "boolean"),
)
# What moved on an account before its owner was known counts from the moment it is. All sums are made
# of those by minute, so that a batch's rows are gone through once.
_SAVE_BOOKS = f"""
WITH fresh AS (
    INSERT INTO movement ({_MOVEMENT_COLUMNS})
    {given(*_MOVEMENT_TYPES)}
    ON CONFLICT DO NOTHING
    RETURNING account, currency, at, posted, held, flow
),
moved AS (
    SELECT account, date_trunc('minute', at, 'UTC') AS at, currency,
           sum(posted) AS posted, sum(held) AS held,
           sum(CASE flow WHEN 'received' THEN posted ELSE 0 END) AS received,
           sum(CASE flow WHEN 'paid' THEN -posted ELSE 0 END) AS paid
    FROM fresh GROUP BY 1, 2, 3
),
{", ".join(map(_slots, ("day", "hour", "minute")))},
deltas AS (
    SELECT account, currency, max(owner) AS owner, {_totals(_SUMS)}
    FROM (
        SELECT account, currency, NULL AS owner, posted, held, received, paid, 0 AS committed
        FROM moved
        UNION ALL
        SELECT account, currency, owner, 0, 0, 0, 0, committed
        FROM unnest($19::text[], $20::text[], $21::text[], $22::numeric[])
            c (account, currency, owner, committed)
    ) x
    GROUP BY account, currency
),
balances AS (
    INSERT INTO balance AS b (account, currency, owner, {_EACH})
    SELECT account, currency, owner, {_EACH} FROM deltas ORDER BY account, currency
    ON CONFLICT (account, currency) DO UPDATE
    SET owner = COALESCE(b.owner, excluded.owner), {_added("b", _SUMS)}
    RETURNING old.owner AS owner_before, new.owner, new.account, new.currency,
              {", ".join(f"new.{name}" for name in _SUMS)}
),
news AS (
    SELECT b.owner, d.currency,
           {
    ", ".join(
        f"CASE WHEN b.owner_before IS NULL THEN b.{name} ELSE d.{name} END AS {name}"
        for name in _SUMS
    )
},
           {", ".join(f"0 AS {name}" for name in _OF_BUDGETS)}
    FROM balances b JOIN deltas d USING (account, currency) WHERE b.owner IS NOT NULL
    UNION ALL
    SELECT owner, currency, {", ".join("0" for _ in _SUMS)}, {", ".join(_OF_BUDGETS)}
    FROM unnest($23::text[], $24::text[], $25::numeric[], $26::numeric[], $27::numeric[])
        s (owner, currency, {", ".join(_OF_BUDGETS)})
),
{_SPREAD}
"""

_SAVE_ACCOUNTS = """
INSERT INTO account AS a (account_id, ledger, path, owner, purpose, currency, opened_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]
)
ON CONFLICT (account_id) DO UPDATE SET (ledger, path, owner, purpose, currency, opened_at) = (
    excluded.ledger, excluded.path, excluded.owner, excluded.purpose, excluded.currency,
    excluded.opened_at
)
WHERE (excluded.opened_at, excluded.ledger) < (a.opened_at, a.ledger)
"""


async def save_books(
    conn: Connection,
    movements: Sequence[Movement],
    changes: Sequence[AccountChange],
    budget_steps: Sequence[BudgetStep] = (),
) -> None:
    """Keep movements not kept yet, and add to every sum they belong to, in one statement."""
    await conn.execute(
        _SAVE_BOOKS,
        *_columns(movements, len(Movement._fields)),
        *_columns(changes, len(AccountChange._fields)),
        *_columns(budget_steps, len(BudgetStep._fields)),
    )


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> Iterable[list[object]]:
    """Rows as lists for `unnest`, empty ones where there are no rows."""
    return columns([tuple(row) for row in rows]) if rows else [[] for _ in range(width)]


async def save_accounts(conn: Connection, accounts: Sequence[Account]) -> None:
    """Keep accounts as the first ledger to open them told of them."""
    rows = [
        (a.account_id, a.ledger, a.path, a.owner, a.purpose, a.currency, a.opened_at)
        for a in accounts
    ]
    await conn.execute(_SAVE_ACCOUNTS, *columns(rows))
