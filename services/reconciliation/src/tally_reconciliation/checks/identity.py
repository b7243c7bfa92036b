"""O6: money that came in = money that went out + money that is left, account by account."""

from collections.abc import Mapping

from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import Snapshot

# What pay-ins and payouts say should be on each account, from their own tables alone. Clearing and
# suspense accounts are told by purpose, place and currency, all others by id. Journals of neither
# pay-ins, with what goes back of them, nor payouts (an operator's) count as they are.
#
# Of a return, `back` left its owners for the clearing account, by reversal or as a debt. A debt is
# below zero on the owner's account by what is not settled; its owner settles from its wallet. What a
# reinstatement gives back is again as if nothing had been returned, but a debt its owner has settled
# is given to its wallet.
_EXPECTED = """
WITH settled AS (
    SELECT * FROM funding.pay_in WHERE state IN ('allocated', 'suspense')
), left_wallet AS (
    SELECT * FROM payouts.payout WHERE state IN ('paid', 'returned')
), others AS (
    SELECT t.* FROM ledger.journal j
    JOIN ledger.transfer t
        ON t.shard = j.shard AND t.seq BETWEEN j.first_transfer AND j.last_transfer
    WHERE t.kind IN ('single', 'post')
      AND j.reference NOT LIKE 'pin\\_%' AND j.reference NOT LIKE 'po\\_%'
      AND split_part(j.reference, '_', 1) NOT IN ('ret', 'settle', 'match')
), back AS (
    SELECT l.*, i.source, i.currency, i.state AS pay_in_state
    FROM funding.return_leg l
    JOIN funding.pay_in_return r USING (return_id)
    JOIN funding.pay_in i USING (pay_in_id)
    WHERE l.state IN ('reversed', 'owed') AND r.state <> 'reinstated'
), owed AS (
    SELECT v.*, l.account AS wallet, r.state AS return_state, s.by_owner, s.by_reinstatement
    FROM funding.receivable v
    JOIN funding.return_leg l USING (return_id, position)
    JOIN funding.pay_in_return r USING (return_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(x.amount) FILTER (WHERE x.settled_by = 'owner'), 0) AS by_owner,
               coalesce(sum(x.amount) FILTER (WHERE x.settled_by = 'reinstatement'), 0)
                   AS by_reinstatement
        FROM funding.receivable_settlement x
        WHERE x.receivable_id = v.receivable_id AND x.state = 'settled'
    ) s
), said AS (
    SELECT 'clearing' AS purpose, source AS place, currency AS asset, -amount AS amount FROM settled
    UNION ALL
    SELECT 'suspense', source, currency, amount FROM settled WHERE state = 'suspense'
    UNION ALL
    SELECT 'clearing', source, currency, amount FROM back
    UNION ALL
    SELECT CASE WHEN pay_in_state = 'suspense' THEN 'suspense' ELSE '' END,
           CASE WHEN pay_in_state = 'suspense' THEN source ELSE account END, currency, -amount
    FROM back WHERE state = 'reversed'
    UNION ALL
    SELECT '', account, currency, by_owner + by_reinstatement - amount FROM owed
    UNION ALL
    SELECT '', wallet, currency, -by_owner FROM owed
    UNION ALL
    SELECT '', wallet, currency, amount - by_reinstatement FROM owed
    WHERE return_state = 'reinstated'
    UNION ALL
    SELECT 'clearing', rail, currency, amount FROM left_wallet
    WHERE state = 'paid' AND settlement_account IS NULL
    UNION ALL
    SELECT '', s.account, i.currency, s.amount
    FROM settled i JOIN funding.allocation s USING (pay_in_id) WHERE i.state = 'allocated'
    UNION ALL
    SELECT '', account, currency, -amount FROM left_wallet WHERE state = 'paid'
    UNION ALL
    SELECT '', settlement_account, currency, amount FROM left_wallet
    WHERE state = 'paid' AND settlement_account IS NOT NULL
    UNION ALL
    SELECT CASE WHEN a.purpose IN ('clearing', 'suspense') THEN a.purpose ELSE '' END,
           CASE WHEN a.purpose IN ('clearing', 'suspense') THEN split_part(a.path, '/', 2)
                ELSE a.id END,
           o.asset, CASE WHEN a.id = o.debit THEN -o.amount ELSE o.amount END
    FROM others o JOIN ledger.account a ON a.id IN (o.debit, o.credit)
), expected AS (
    SELECT purpose, place, asset, sum(amount) AS amount FROM said GROUP BY 1, 2, 3
), booked AS (
    SELECT CASE WHEN purpose IN ('clearing', 'suspense') THEN purpose ELSE '' END AS purpose,
           CASE WHEN purpose IN ('clearing', 'suspense') THEN split_part(path, '/', 2)
                ELSE id END AS place,
           asset, min(path) AS path, sum(credits_posted - debits_posted) AS amount
    FROM ledger.account GROUP BY 1, 2, 3
)
SELECT coalesce(nullif(e.purpose, ''), nullif(b.purpose, ''), 'account') AS purpose,
       coalesce(e.place, b.place) AS place, coalesce(e.asset, b.asset) AS asset, b.path,
       coalesce(e.amount, 0) AS expected, coalesce(b.amount, 0) AS booked
FROM expected e FULL JOIN booked b USING (purpose, place, asset)
WHERE coalesce(e.amount, 0) <> coalesce(b.amount, 0)
ORDER BY 1, 2, 3
"""

# What transfers to other ledgers hold (xhld_…) is judged by L15.
_HELD = """
SELECT coalesce(p.account, a.id) AS account, coalesce(p.amount, 0) AS expected,
       coalesce(a.debits_pending, 0) AS held, a.path
FROM (
    SELECT p.account, sum(h.remaining) AS amount
    FROM payouts.payout p JOIN ledger.hold h ON h.id = p.hold_id
    WHERE p.hold NOT IN ('none', 'released', 'captured') GROUP BY 1
) p
FULL JOIN (
    SELECT a.id, a.path, a.debits_pending - coalesce(sum(x.remaining), 0) AS debits_pending
    FROM ledger.account a
    LEFT JOIN ledger.hold x ON x.debit = a.id AND x.state = 'open' AND x.id LIKE 'xhld\\_%'
    WHERE a.debits_pending > 0 AND a.purpose <> 'clearing' GROUP BY a.id
) a ON a.id = p.account
WHERE coalesce(p.amount, 0) <> coalesce(a.debits_pending, 0)
ORDER BY 1
"""

# What ledgers owe each other (clearing/shards/…) neither came in nor went out.
_TOTALS = """
SELECT asset,
       -sum(balance) FILTER (WHERE purpose = 'clearing' AND place = ANY($1::text[])) AS came_in,
       sum(balance) FILTER (WHERE purpose = 'clearing' AND place <> ALL($1::text[])
                            AND place <> 'shards') AS went_out,
       sum(balance) FILTER (WHERE purpose = 'wallet') AS wallets,
       sum(balance) FILTER (WHERE purpose = 'suspense') AS suspense,
       sum(balance) FILTER (WHERE purpose NOT IN ('clearing', 'wallet', 'suspense')
                            OR (purpose = 'clearing' AND place = 'shards')) AS others
FROM (
    SELECT asset, purpose, split_part(path, '/', 2) AS place,
           credits_posted - debits_posted AS balance
    FROM ledger.account
) a
GROUP BY asset ORDER BY asset
"""

# What went back to payers did not come in.
_FUNDED = """
SELECT currency AS asset, sum(amount) AS amount FROM (
    SELECT currency, amount FROM funding.pay_in WHERE state IN ('allocated', 'suspense')
    UNION ALL
    SELECT r.currency, -l.amount
    FROM funding.return_leg l JOIN funding.pay_in_return r USING (return_id)
    WHERE l.state IN ('reversed', 'owed') AND r.state <> 'reinstated'
) m
GROUP BY 1
"""

_PAID_OUT = """
SELECT currency AS asset, sum(amount) AS amount FROM payouts.payout
WHERE state = 'paid' AND settlement_account IS NULL GROUP BY 1
"""


async def check_identity(snap: Snapshot, quiet: Quiet) -> Check:
    """Compare every balance with what funding and payouts say, and each currency's whole."""
    found = Findings("O6", "per currency, money in = money out + wallets + suspense + others")
    async for row in snap.rows(_EXPECTED):
        found.unfinished(
            "balance_differs",
            purpose=row["purpose"],
            place=row["place"],
            path=row["path"],
            currency=row["asset"],
            expected=str(row["expected"]),
            booked=str(row["booked"]),
        )
    async for row in snap.rows(_HELD):
        found.unfinished(
            "held_differs",
            account=row["account"],
            path=row["path"],
            expected=str(row["expected"]),
            held=str(row["held"]),
        )
    told = await _wholes(snap, found)
    return found.once_quiet("; ".join(told) or "no money", quiet)


async def _wholes(snap: Snapshot, found: Findings) -> list[str]:
    """Each currency as a whole, by what the services say and by what the ledger says."""
    sources = [row[0] for row in await snap.all("SELECT DISTINCT source FROM funding.pay_in")]
    funded = await _by_asset(snap, _FUNDED)
    paid_out = await _by_asset(snap, _PAID_OUT)
    told: list[str] = []
    seen: set[str] = set()
    for row in await snap.all(_TOTALS, sources):
        code = row["asset"]
        seen.add(code)
        kinds = ("came_in", "went_out", "wallets", "suspense", "others")
        parts = {name: row[name] or 0 for name in kinds}
        if not any(parts.values()) and code not in funded:
            continue
        found.figures.update({f"{code}_{name}": str(value) for name, value in parts.items()})
        rest = parts["wallets"] + parts["suspense"] + parts["others"]
        if parts["came_in"] != parts["went_out"] + rest:
            found.wrong("identity_broken", currency=code, **{n: str(v) for n, v in parts.items()})
        for name, stated in (("came_in", funded), ("went_out", paid_out)):
            if parts[name] != stated.get(code, 0):
                found.unfinished(
                    f"{name}_differs",
                    currency=code,
                    ledger=str(parts[name]),
                    services=str(stated.get(code, 0)),
                )
        told.append(f"{code} {parts['came_in']} in = {parts['went_out']} out + {rest} here")
    for code in sorted(funded.keys() - seen):
        found.wrong("currency_not_in_books", currency=code, funded=str(funded[code]))
    return told


async def _by_asset(snap: Snapshot, query: str) -> Mapping[str, int]:
    return {row["asset"]: row["amount"] for row in await snap.all(query)}
