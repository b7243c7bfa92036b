"""Movements at rest, and the sums that follow from them."""

from collections.abc import Sequence

from tally_portfolio.domain.books import AccountChange, Movement
from tally_portfolio.domain.projection import Account
from tally_portfolio.store.looking import columns
from tally_postgres import Connection

_SUMS = ("posted", "held", "received", "paid", "committed")


def added(alias: str) -> str:
    """The assignments that add a row's sums to those that are kept."""
    return ", ".join(f"{name} = {alias}.{name} + excluded.{name}" for name in _SUMS)


_EACH = ", ".join(_SUMS)
_TOTALS = ", ".join(f"sum(x.{name}) AS {name}" for name in _SUMS)

# Rows of `balance`, `owned` and `total` are locked by key order, in this order of tables.
_SPREAD = f"""
    owners AS (
        INSERT INTO owned AS o (owner, currency, {_EACH})
        SELECT x.owner, x.currency, {_TOTALS} FROM news x GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (owner, currency) DO UPDATE SET {added("o")}
    )
    INSERT INTO total AS t (party, currency, tenant, {_EACH})
    SELECT x.party, x.currency, max(x.tenant), {_TOTALS}
    FROM (
        SELECT d.ancestor AS party, d.tenant, n.* FROM news n JOIN descent d ON d.party = n.owner
        UNION ALL
        SELECT '*', '*', n.* FROM news n
    ) x
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (party, currency) DO UPDATE SET {added("t")}
"""

_MOVEMENT_COLUMNS = ", ".join(Movement._fields)
# What moved on an account before its owner was known counts from the moment it is.
_SAVE_BOOKS = f"""
WITH fresh AS (
    INSERT INTO movement ({_MOVEMENT_COLUMNS})
    SELECT * FROM unnest(
        $1::text[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::numeric[], $9::numeric[], $10::text[], $11::text[], $12::text[], $13::text[],
        $14::text[], $15::timestamptz[], $16::jsonb[], $17::text[]
    )
    ON CONFLICT DO NOTHING
    RETURNING account, currency, at, posted, held, flow
),
hours AS (
    INSERT INTO hour AS h (account, starts_at, currency, posted, held)
    SELECT account, date_trunc('hour', at, 'UTC'), currency, sum(posted), sum(held) FROM fresh
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (account, starts_at, currency) DO UPDATE
    SET posted = h.posted + excluded.posted, held = h.held + excluded.held
),
deltas AS (
    SELECT account, currency, max(owner) AS owner, {_TOTALS}
    FROM (
        SELECT account, currency, NULL AS owner, posted, held,
               CASE flow WHEN 'received' THEN posted ELSE 0 END AS received,
               CASE flow WHEN 'paid' THEN -posted ELSE 0 END AS paid,
               0 AS committed
        FROM fresh
        UNION ALL
        SELECT account, currency, owner, 0, 0, 0, 0, committed
        FROM unnest($18::text[], $19::text[], $20::text[], $21::numeric[])
            c (account, currency, owner, committed)
    ) x
    GROUP BY account, currency
),
balances AS (
    INSERT INTO balance AS b (account, currency, owner, {_EACH})
    SELECT account, currency, owner, {_EACH} FROM deltas ORDER BY account, currency
    ON CONFLICT (account, currency) DO UPDATE
    SET owner = COALESCE(b.owner, excluded.owner), {added("b")}
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
}
    FROM balances b JOIN deltas d USING (account, currency) WHERE b.owner IS NOT NULL
),
{_SPREAD}
"""

_SAVE_ACCOUNTS = """
INSERT INTO account (account_id, ledger, path, owner, purpose, currency, opened_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]
)
ON CONFLICT DO NOTHING
"""


async def save_books(
    conn: Connection, movements: Sequence[Movement], changes: Sequence[AccountChange]
) -> None:
    """Keep movements not kept yet, and add to every sum they belong to, in one statement."""
    rows = [tuple(row) for row in movements]
    none: list[list[object]] = [[] for _ in Movement._fields]
    unchanged: list[list[object]] = [[] for _ in AccountChange._fields]
    await conn.execute(
        _SAVE_BOOKS,
        *(columns(rows) if rows else none),
        *(columns([tuple(row) for row in changes]) if changes else unchanged),
    )


async def save_accounts(conn: Connection, accounts: Sequence[Account]) -> None:
    """Keep accounts not kept yet."""
    rows = [
        (a.account_id, a.ledger, a.path, a.owner, a.purpose, a.currency, a.opened_at)
        for a in accounts
    ]
    await conn.execute(_SAVE_ACCOUNTS, *columns(rows))
