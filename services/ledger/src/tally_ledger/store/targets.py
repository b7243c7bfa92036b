"""What reversals move back: the transfers of their targets, and how much of them is reversed."""

from collections.abc import Sequence

from tally_ledger.domain import Books, Transfer, TransferKind
from tally_postgres import Connection, Record

_TARGETS = """
SELECT j.id AS journal_id, t.id, t.kind, t.pending_id, t.debit, t.credit, t.asset, t.amount, t.code,
       t.remaining, t.expires_at,
       (SELECT coalesce(sum(r.amount), 0) FROM transfer r
        WHERE r.pending_id = t.id AND r.kind = 'reverse')::numeric(38, 0) AS reversed
FROM journal j
JOIN transfer t ON t.shard = j.shard AND t.seq BETWEEN j.first_transfer AND j.last_transfer
WHERE j.shard = $1 AND j.id = ANY($2::text[])
ORDER BY t.seq
"""


async def load_targets(conn: Connection, books: Books, journals: Sequence[str]) -> set[str]:
    """Add the journals that are to be reversed to the books; returns their accounts."""
    accounts: set[str] = set()
    for row in await conn.fetch(_TARGETS, books.ledger, journals):
        transfer = _transfer(row)
        journal_id = row["journal_id"]
        books.journals[journal_id] = (*books.journals.get(journal_id, ()), transfer)
        if row["reversed"]:
            books.reversed[transfer.id] = row["reversed"]
        accounts.update((transfer.debit, transfer.credit))
    return accounts


def _transfer(row: Record) -> Transfer:
    _, id_, kind, *rest = tuple(row)
    return Transfer(id_, TransferKind(kind), *rest[:-1])
