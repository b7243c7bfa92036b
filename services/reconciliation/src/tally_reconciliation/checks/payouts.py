"""O4 and O5: every payout asked for exists once, went an allowed way, and its hold went with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tally_postgres import Record
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.rules import ENDED, FOLLOWS, PLATFORM
from tally_reconciliation.snapshot import Snapshot

_HISTORY = """
SELECT h.payout_id, h.sequence, h.state, h.previous, h.at,
       p.id, p.state AS p_state, p.sequence AS p_sequence
FROM payouts.payout_history h LEFT JOIN payouts.payout p ON p.id = h.payout_id
ORDER BY h.payout_id, h.sequence
"""

_WITHOUT_HISTORY = """
SELECT p.id, p.state, p.sequence FROM payouts.payout p
LEFT JOIN payouts.payout_history h ON h.payout_id = p.id
WHERE h.payout_id IS NULL ORDER BY p.id
"""

_STANDING = """
SELECT state, coalesce(must_act, '') AS must_act, count(*)::bigint AS payouts
FROM payouts.payout GROUP BY 1, 2 ORDER BY 1, 2
"""

_NOBODY_ACTS = """
SELECT id, state, reason_code, must_act, changed_at FROM payouts.payout
WHERE state <> ALL($1::text[]) AND (must_act IS NULL OR reason_code IS NULL)
ORDER BY id
"""

_PLATFORM_ACTS = """
SELECT id, state, reason_code, hold, changed_at FROM payouts.payout
WHERE state <> ALL($1::text[]) AND must_act = $2 ORDER BY id
"""

# Shares that a rule pays out at once, per wallet, against the payouts of the pay-in.
_ASKED = """
SELECT coalesce(a.pay_in_id, p.pay_in_id) AS pay_in_id, coalesce(a.account, p.account) AS account,
       a.amount AS asked, p.amount AS ordered, coalesce(p.times, 0) AS times, p.id
FROM (
    SELECT s.pay_in_id, s.account, sum(s.amount) AS amount
    FROM funding.allocation s JOIN funding.pay_in i USING (pay_in_id)
    WHERE s.pay_out AND i.state = 'allocated' GROUP BY 1, 2
) a
FULL JOIN (
    SELECT pay_in_id, account, sum(amount) AS amount, count(*)::bigint AS times, min(id) AS id
    FROM payouts.payout WHERE pay_in_id IS NOT NULL GROUP BY 1, 2
) p USING (pay_in_id, account)
WHERE a.amount IS DISTINCT FROM p.amount OR p.times IS DISTINCT FROM 1
ORDER BY 1, 2
"""

_HOLDS = """
SELECT p.id, p.state, p.hold, p.hold_id, p.amount, p.currency, p.account, p.must_act,
       h.id AS h_id, h.reference, h.amount AS h_amount, h.asset, h.debit, h.remaining,
       h.state AS h_state, r.id AS refused
FROM payouts.payout p
LEFT JOIN ledger.hold h ON h.id = p.hold_id
LEFT JOIN ledger.rejection r ON r.id = p.hold_id AND r.operation = 'place'
ORDER BY p.id
"""

_HOLD_OF_NOBODY = """
SELECT h.id, h.reference, h.state, h.amount, h.asset FROM ledger.hold h
LEFT JOIN payouts.payout p ON p.hold_id = h.id
WHERE p.id IS NULL AND h.reference LIKE 'po\\_%' ORDER BY h.id
"""

# Journals that name a payout bring returned money back to its wallet: one for a returned payout.
_RETURNS = """
SELECT p.id, p.state, p.return_step, p.amount, p.currency, count(t.id)::bigint AS journals,
       min(j.id) AS journal, coalesce(sum(t.amount), 0) AS moved,
       bool_and(t.credit = p.account AND t.asset = p.currency) AS to_wallet
FROM payouts.payout p
LEFT JOIN ledger.journal j ON j.reference = p.id AND j.operation = 'journal'
LEFT JOIN ledger.transfer t
    ON t.shard = j.shard AND t.seq BETWEEN j.first_transfer AND j.last_transfer
GROUP BY p.id
HAVING count(t.id) > 0 OR p.state = 'returned'
ORDER BY p.id
"""

_RETURN_OF_NOBODY = """
SELECT j.id, j.reference FROM ledger.journal j LEFT JOIN payouts.payout p ON p.id = j.reference
WHERE j.operation = 'journal' AND j.reference LIKE 'po\\_%' AND p.id IS NULL ORDER BY j.id
"""


@dataclass(slots=True)
class _Path:
    """One payout's history so far."""

    found: Findings
    payout_id: str = ""
    sequence: int = 0
    state: str | None = None
    payouts: int = 0
    steps: int = 0
    last: Record | None = field(default=None)

    def step(self, row: Record) -> None:
        if row["payout_id"] != self.payout_id:
            self.end()
            self.payout_id, self.sequence, self.state = row["payout_id"], 0, None
            self.payouts += 1
        self.steps += 1
        where = {
            "payout": self.payout_id,
            "sequence": row["sequence"],
            "state": row["state"],
            "previous": row["previous"],
        }
        if row["sequence"] != self.sequence + 1:
            self.found.wrong("history_gap", **where, expected_sequence=self.sequence + 1)
        elif row["previous"] != self.state:
            self.found.wrong("previous_differs", **where, before=self.state)
        if row["state"] not in FOLLOWS.get(self.state, frozenset()):
            self.found.wrong("step_not_allowed", **where, before=self.state)
        self.sequence, self.state, self.last = row["sequence"], row["state"], row

    def end(self) -> None:
        """Compare a payout's last step with its row."""
        row = self.last
        if row is None:
            return
        if row["id"] is None:
            self.found.wrong("payout_row_missing", payout=self.payout_id, state=self.state)
        elif (row["p_state"], row["p_sequence"]) != (self.state, self.sequence):
            self.found.wrong(
                "payout_differs_from_history",
                payout=self.payout_id,
                stated=f"{row['p_sequence']} {row['p_state']}",
                history=f"{self.sequence} {self.state}",
            )
        self.last = None


async def check_payouts(snap: Snapshot, quiet: Quiet) -> Check:
    """O4: one payout per share to be paid out, an allowed history, and always somebody to act."""
    found = Findings("O4", "every payout is accounted for: allowed steps, one end, or who must act")
    path = _Path(found)
    async for row in snap.rows(_HISTORY):
        path.step(row)
    path.end()
    async for row in snap.rows(_WITHOUT_HISTORY):
        found.wrong("history_missing", payout=row["id"], state=row["state"])
    async for row in snap.rows(_NOBODY_ACTS, sorted(ENDED)):
        found.wrong("nobody_must_act", payout=row["id"], state=row["state"])
    async for row in snap.rows(_PLATFORM_ACTS, sorted(ENDED), PLATFORM):
        found.unfinished(
            "platform_stopped",
            payout=row["id"],
            state=row["state"],
            reason=row["reason_code"],
            hold=row["hold"],
        )
    if "funding" in snap.schemas:
        await _asked(snap, found)
    standing: list[str] = []
    total = 0
    for row in await snap.all(_STANDING):
        name = row["state"] if row["state"] in ENDED else f"{row['state']} ({row['must_act']})"
        seen = found.figures.get(name)
        found.figures[name] = row["payouts"] + (seen if isinstance(seen, int) else 0)
        total += row["payouts"]
    standing = [f"{number} {name}" for name, number in found.figures.items()]
    return found.once_quiet(f"{total} payouts: {', '.join(standing) or 'none'}", quiet)


async def _asked(snap: Snapshot, found: Findings) -> None:
    async for row in snap.rows(_ASKED):
        where = {
            "pay_in": row["pay_in_id"],
            "account": row["account"],
            "payout": row["id"],
            "asked": None if row["asked"] is None else str(row["asked"]),
            "ordered": None if row["ordered"] is None else str(row["ordered"]),
        }
        if not row["times"]:
            found.unfinished("payout_missing", **where)
        elif row["times"] > 1:
            found.wrong("paid_out_twice", **where, payouts=row["times"])
        elif row["asked"] is None:
            found.wrong("payout_not_asked_for", **where)
        else:
            found.wrong("payout_amount_differs", **where)


# The state of the ledger's hold that each of the payout's own ideas of it goes with; None = no hold.
_GOES_WITH: Mapping[str, frozenset[str | None]] = {
    "none": frozenset({None}),
    "placed": frozenset({"open"}),
    "captured": frozenset({"captured"}),
    "released": frozenset({"released", "expired", None}),
    "stuck": frozenset({"open", "captured", "released", "expired"}),
}
_UNDER_WAY = frozenset({"placing", "capturing", "releasing"})


async def check_payout_holds(snap: Snapshot, quiet: Quiet) -> Check:
    """O5: a payout's hold has its amount, ends as the payout ends, and none is open without one."""
    found = Findings("O5", "each hold is captured or released once; open holds = payouts under way")
    open_holds = 0
    async for row in snap.rows(_HOLDS):
        open_holds += row["h_state"] == "open"
        _hold(row, found)
    async for row in snap.rows(_HOLD_OF_NOBODY):
        found.wrong("hold_of_no_payout", hold=row["id"], reference=row["reference"])
    returns = 0
    async for row in snap.rows(_RETURNS):
        returns += row["state"] == "returned"
        _returned(row, found)
    async for row in snap.rows(_RETURN_OF_NOBODY):
        found.wrong("journal_of_no_payout", journal=row["id"], reference=row["reference"])
    found.figures.update(open_holds=open_holds, returns=returns)
    return found.once_quiet(f"{open_holds} open, {returns} returned to the wallet", quiet)


def _hold(row: Record, found: Findings) -> None:
    where = {
        "payout": row["id"],
        "state": row["state"],
        "hold": row["hold_id"],
        "payout_says": row["hold"],
        "ledger_says": row["h_state"],
    }
    if row["h_id"] is not None:
        stated = (row["reference"], row["h_amount"], row["asset"], row["debit"])
        if stated != (row["id"], row["amount"], row["currency"], row["account"]):
            found.wrong(
                "hold_differs_from_payout",
                **where,
                hold_amount=f"{row['h_amount']} {row['asset']}",
                payout_amount=f"{row['amount']} {row['currency']}",
            )
    if row["hold"] in _UNDER_WAY:
        found.unfinished("hold_under_way", **where)
    elif row["h_state"] not in _GOES_WITH.get(row["hold"], frozenset()):
        found.unfinished("hold_state_differs", **where)
    elif row["hold"] == "released" and row["h_id"] is None and row["refused"] is None:
        found.wrong("hold_never_asked_for", **where)
    if (row["state"] in {"paid", "returned"}) != (row["hold"] == "captured"):
        found.wrong("paid_without_capture", **where)
    if row["state"] in ENDED and row["h_state"] == "open":
        found.wrong("hold_open_after_end", **where)


def _returned(row: Record, found: Findings) -> None:
    where = {
        "payout": row["id"],
        "state": row["state"],
        "step": row["return_step"],
        "journals": row["journals"],
        "journal": row["journal"],
    }
    if row["state"] == "returned" and not row["journals"]:
        found.wrong("return_not_posted", **where)
    elif row["journals"] > 1:
        found.wrong("returned_twice", **where)
    elif row["moved"] != row["amount"] or not row["to_wallet"]:
        found.wrong("return_differs", **where, moved=str(row["moved"]), amount=str(row["amount"]))
    elif row["state"] != "returned":
        found.unfinished("return_posted_early", **where)
