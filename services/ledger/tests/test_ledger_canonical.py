"""The chain of roots, recomputed from the tables by another hand than the code's."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from .conftest import LedgerFixture
from .ledger_builders import (
    NOW,
    WHERE,
    account,
    capture,
    freeze,
    journal,
    leg,
    place,
    release,
    unfreeze,
)

CLEARING = account("cards", guarded=False)
BANK = account("ach", guarded=False)


def field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


def stream(*records: Sequence[Any]) -> bytes:
    return "".join("\x1f".join(map(field, record)) + "\x1e" for record in records).encode()


def tree(leaves: Sequence[bytes]) -> bytes:
    """The root as RFC 6962 (2.1) words it, by recursion."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree(leaves[:split]) + tree(leaves[split:])).digest()


async def recomputed_roots(ledger: LedgerFixture) -> list[bytes]:
    """The root of each log row of "main", from the docstring of canonical.py alone."""
    roots: list[bytes] = []
    for row in await ledger.pool.fetch("SELECT * FROM log WHERE shard = 'main' ORDER BY seq"):
        journals = await ledger.pool.fetch(
            "SELECT 'J', id, operation, reference, request_hash, effective_at, recorded_at,"
            " who_actor, who_principal, where_channel, where_country, why_program, why_event,"
            " why_reason FROM journal WHERE shard = 'main' AND log_seq = $1"
            " ORDER BY first_transfer",
            row["seq"],
        )
        leaves = []
        for found in journals:
            transfers = await ledger.pool.fetch(
                "SELECT 'T', seq, id, kind, pending_id, debit, credit, asset, amount, code,"
                " remaining, expires_at FROM transfer WHERE journal_id = $1 ORDER BY seq",
                found["id"],
            )
            leaves.append(stream(found, *transfers))
        changes = await ledger.pool.fetch(
            "SELECT 'A', seq, id, account, operation, frozen_in::text, frozen_out::text,"
            " closed::text, request_hash, recorded_at, who_actor, who_principal, why_program,"
            " why_event, why_reason FROM account_change WHERE shard = 'main' AND log_seq = $1"
            " ORDER BY seq",
            row["seq"],
        )
        leaves += [stream(change) for change in changes]
        span = (row["first_transfer"], row["last_transfer"])
        header = stream(
            ("L", row["form"], "main", row["seq"], *span, len(leaves), row["recorded_at"])
        )
        previous = roots[-1] if roots else bytes(32)
        roots.append(hashlib.sha256(previous + header + tree(leaves)).digest())
    return roots


async def stored_roots(ledger: LedgerFixture) -> list[bytes]:
    rows = await ledger.pool.fetch("SELECT root FROM log WHERE shard = 'main' ORDER BY seq")
    return [row["root"] for row in rows]


@pytest.fixture
async def busy(ledger: LedgerFixture) -> LedgerFixture:
    """Books with every kind of transfer and account changes, in four batches; the last moves nothing."""
    await ledger.apply(
        journal(
            "j0",
            leg("l0", "cards", "ann", "10.00"),
            leg("l1", "cards", "bob", "5.00"),
            opens=[CLEARING, BANK, account("ann"), account("bob")],
            where=WHERE.model_copy(update={"country": None}),
            effective_at=datetime(2016, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
            why=journal("x", leg("x", "a", "b", "1")).why.model_copy(
                update={"reason": "Grüße, 木 und \\N 'quotes'"}
            ),
        ),
        place("h1", "ann", "ach", "8.00", expires_at=NOW + timedelta(hours=1)),
        place("h2", "ann", "ach", "1.00"),
    )
    await ledger.apply(capture("c1", "h1", "3.00"), freeze("f1", "bob", "out"), release("r1", "h2"))
    ledger.clock.advance(timedelta(hours=1, microseconds=17))
    await ledger.expire()
    await ledger.apply(unfreeze("f2", "bob"), freeze("f3", "ann", "in"))
    return ledger


async def test_the_roots_recompute_from_the_tables(busy: LedgerFixture) -> None:
    assert await stored_roots(busy) == await recomputed_roots(busy)
    heads = await busy.pool.fetchval("SELECT head FROM shard_state WHERE shard = 'main'")
    assert heads == (await stored_roots(busy))[-1]


async def test_each_log_row_names_the_root_before_it_and_the_transfers_behind_it(
    busy: LedgerFixture,
) -> None:
    rows = await busy.pool.fetch(
        "SELECT seq, first_transfer, last_transfer, previous_root, root FROM log ORDER BY seq"
    )
    assert [tuple(row)[:3] for row in rows] == [(1, 1, 4), (2, 5, 6), (3, 7, 7), (4, 8, 7)]
    assert [row["previous_root"] for row in rows] == [bytes(32), *(r["root"] for r in rows[:-1])]


CHANGES = (
    ("transfer", "amount", "amount + 1"),
    ("transfer", "id", "id || '0'"),
    ("transfer", "pending_id", "pending_id || '0'"),
    ("transfer", "debit", "'acc_other'"),
    ("transfer", "credit", "'acc_other'"),
    ("transfer", "asset", "'USD'"),
    ("transfer", "kind", "'expire'"),
    ("transfer", "code", "'fee'"),
    ("transfer", "remaining", "remaining + 1"),
    ("journal", "reference", "'po_other'"),
    ("journal", "effective_at", "effective_at + interval '1 microsecond'"),
    ("journal", "recorded_at", "recorded_at - interval '1 microsecond'"),
    ("journal", "request_hash", "sha256(request_hash)"),
    ("journal", "who_actor", "'somebody'"),
    ("journal", "who_principal", "'somebody'"),
    ("journal", "where_channel", "'web'"),
    ("journal", "where_country", "NULL"),
    ("journal", "why_program", "'other'"),
    ("journal", "why_event", "'other'"),
    ("journal", "why_reason", "'Because'"),
    ("journal", "operation", "'journal'"),
    ("account_change", "id", "id || '0'"),
    ("account_change", "account", "(SELECT id FROM ledger.account WHERE id <> account LIMIT 1)"),
    ("account_change", "operation", "'unfreeze'"),
    ("account_change", "frozen_in", "NOT frozen_in"),
    ("account_change", "frozen_out", "NOT frozen_out"),
    ("account_change", "recorded_at", "recorded_at - interval '1 microsecond'"),
    ("account_change", "who_actor", "'somebody'"),
    ("account_change", "who_principal", "'somebody'"),
    ("account_change", "why_program", "'other'"),
    ("account_change", "why_event", "'other'"),
    ("account_change", "why_reason", "'Because'"),
    ("account_change", "seq", "9"),
    ("account_change", "log_seq", "9"),
)
KEYS = {"transfer": "seq", "journal": "first_transfer", "account_change": "request_hash"}
"""Columns that tell a row from the others and stay as they are."""


async def test_one_changed_value_is_located_in_its_batch(busy: LedgerFixture) -> None:
    stored = await stored_roots(busy)
    for table in KEYS:
        busy.as_admin(f"ALTER TABLE ledger.{table} DISABLE TRIGGER insert_only")
    for table, column, value in CHANGES:
        kept = f"(SELECT to_jsonb(t) FROM ledger.{table} t WHERE log_seq = 2 LIMIT 1)"
        before = busy.as_admin(f"SELECT {kept}")[0][0]
        key = KEYS[table]
        row = f"{key} = '{before[key]}'"
        busy.as_admin(f"UPDATE ledger.{table} SET {column} = {value} WHERE {row}")
        found = await recomputed_roots(busy)
        wrong = [
            seq for seq, pair in enumerate(zip(stored, found, strict=True), 1) if len({*pair}) > 1
        ]
        assert wrong[:1] == [2], f"{table}.{column}"
        old = f"(jsonb_populate_record(NULL::ledger.{table}, '{json.dumps(before)}')).{column}"
        busy.as_admin(f"UPDATE ledger.{table} SET {column} = {old} WHERE {row}")
        assert await recomputed_roots(busy) == stored, f"{table}.{column} was put back"


async def test_a_removed_transfer_is_located_in_its_batch(busy: LedgerFixture) -> None:
    busy.as_admin("ALTER TABLE ledger.transfer DISABLE TRIGGER insert_only")
    busy.as_admin("DELETE FROM ledger.transfer WHERE seq = 2")
    assert (await stored_roots(busy))[0] != (await recomputed_roots(busy))[0]


async def test_account_changes_are_numbered_without_gaps_and_a_removed_one_is_located(
    busy: LedgerFixture,
) -> None:
    numbered = await busy.pool.fetch("SELECT seq, log_seq FROM account_change ORDER BY seq")
    assert [tuple(row) for row in numbered] == [(1, 2), (2, 4), (3, 4)]
    busy.as_admin("ALTER TABLE ledger.account_change DISABLE TRIGGER insert_only")
    busy.as_admin("DELETE FROM ledger.account_change WHERE seq = 3")
    assert (await stored_roots(busy))[3] != (await recomputed_roots(busy))[3]


async def test_a_change_outside_the_log_is_refused_by_the_database(busy: LedgerFixture) -> None:
    columns = (
        "shard, account, operation, frozen_in, frozen_out, closed, request_hash, recorded_at,"
        " who_actor, who_principal, why_program, why_event, why_reason"
    )
    copied = f"INSERT INTO account_change (id, {columns}) SELECT 'x', {columns} FROM account_change"
    with pytest.raises(asyncpg.CheckViolationError, match="account_change_in_log"):
        await busy.pool.execute(f"{copied} LIMIT 1")
