"""SQL of the books: what a batch reads, and its set-based writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

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

_HEAD = "SELECT version, log_seq, transfer_seq, head FROM shard_state WHERE shard = $1"

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

_OPEN_ACCOUNTS = """
INSERT INTO account (shard, opened_at, id, asset, owner, purpose, path, guarded,
                     debits_posted, credits_posted, debits_pending, credits_pending, seq)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[],
                             $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[],
                             $13::bigint[])
"""

_SET_BALANCES = """
UPDATE account a
SET debits_posted = b.debits_posted, credits_posted = b.credits_posted,
    debits_pending = b.debits_pending, credits_pending = b.credits_pending, seq = b.seq
FROM unnest($1::text[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[], $6::bigint[])
     AS b (id, debits_posted, credits_posted, debits_pending, credits_pending, seq)
WHERE a.id = b.id
"""

_ADD_JOURNALS = """
INSERT INTO journal (shard, log_seq, recorded_at, id, first_transfer, last_transfer, operation,
                     reference, request_hash, effective_at, who_actor, who_principal,
                     where_channel, where_country, why_program, why_event, why_reason)
SELECT $1, $2, $3, * FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                                 $9::bytea[], $10::timestamptz[], $11::text[], $12::text[],
                                 $13::text[], $14::text[], $15::text[], $16::text[], $17::text[])
"""

_ADD_TRANSFERS = """
INSERT INTO transfer (shard, log_seq, seq, journal_id, id, kind, pending_id, debit, credit, asset,
                      amount, code, remaining, expires_at)
SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[], $11::numeric[], $12::text[],
                             $13::numeric[], $14::timestamptz[])
"""

_ADD_ENTRIES = """
INSERT INTO entry (account, seq, transfer_id, amount, pending, posted_after, pending_after)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::numeric[], $5::numeric[],
                     $6::numeric[], $7::numeric[])
"""

_SET_HOLDS = """
INSERT INTO hold (shard, id, reference, debit, credit, asset, amount, remaining, state, expires_at,
                  cause)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[],
                         $8::numeric[], $9::text[], $10::timestamptz[], $11::text[])
ON CONFLICT (id) DO UPDATE
SET remaining = excluded.remaining, state = excluded.state, expires_at = excluded.expires_at
"""

_ADD_REJECTIONS = """
INSERT INTO rejection (shard, recorded_at, id, operation, reference, request_hash, code, detail)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[],
                             $8::text[])
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
    head = None if row is None else Head(*row)
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
    """Write a batch in at most eight statements; `causes` are texts kept with new holds, by id.

    Raises Postgres' serialization failure (40001) when the shard has moved on since `head`.
    """
    shard = batch.after.ledger
    assert (root is not None) == bool(batch.posted), "a root belongs to a batch that moves money"
    if head is not None:
        transfers = sum(len(posted.transfers) for _, posted in batch.posted)
        await conn.execute(_ADVANCE, shard, head.version, transfers, root, now)
        if batch.posted:
            await _save_posted(conn, head, batch, now)
            holds = _holds(batch, causes)
            if holds:
                await conn.execute(_SET_HOLDS, shard, *_columns(holds))
    if batch.rejected:
        await conn.execute(_ADD_REJECTIONS, shard, now, *_columns(_rejections(batch)))


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
        await conn.execute(_OPEN_ACCOUNTS, shard, now, *_columns(rows))
    changed = [(account_id, *balances[account_id]) for account_id in touched - opened.keys()]
    if changed:
        await conn.execute(_SET_BALANCES, *_columns(changed))
    journals, transfers = _numbered(batch, head.transfer_seq)
    await conn.execute(_ADD_JOURNALS, shard, log_seq, now, *_columns(journals))
    await conn.execute(_ADD_TRANSFERS, shard, log_seq, *_columns(transfers))
    entries = list(chain.from_iterable(posted.entries for _, posted in batch.posted))
    await conn.execute(_ADD_ENTRIES, *_columns(entries))


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


def _holds(batch: Batch, causes: Mapping[str, str]) -> list[tuple[object, ...]]:
    """The last state of each hold the batch touched."""
    rows: dict[str, tuple[object, ...]] = {}
    for command, posted in batch.posted:
        hold = posted.hold
        if hold is not None:
            earlier = rows.get(hold.id)
            rows[hold.id] = (
                hold.id,
                command.reference if earlier is None else earlier[1],
                hold.debit,
                hold.credit,
                hold.currency,
                hold.amount,
                hold.remaining,
                hold.state,
                hold.expires_at,
                causes.get(hold.id),
            )
    return list(rows.values())


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


def _columns(rows: Sequence[Sequence[object]]) -> list[tuple[object, ...]]:
    return list(zip(*rows, strict=True))


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
