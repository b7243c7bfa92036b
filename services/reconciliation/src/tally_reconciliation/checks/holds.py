"""Holds replayed from their transfers."""

from tally_postgres import Record
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot

# Ordered by what resolves each hold: a hold's steps come together, in the order of the books.
_STEPS = """
SELECT coalesce(t.pending_id, t.id) AS hold_id, t.seq, t.id, t.kind, t.debit, t.credit, t.asset,
       t.amount, t.remaining, t.shard, t.expires_at,
       h.id AS h_id, h.shard AS h_shard, h.debit AS h_debit, h.credit AS h_credit,
       h.asset AS h_asset, h.amount AS h_amount, h.remaining AS h_remaining, h.state AS h_state
FROM ledger.transfer t LEFT JOIN ledger.hold h ON h.id = coalesce(t.pending_id, t.id)
WHERE t.kind NOT IN ('single', 'reverse')
ORDER BY 1, t.seq
"""

_UNPLACED = """
SELECT h.id, h.state, h.amount FROM ledger.hold h
LEFT JOIN ledger.transfer t ON t.id = h.id AND t.kind = 'pending'
WHERE t.id IS NULL ORDER BY h.id
"""

_ENDS = {"post": "captured", "void": "released", "expire": "expired"}


class _Hold:
    """One hold while its steps are replayed."""

    def __init__(self, first: Record) -> None:
        self.id: str = first["hold_id"]
        self.placed: Record | None = None
        self.remaining = 0
        self.state = "none"
        self.last = first

    def step(self, row: Record, found: Findings) -> None:
        where = {"hold": self.id, "transfer": row["id"], "seq": row["seq"]}
        if row["kind"] == "pending":
            if self.placed is not None:
                found.wrong("hold_placed_twice", **where)
            self.placed, self.remaining, self.state = row, row["amount"], "open"
        elif self.placed is None:
            found.wrong("hold_resolved_before_placed", **where, kind=row["kind"])
        else:
            self._resolve(row, found, where)
        if row["remaining"] != self.remaining:
            found.wrong(
                "remaining_differs",
                **where,
                stated=str(row["remaining"]),
                replayed=str(self.remaining),
            )
            self.remaining = row["remaining"] or 0
        self.last = row

    def _resolve(self, row: Record, found: Findings, where: dict[str, str | int | None]) -> None:
        placed = self.placed
        assert placed is not None, "only a placed hold resolves"
        if self.state != "open":
            found.wrong("hold_resolved_twice", **where, kind=row["kind"], state=self.state)
        legs = tuple(row[name] for name in ("debit", "credit", "asset", "shard"))
        if legs != tuple(placed[name] for name in ("debit", "credit", "asset", "shard")):
            found.wrong("hold_resolved_elsewhere", **where)
        if row["amount"] > self.remaining:
            found.wrong(
                "captured_beyond_hold",
                **where,
                amount=str(row["amount"]),
                remaining=str(self.remaining),
            )
        self.remaining -= row["amount"]
        if row["kind"] != "post" and self.remaining:
            found.wrong("released_in_part", **where, remaining=str(self.remaining))
        if not self.remaining:
            self.state = _ENDS.get(row["kind"], row["kind"])

    def end(self, found: Findings) -> None:
        """Compare with the hold's own row."""
        row, placed = self.last, self.placed
        if row["h_id"] is None:
            found.wrong("hold_row_missing", hold=self.id, state=self.state)
            return
        if placed is None:
            return
        stated = tuple(row[f"h_{name}"] for name in ("debit", "credit", "asset", "amount", "shard"))
        replayed = tuple(placed[name] for name in ("debit", "credit", "asset", "amount", "shard"))
        if stated != replayed or (row["h_remaining"], row["h_state"]) != (
            self.remaining,
            self.state,
        ):
            found.wrong(
                "hold_row_differs",
                hold=self.id,
                stated=f"{row['h_state']} {row['h_remaining']} of {row['h_amount']}",
                replayed=f"{self.state} {self.remaining} of {placed['amount']}",
            )


async def check_holds(snap: Snapshot) -> Check:
    """Invariant 6: a hold resolves once, captures stay within it, the remainder returns."""
    found = Findings("L6", "each hold resolves once, within its amount")
    states: dict[str, int] = {}
    hold: _Hold | None = None
    async for row in snap.rows(_STEPS):
        if hold is None or hold.id != row["hold_id"]:
            _count(hold, states, found)
            hold = _Hold(row)
        hold.step(row, found)
    _count(hold, states, found)
    async for row in snap.rows(_UNPLACED):
        found.wrong("hold_without_transfer", hold=row["id"], state=row["state"])
    found.figures.update(states)
    told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return found.judged(f"{sum(states.values())} holds" + (f": {told}" if told else ""))


def _count(hold: _Hold | None, states: dict[str, int], found: Findings) -> None:
    if hold is not None:
        hold.end(found)
        states[hold.state] = states.get(hold.state, 0) + 1
