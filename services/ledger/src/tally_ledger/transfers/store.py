"""Rows of transfers between ledgers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from tally_contracts.ledger_transfers import StartTransfer, TransferStarted
from tally_ledger.transfers.domain import CrossState, CrossTransfer, Decided, Refusal, Side
from tally_postgres import Connection, Pool, Record

_TRANSFERS = """
SELECT id, state, side, code, detail, request, cause, asked_at
FROM cross_transfer WHERE id = ANY($1::text[])
"""

_ADD_TRANSFERS = """
INSERT INTO cross_transfer (id, ledger, to_ledger, asset, amount, state, side, code, detail,
                            request, cause, asked_at, ended_at)
SELECT id, ledger, to_ledger, asset, amount, state, side, code, detail, request, cause,
       $12::timestamptz, CASE WHEN state = 'started' THEN NULL ELSE $12::timestamptz END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[])
     AS given (id, ledger, to_ledger, asset, amount, state, side, code, detail, request, cause)
"""

_END_TRANSFERS = """
UPDATE cross_transfer t
SET state = given.state, side = given.side, code = given.code, detail = given.detail, ended_at = $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
     AS given (id, state, side, code, detail)
WHERE t.id = given.id AND t.state = 'started'
"""

_CREDITS = """
SELECT id, from_ledger, ledger, asset, amount, credit, code, detail
FROM cross_credit WHERE id = ANY($1::text[])
"""

_ADD_CREDITS = """
INSERT INTO cross_credit (id, from_ledger, ledger, asset, amount, credit, code, detail, decided_at)
SELECT *, $9::timestamptz FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                                      $6::text[], $7::text[], $8::text[])
"""

_OVERDUE = """
SELECT id, state, side, code, detail, request, cause, asked_at
FROM cross_transfer
WHERE state = 'started' AND asked_at < $1 AND (asked_again_at IS NULL OR asked_again_at < $1)
ORDER BY asked_at, id
LIMIT $2
FOR UPDATE SKIP LOCKED
"""

_ASKED_AGAIN = """
UPDATE cross_transfer SET asked_again_at = $2, asked_again = asked_again + 1
WHERE id = ANY($1::text[])
"""

_OPEN = (
    "SELECT count(*) AS number, min(asked_at) AS oldest FROM cross_transfer WHERE state = 'started'"
)


@dataclass(frozen=True, slots=True)
class StoredTransfer:
    """A transfer with the command that began it and the cause its facts inherit."""

    transfer: CrossTransfer
    start: StartTransfer
    cause: str
    asked_at: datetime


async def transfers(conn: Connection, ids: Sequence[str]) -> Mapping[str, StoredTransfer]:
    """Those of the transfers that are in the books here, by id."""
    rows = await conn.fetch(_TRANSFERS, list(ids))
    return {row["id"]: _stored(row) for row in rows}


async def add(conn: Connection, begun: Sequence[StoredTransfer]) -> None:
    """Enter transfers; all of them were asked for at the same time."""
    if not begun:
        return
    columns = zip(
        *(
            (
                one.transfer.id,
                one.start.ledger,
                one.start.to_ledger,
                one.start.amount.currency,
                one.start.amount.amount,
                *decision_of(one.transfer),
                one.start.model_dump_json(),
                one.cause,
            )
            for one in begun
        ),
        strict=True,
    )
    await conn.execute(_ADD_TRANSFERS, *map(list, columns), begun[0].asked_at)


async def end(conn: Connection, ended: Sequence[CrossTransfer], now: datetime) -> None:
    """Enter the ends of open transfers."""
    if not ended:
        return
    columns = zip(*((one.id, *decision_of(one)) for one in ended), strict=True)
    status = await conn.execute(_END_TRANSFERS, *map(list, columns), now)
    assert status == f"UPDATE {len(ended)}", f"open transfers ended: {status!r} of {len(ended)}"


def of_credit(started: TransferStarted) -> tuple[str, ...]:
    """What the ledger a transfer goes to decides about: from and to which ledger, how much, whose."""
    amount = started.amount
    return (started.ledger, started.to_ledger, amount.currency, amount.amount, started.credit)


async def credits_(conn: Connection, ids: Sequence[str]) -> Mapping[str, Decided]:
    """What was decided about transfers to a ledger here, by id."""
    rows = await conn.fetch(_CREDITS, list(ids))
    about = itemgetter("from_ledger", "ledger", "asset", "amount", "credit")
    return {row["id"]: Decided(about(row), refusal_of(row)) for row in rows}


async def add_credits(
    conn: Connection, decided: Sequence[tuple[TransferStarted, Refusal | None]], now: datetime
) -> None:
    """Enter what was decided."""
    if not decided:
        return
    columns = zip(
        *(
            (
                started.transfer_id,
                *of_credit(started),
                None if refusal is None else refusal.code,
                None if refusal is None else refusal.detail,
            )
            for started, refusal in decided
        ),
        strict=True,
    )
    await conn.execute(_ADD_CREDITS, *map(list, columns), now)


async def overdue(conn: Connection, before: datetime, limit: int) -> Sequence[StoredTransfer]:
    """Open transfers asked for, and asked again, before a time; locked, the oldest first."""
    return [_stored(row) for row in await conn.fetch(_OVERDUE, before, limit)]


async def asked_again(conn: Connection, ids: Sequence[str], now: datetime) -> None:
    """Note that the other ledger was asked once more."""
    await conn.execute(_ASKED_AGAIN, list(ids), now)


async def open_transfers(pool: Pool) -> tuple[int, datetime | None]:
    """How many transfers wait for the other ledger, and since when the oldest does."""
    row = await pool.fetchrow(_OPEN)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return row["number"], row["oldest"]


def _stored(row: Record) -> StoredTransfer:
    transfer = CrossTransfer(
        row["id"],
        CrossState(row["state"]),
        None if row["side"] is None else Side(row["side"]),
        refusal_of(row),
    )
    start = StartTransfer.model_validate_json(row["request"])
    return StoredTransfer(transfer, start, row["cause"], row["asked_at"])


def refusal_of(row: Record) -> Refusal | None:
    """Why a ledger did not take part, None if it did."""
    return None if row["code"] is None else Refusal(row["code"], row["detail"])


def decision_of(transfer: CrossTransfer) -> tuple[str | None, ...]:
    """State, side, code and detail, as rows have them."""
    refusal = transfer.refusal
    return (
        str(transfer.state),
        None if transfer.side is None else str(transfer.side),
        None if refusal is None else refusal.code,
        None if refusal is None else refusal.detail,
    )
