"""What a line of an aggregated account's statement is made of."""

from collections.abc import Sequence
from typing import NamedTuple

from tally_postgres import Connection

PARTS_MAX = 1000

_PARTS = """
SELECT t.seq, t.id, t.journal_id, t.kind, t.debit, t.credit, t.amount, t.code
FROM account a
JOIN log l ON l.shard = a.shard AND l.seq = $2
JOIN transfer t ON t.shard = l.shard AND t.seq BETWEEN l.first_transfer AND l.last_transfer
WHERE a.id = $1 AND t.seq > $3 AND a.id IN (t.debit, t.credit)
ORDER BY t.seq LIMIT $4
"""


class Part(NamedTuple):
    """A transfer of the log row that touches the account; the amount in minor units, always above zero."""

    seq: int
    transfer_id: str
    journal_id: str
    kind: str
    debit: str
    credit: str
    amount: int
    code: str


async def parts_of(
    conn: Connection, account: str, log_seq: int, *, after: int = 0, limit: int = PARTS_MAX
) -> Sequence[Part]:
    """The transfers behind the entry an aggregated account has for a log row, in order.

    The next page begins `after` the last one's `seq`.
    """
    if not 1 <= limit <= PARTS_MAX:
        raise ValueError(f"limit is 1 to {PARTS_MAX}, not {limit}")
    return [Part(*row) for row in await conn.fetch(_PARTS, account, log_seq, after, limit)]
