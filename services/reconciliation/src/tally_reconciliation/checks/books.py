"""The ledger's standing figures: sums, floors, refusals, and the guards around the tables."""

from collections.abc import Mapping

from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot

INSERT_ONLY = (
    "journal",
    "transfer",
    "entry",
    "rejection",
    "log",
    "account_change",
    "asset_registration",
    "daily_root",
    "signing_key",
)

_PER_ASSET = """
SELECT asset, count(*)::bigint AS accounts,
       sum(debits_posted) AS debits_posted, sum(credits_posted) AS credits_posted,
       sum(debits_pending) AS debits_pending, sum(credits_pending) AS credits_pending
FROM ledger.account GROUP BY asset ORDER BY asset
"""

_NEGATIVE = """
SELECT id, path, debits_posted, credits_posted, debits_pending, credits_pending
FROM ledger.account
WHERE debits_posted < 0 OR credits_posted < 0 OR debits_pending < 0 OR credits_pending < 0
ORDER BY id
"""

_BELOW_FLOOR = """
SELECT id, path, asset, credits_posted - debits_posted AS posted, debits_pending AS held
FROM ledger.account
WHERE guarded AND debits_posted + debits_pending > credits_posted
ORDER BY id
"""

_ABOVE_LIMIT = """
SELECT id, path, asset, credits_posted - debits_posted AS posted, credits_pending AS promised,
       max_balance
FROM ledger.account
WHERE credits_posted + credits_pending - debits_posted
      > CASE WHEN no_credit_overdraft THEN 0 ELSE max_balance END
ORDER BY id
"""

_CLOSED_UNSETTLED = """
SELECT id, path, asset, credits_posted - debits_posted AS posted, debits_pending, credits_pending
FROM ledger.account
WHERE closed AND (credits_posted <> debits_posted OR debits_pending > 0 OR credits_pending > 0)
ORDER BY id
"""

# What the flags say was done by somebody, last of all; without a change no flag is set.
_FLAGS = """
SELECT a.id, a.path, concat_ws('/', a.frozen_in, a.frozen_out, a.closed) AS stated,
       string_agg(DISTINCT concat_ws('/', c.frozen_in, c.frozen_out, c.closed), ' or ') AS last_change
FROM ledger.account a
LEFT JOIN LATERAL (
    SELECT frozen_in, frozen_out, closed FROM ledger.account_change h
    WHERE h.account = a.id AND (h.recorded_at, coalesce(h.seq, 0)) = (
        SELECT m.recorded_at, coalesce(m.seq, 0) FROM ledger.account_change m
        WHERE m.account = a.id ORDER BY m.recorded_at DESC, m.seq DESC NULLS LAST LIMIT 1)
) c ON true
GROUP BY a.id, a.path, a.frozen_in, a.frozen_out, a.closed
HAVING NOT bool_or((a.frozen_in, a.frozen_out, a.closed)
    = (coalesce(c.frozen_in, false), coalesce(c.frozen_out, false), coalesce(c.closed, false)))
ORDER BY a.id
"""

# A reversal is of one posted transfer before it, the other way round; together never larger.
_REVERSED = """
SELECT r.pending_id AS target, min(r.id) AS reversal, t.amount, sum(r.amount) AS reversed
FROM ledger.transfer r
LEFT JOIN ledger.transfer t
    ON t.id = r.pending_id AND t.kind IN ('single', 'post') AND t.debit = r.credit
    AND t.credit = r.debit AND t.asset = r.asset AND t.shard = r.shard AND t.seq < r.seq
WHERE r.kind = 'reverse'
GROUP BY r.pending_id, t.amount HAVING t.amount IS NULL OR sum(r.amount) > t.amount
ORDER BY 1
"""

_MISPLACED = """
SELECT a.id, a.path, a.asset, a.shard
FROM ledger.account a
LEFT JOIN ledger.asset s ON s.code = a.asset
LEFT JOIN ledger.shard_state h ON h.shard = a.shard
WHERE s.code IS NULL OR h.shard IS NULL
ORDER BY a.id
"""

_ANSWERED_TWICE = """
SELECT r.id, r.operation, r.code, j.log_seq
FROM ledger.rejection r JOIN ledger.journal j ON j.id = r.id
ORDER BY r.id
"""

_DOUBLED = """
SELECT '{table}' AS kind, id, count(*)::bigint AS times
FROM ledger.{table} GROUP BY id HAVING count(*) > 1 ORDER BY id
"""

# A request refused because its id was a transfer's already leaves that transfer where it was.
_REFUSED_YET_DONE = """
SELECT r.id, r.operation, r.code, t.seq, t.journal_id
FROM ledger.rejection r JOIN ledger.transfer t ON t.id = r.id OR t.journal_id = r.id
WHERE r.code <> 'id_conflict'
ORDER BY r.id
"""

_REFUSED_HOLD = """
SELECT r.id, r.operation, r.code, h.state
FROM ledger.rejection r JOIN ledger.hold h ON h.id = r.id
WHERE r.operation = 'place' AND r.code <> 'id_conflict'
ORDER BY r.id
"""

_OWNERLESS = """
SELECT id, path, purpose, asset FROM ledger.account
WHERE purpose IN ('clearing', 'suspense') AND btrim(owner) = ''
ORDER BY id
"""

_GUARDS = """
SELECT w.name AS table_name,
       EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
                   AND g.tgname = 'insert_only' AND g.tgenabled IN ('O', 'A')
                   AND (g.tgtype & 56) = 56) AS trapped,
       r.oid IS NOT NULL AND (
           has_table_privilege(r.oid, c.oid, 'UPDATE')
           OR has_table_privilege(r.oid, c.oid, 'DELETE')
           OR has_table_privilege(r.oid, c.oid, 'TRUNCATE')) AS writable
FROM unnest($1::text[]) AS w (name)
JOIN pg_class c ON c.relname = w.name AND c.relnamespace = 'ledger'::regnamespace
LEFT JOIN pg_roles r ON r.rolname = 'tally_ledger'
ORDER BY w.name
"""


async def check_books(snap: Snapshot) -> list[Check]:
    """Invariants 1, 2, 5, 7, 8, 10 and 12 of the ledger."""
    accounts = f"{await snap.value('SELECT count(*) FROM ledger.account')} accounts"
    refused = f"{await snap.value('SELECT count(*) FROM ledger.rejection')} refused requests"
    journals = await snap.value("SELECT count(*) FROM ledger.journal")
    twice = " UNION ALL ".join(
        f"({_DOUBLED.format(table=table)})" for table in ("journal", "transfer", "rejection")
    )
    return [
        await _sums(snap),
        await _listed(
            snap,
            Findings("L2", "no counter is negative"),
            {"counter_negative": _NEGATIVE},
            accounts,
        ),
        await _listed(
            snap,
            Findings("L5", "no account is beyond its floor or limit, holds counted"),
            {
                "below_floor": _BELOW_FLOOR,
                "above_limit": _ABOVE_LIMIT,
                "closed_unsettled": _CLOSED_UNSETTLED,
                "flags_differ": _FLAGS,
                "account_misplaced": _MISPLACED,
            },
            accounts,
        ),
        await _listed(
            snap,
            Findings("L7", "every request has one answer and every id one effect"),
            {"answered_twice": _ANSWERED_TWICE, "id_twice": twice},
            f"{journals} journals, {refused}",
        ),
        await _guards(snap),
        await _listed(
            snap,
            Findings("L10", "a refused request left nothing behind"),
            {"refused_yet_moved": _REFUSED_YET_DONE, "refused_yet_held": _REFUSED_HOLD},
            refused,
        ),
        await _owners(snap),
    ]


async def _sums(snap: Snapshot) -> Check:
    found = Findings("L1", "per asset, debits = credits, posted and pending apart")
    assets = await snap.all(_PER_ASSET)
    for row in assets:
        for kind in ("posted", "pending"):
            debited, credited = row[f"debits_{kind}"], row[f"credits_{kind}"]
            found.figures[f"{row['asset']}_{kind}"] = str(debited)
            if debited != credited:
                found.wrong(
                    f"{kind}_unbalanced",
                    asset=row["asset"],
                    debits=str(debited),
                    credits=str(credited),
                )
    accounts = sum(row["accounts"] for row in assets)
    return found.judged(f"{accounts} accounts in {len(assets)} assets")


async def _listed(
    snap: Snapshot, found: Findings, questions: Mapping[str, str], summary: str
) -> Check:
    """Every row a question finds is a fault."""
    for what, query in questions.items():
        async for row in snap.rows(query):
            found.wrong(what, **{name: _shown(value) for name, value in row.items()})
    return found.judged(summary)


async def _guards(snap: Snapshot) -> Check:
    found = Findings(
        "L8", "transfers never change: tables are insert-only by trigger and privilege"
    )
    rows = await snap.all(_GUARDS, list(INSERT_ONLY))
    for missing in set(INSERT_ONLY) - {row["table_name"] for row in rows}:
        found.wrong("table_missing", table=missing)
    for row in rows:
        if not row["trapped"]:
            found.wrong("trigger_missing", table=row["table_name"])
        if row["writable"]:
            found.wrong("privilege_to_change", table=row["table_name"], role="tally_ledger")
    async for row in snap.rows(_REVERSED):
        found.wrong("reversal_beyond_target", **{n: _shown(v) for n, v in row.items()})
    return found.judged(f"{len(rows)} tables; what they hold is proved by L11")


async def _owners(snap: Snapshot) -> Check:
    found = Findings("L12", "clearing and suspense accounts have an owner")
    async for row in snap.rows(_OWNERLESS):
        found.wrong("owner_missing", **{name: _shown(value) for name, value in row.items()})
    number = await snap.value(
        "SELECT count(*) FROM ledger.account WHERE purpose IN ('clearing', 'suspense')"
    )
    return found.judged(f"{number} accounts")


def _shown(value: object) -> str | int | None:
    return value if isinstance(value, int) or value is None else str(value)
