"""Reversals, limits, flags and grouped entries: sound books pass, and each kind of fault is named."""

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.domain import (
    Account,
    ChangeAccount,
    Command,
    Context,
    Leg,
    Place,
    PostLegs,
    Reversal,
    Reverse,
)
from tally_money import iso_currencies
from tally_postgres import Schema
from tally_reconciliation import Verdict
from tally_reconciliation.checks.books import check_books
from tally_reconciliation.checks.chain import check_chain
from tally_reconciliation.checks.entries import check_entries
from tally_reconciliation.checks.holds import check_holds
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot, session
from tally_testkit import ServiceDatabase

from .conftest import Day

pytestmark = pytest.mark.stack
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT = Context("cli", "operator", "cli", None, "care", "case-1", "A reason")


def account(name: str, *, guarded: bool = False, **flags: Any) -> Account:
    return Account(name, "EUR", "owner", "wallet", f"wallet/{name}", guarded, **flags)


def leg(name: str, debit: str, credit: str, amount: int) -> Leg:
    return Leg(name, debit, credit, "EUR", amount, "move")


def content(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def post(name: str, *legs: Leg, opens: tuple[Account, ...] = ()) -> PostLegs:
    return PostLegs(name, f"ref-{name}", opens, legs, NOW, CONTEXT, content(name))


ACCOUNTS = (
    account("cards"),
    account("ann", guarded=True),
    account("loan", no_credit_overdraft=True),
    account("pocket", max_balance=60),
    account("fees", aggregated=True),
)
BATCHES: tuple[tuple[Command, ...], ...] = (
    (
        post("j0", leg("t0", "cards", "ann", 100), leg("t1", "ann", "fees", 5),
             leg("t2", "ann", "fees", 6), leg("t3", "loan", "cards", 30), opens=ACCOUNTS),
        Place("h0", "ref-h0", (), leg("h0", "ann", "fees", 7), None, NOW, CONTEXT, content("h0")),
    ),
    (
        post("j1", leg("t4", "fees", "cards", 11), leg("t5", "cards", "pocket", 60)),
        Reverse("r0", "ref-j0", "j0", (Reversal("t6", "t0", "EUR", 40, "back"),), NOW, CONTEXT,
                content("r0")),
        ChangeAccount("freeze", "c0", "ann", None, True, None, CONTEXT, content("c0")),
    ),
    (ChangeAccount("freeze", "c1", "pocket", True, None, None, CONTEXT, content("c1")),),
)  # fmt: skip


@pytest.fixture
async def books(fresh_database: Callable[[Schema], ServiceDatabase]) -> AsyncIterator[Day]:
    """A ledger with one of everything, to be spoilt."""
    database = fresh_database(SCHEMA)
    async with session(database.admin_dsn) as conn:
        await conn.execute("SET search_path = ledger")
        await service.open_books(conn, ["main"], list(iso_currencies().values()))
        for batch in BATCHES:
            async with conn.transaction():
                done = await service.post(conn, "main", batch, NOW, {})
                assert done.rejected == []
        undone = conn.transaction(isolation="repeatable_read")
        await undone.start()
        yield Day(conn, None)  # type: ignore[arg-type] - the topics are not looked at
        await undone.rollback()


async def judged(books: Day) -> list[Check]:
    snap = Snapshot(books.conn, frozenset({"ledger"}))
    return [
        *await check_entries(snap),
        *await check_books(snap),
        await check_holds(snap),
        *await check_chain(snap),
    ]


async def test_books_with_one_of_everything_are_sound(books: Day) -> None:
    checks = await judged(books)
    assert [(c.id, c.faults) for c in checks if c.verdict is not Verdict.GREEN] == []
    grouped = await books.conn.fetchval("SELECT count(*) FROM entry WHERE log_seq IS NOT NULL")
    assert grouped == 2


@pytest.mark.parametrize(
    ("statement", "drop", "what"),
    [
        ("UPDATE entry SET amount = amount + 1 WHERE log_seq = 1", ("entry_starts_from_zero",),
         "entry_differs_from_transfer"),
        ("DELETE FROM entry WHERE log_seq = 2", (), "entry_missing"),
        ("UPDATE entry SET log_seq = 9 WHERE log_seq = 2", (), "entry_without_transfer"),
        ("UPDATE account SET aggregated = false WHERE id = 'fees'", (),
         "entry_not_as_account_says"),
        ("UPDATE transfer SET amount = 101 WHERE id = 't6'", (), "reversal_beyond_target"),
        ("UPDATE transfer SET pending_id = 't1' WHERE id = 't6'", (), "reversal_beyond_target"),
        ("UPDATE transfer SET pending_id = 'none' WHERE id = 't6'", (), "reversal_beyond_target"),
        ("UPDATE account SET frozen_out = false WHERE id = 'ann'", (), "flags_differ"),
        ("UPDATE account SET frozen_in = true WHERE id = 'cards'", (), "flags_differ"),
        ("UPDATE account_change SET frozen_out = false", (), "flags_differ"),
        ("UPDATE account SET closed = true WHERE id = 'ann'", ("account_closed_is_settled",),
         "closed_unsettled"),
        ("UPDATE account SET max_balance = 59 WHERE id = 'pocket'", ("account_limits",),
         "above_limit"),
        ("UPDATE account SET max_balance = 59 WHERE id = 'pocket'", ("account_limits",),
         "replayed_above_limit"),
        ("UPDATE account SET no_credit_overdraft = true WHERE id = 'pocket'", ("account_limits",),
         "above_limit"),
    ],
)  # fmt: skip
async def test_a_fault_is_named(
    books: Day, statement: str, drop: tuple[str, ...], what: str
) -> None:
    await books.spoil(statement, drop=drop)
    checks = await judged(books)
    assert what in {fault.what for check in checks for fault in check.faults}


_FORGED = """
INSERT INTO account_change (id, shard, account, operation, frozen_in, frozen_out, closed, request_hash,
    recorded_at, who_actor, who_principal, why_program, why_event, why_reason, seq, log_seq)
SELECT 'forged', 'ghost', account, operation, frozen_in, frozen_out, closed, request_hash,
    recorded_at, who_actor, who_principal, why_program, why_event, why_reason, seq, log_seq
FROM account_change WHERE id = 'c1'
"""


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (_FORGED, "shard_unknown"),
        (_FORGED, "change_of_another_shard"),
        *((f"UPDATE account_change SET {column} = {value} WHERE id = 'c0'", "leaf_differs")
          for column, value in (
              ("id", "'c9'"), ("account", "'loan'"), ("operation", "'unfreeze'"),
              ("frozen_in", "true"), ("frozen_out", "false"), ("closed", "true"),
              ("request_hash", "sha256(request_hash)"), ("log_seq", "1"),
              ("recorded_at", "recorded_at + interval '1 second'"), ("who_actor", "'x'"),
              ("who_principal", "'x'"), ("why_program", "'x'"), ("why_event", "'x'"),
              ("why_reason", "'x'"))),
        ("UPDATE account_change SET seq = 7 WHERE id = 'c1'", "change_gap"),
        ("DELETE FROM account_change WHERE id = 'c0'", "change_gap"),
        ("DELETE FROM account_change WHERE id = 'c1'", "leaves_missing"),
        ("UPDATE account_change SET shard = 'other' WHERE id = 'c1'", "leaves_missing"),
        ("UPDATE account_change SET log_seq = 4 WHERE id = 'c1'", "change_not_in_log"),
        ("UPDATE account_change SET seq = NULL, log_seq = NULL WHERE id = 'c1'",
         "change_not_in_log"),
    ],
)  # fmt: skip
async def test_a_spoilt_account_change_is_named(books: Day, statement: str, what: str) -> None:
    await books.spoil(statement, drop=("account_change_in_log", "account_change_closes"))
    checks = await judged(books)
    faults = {fault.what: fault.row for check in checks for fault in check.faults}
    assert what in faults
    if what == "leaf_differs":
        assert faults[what]["change"] == ("c9" if "'c9'" in statement else "c0")


async def test_of_changes_made_at_once_the_last_one_counts(books: Day) -> None:
    both = (
        ChangeAccount("freeze", "c2", "loan", None, True, None, CONTEXT, content("c2")),
        ChangeAccount("unfreeze", "c3", "loan", None, False, None, CONTEXT, content("c3")),
    )
    assert (await service.post(books.conn, "main", both, NOW, {})).rejected == []
    assert [c.faults for c in await judged(books) if c.faults] == []
    await books.spoil("UPDATE account SET frozen_out = true WHERE id = 'loan'")
    (fault,) = [fault for check in await judged(books) for fault in check.faults]
    assert (fault.what, fault.row["last_change"]) == ("flags_differ", "f/f/f")


async def test_changes_of_before_they_were_leaves_are_sound(books: Day) -> None:
    columns = (
        "shard, account, operation, frozen_in, frozen_out, closed, request_hash, who_actor,"
        " who_principal, why_program, why_event, why_reason"
    )
    await books.spoil(
        f"INSERT INTO account_change (id, recorded_at, {columns})"
        f" SELECT 'old', recorded_at - interval '1 day', {columns} FROM account_change"
        " WHERE id = 'c0'",
        drop=("account_change_in_log",),
    )
    checks = await judged(books)
    assert [(c.id, c.faults) for c in checks if c.verdict is not Verdict.GREEN] == []
