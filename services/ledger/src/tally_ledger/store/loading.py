"""What a batch reads: everything it touches and nothing else, in a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_ledger.domain import (
    Account,
    Answer,
    Balance,
    Books,
    ChangeAccount,
    Command,
    Done,
    Hold,
    HoldState,
    Known,
    Malformed,
    Open,
    Place,
    PostLegs,
    Rejected,
    Reverse,
    Transfer,
    TransferKind,
)
from tally_ledger.store.changes import load_known
from tally_ledger.store.targets import load_targets
from tally_postgres import Connection, Record

# As one text, the other way round than `columns`: the driver takes 19 values a row apart one by one,
# which costs more than all else that loading does. An empty limit is none.
_AS_TEXT = """
SELECT string_agg(concat_ws(E'\\x1f', shard, id, asset, guarded, frozen_in, frozen_out,
           closed, no_credit_overdraft, aggregated, coalesce(max_balance::text, ''),
           debits_posted, credits_posted, debits_pending, credits_pending, seq), E'\\x1e')
FROM account WHERE id = ANY($1::text[])
"""

# All that most batches need, in one round trip. What an account was opened as is read for the few that
# somebody asks to open, again or not.
_BOOKS = f"""
SELECT s.version, s.log_seq, s.transfer_seq, s.head, s.recorded_at,
       ({_AS_TEXT}),
       ARRAY(SELECT (id, owner, purpose, path, opened_at)
             FROM account WHERE shard = $2 AND id = ANY($3::text[])),
       ARRAY(SELECT id FROM journal WHERE id = ANY($4::text[])
             UNION ALL SELECT id FROM rejection WHERE id = ANY($4::text[])
             UNION ALL SELECT id FROM account_change WHERE id = ANY($4::text[])),
       ARRAY(SELECT id FROM transfer WHERE id = ANY($5::text[]))
FROM (VALUES (1)) AS always LEFT JOIN shard_state s ON s.shard = $2
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
UNION ALL
SELECT c.id, c.request_hash, c.recorded_at, NULL, c.operation, c.account,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM account_change c
WHERE c.id = ANY($1::text[])
"""

_HOLDS = """
SELECT id, debit, credit, asset, amount, remaining, state, expires_at
FROM hold WHERE shard = $1 AND id = ANY($2::text[])
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
    """The head of a shard's books as read: `version` is what a writer compares and sets.

    Nothing may be recorded with a time before `recorded_at`.
    """

    version: int
    log_seq: int
    transfer_seq: int
    root: bytes
    recorded_at: datetime | None


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


async def load(
    conn: Connection, ledger: str, commands: Sequence[Command]
) -> tuple[Head | None, Books]:
    """Everything the commands touch; no head if there is no such ledger.

    One statement, and one more each for answered requests, changes made before, reversals' targets,
    holds, and for accounts that those name and no command does. Owner, purpose, path and opening time
    are there for accounts that a command opens, else empty.

    Nothing is locked: whoever commits to the shard in between makes `save` start again. That is why
    the head comes with the first statement.
    """
    wanted = _Wanted(commands)
    row = await conn.fetchrow(
        _BOOKS,
        list(wanted.accounts),
        ledger,
        list(wanted.opened),
        wanted.requests,
        wanted.transfers,
    )
    assert row is not None, "an outer join on one row makes one row"
    *state, accounts, opened, requests, transfers = row
    head = None if state[0] is None else Head(*state)
    books = Books(ledger, is_open=head is not None, log_seq=head.log_seq if head else 0)
    books.transfer_ids = set(transfers)
    if requests:
        for known in await conn.fetch(_KNOWN, requests):
            books.known[known["id"]] = _known(known)
    if wanted.changes:
        await load_known(conn, books, wanted.changes)
    named: set[str] = set()
    if wanted.targets:
        named |= await load_targets(conn, books, wanted.targets)
    if wanted.holds:
        for found in await conn.fetch(_HOLDS, ledger, wanted.holds):
            hold = Hold(*found)._replace(state=HoldState(found["state"]))
            books.holds[hold.id] = hold
            named.update((hold.debit, hold.credit))
    elsewhere = _take_accounts(books, accounts or "")
    further = named - wanted.accounts
    if further:
        row = await conn.fetchrow(_AS_TEXT, list(further))
        assert row is not None, "an aggregate makes one row"
        elsewhere += _take_accounts(books, row[0] or "")
    books.elsewhere = frozenset(elsewhere)
    for id_, owner, purpose, path, opened_at in opened:
        books.accounts[id_] = books.accounts[id_]._replace(
            owner=owner, purpose=purpose, path=path, opened_at=opened_at
        )
    return head, books


async def due_holds(conn: Connection, ledger: str, now: datetime, limit: int) -> Sequence[DueHold]:
    """Open holds whose time is over, the longest overdue first."""
    return [DueHold(*row) for row in await conn.fetch(_DUE_HOLDS, ledger, now, limit)]


def _take_accounts(books: Books, text: str) -> list[str]:
    """Put accounts and balances into the books; returns the ids of those of other ledgers."""
    elsewhere: list[str] = []
    for row in text.split("\x1e") if text else ():
        shard, id_, asset, guarded, in_, out, closed, owes, grouped, limit, *counters = row.split(
            "\x1f"
        )
        if shard != books.ledger:
            elsewhere.append(id_)
            continue
        books.accounts[id_] = Account(
            id_,
            asset,
            "",
            "",
            "",
            guarded == "t",
            in_ == "t",
            out == "t",
            closed == "t",
            None,
            owes == "t",
            grouped == "t",
            int(limit) if limit else None,
        )
        books.balances[id_] = Balance._make(map(int, counters))
    return elsewhere


class _Wanted:
    """What a batch has to know about: ids by kind; `opened` are accounts a command opens."""

    __slots__ = ("accounts", "changes", "holds", "opened", "requests", "targets", "transfers")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.requests: list[str] = []
        self.transfers: list[str] = []
        self.holds: list[str] = []
        self.targets: list[str] = []
        self.changes: list[str] = []
        self.opened: set[str] = set()
        self.accounts: set[str] = set()
        accounts = self.accounts
        for command in commands:
            if isinstance(command, Open):
                self.opened.add(command.account.id)
                continue
            self.requests.append(command.id)
            if isinstance(command, PostLegs):
                for leg in command.legs:
                    self.transfers.append(leg.id)
                    accounts.add(leg.debit)
                    accounts.add(leg.credit)
                if command.accounts:
                    self.opened.update(account.id for account in command.accounts)
            elif isinstance(command, Place):
                self.transfers.append(command.id)
                # Placed in this batch or before: a capture behind it finds it either way.
                accounts.update((command.leg.debit, command.leg.credit))
                if command.accounts:
                    self.opened.update(account.id for account in command.accounts)
            elif isinstance(command, Reverse):
                self.targets.append(command.target)
                self.transfers += [leg.id for leg in command.legs]
            elif isinstance(command, ChangeAccount):
                accounts.add(command.account)
                self.changes.append(command.id)
            elif not isinstance(command, Malformed):
                self.transfers.append(command.id)
                self.holds.append(command.hold_id)
        accounts |= self.opened


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
