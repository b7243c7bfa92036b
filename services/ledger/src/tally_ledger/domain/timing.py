"""When something may be said to have happened, against when it is recorded."""

from datetime import datetime, timedelta

from tally_ledger.domain.books import Rejected

AHEAD_MAX = timedelta(days=1)
BEHIND_MAX = timedelta(days=3653)
_AHEAD = -AHEAD_MAX


def wrong_time(effective_at: datetime, now: datetime) -> Rejected | None:
    """The refusal of a time more than a day ahead of the books' clock or ten years behind it.

    A day ahead leaves room for time zones, value dates and clocks that differ; what is to happen
    later is asked for later.
    """
    lag = now - effective_at
    if lag < _AHEAD:
        return Rejected(
            "effective_in_future",
            f"effective_at: {effective_at.isoformat()} is more than a day ahead; ask again then",
        )
    if lag > BEHIND_MAX:
        return Rejected(
            "effective_too_old",
            f"effective_at: {effective_at.isoformat()} is more than ten years ago; correct it",
        )
    return None
