"""O7: what rails and the bank did is what payouts and the ledger say they did, once."""

from collections.abc import Mapping
from dataclasses import dataclass

from tally_postgres import Record
from tally_reconciliation.bank import read_book
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.rules import ATTEMPT_FOLLOWS, LEFT
from tally_reconciliation.snapshot import Snapshot

_ATTEMPTS = """
SELECT coalesce(a.id, p.attempt_id) AS id, a.id AS a_id, a.payout_id, a.rail, a.currency, a.amount,
       a.state, a.sequence, p.id AS p_id, p.rail AS p_rail, p.currency AS p_currency,
       p.amount AS p_amount, p.attempt AS p_attempt, p.attempt_sequence AS p_sequence,
       p.state AS p_state, p.hold AS p_hold
FROM rails.attempt a
FULL JOIN (SELECT * FROM payouts.payout WHERE attempt IS NOT NULL) p ON p.attempt_id = a.id
ORDER BY 1
"""

_HISTORY = """
SELECT h.attempt_id, h.sequence, h.state, h.previous, a.id, a.state AS a_state,
       a.sequence AS a_sequence
FROM rails.attempt_history h LEFT JOIN rails.attempt a ON a.id = h.attempt_id
ORDER BY h.attempt_id, h.sequence
"""

_WITHOUT_HISTORY = """
SELECT a.id, a.state FROM rails.attempt a
LEFT JOIN rails.attempt_history h ON h.attempt_id = a.id WHERE h.attempt_id IS NULL ORDER BY a.id
"""

_SENT_TWICE = """
SELECT payout_id, count(*)::bigint AS attempts, min(id) AS first, max(id) AS last
FROM rails.attempt WHERE state = ANY($1::text[])
GROUP BY payout_id HAVING count(*) > 1 ORDER BY payout_id
"""

# Our entries beside the bank's, by trace. Of several entries of one trace, the last that was not
# rejected counts.
_ENTRIES = """
SELECT coalesce(e.trace, b.trace) AS trace, e.attempt_id, e.amount, a.rail, a.currency,
       a.amount AS a_amount, a.state, b.trace AS b_trace, b.entries, b.executed, b.least, b.most,
       b.credits, b.state AS b_state, b.since
FROM rails.ach_entry e
LEFT JOIN rails.attempt a ON a.id = e.attempt_id
FULL JOIN (
    SELECT trace, count(*)::bigint AS entries,
           count(*) FILTER (WHERE state <> 'rejected')::bigint AS executed,
           min(cents) AS least, max(cents) AS most, bool_and(direction = 'credit') AS credits,
           (array_agg(state ORDER BY state = 'rejected', entry_id DESC))[1] AS state,
           (array_agg(since ORDER BY state = 'rejected', entry_id DESC))[1] AS since
    FROM pg_temp.seen_bank GROUP BY trace
) b ON b.trace = e.trace
ORDER BY 1, e.cycle
"""

_UNFILED = """
SELECT a.id, a.state FROM rails.attempt a LEFT JOIN rails.ach_entry e ON e.attempt_id = a.id
WHERE a.rail = 'ach' AND a.state = ANY($1::text[]) AND e.trace IS NULL ORDER BY a.id
"""

# The state of our attempt that goes with the bank's; anything else is news not taken in, or a fault.
_AGREES: Mapping[str, frozenset[str]] = {
    "accepted": frozenset({"in_transit"}),
    "settled": frozenset({"paid"}),
    "returned": frozenset({"returned", "failed"}),
    "rejected": frozenset({"failed"}),
}
# States of ours that the bank may be ahead of.
_BEHIND: Mapping[str, frozenset[str]] = {
    "accepted": frozenset({"submitting", "unknown", "submitted"}),
    "settled": frozenset({"submitting", "unknown", "submitted", "in_transit"}),
    "returned": frozenset({"submitting", "unknown", "submitted", "in_transit", "paid"}),
    "rejected": frozenset({"submitting", "unknown", "submitted"}),
}


async def check_rails(snap: Snapshot, bank_url: str | None, quiet: Quiet) -> Check:
    """Compare attempts with payouts, and ACH entries with the bank's own book where there is one."""
    found = Findings("O7", "the rails' attempts and the bank's book = payouts; nothing sent twice")
    await _histories(snap, found)
    attempts = await _attempts(snap, found)
    async for row in snap.rows(_SENT_TWICE, sorted(LEFT)):
        found.wrong(
            "sent_twice", payout=row["payout_id"], attempts=row["attempts"], first=row["first"]
        )
    async for row in snap.rows(_UNFILED, sorted(LEFT)):
        found.wrong("sent_without_entry", attempt=row["id"], state=row["state"])
    date = None if bank_url is None else await read_book(snap, bank_url)
    bank = _Bank(found, date)
    async for row in snap.rows(_ENTRIES):
        bank.entry(row)
    found.figures.update(attempts=attempts, entries=bank.entries, executed=bank.executed)
    if date is None:
        return found.once_quiet(f"{attempts} attempts; no bank was given to compare with", quiet)
    if bank.news_of_today:
        news = f"the bank has {bank.news_of_today} news of today"
        quiet = Quiet((*quiet.moving, news), quiet.services)
    return found.once_quiet(
        f"{attempts} attempts; {bank.entries} entries at the bank, {bank.executed} executed", quiet
    )


async def _attempts(snap: Snapshot, found: Findings) -> int:
    number = 0
    async for row in snap.rows(_ATTEMPTS):
        where = {"attempt": row["id"], "payout": row["payout_id"] or row["p_id"]}
        if row["a_id"] is None:
            found.unfinished("attempt_not_begun", **where, payout_says=row["p_attempt"])
            continue
        number += 1
        if row["p_id"] is None:
            found.wrong("attempt_of_no_payout", **where, state=row["state"])
            continue
        ours = (row["p_id"], row["p_rail"], row["p_currency"], row["p_amount"])
        if (row["payout_id"], row["rail"], row["currency"], row["amount"]) != ours:
            found.wrong(
                "attempt_differs_from_payout",
                **where,
                attempt_says=f"{row['rail']} {row['amount']} {row['currency']}",
                payout_says=f"{row['p_rail']} {row['p_amount']} {row['p_currency']}",
            )
        if (row["state"], row["sequence"]) != (row["p_attempt"], row["p_sequence"]):
            found.unfinished(
                "attempt_state_differs",
                **where,
                attempt_says=f"{row['sequence']} {row['state']}",
                payout_says=f"{row['p_sequence']} {row['p_attempt']}",
            )
        if row["state"] == "paid" and row["p_state"] != "paid":
            found.unfinished("sent_but_not_paid", **where, payout_state=row["p_state"])
        if row["p_state"] == "paid" and row["state"] not in LEFT:
            found.wrong("paid_but_not_sent", **where, state=row["state"])
    return number


async def _histories(snap: Snapshot, found: Findings) -> None:
    attempt, sequence, state = "", 0, None
    last: Record | None = None
    async for row in snap.rows(_HISTORY):
        if row["attempt_id"] != attempt:
            _ends(last, found)
            attempt, sequence, state = row["attempt_id"], 0, None
        where = {"attempt": attempt, "sequence": row["sequence"], "state": row["state"]}
        if row["sequence"] != sequence + 1:
            found.wrong("attempt_history_gap", **where, expected_sequence=sequence + 1)
        elif row["previous"] != state or row["state"] not in ATTEMPT_FOLLOWS.get(
            state, frozenset()
        ):
            found.wrong("attempt_step_not_allowed", **where, before=state)
        sequence, state, last = row["sequence"], row["state"], row
    _ends(last, found)
    async for row in snap.rows(_WITHOUT_HISTORY):
        found.wrong("attempt_history_missing", attempt=row["id"], state=row["state"])


def _ends(last: Record | None, found: Findings) -> None:
    if last is None:
        return
    if last["id"] is None:
        found.wrong("attempt_row_missing", attempt=last["attempt_id"], state=last["state"])
    elif (last["a_state"], last["a_sequence"]) != (last["state"], last["sequence"]):
        found.wrong(
            "attempt_differs_from_history",
            attempt=last["attempt_id"],
            stated=f"{last['a_sequence']} {last['a_state']}",
            history=f"{last['sequence']} {last['state']}",
        )


@dataclass(slots=True)
class _Bank:
    """Compares trace by trace. `date` is the bank's today; None without a bank."""

    found: Findings
    date: str | None
    entries: int = 0
    executed: int = 0
    news_of_today: int = 0

    def entry(self, row: Record) -> None:
        """One trace, ours or the bank's or both."""
        where = {"trace": row["trace"], "attempt": row["attempt_id"], "state": row["state"]}
        self.entries += row["entries"] or 0
        self.executed += row["executed"] or 0
        if row["attempt_id"] is None:
            if row["executed"]:
                self.found.wrong("bank_executed_unknown", **where, cents=str(row["most"]))
            return
        if (row["rail"], row["currency"], row["a_amount"]) != ("ach", "USD", row["amount"]):
            self.found.wrong(
                "entry_differs_from_attempt",
                **where,
                entry_amount=str(row["amount"]),
                attempt_amount=f"{row['a_amount']} {row['currency']}",
            )
        if self.date is not None:
            self._against_bank(row, where)

    def _against_bank(self, row: Record, where: Mapping[str, str | int | None]) -> None:
        if row["b_trace"] is None:
            if row["state"] in LEFT or row["state"] == "in_transit":
                self.found.wrong("bank_never_had_it", **where)
            return
        if row["executed"] > 1:
            self.found.wrong("executed_twice", **where, times=row["executed"])
        if (row["least"], row["most"], row["credits"]) != (row["amount"], row["amount"], True):
            self.found.wrong(
                "bank_amount_differs", **where, bank=str(row["most"]), ours=str(row["amount"])
            )
        theirs, ours = row["b_state"], row["state"]
        if ours in _AGREES.get(theirs, frozenset()):
            return
        if ours not in _BEHIND.get(theirs, frozenset()):
            self.found.unfinished("bank_state_differs", **where, bank=theirs, since=row["since"])
        elif row["since"] == self.date:
            self.news_of_today += 1
        else:
            self.found.unfinished(
                "bank_news_not_taken_in", **where, bank=theirs, since=row["since"]
            )
