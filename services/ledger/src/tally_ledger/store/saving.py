"""What a batch writes: one set-based statement per table, whatever its size."""

from collections.abc import Mapping
from datetime import datetime

from tally_ledger.canonical import Seal
from tally_ledger.domain import Batch, Hold, Place
from tally_ledger.domain.model import EMPTY
from tally_ledger.store.changes import save_changes
from tally_ledger.store.columns import Columns
from tally_ledger.store.loading import Head
from tally_ledger.store.writes import Writes
from tally_postgres import Connection

_ADVANCE = "SELECT advance_shard($1, $2, $3, $4, $5, $6)"

_OPENED = Columns(
    3,
    id="text",
    asset="text",
    owner="text",
    purpose="text",
    path="text",
    guarded="boolean",
    no_credit_overdraft="boolean",
    aggregated="boolean",
    max_balance="numeric?",
    debits_posted="numeric",
    credits_posted="numeric",
    debits_pending="numeric",
    credits_pending="numeric",
    seq="bigint",
)
_OPEN_ACCOUNTS = f"""
INSERT INTO account (shard, opened_at, {_OPENED.names}) SELECT $1, $2, * FROM {_OPENED.rows}
"""

_BALANCES = Columns(
    1,
    id="text",
    debits_posted="numeric",
    credits_posted="numeric",
    debits_pending="numeric",
    credits_pending="numeric",
    seq="bigint",
)
_SET_BALANCES = f"""
UPDATE account a
SET debits_posted = given.debits_posted, credits_posted = given.credits_posted,
    debits_pending = given.debits_pending, credits_pending = given.credits_pending, seq = given.seq
FROM {_BALANCES.rows}
WHERE a.id = given.id
"""

_JOURNALS = Columns(
    4,
    id="text",
    first_transfer="bigint",
    last_transfer="bigint",
    operation="text",
    reference="text",
    request_hash="bytea",
    effective_at="timestamptz",
    who_actor="text",
    who_principal="text",
    where_channel="text",
    where_country="text?",
    why_program="text",
    why_event="text",
    why_reason="text",
)
_ADD_JOURNALS = f"""
INSERT INTO journal (shard, log_seq, recorded_at, {_JOURNALS.names})
SELECT $1, $2, $3, * FROM {_JOURNALS.rows}
"""

_TRANSFERS = Columns(
    3,
    seq="bigint",
    journal_id="text",
    id="text",
    kind="text",
    pending_id="text?",
    debit="text",
    credit="text",
    asset="text",
    amount="numeric",
    code="text",
    remaining="numeric?",
    expires_at="timestamptz?",
)
_ADD_TRANSFERS = f"""
INSERT INTO transfer (shard, log_seq, {_TRANSFERS.names}) SELECT $1, $2, * FROM {_TRANSFERS.rows}
"""

_ENTRIES = Columns(
    2,
    account="text",
    seq="bigint",
    transfer_id="text",
    amount="numeric",
    pending="numeric",
    posted_after="numeric",
    pending_after="numeric",
)
_ADD_ENTRIES = f"""
INSERT INTO entry (recorded_at, {_ENTRIES.names}) SELECT $1, * FROM {_ENTRIES.rows}
"""

_GROUPED = Columns(
    2,
    account="text",
    seq="bigint",
    log_seq="bigint",
    amount="numeric",
    pending="numeric",
    posted_after="numeric",
    pending_after="numeric",
)
_ADD_GROUPED = f"""
INSERT INTO entry (recorded_at, {_GROUPED.names}) SELECT $1, * FROM {_GROUPED.rows}
"""

_PLACED = Columns(
    2,
    id="text",
    reference="text",
    debit="text",
    credit="text",
    asset="text",
    amount="numeric",
    cause="text?",
    remaining="numeric",
    state="text",
    expires_at="timestamptz?",
)
_ADD_HOLDS = f"INSERT INTO hold (shard, {_PLACED.names}) SELECT $1, * FROM {_PLACED.rows}"

_HELD = Columns(1, id="text", remaining="numeric", state="text", expires_at="timestamptz?")
_SET_HOLDS = f"""
UPDATE hold h
SET remaining = given.remaining, state = given.state, expires_at = given.expires_at
FROM {_HELD.rows}
WHERE h.id = given.id
"""

_REJECTED = Columns(
    3,
    id="text",
    operation="text",
    reference="text",
    request_hash="bytea",
    code="text",
    detail="text",
)
_ADD_REJECTIONS = f"""
INSERT INTO rejection (shard, recorded_at, {_REJECTED.names})
SELECT $1, $2, * FROM {_REJECTED.rows}
"""


async def save(
    conn: Connection,
    head: Head | None,
    batch: Batch,
    *,
    seal: Seal | None,
    causes: Mapping[str, str],
    now: datetime,
    change_seq: int,
) -> None:
    """Write a batch in at most nine statements; `causes` are texts kept with new holds, by id.

    Account changes, which are rare, are written row by row and numbered after `change_seq`.

    Raises Postgres' serialization failure (40001) when the shard has moved on since `head`.
    """
    shard = batch.after.ledger
    assert (seal is not None) == batch.is_logged, "a root belongs to a batch that leaves something"
    async with Writes(conn) as writes:
        if head is not None:
            transfers = sum(len(posted.transfers) for _, posted in batch.posted)
            root, leaves = seal or (None, None)
            await writes.write(_ADVANCE, shard, head.version, transfers, now, root, leaves)
            if batch.opened:
                await _save_accounts(writes, batch, now)
            if batch.posted:
                await _save_posted(writes, head, batch, now)
                await _save_holds(writes, batch, causes)
        if batch.rejected:
            await writes.write(_ADD_REJECTIONS, shard, now, *_REJECTED.texts(_rejections(batch)))
    if head is not None and batch.changed:
        await save_changes(conn, batch, now, change_seq)


async def _save_accounts(writes: Writes, batch: Batch, now: datetime) -> None:
    """Write new accounts with the balance the batch leaves them."""
    balances = batch.after.balances
    rows = [
        (
            *a[:6],
            a.no_credit_overdraft,
            a.aggregated,
            a.max_balance,
            *balances.get(a.id, EMPTY),
        )
        for a in batch.opened
    ]
    await writes.write(_OPEN_ACCOUNTS, batch.after.ledger, now, *_OPENED.texts(rows))


async def _save_posted(writes: Writes, head: Head, batch: Batch, now: datetime) -> None:
    shard, log_seq = batch.after.ledger, batch.after.log_seq
    touched = {account_id for _, posted in batch.posted for account_id in posted.balances}
    touched -= {account.id for account in batch.opened}
    balances = batch.after.balances
    changed = [(account_id, *balances[account_id]) for account_id in touched]
    if changed:
        await writes.write(_SET_BALANCES, *_BALANCES.texts(changed))
    journals, transfers = _numbered(batch, head.transfer_seq)
    await writes.write(_ADD_JOURNALS, shard, log_seq, now, *_JOURNALS.texts(journals))
    await writes.write(_ADD_TRANSFERS, shard, log_seq, *_TRANSFERS.texts(transfers))
    if batch.entries:
        await writes.write(_ADD_ENTRIES, now, *_ENTRIES.texts(batch.entries))
    if batch.grouped:
        await writes.write(_ADD_GROUPED, now, *_GROUPED.texts(batch.grouped))


def _numbered(batch: Batch, seq: int) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Rows of journal and transfer, transfers numbered after `seq`."""
    journals: list[tuple[object, ...]] = []
    transfers: list[tuple[object, ...]] = []
    for command, posted in batch.posted:
        first = seq + 1
        for transfer in posted.transfers:
            seq += 1
            transfers.append((seq, command.id, *transfer))
        journals.append(
            (
                command.id,
                first,
                seq,
                command.operation,
                command.reference,
                command.request_hash,
                command.effective_at,
                *command.context,
            )
        )
    return journals, transfers


async def _save_holds(writes: Writes, batch: Batch, causes: Mapping[str, str]) -> None:
    """Write the last state of each hold the batch placed or changed."""
    references: dict[str, str] = {}
    holds: dict[str, Hold] = {}
    for command, posted in batch.posted:
        if posted.hold is not None:
            holds[posted.hold.id] = posted.hold
            if isinstance(command, Place):
                references[posted.hold.id] = command.reference
    placed = [
        (
            hold.id,
            references[hold.id],
            hold.debit,
            hold.credit,
            hold.currency,
            hold.amount,
            causes.get(hold.id),
            hold.remaining,
            hold.state,
            hold.expires_at,
        )
        for hold in holds.values()
        if hold.id in references
    ]
    if placed:
        await writes.write(_ADD_HOLDS, batch.after.ledger, *_PLACED.texts(placed))
    changed = [
        (hold.id, hold.remaining, hold.state, hold.expires_at)
        for hold in holds.values()
        if hold.id not in references
    ]
    if changed:
        await writes.write(_SET_HOLDS, *_HELD.texts(changed))


def _rejections(batch: Batch) -> list[tuple[object, ...]]:
    return [
        (
            command.id,
            command.operation,
            command.reference,
            command.request_hash,
            rejected.code,
            rejected.detail,
        )
        for command, rejected in batch.rejected
    ]
