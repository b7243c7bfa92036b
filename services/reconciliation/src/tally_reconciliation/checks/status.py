"""O9: what downstream applications were told is what happened, in order."""

from tally_postgres import Record
from tally_reconciliation.evidence import STATUS, Evidence
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import Snapshot

_UNREADABLE = """
SELECT partition, "offset", ce_id FROM pg_temp.seen_status
WHERE ce_id IS NULL OR payout_id IS NULL OR sequence IS NULL OR rank IS NULL OR state IS NULL
   OR minor IS NULL
ORDER BY partition, "offset"
"""

# The first record of each id, beside the one before it of the same payout.
_STEPS = """
SELECT s.payout_id, s.partition, s."offset", s.ce_id, s.sequence, s.rank, s.state, s.currency,
       s.minor,
       lag(s.sequence) OVER w AS before_sequence, lag(s.rank) OVER w AS before_rank,
       lag(s.partition) OVER w AS before_partition, lag(s.state) OVER w AS before_state,
       lead(s.sequence) OVER w IS NULL AS is_last,
       h.state AS h_state, p.id AS p_id, p.state AS p_state, p.sequence AS p_sequence,
       p.currency AS p_currency, p.amount AS p_amount
FROM (
    SELECT DISTINCT ON (ce_id) * FROM pg_temp.seen_status
    WHERE ce_id IS NOT NULL AND payout_id IS NOT NULL AND sequence IS NOT NULL AND rank IS NOT NULL
    ORDER BY ce_id, partition, "offset"
) s
LEFT JOIN payouts.payout_history h ON h.payout_id = s.payout_id AND h.sequence = s.sequence
LEFT JOIN payouts.payout p ON p.id = s.payout_id
WINDOW w AS (PARTITION BY s.payout_id ORDER BY s.partition, s."offset")
ORDER BY s.payout_id, s.partition, s."offset"
"""

_UNTOLD = """
SELECT h.payout_id, h.sequence, h.state, p.sequence AS last
FROM payouts.payout_history h
JOIN payouts.payout p ON p.id = h.payout_id
LEFT JOIN pg_temp.seen_status s ON s.payout_id = h.payout_id AND s.sequence = h.sequence
WHERE s.payout_id IS NULL AND ($1 OR h.sequence = p.sequence)
ORDER BY h.payout_id, h.sequence
"""


_PORTFOLIO = """
SELECT coalesce(p.id, r.payout_id) AS payout, p.state, p.sequence, p.amount, p.currency,
       r.state AS r_state, r.sequence AS r_sequence, r.amount AS r_amount, r.currency AS r_currency
FROM payouts.payout p FULL JOIN portfolio.payout r ON r.payout_id = p.id
WHERE (p.state, p.sequence::bigint, p.amount, p.currency)
    IS DISTINCT FROM (r.state, r.sequence, r.amount, r.currency)
AND NOT (p.id IS NULL AND EXISTS (
    SELECT FROM portfolio.hop h WHERE h.subject = r.payout_id AND h.summary ? 'brought'))
ORDER BY 1
"""

_PORTFOLIO_PAY_INS = """
SELECT coalesce(p.pay_in_id, r.pay_in_id) AS pay_in, p.state, p.amount, p.currency,
       r.state AS r_state, r.amount AS r_amount, r.currency AS r_currency
FROM funding.pay_in p FULL JOIN portfolio.pay_in r USING (pay_in_id)
WHERE ((p.amount, p.currency) IS DISTINCT FROM (r.amount, r.currency)
   OR (p.state IN ('allocated', 'suspense') AND p.state <> r.state))
AND NOT (p.pay_in_id IS NULL AND EXISTS (
    SELECT FROM portfolio.hop h WHERE h.subject = r.pay_in_id AND h.summary ? 'brought'))
ORDER BY 1
"""


async def check_status(snap: Snapshot, evidence: Evidence, quiet: Quiet) -> Check:
    """Judge the public status topic against the payouts and their history."""
    found = Findings("O9", "public statuses rise strictly and end at the payout's state")
    async for row in snap.rows(_UNREADABLE):
        found.wrong("status_unreadable", partition=row["partition"], offset=row["offset"])
    statuses = payouts = 0
    async for row in snap.rows(_STEPS):
        statuses += 1
        payouts += row["is_last"]
        _step(row, found)
    whole = evidence.whole(STATUS)
    async for row in snap.rows(_UNTOLD, whole):
        found.unfinished(
            "status_untold", payout=row["payout_id"], sequence=row["sequence"], state=row["state"]
        )
    if "portfolio" in snap.schemas:
        await _read_models(snap, found)
    records = evidence.read_of(STATUS)
    found.figures.update(
        records=records, statuses=statuses, repeats=records - statuses, payouts=payouts
    )
    return found.once_quiet(
        f"{records} records = {statuses} statuses of {payouts} payouts + "
        f"{records - statuses} repeats",
        quiet,
    )


def _step(row: Record, found: Findings) -> None:
    where = {
        "payout": row["payout_id"],
        "sequence": row["sequence"],
        "state": row["state"],
        "partition": row["partition"],
        "offset": row["offset"],
    }
    if row["before_sequence"] is not None:
        if row["before_partition"] != row["partition"]:
            found.wrong("payout_in_two_partitions", **where, before=row["before_partition"])
        elif row["sequence"] <= row["before_sequence"]:
            found.wrong("sequence_not_rising", **where, before=row["before_sequence"])
        elif row["rank"] <= row["before_rank"]:
            found.wrong("rank_not_rising", **where, rank=row["rank"], before=row["before_rank"])
    if row["p_id"] is None:
        found.wrong("status_of_no_payout", **where)
        return
    if row["h_state"] != row["state"]:
        found.wrong("status_differs_from_history", **where, history=row["h_state"])
    if (row["currency"], row["minor"]) != (row["p_currency"], row["p_amount"]):
        found.wrong(
            "status_amount_differs",
            **where,
            told=f"{row['minor']} {row['currency']}",
            payout_amount=f"{row['p_amount']} {row['p_currency']}",
        )
    if row["is_last"] and (row["sequence"], row["state"]) != (row["p_sequence"], row["p_state"]):
        found.unfinished(
            "last_status_differs", **where, payout_says=f"{row['p_sequence']} {row['p_state']}"
        )


async def _read_models(snap: Snapshot, found: Findings) -> None:
    """What people are shown is what the services hold."""
    async for row in snap.rows(_PORTFOLIO):
        found.unfinished(
            "portfolio_differs",
            payout=row["payout"],
            portfolio_says=f"{row['r_sequence']} {row['r_state']} {row['r_amount']}",
            payout_says=f"{row['sequence']} {row['state']} {row['amount']}",
        )
    if "funding" not in snap.schemas:
        return
    async for row in snap.rows(_PORTFOLIO_PAY_INS):
        found.unfinished(
            "portfolio_differs",
            pay_in=row["pay_in"],
            portfolio_says=f"{row['r_state']} {row['r_amount']} {row['r_currency']}",
            funding_says=f"{row['state']} {row['amount']} {row['currency']}",
        )
