"""SQL of the books: what a batch reads, and its set-based writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from tally_ledger.columns import Columns
from tally_ledger.domain import (
    Account,
    Answer,
    Balance,
    Batch,
    Books,
    Command,
    Done,
    Hold,
    HoldState,
    Known,
    Place,
    PostLegs,
    Rejected,
    Transfer,
    TransferKind,
)
from tally_money import Currency
from tally_postgres import Connection, Record

_ENSURE_SHARDS = """
INSERT INTO shard_state (shard) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""

_ENSURE_ASSETS = """
INSERT INTO asset (code, scale, kind) SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[])
ON CONFLICT DO NOTHING
"""

_SCALES = "SELECT code, scale FROM asset"

# Statements behind this one are planned without sequential scans: plans are kept per session, and
# one made while a table was small would read all of it for ever.
_HEAD = """
SELECT version, log_seq, transfer_seq, head, set_config('enable_seqscan', 'off', true)
FROM shard_state WHERE shard = $1
"""

_KNOWN = """
SELECT j.id, j.request_hash, j.recorded_at, j.log_seq, NULL AS code, NULL AS detail,
       t.kind, t.pending_id, t.debit, t.credit, t.asset, t.amount, t.code AS transfer_code,
       t.remaining, t.expires_at
FROM journal j
LEFT JOIN transfer t ON t.id = j.id
WHERE j.id = ANY($1::text[])
UNION ALL
SELECT r.id, r.request_hash, r.recorded_at, NULL, r.code, r.detail,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM rejection r
WHERE r.id = ANY($1::text[])
"""

_TRANSFER_IDS = "SELECT id FROM transfer WHERE id = ANY($1::text[])"

_HOLDS = """
SELECT id, debit, credit, asset, amount, remaining, state, expires_at
FROM hold WHERE shard = $1 AND id = ANY($2::text[])
"""

_ACCOUNTS = """
SELECT shard, id, asset, owner, purpose, path, guarded, frozen_in, frozen_out, closed,
       debits_posted, credits_posted, debits_pending, credits_pending, seq
FROM account WHERE id = ANY($1::text[])
"""

_ADVANCE = "SELECT advance_shard($1, $2, $3, $4, $5)"

_OPENED = Columns(
    3,
    id="text",
    asset="text",
    owner="text",
    purpose="text",
    path="text",
    guarded="boolean",
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
    1,
    account="text",
    seq="bigint",
    transfer_id="text",
    amount="numeric",
    pending="numeric",
    posted_after="numeric",
    pending_after="numeric",
)
_ADD_ENTRIES = f"INSERT INTO entry ({_ENTRIES.names}) SELECT * FROM {_ENTRIES.rows}"

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

_DUE_HOLDS = """
SELECT h.id, h.reference, h.asset, h.cause, t.code, j.who_principal, j.where_country,
       j.why_program, j.why_event
FROM hold h
JOIN transfer t ON t.id = h.id
JOIN journal j ON j.id = h.id
WHERE h.shard = $1 AND h.expires_at <= $2
ORDER BY h.expires_at, h.id
LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a shard's books as read: `version` is what a writer compares and sets."""

    version: int
    log_seq: int
    transfer_seq: int
    root: bytes


@dataclass(frozen=True, slots=True)
class DueHold:
    """A hold whose time is over, with the why of its placement and what it was caused by."""

    id: str
    reference: str
    currency: str
    cause: str
    code: str
    principal: str
    country: str | None
    program: str
    event: str


async def ensure_shards(conn: Connection, ledgers: Iterable[str]) -> None:
    """Open the ledgers that are not open yet."""
    await conn.execute(_ENSURE_SHARDS, sorted(ledgers))


async def ensure_assets(conn: Connection, currencies: Sequence[Currency]) -> Mapping[str, int]:
    """Enter assets that are missing; what comes back is the scale of every asset in the books."""
    await conn.execute(
        _ENSURE_ASSETS,
        [unit.code for unit in currencies],
        [unit.exponent for unit in currencies],
        [unit.kind for unit in currencies],
    )
    return {row[0]: row[1] for row in await conn.fetch(_SCALES)}


async def load(
    conn: Connection, ledger: str, commands: Sequence[Command]
) -> tuple[Head | None, Books]:
    """Everything the commands touch, in at most five statements; no head if there is no such ledger.

    Nothing is locked: whoever commits to the shard in between makes `save` start again.
    """
    row = await conn.fetchrow(_HEAD, ledger)
    head = None if row is None else Head(row[0], row[1], row[2], row[3])
    books = Books(ledger, is_open=head is not None, log_seq=head.log_seq if head else 0)
    wanted = _Wanted(commands)
    for known in await conn.fetch(_KNOWN, wanted.requests):
        books.known[known["id"]] = _known(known)
    books.transfer_ids = {row[0] for row in await conn.fetch(_TRANSFER_IDS, wanted.transfers)}
    if wanted.holds:
        for row in await conn.fetch(_HOLDS, ledger, wanted.holds):
            hold = Hold(*row)._replace(state=HoldState(row["state"]))
            books.holds[hold.id] = hold
            wanted.accounts.update((hold.debit, hold.credit))
    elsewhere: list[str] = []
    for row in await conn.fetch(_ACCOUNTS, list(wanted.accounts)):
        shard, *attributes = row
        if shard == ledger:
            account = Account(*attributes[:9])
            books.accounts[account.id] = account
            books.balances[account.id] = Balance(*attributes[9:])
        else:
            elsewhere.append(row["id"])
    books.elsewhere = frozenset(elsewhere)
    return head, books


async def save(
    conn: Connection,
    head: Head | None,
    batch: Batch,
    *,
    root: bytes | None,
    causes: Mapping[str, str],
    now: datetime,
) -> None:
    """Write a batch in at most nine statements; `causes` are texts kept with new holds, by id.

    Raises Postgres' serialization failure (40001) when the shard has moved on since `head`.
    """
    shard = batch.after.ledger
    assert (root is not None) == bool(batch.posted), "a root belongs to a batch that moves money"
    if head is not None:
        transfers = sum(len(posted.transfers) for _, posted in batch.posted)
        await conn.execute(_ADVANCE, shard, head.version, transfers, root, now)
        if batch.posted:
            await _save_posted(conn, head, batch, now)
            await _save_holds(conn, batch, causes)
    if batch.rejected:
        await conn.execute(_ADD_REJECTIONS, shard, now, *_REJECTED.texts(_rejections(batch)))


async def due_holds(conn: Connection, ledger: str, now: datetime, limit: int) -> Sequence[DueHold]:
    """Open holds whose time is over, the longest overdue first."""
    return [DueHold(*row) for row in await conn.fetch(_DUE_HOLDS, ledger, now, limit)]


class _Wanted:
    """What a batch has to know about: ids by kind."""

    __slots__ = ("accounts", "holds", "requests", "transfers")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.requests: list[str] = []
        self.transfers: list[str] = []
        self.holds: list[str] = []
        self.accounts: set[str] = set()
        accounts = self.accounts
        for command in commands:
            self.requests.append(command.id)
            if isinstance(command, PostLegs):
                for leg in command.legs:
                    self.transfers.append(leg.id)
                    accounts.add(leg.debit)
                    accounts.add(leg.credit)
                accounts.update(account.id for account in command.accounts)
            elif isinstance(command, Place):
                self.transfers.append(command.id)
                # Placed in this batch or before: a capture behind it finds it either way.
                accounts.update((command.leg.debit, command.leg.credit))
                accounts.update(account.id for account in command.accounts)
            else:
                self.transfers.append(command.id)
                self.holds.append(command.hold_id)


async def _save_posted(conn: Connection, head: Head, batch: Batch, now: datetime) -> None:
    shard, log_seq = batch.after.ledger, batch.after.log_seq
    opened = {account.id: account for _, posted in batch.posted for account in posted.opened}
    touched = {account_id for _, posted in batch.posted for account_id in posted.balances}
    balances = batch.after.balances
    if opened:
        rows = [
            (a.id, a.currency, a.owner, a.purpose, a.path, a.guarded, *balances.get(a.id, _ZERO))
            for a in opened.values()
        ]
        await conn.execute(_OPEN_ACCOUNTS, shard, now, *_OPENED.texts(rows))
    changed = [(account_id, *balances[account_id]) for account_id in touched - opened.keys()]
    if changed:
        await conn.execute(_SET_BALANCES, *_BALANCES.texts(changed))
    journals, transfers = _numbered(batch, head.transfer_seq)
    await conn.execute(_ADD_JOURNALS, shard, log_seq, now, *_JOURNALS.texts(journals))
    await conn.execute(_ADD_TRANSFERS, shard, log_seq, *_TRANSFERS.texts(transfers))
    entries = list(chain.from_iterable(posted.entries for _, posted in batch.posted))
    await conn.execute(_ADD_ENTRIES, *_ENTRIES.texts(entries))


_ZERO = Balance(0, 0, 0, 0, 0)


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


async def _save_holds(conn: Connection, batch: Batch, causes: Mapping[str, str]) -> None:
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
        await conn.execute(_ADD_HOLDS, batch.after.ledger, *_PLACED.texts(placed))
    changed = [
        (hold.id, hold.remaining, hold.state, hold.expires_at)
        for hold in holds.values()
        if hold.id not in references
    ]
    if changed:
        await conn.execute(_SET_HOLDS, *_HELD.texts(changed))


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


def _known(row: Record) -> Known:
    recorded_at: datetime = row["recorded_at"]
    outcome: Done | Rejected
    if row["code"] is not None:
        outcome = Rejected(row["code"], row["detail"])
    else:
        outcome = Done(row["log_seq"], None if row["kind"] is None else _transfer(row))
    return Known(row["request_hash"], Answer(outcome, recorded_at))


def _transfer(row: Record) -> Transfer:
    return Transfer(
        row["id"],
        TransferKind(row["kind"]),
        row["pending_id"],
        row["debit"],
        row["credit"],
        row["asset"],
        row["amount"],
        row["transfer_code"],
        row["remaining"],
        row["expires_at"],
    )
