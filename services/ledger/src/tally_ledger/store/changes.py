"""Accounts that are frozen, unfrozen and closed, and who did it."""

from collections.abc import Sequence
from datetime import datetime

from tally_ledger.domain import Answer, Batch, Books, Changed, Known
from tally_postgres import Connection

_KNOWN = """
SELECT id, request_hash, recorded_at, account, frozen_in, frozen_out, closed
FROM account_change WHERE id = ANY($1::text[])
"""

_SET_FLAGS = """
UPDATE account SET frozen_in = $2, frozen_out = $3, closed = $4 WHERE id = $1
"""

_ADD_CHANGES = """
INSERT INTO account_change (id, shard, account, operation, frozen_in, frozen_out, closed,
    request_hash, recorded_at, who_actor, who_principal, why_program, why_event, why_reason,
    seq, log_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""

_LAST = "SELECT coalesce(max(seq), 0) FROM account_change WHERE shard = $1"


async def load_known(conn: Connection, books: Books, requests: Sequence[str]) -> None:
    """Add the changes that were made under these ids to what is known."""
    for row in await conn.fetch(_KNOWN, requests):
        changed = Changed(*tuple(row)[3:])
        books.known[row[0]] = Known(row[1], Answer(changed, row[2]))


async def last_change(conn: Connection, shard: str) -> int:
    """The number of a shard's last change. Whoever reads it late fails on the shard's version."""
    return int(await conn.fetchval(_LAST, shard))


async def save_changes(conn: Connection, batch: Batch, now: datetime, after: int) -> None:
    """Set the flags and write the history, row by row, numbered behind `after`."""
    for seq, (command, changed) in enumerate(batch.changed, after + 1):
        await conn.execute(_SET_FLAGS, *changed)
        context = command.context
        await conn.execute(
            _ADD_CHANGES,
            command.id,
            batch.after.ledger,
            changed.account,
            command.operation,
            changed.frozen_in,
            changed.frozen_out,
            changed.closed,
            command.request_hash,
            now,
            context.actor,
            context.principal,
            context.program,
            context.event,
            context.reason,
            seq,
            batch.after.log_seq,
        )
