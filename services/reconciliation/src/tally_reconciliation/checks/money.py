"""Where every unit of money is, and how many of what there is."""

from collections.abc import Mapping

from tally_reconciliation.report import Holding
from tally_reconciliation.snapshot import Snapshot

_HOLDINGS = """
SELECT a.asset, s.scale::int AS scale, a.purpose,
       CASE WHEN a.purpose IN ('clearing', 'suspense') THEN split_part(a.path, '/', 2) ELSE '' END
           AS place,
       count(*)::bigint AS accounts,
       sum(a.credits_posted - a.debits_posted) AS posted, sum(a.debits_pending) AS held
FROM ledger.account a JOIN ledger.asset s ON s.code = a.asset
GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4
"""

_SUSPENSE = """
SELECT c.reason_code, count(*)::bigint
FROM funding.pay_in p JOIN funding.suspense_case c USING (case_id)
WHERE p.state = 'suspense' GROUP BY 1
"""

_REPEATS = """
SELECT k.kind, coalesce(sum(k.number), 0)::bigint
FROM funding.repeated_announcement r,
     LATERAL (VALUES ('same', r.same), ('conflicting', r.conflicting)) AS k (kind, number)
GROUP BY 1
"""

_COUNTS: Mapping[str, tuple[str, str]] = {
    "pay_ins": ("funding", "SELECT state, count(*)::bigint FROM funding.pay_in GROUP BY 1"),
    "suspense": ("funding", _SUSPENSE),
    "repeats": ("funding", _REPEATS),
    "payouts": ("payouts", "SELECT state, count(*)::bigint FROM payouts.payout GROUP BY 1"),
    "holds": ("ledger", "SELECT state, count(*)::bigint FROM ledger.hold GROUP BY 1"),
}


async def holdings(snap: Snapshot) -> tuple[Holding, ...]:
    """Balances per currency and kind of account, from the ledger."""
    return tuple(
        Holding(
            currency=row["asset"],
            scale=row["scale"],
            purpose=row["purpose"],
            place=row["place"],
            accounts=row["accounts"],
            posted=row["posted"],
            held=row["held"],
        )
        for row in await snap.all(_HOLDINGS)
    )


async def counts(snap: Snapshot) -> dict[str, Mapping[str, int]]:
    """Pay-ins, repeats, suspense, payouts and holds by kind, and quarantine by code and field."""
    told: dict[str, Mapping[str, int]] = {}
    for name, (schema, query) in _COUNTS.items():
        if schema in snap.schemas:
            told[name] = dict(sorted((row[0], row[1]) for row in await snap.all(query)))
    quarantined: dict[str, int] = {}
    for schema in sorted(snap.schemas):
        for row in await snap.all(
            f"SELECT consumer, code, field, count(*)::bigint FROM {schema}.quarantine "
            "WHERE state <> 'duplicate' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ):
            place = "" if row[2] is None else f"({row[2]})"
            key = f"{row[0]}: {row[1]}{place}"
            quarantined[key] = quarantined.get(key, 0) + row[3]
    told["quarantined"] = quarantined
    return told
