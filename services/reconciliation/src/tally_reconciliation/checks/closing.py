"""L16: the worker that closes days is at work: no day that is over stays without its root for long."""

from datetime import UTC, datetime, timedelta

from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot

OVERDUE = timedelta(hours=1)
"""How long after its end a day may stay open; the worker needs a minute and one turn."""

_OPEN = """
SELECT h.shard, coalesce(
    (SELECT max(d.day) + 1 FROM ledger.daily_root d WHERE d.shard = h.shard),
    (SELECT (l.recorded_at AT TIME ZONE 'UTC')::date FROM ledger.log l WHERE l.shard = h.shard
     ORDER BY l.seq LIMIT 1)
) AS first_open
FROM ledger.shard_state h ORDER BY h.shard
"""


async def check_closing(snap: Snapshot, now: datetime) -> Check:
    """L16 as of `now`, the database's own time: a ledger without any batch has no day to close."""
    found = Findings("L16", "every day that is over is closed in time")
    over = (now - OVERDUE).astimezone(UTC).date()
    ledgers = 0
    for row in await snap.all(_OPEN):
        first = row["first_open"]
        if first is None:
            continue
        ledgers += 1
        if first < over:
            found.wrong(
                "day_not_closed",
                shard=row["shard"],
                daily_root=first.isoformat(),
                days_open=(over - first).days,
            )
    found.figures["ledgers"] = ledgers
    return found.judged(f"{ledgers} ledgers, {OVERDUE} allowed after midnight")
