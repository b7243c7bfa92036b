"""Whose tree money is in, by its company, in SQL.

The tenant of a company never changes once the directory has told it; until then it is `*`, and the rows
are the operator's alone. Who enters a row for such a company holds the company until the commit, so
that the directory's word meets every row that was entered without it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from tally_postgres import Connection

UNKNOWN: Final = "*"
"""Tenant of what is no tenant's yet."""

# Of those the directory told of nothing is locked: their tenant stays.
_HOLD = """
WITH known AS (
    SELECT party_id, tenant FROM party_place
    WHERE party_id = ANY($1::text[]) AND tenant <> '*'
), awaited AS (
    SELECT party_id, tenant FROM party_place
    WHERE party_id = ANY($1::text[]) AND tenant = '*' ORDER BY party_id FOR SHARE
)
SELECT * FROM known UNION ALL SELECT * FROM awaited
"""

_AWAIT = """
INSERT INTO party_place (party_id, tenant, path, registered, changed_at, awaited)
SELECT company, '*', '{}', false, $2, true FROM unnest($1::text[]) AS c (company) ORDER BY company
ON CONFLICT (party_id) DO NOTHING
"""

# Exclusively, in the order in which rows are locked everywhere: what is being entered below them is
# there afterwards, and what comes later reads the new tenant.
_LOCK = (
    """SELECT FROM card_payment WHERE company = ANY($1::text[]) AND tenant = '*'
       ORDER BY pay_in_id FOR UPDATE""",
    """SELECT FROM pay_in WHERE company = ANY($1::text[]) AND tenant = '*'
       ORDER BY pay_in_id FOR UPDATE""",
    """SELECT FROM pay_in_return r JOIN pay_in p USING (pay_in_id)
       WHERE p.company = ANY($1::text[]) AND p.tenant = '*' ORDER BY return_id FOR UPDATE OF r""",
    """SELECT FROM receivable v JOIN pay_in_return r USING (return_id) JOIN pay_in p USING (pay_in_id)
       WHERE p.company = ANY($1::text[]) AND p.tenant = '*' ORDER BY receivable_id FOR UPDATE OF v""",
)

_ADOPT = """
WITH named AS (SELECT * FROM unnest($1::text[], $2::text[]) AS n (company, tenant)),
pay_ins AS (
    UPDATE pay_in x SET tenant = n.tenant FROM named n
    WHERE x.company = n.company AND x.tenant = '*' RETURNING x.pay_in_id, x.tenant),
statements AS (
    UPDATE statement x SET tenant = n.tenant FROM named n
    WHERE x.company = n.company AND x.tenant = '*' RETURNING x.statement_key, x.tenant),
payments AS (
    UPDATE card_payment x SET tenant = n.tenant FROM named n
    WHERE x.company = n.company AND x.tenant = '*' RETURNING x.pay_in_id, x.tenant),
webhooks AS (
    UPDATE webhook_event x SET tenant = n.tenant FROM named n
    WHERE x.company = n.company AND x.tenant = '*'),
by_hand AS (
    UPDATE manual_entry x SET tenant = n.tenant FROM named n
    WHERE x.company = n.company AND x.tenant = '*'),
expected AS (
    UPDATE expectation x SET tenant = n.tenant FROM named n
    WHERE x.company = n.company AND x.tenant = '*'),
entries AS (
    UPDATE statement_entry x SET tenant = s.tenant FROM statements s
    WHERE x.statement_key = s.statement_key),
failed_refunds AS (
    UPDATE card_refund_failure x SET tenant = c.tenant FROM payments c
    WHERE x.pay_in_id = c.pay_in_id),
disputes AS (
    UPDATE card_dispute x SET tenant = c.tenant FROM payments c WHERE x.pay_in_id = c.pay_in_id),
shares AS (
    UPDATE allocation x SET tenant = p.tenant FROM pay_ins p WHERE x.pay_in_id = p.pay_in_id),
cases AS (
    UPDATE suspense_case x SET tenant = p.tenant FROM pay_ins p WHERE x.pay_in_id = p.pay_in_id),
repeats AS (
    UPDATE repeated_announcement x SET tenant = p.tenant FROM pay_ins p
    WHERE x.pay_in_id = p.pay_in_id),
matches AS (
    UPDATE pay_in_match x SET tenant = p.tenant FROM pay_ins p WHERE x.pay_in_id = p.pay_in_id),
looks AS (
    UPDATE match_look x SET tenant = p.tenant FROM pay_ins p WHERE x.pay_in_id = p.pay_in_id),
returns AS (
    UPDATE pay_in_return x SET tenant = p.tenant FROM pay_ins p
    WHERE x.pay_in_id = p.pay_in_id RETURNING x.return_id, x.tenant),
legs AS (
    UPDATE return_leg x SET tenant = r.tenant FROM returns r WHERE x.return_id = r.return_id),
debts AS (
    UPDATE receivable x SET tenant = r.tenant FROM returns r
    WHERE x.return_id = r.return_id RETURNING x.receivable_id, x.tenant)
UPDATE receivable_settlement x SET tenant = d.tenant FROM debts d
WHERE x.receivable_id = d.receivable_id
"""


_ARRIVED = "UPDATE party_place SET awaited = false WHERE party_id = ANY($1::text[]) AND awaited"


async def hold(conn: Connection, companies: Collection[str], now: datetime) -> Mapping[str, str]:
    """The tenant of each company, for rows entered in this transaction; `UNKNOWN` where it is not told.

    One statement, and two more the first time that a company is named. The transaction must see
    every tenant.
    """
    wanted = sorted(set(companies))
    found = {row[0]: row[1] for row in await conn.fetch(_HOLD, wanted)}
    missing = [company for company in wanted if company not in found]
    if missing:
        await conn.execute(_AWAIT, missing, now)
        found |= {row[0]: row[1] for row in await conn.fetch(_HOLD, missing)}
    return found


async def hold_one(conn: Connection, company: str, now: datetime) -> str:
    """The tenant of one company, as `hold` gives it."""
    return (await hold(conn, [company], now))[company]


async def adopt(conn: Connection, tenants: Mapping[str, str]) -> None:
    """Give companies' money the tenants (by company) that the directory tells of only now."""
    companies = sorted(tenants)
    for lock in _LOCK:
        await conn.execute(lock, companies)
    await conn.execute(_ADOPT, companies, [tenants[company] for company in companies])
    await conn.execute(_ARRIVED, companies)
