"""O3: every record on an inbound topic is booked once or set aside once, to the minor unit."""

from collections.abc import Mapping

from tally_postgres import Record
from tally_reconciliation.evidence import Evidence
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import Snapshot

# What became of each record: the first of its id announces money, others are copies. A record that
# failed in its use case is in the inbox, so copies of it are passed over without a trace.
_FILL = """
INSERT INTO judged_funding
SELECT s.source, s.topic, s.partition, s."offset", s.ce_id, s.external_id, s.currency, s.minor,
       s.digest,
       CASE
           WHEN q.state = 'duplicate' THEN 'copy'
           WHEN q.state IN ('open', 'dropped') THEN 'set_aside'
           WHEN s.external_id IS NULL OR s.minor IS NULL OR s.ce_id IS NULL THEN 'lost'
           WHEN bool_or(coalesce(q.state IN ('open', 'dropped') AND q.event_key IS NOT NULL
                                 AND q.code <> 'id_conflict', false))
                OVER (PARTITION BY s.topic, s.ce_id, s.digest) THEN 'copy'
           WHEN p.pay_in_id IS NULL THEN 'lost'
           WHEN row_number() OVER (
               PARTITION BY s.topic, s.ce_id,
                            coalesce(q.state IN ('open', 'dropped', 'duplicate'), false)
               ORDER BY s.partition, s."offset") > 1 THEN 'copy'
           ELSE 'announced'
       END,
       q.state, p.pay_in_id, p.currency, p.amount, p.by_statement
FROM pg_temp.seen_funding s
LEFT JOIN funding.quarantine q
    ON q.consumer = 'funding' AND q.topic = s.topic AND q.partition = s.partition
   AND q."offset" = s."offset"
LEFT JOIN funding.pay_in p ON p.source = s.source AND p.external_id = s.external_id
"""

_LOST = """
SELECT topic, partition, "offset", ce_id, external_id, currency, minor, set_aside
FROM judged_funding WHERE outcome = 'lost' ORDER BY topic, partition, "offset"
"""

_ONE_ID_TWO_BODIES = """
SELECT topic, ce_id, count(DISTINCT digest)::bigint AS bodies
FROM judged_funding WHERE outcome IN ('announced', 'copy') AND set_aside IS NULL
GROUP BY topic, ce_id HAVING count(DISTINCT digest) > 1 ORDER BY topic, ce_id
"""

_SET_ASIDE_AND_BOOKED = """
SELECT j.topic, j.partition, j."offset", j.ce_id, j.external_id, j.pay_in_id
FROM judged_funding j
WHERE j.outcome = 'set_aside' AND j.pay_in_id IS NOT NULL AND NOT j.by_statement
  AND NOT EXISTS (
      SELECT 1 FROM judged_funding o
      WHERE o.pay_in_id = j.pay_in_id AND o.outcome IN ('announced', 'copy'))
ORDER BY j.topic, j.partition, j."offset"
"""

_SET_ASIDE_FROM_NOTHING = """
SELECT q.topic, q.partition, q."offset", q.code, q.state
FROM funding.quarantine q
LEFT JOIN pg_temp.seen_funding s USING (topic, partition, "offset")
WHERE q.consumer = 'funding' AND q.topic = ANY($1::text[]) AND s.topic IS NULL
ORDER BY q.topic, q.partition, q."offset"
"""

# Per pay-in: announcements on the topic and lines of statements; the first books, the others are
# counted as repeats, of the same content or of another.
_ANNOUNCED = """
SELECT p.pay_in_id, p.source, p.external_id, p.currency, p.amount, p.by_statement, p.received_at,
       a.times, a.other_amount, a.example, s.lines, s.lines_first, s.lines_other,
       c.amount AS carded, c.currency AS carded_currency, m.entry_id,
       coalesce(r.same, 0) AS same, coalesce(r.conflicting, 0) AS conflicting
FROM funding.pay_in p
LEFT JOIN (
    SELECT pay_in_id, count(*)::bigint AS times,
           count(*) FILTER (WHERE (currency, minor) IS DISTINCT FROM (booked_currency, booked))::bigint
               AS other_amount,
           min(minor::text || ' ' || currency) FILTER (
               WHERE (currency, minor) IS DISTINCT FROM (booked_currency, booked)) AS example
    FROM judged_funding WHERE outcome = 'announced' GROUP BY pay_in_id
) a USING (pay_in_id)
LEFT JOIN (
    SELECT e.pay_in_id, count(*)::bigint AS lines,
           count(*) FILTER (WHERE e.outcome = 'pay_in')::bigint AS lines_first,
           count(*) FILTER (WHERE e.amount <> b.amount)::bigint AS lines_other
    FROM funding.statement_entry e JOIN funding.pay_in b USING (pay_in_id)
    GROUP BY e.pay_in_id
) s USING (pay_in_id)
LEFT JOIN funding.repeated_announcement r USING (pay_in_id)
LEFT JOIN funding.card_payment c ON c.pay_in_id = p.pay_in_id AND c.standing = 'received'
LEFT JOIN funding.manual_entry m ON m.pay_in_id = p.pay_in_id AND m.state = 'approved'
WHERE NOT (a.times IS NOT DISTINCT FROM 1 AND a.other_amount = 0 AND NOT p.by_statement
           AND s.lines IS NULL AND coalesce(r.same + r.conflicting, 0) = 0)
ORDER BY p.pay_in_id
"""

_AGED = "SELECT topic, max(since) AS since FROM first_kept GROUP BY topic"

_BOOKED = """
SELECT p.pay_in_id, p.source, p.external_id, p.state, p.currency, p.amount, p.journal_id, p.case_id,
       c.case_id AS case_found, j.reference, j.operation, m.moved, m.legs, m.debits, m.credits,
       m.currencies, a.shares, a.shared, x.match_id
FROM funding.pay_in p
LEFT JOIN funding.pay_in_match x ON x.journal_id = p.journal_id AND x.state = 'allocated'
LEFT JOIN funding.suspense_case c ON c.case_id = p.case_id
LEFT JOIN ledger.journal j ON j.id = p.journal_id
LEFT JOIN LATERAL (
    SELECT sum(t.amount) AS moved, array_agg(DISTINCT t.asset) AS currencies,
           array_agg(t.credit || ' ' || t.amount ORDER BY t.credit, t.amount) AS legs,
           array_agg(DISTINCT d.purpose) AS debits, array_agg(DISTINCT k.purpose) AS credits
    FROM ledger.transfer t
    JOIN ledger.account d ON d.id = t.debit
    JOIN ledger.account k ON k.id = t.credit
    WHERE t.shard = j.shard AND t.seq BETWEEN j.first_transfer AND j.last_transfer
      -- Matched money leaves suspense by the journal that allocates it.
      AND (x.match_id IS NULL OR d.purpose <> 'suspense')
) m ON true
LEFT JOIN LATERAL (
    SELECT array_agg(s.account || ' ' || s.amount ORDER BY s.account, s.amount) AS shares,
           sum(s.amount) AS shared
    FROM funding.allocation s WHERE s.pay_in_id = p.pay_in_id
) a ON true
ORDER BY p.pay_in_id
"""

_BOOKED_FOR_NOBODY = """
SELECT j.id, j.reference, j.log_seq
FROM ledger.journal j
LEFT JOIN funding.pay_in p ON p.journal_id = j.id
LEFT JOIN funding.pay_in_match x ON x.pay_in_id = j.reference AND x.state = 'allocated'
WHERE j.reference LIKE 'pin\\_%' AND p.pay_in_id IS NULL AND x.match_id IS NULL ORDER BY j.id
"""

# What a return moved to its source's clearing account: reversals and debts together are all of it.
_RETURNS = """
SELECT r.return_id, r.pay_in_id, r.state, r.currency, r.amount, l.legs, b.back, p.amount AS pay_in,
       sum(r.amount) FILTER (WHERE r.state NOT IN ('refused', 'reinstated'))
           OVER (PARTITION BY r.pay_in_id) AS returned
FROM funding.pay_in_return r
JOIN funding.pay_in p USING (pay_in_id)
LEFT JOIN (
    SELECT return_id, sum(amount) AS legs FROM funding.return_leg GROUP BY 1
) l USING (return_id)
LEFT JOIN (
    SELECT j.reference, sum(t.amount) AS back
    FROM ledger.journal j
    JOIN ledger.transfer t
        ON t.shard = j.shard AND t.seq BETWEEN j.first_transfer AND j.last_transfer
    JOIN ledger.account k ON k.id = t.credit AND k.purpose = 'clearing'
    WHERE j.reference LIKE 'ret\\_%' GROUP BY 1
) b ON b.reference = r.return_id
ORDER BY r.return_id
"""

_RETURNED_FOR_NOBODY = """
SELECT j.id, j.reference, j.log_seq
FROM ledger.journal j
LEFT JOIN funding.pay_in_return r ON r.return_id = j.reference
LEFT JOIN funding.receivable_settlement s ON s.settlement_id = j.reference
LEFT JOIN funding.pay_in_match x ON x.match_id = j.reference
WHERE split_part(j.reference, '_', 1) IN ('ret', 'settle', 'match')
  AND r.return_id IS NULL AND s.settlement_id IS NULL AND x.match_id IS NULL
ORDER BY j.id
"""

_COUNTS = """
SELECT count(*)::bigint AS records,
       count(*) FILTER (WHERE outcome = 'announced')::bigint AS announced,
       count(DISTINCT pay_in_id) FILTER (WHERE outcome = 'announced')::bigint AS booked,
       count(*) FILTER (WHERE outcome = 'copy')::bigint AS copies,
       count(*) FILTER (WHERE outcome = 'set_aside')::bigint AS set_aside,
       count(*) FILTER (WHERE outcome = 'lost')::bigint AS lost
FROM judged_funding
"""


async def check_funding(snap: Snapshot, evidence: Evidence, quiet: Quiet) -> Check:
    """Count the inbound topics record by record against pay-ins, quarantine and known repeats."""
    found = Findings("O3", "every funding record is booked once or set aside once")
    await snap.execute(_FILL)
    await snap.execute("ANALYZE judged_funding")
    counts = await snap.row(_COUNTS)
    read = sum(evidence.read_of(topic) for topic in evidence.inbound)
    if counts["records"] != read:
        found.wrong("record_set_aside_twice", records=read, joined=counts["records"])
    async for row in snap.rows(_LOST):
        found.unfinished("record_lost", **_shown(row))
    async for row in snap.rows(_ONE_ID_TWO_BODIES):
        found.unfinished("conflicting_id_applied", **_shown(row))
    async for row in snap.rows(_SET_ASIDE_AND_BOOKED):
        found.wrong("set_aside_and_booked", **_shown(row))
    whole = [topic for topic in sorted(evidence.inbound) if evidence.whole(topic)]
    async for row in snap.rows(_SET_ASIDE_FROM_NOTHING, whole):
        found.unfinished("set_aside_from_nothing", **_shown(row))
    statements = await _announcements(snap, found)
    if "ledger" in snap.schemas:
        await _bookings(snap, found)
        await _returns(snap, found)
    repeats = counts["announced"] - counts["booked"]
    found.figures.update(
        records=counts["records"],
        booked=counts["booked"],
        repeats=repeats,
        copies=counts["copies"],
        quarantined=counts["set_aside"],
        lost=counts["lost"],
        by_statement=statements,
    )
    return found.once_quiet(
        f"{counts['records']} records = {counts['booked']} booked + {repeats} repeats + "
        f"{counts['copies']} copies + {counts['set_aside']} quarantined + {counts['lost']} lost; "
        f"{statements} booked from statements",
        quiet,
    )


async def _announcements(snap: Snapshot, found: Findings) -> int:
    """Judge pay-ins that are not simply one record and one booking; how many came by statement."""
    aged = {row["topic"]: row["since"] for row in await snap.all(_AGED)}
    statements = 0
    async for row in snap.rows(_ANNOUNCED):
        topic = f"funding.inbound.{row['source']}.v1"
        where = {
            "pay_in": row["pay_in_id"],
            "source": row["source"],
            "external_id": row["external_id"],
        }
        times, lines = row["times"] or 0, row["lines"] or 0
        statements += row["by_statement"]
        if row["by_statement"] and row["lines_first"] != 1:
            found.wrong("statement_line_missing", **where, lines=row["lines_first"] or 0)
        if not row["by_statement"] and not times:
            if row["carded"] is not None or row["entry_id"] is not None:
                _otherwise(found, row, where)
            elif topic not in aged or row["received_at"] > aged[topic]:
                found.unfinished("booked_from_nothing", **where)
            continue
        _amounts(found, row, where, times)
        said = times + lines - 1
        counted = row["same"] + row["conflicting"]
        if topic not in aged and said != counted:
            found.unfinished("repeats_miscounted", **where, said_again=said, counted=counted)
    return statements


def _otherwise(found: Findings, row: Record, where: Mapping[str, str | int | None]) -> None:
    """Money a card processor told of, or two people entered, has no record of its own on a topic."""
    carded = (row["carded"], row["carded_currency"])
    if row["carded"] is not None and carded != (row["amount"], row["currency"]):
        found.wrong(
            "amount_differs",
            **where,
            booked=f"{row['amount']} {row['currency']}",
            announced=f"{row['carded']} {row['carded_currency']}",
        )


def _amounts(
    found: Findings, row: Record, where: Mapping[str, str | int | None], times: int
) -> None:
    other = row["other_amount"] or 0
    if other and other == times and not row["by_statement"]:
        found.wrong(
            "amount_differs",
            **where,
            booked=f"{row['amount']} {row['currency']}",
            announced=row["example"],
        )
    elif other + (row["lines_other"] or 0) > row["conflicting"]:
        found.unfinished(
            "conflict_not_counted",
            **where,
            booked=f"{row['amount']} {row['currency']}",
            announced=row["example"],
            conflicting=row["conflicting"],
        )


async def _bookings(snap: Snapshot, found: Findings) -> None:
    """Each pay-in is in the books once: whole, in its currency, from clearing to where it belongs."""
    async for row in snap.rows(_BOOKED):
        where = {"pay_in": row["pay_in_id"], "state": row["state"], "journal": row["journal_id"]}
        if row["state"] not in _CREDITED:
            found.unfinished("pay_in_not_settled", **where)
            continue
        if row["reference"] is None:
            found.wrong("journal_missing", **where)
            continue
        if row["reference"] != (row["match_id"] or row["pay_in_id"]):
            found.wrong("journal_of_another", **where, reference=row["reference"])
        if row["moved"] != row["amount"] or row["currencies"] != [row["currency"]]:
            found.wrong(
                "booked_amount_differs",
                **where,
                pay_in_amount=f"{row['amount']} {row['currency']}",
                booked=f"{row['moved']} {'/'.join(row['currencies'] or ())}",
            )
        purposes = (row["debits"], row["credits"])
        if purposes != (["clearing"], [_CREDITED[row["state"]]]):
            found.wrong("booked_elsewhere", **where, accounts=str(purposes))
        if row["state"] == "allocated" and row["legs"] != row["shares"]:
            found.wrong("shares_differ_from_legs", **where, shared=str(row["shared"]))
        if row["state"] == "suspense" and row["case_found"] is None:
            found.wrong("suspense_without_case", **where, case=row["case_id"])
    async for row in snap.rows(_BOOKED_FOR_NOBODY):
        found.wrong("journal_of_no_pay_in", **_shown(row))


async def _returns(snap: Snapshot, found: Findings) -> None:
    """Each return is whole: what its owners bear is what the ledger moved back, and no more came in."""
    async for row in snap.rows(_RETURNS):
        where = {"return": row["return_id"], "pay_in": row["pay_in_id"], "state": row["state"]}
        if (row["returned"] or 0) > row["pay_in"]:
            found.wrong("returned_more_than_came_in", **where, returned=str(row["returned"]))
        if row["state"] == "refused":
            continue
        if row["state"] not in _RETURN_ENDED:
            found.unfinished("return_not_settled", **where)
        elif not row["amount"] == row["legs"] == row["back"]:
            found.wrong(
                "returned_amount_differs",
                **where,
                return_amount=f"{row['amount']} {row['currency']}",
                borne=str(row["legs"]),
                booked=str(row["back"]),
            )
    async for row in snap.rows(_RETURNED_FOR_NOBODY):
        found.wrong("journal_of_no_return", **_shown(row))


_RETURN_ENDED = frozenset({"done", "reinstated"})
_CREDITED: Mapping[str, str] = {"allocated": "wallet", "suspense": "suspense"}


def _shown(row: Record) -> dict[str, str | int | None]:
    return {
        name: value if isinstance(value, int) or value is None else str(value)
        for name, value in row.items()
    }
