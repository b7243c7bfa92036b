"""What calls for attention, as SQL: what waits for a person, or came to no good end."""

from collections.abc import Iterable

from tally_portfolio.domain.records import RETURNED
from tally_portfolio.domain.time_line import ENDED, FAILED, MACHINES, NOTICED


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


def payout_noticed(row: str) -> str:
    """Whether the payout of this row calls for attention."""
    return (
        f"CASE WHEN {row}.state IN ({_listed(ENDED)}) THEN {row}.state IN ({_listed(FAILED)}) "
        f"ELSE {row}.state IN ({_listed(NOTICED['payout'] - ENDED)}) "
        f"OR COALESCE({row}.must_act, 'platform') NOT IN ({_listed(MACHINES)}) END"
    )


NOTICED_OF_SUBJECT = f"""
COALESCE(
    (SELECT {payout_noticed("o")} FROM payout o WHERE o.payout_id = n.subject),
    (
        SELECT CASE r.told ->> 'state' WHEN 'charged_back' THEN true WHEN 'refunded' THEN false
               ELSE p.state = 'suspense' END
        FROM pay_in p
        LEFT JOIN record r ON r.subject = p.pay_in_id AND r.kind = '{RETURNED}' AND r.part = 1
        WHERE p.pay_in_id = n.subject
    ),
    false
)
"""
"""Whether the thing `n.subject` calls for attention."""
