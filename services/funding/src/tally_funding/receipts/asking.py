"""The gate asked of money that comes in: what its payee may not receive yet is restricted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tally_funding.claims.domain.estate import is_claimable, restricted
from tally_funding.domain import PartOfPayIn, Suspense
from tally_funding.postings import Books
from tally_funding.receipts import store
from tally_funding.receipts.domain import Gate, asks, fits
from tally_funding.rules.book import Decided
from tally_gates import Party, book_of
from tally_postgres import Connection
from tally_runtime import party_id_of

BENEFICIARY: Final = "beneficiary"
"""The role of a share that is its payee's, whatever was told of that party."""


async def restrict(
    conn: Connection, books: Books, decisions: Sequence[Decided], now: datetime
) -> Sequence[Decided]:
    """The decisions of a batch, with shares that their owners may not receive yet restricted.

    Read without a lock: whoever takes the restricted money up asks again.
    """
    book = book_of(await store.load_tables(conn, now))
    if not asks(book):
        return decisions
    owners = {
        part.owner
        for decided in decisions
        if not isinstance(decided.outcome, Suspense)
        for part in decided.outcome
        if not is_claimable(part.owner)
    }
    gate = Gate(book, await _told_of(conn, books, owners), now)
    return [_restricted(decided, gate) for decided in decisions]


async def read_gate(
    conn: Connection, books: Books, owners: Collection[str], now: datetime
) -> Gate | None:
    """The gate of these owners, without a lock: whoever takes the restricted money up asks again.

    None where no table says anything of receiving.
    """
    book = book_of(await store.load_tables(conn, now))
    return Gate(book, await _told_of(conn, books, owners), now) if asks(book) else None


def _restricted(decided: Decided, gate: Gate) -> Decided:
    if isinstance(decided.outcome, Suspense):
        return decided
    parts = tuple(
        replace(part, owner=restricted(part.owner)) if _is_closed(part, gate) else part
        for part in decided.outcome
    )
    return replace(decided, outcome=parts)


def _is_closed(part: PartOfPayIn, gate: Gate) -> bool:
    """Of shares of companies only those of parties that something was told of are asked about."""
    if is_claimable(part.owner) or not fits(part.owner):
        return False
    if part.role != BENEFICIARY and part.owner not in gate.parties:
        return False
    return gate.closing(part.owner, part.amount) is not None


async def lock_gate(
    conn: Connection, books: Books, owners: Collection[str], now: datetime
) -> Gate | None:
    """The gate of these owners; neither tables nor their levels change before this unit ends.

    None where no table says anything of receiving.
    """
    await store.lock_tables(conn, alone=False)
    book = book_of(await store.load_tables(conn, now))
    if not asks(book):
        return None
    await store.lock_levels(conn, {party_id_of(owner, books.tenant) for owner in owners})
    return Gate(book, await _told_of(conn, books, owners), now)


async def _told_of(conn: Connection, books: Books, owners: Collection[str]) -> Mapping[str, Party]:
    ids = {owner: party_id_of(owner, books.tenant) for owner in owners}
    levels = await store.read_levels(conn, set(ids.values()))
    return {owner: levels[one] for owner, one in ids.items() if one in levels}
