"""How many payouts stand where, since when, and how many cases there are."""

from dataclasses import dataclass
from datetime import datetime

from tally_payouts.domain.states import MustAct, PayoutState
from tally_postgres import Pool

_STANDING = """
SELECT state, must_act, count(*) AS payouts, min(changed_at) AS since
FROM payout
WHERE state NOT IN ('paid', 'returned', 'failed', 'rejected', 'cancelled')
GROUP BY state, must_act
"""

_CASES = "SELECT code, count(*) FROM payout_case GROUP BY code"


@dataclass(frozen=True, slots=True)
class StandingPayouts:
    """Payouts of one state that wait for one party; `since` is the oldest one's last change."""

    state: PayoutState
    must_act: MustAct
    payouts: int
    since: datetime


async def standing(pool: Pool) -> list[StandingPayouts]:
    """All payouts that have not ended, counted."""
    return [
        StandingPayouts(PayoutState(state), MustAct(must_act), payouts, since)
        for state, must_act, payouts, since in await pool.fetch(_STANDING)
    ]


async def cases(pool: Pool) -> dict[str, int]:
    """The cases ever opened, by code."""
    return {row[0]: row[1] for row in await pool.fetch(_CASES)}
