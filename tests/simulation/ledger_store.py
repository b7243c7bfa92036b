"""The books over rows in memory: one value for each shard, guarded by the shard's version.

`head` and books are read by two statements, as in SQL: a commit between the two is caught by the
compare-and-set alone. Ids of journals and transfers, and (account, seq) of entries, are unique.
"""

from dataclasses import dataclass, fields
from types import SimpleNamespace

import asyncpg

from tally_ledger.domain import Books, HoldState, Place
from tally_ledger.store.loading import DueHold, Head
from tally_money import iso_currencies


@dataclass(frozen=True)
class Shard:
    version: int
    log_seq: int
    transfer_seq: int
    root: bytes
    recorded_at: object
    books: Books


def open_shard(database, ledger):
    """Enter a ledger, as the service's start does."""
    books = Books(ledger)
    database.rows["shard"].setdefault(ledger, Shard(0, 0, 0, bytes(32), None, books))


def build(*, compare_and_set: bool = True):
    """The store's functions; without compare-and-set a stale writer wins (a planted bug)."""

    async def load(conn, ledger, commands):
        await conn.statement("ledger.head")
        shard = conn.get("shard", ledger)
        if shard is None:
            return None, Books(ledger, is_open=False)
        head = Head(**{field.name: getattr(shard, field.name) for field in fields(Head)})
        await conn.statement("ledger.load")
        return head, conn.get("shard", ledger).books

    async def save(conn, head, batch, *, seal, causes, now, change_seq):
        assert change_seq == 0, "nobody freezes or closes accounts here"
        await conn.statement("ledger.advance")
        ledger = batch.after.ledger
        await conn.lock("shard", [ledger])
        shard = conn.get("shard", ledger)
        if compare_and_set and shard.version != head.version:
            conn.world.count("shard_moved_on")
            raise asyncpg.SerializationError("the shard has moved on")
        transfers = sum(len(posted.transfers) for _, posted in batch.posted)
        books = batch.after.copy()
        answered = {command.id for command, _ in [*batch.posted, *batch.rejected]}
        answered |= {command.id for command, _ in batch.changed}
        for request in books.known.keys() - shard.books.known.keys() - answered:
            del books.known[request]
        after = Shard(
            head.version + 1,
            books.log_seq,
            head.transfer_seq + transfers,
            head.root if seal is None else seal[0],
            now,
            books,
        )
        conn.put("shard", ledger, after)
        await conn.statement("ledger.save")
        await _append(conn, ledger, batch, causes, checked=compare_and_set)

    async def due_holds(conn, ledger, now, limit):
        await conn.statement("ledger.due_holds")
        due = [
            hold
            for hold in conn.get("shard", ledger).books.holds.values()
            if hold.state is HoldState.OPEN and hold.expires_at and hold.expires_at <= now
        ]
        due.sort(key=lambda hold: (hold.expires_at, hold.id))
        return [_due(conn, hold) for hold in due[:limit]]

    async def units(conn, codes):
        await conn.statement("ledger.units")
        known = iso_currencies()
        return {code: known[code] for code in sorted(codes) if code in known}

    return SimpleNamespace(
        load=load, save=save, due_holds=due_holds, units=units, DueHold=DueHold, Head=Head
    )


async def _append(conn, ledger, batch, causes, *, checked):
    insert = conn.insert_new if checked else conn.insert
    for command, posted in batch.posted:
        await insert("journal", command.id, command)
        for transfer in posted.transfers:
            await insert("transfer", transfer.id, (ledger, command.id, transfer))
        if isinstance(command, Place):
            await insert("placed", command.id, (command, causes.get(command.id)))
    for entry in [*batch.entries, *batch.grouped]:
        await insert("entry", (entry.account, entry.seq), entry)
    for command, rejected in batch.rejected:
        await insert("rejection", command.id, rejected)


def _due(conn, hold):
    command, cause = conn.get("placed", hold.id)
    context = command.context
    return DueHold(
        id=hold.id,
        reference=command.reference,
        currency=hold.currency,
        cause=cause,
        code=command.leg.code,
        principal=context.principal,
        country=context.country,
        program=context.program,
        event=context.event,
    )
