"""Rows of settlements between ledgers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from tally_contracts.ledger_transfers import SettleTransit, TransitSettled, TransitStarted
from tally_ledger.transfers.domain import CrossState, CrossTransfer, Decided, Refusal, Side
from tally_ledger.transfers.store import decision_of, refusal_of
from tally_postgres import Connection, Pool, Record

_COLUMNS = "id, request, amount, owed_by, state, side, code, detail, cause, settled_at, ended_at"

_SETTLEMENTS = f"SELECT {_COLUMNS} FROM transit_settlement WHERE id = ANY($1::text[])"

_ADD = """
INSERT INTO transit_settlement (id, ledger, other, asset, amount, owed_by, request, state, side, code,
                                detail, cause, settled_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

_END = """
UPDATE transit_settlement s
SET state = given.state, side = given.side, code = given.code, detail = given.detail, ended_at = $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
     AS given (id, state, side, code, detail)
WHERE s.id = given.id AND s.state = 'started'
"""

_IS_OPEN = """
SELECT id FROM transit_settlement
WHERE ledger = $1 AND other = $2 AND asset = $3 AND state = 'started'
"""

_OVERDUE = f"""
SELECT {_COLUMNS} FROM transit_settlement
WHERE state = 'started' AND settled_at < $1 AND (asked_again_at IS NULL OR asked_again_at < $1)
ORDER BY settled_at, id
LIMIT $2
FOR UPDATE SKIP LOCKED
"""

_ASKED_AGAIN = """
UPDATE transit_settlement SET asked_again_at = $2, asked_again = asked_again + 1
WHERE id = ANY($1::text[])
"""

_OPEN = """
SELECT count(*) AS number, min(settled_at) AS oldest FROM transit_settlement
WHERE state = 'started'
"""

_MIRRORS = """
SELECT id, from_ledger, ledger, asset, amount, owed_by, code, detail
FROM transit_mirror WHERE id = ANY($1::text[])
"""

_ADD_MIRRORS = """
INSERT INTO transit_mirror (id, from_ledger, ledger, asset, amount, owed_by, code, detail,
                            decided_at)
SELECT *, $9::timestamptz FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                                      $6::text[], $7::text[], $8::text[])
"""

_STANDING = """
SELECT coalesce(sum(credits_posted - debits_posted), 0)::numeric(38, 0) FROM account WHERE id = $1
"""

_SCALE = "SELECT scale FROM asset WHERE code = $1"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settlement in the books of the ledger that was asked; `amount` is decimal, not negative.

    `state` is that of its reservation; `at` is when the amount was fixed.
    """

    request: SettleTransit
    amount: str
    owed_by: str
    state: CrossTransfer
    cause: str
    at: datetime
    ended_at: datetime | None = None


async def settlements(conn: Connection, ids: Sequence[str]) -> Mapping[str, Settlement]:
    """Those of the settlements that were asked for here, by id."""
    return {row["id"]: _stored(row) for row in await conn.fetch(_SETTLEMENTS, list(ids))}


async def add(conn: Connection, begun: Settlement) -> None:
    """Enter a settlement."""
    asked = begun.request
    await conn.execute(
        _ADD,
        asked.settlement_id,
        asked.ledger,
        asked.other,
        asked.currency,
        begun.amount,
        begun.owed_by,
        asked.model_dump_json(),
        *decision_of(begun.state),
        begun.cause,
        begun.at,
        begun.ended_at,
    )


async def end(conn: Connection, ended: Sequence[CrossTransfer], now: datetime) -> None:
    """Enter the ends of open settlements."""
    if not ended:
        return
    columns = zip(*((one.id, *decision_of(one)) for one in ended), strict=True)
    status = await conn.execute(_END, *map(list, columns), now)
    assert status == f"UPDATE {len(ended)}", f"open settlements ended: {status!r} of {len(ended)}"


async def open_one(conn: Connection, ledger: str, other: str, asset: str) -> str | None:
    """The settlement of a pair and an asset that waits for the other ledger, if one does."""
    found: str | None = await conn.fetchval(_IS_OPEN, ledger, other, asset)
    return found


async def overdue(conn: Connection, before: datetime, limit: int) -> Sequence[Settlement]:
    """Open settlements begun, and asked about again, before a time; locked, the oldest first."""
    return [_stored(row) for row in await conn.fetch(_OVERDUE, before, limit)]


async def asked_again(conn: Connection, ids: Sequence[str], now: datetime) -> None:
    """Note that the other ledger was asked once more."""
    await conn.execute(_ASKED_AGAIN, list(ids), now)


async def open_settlements(pool: Pool) -> tuple[int, datetime | None]:
    """How many settlements wait for the other ledger, and since when the oldest does."""
    row = await pool.fetchrow(_OPEN)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return row["number"], row["oldest"]


def of_mirror(begun: TransitStarted | TransitSettled) -> tuple[str, ...]:
    """What the other ledger decides about: who asks whom, how much, owed by whom."""
    amount = begun.amount
    return (begun.ledger, begun.other, amount.currency, amount.amount, begun.owed_by)


async def mirrors(conn: Connection, ids: Sequence[str]) -> Mapping[str, Decided]:
    """What was decided here about settlements that other ledgers began, by id."""
    about = itemgetter("from_ledger", "ledger", "asset", "amount", "owed_by")
    return {
        row["id"]: Decided(about(row), refusal_of(row))
        for row in await conn.fetch(_MIRRORS, list(ids))
    }


async def add_mirrors(
    conn: Connection,
    decided: Sequence[tuple[TransitStarted | TransitSettled, Refusal | None]],
    now: datetime,
) -> None:
    """Enter what was decided."""
    if not decided:
        return
    columns = zip(
        *(
            (
                begun.settlement_id,
                *of_mirror(begun),
                None if refusal is None else refusal.code,
                None if refusal is None else refusal.detail,
            )
            for begun, refusal in decided
        ),
        strict=True,
    )
    await conn.execute(_ADD_MIRRORS, *map(list, columns), now)


async def standing(conn: Connection, account: str) -> int:
    """The posted balance of an account in minor units, credits minus debits; 0 if it is not open."""
    return int(await conn.fetchval(_STANDING, account))


async def scale(conn: Connection, asset: str) -> int | None:
    """Decimals of an asset, None if the books do not know it."""
    found: int | None = await conn.fetchval(_SCALE, asset)
    return found


def _stored(row: Record) -> Settlement:
    state = CrossTransfer(
        row["id"],
        CrossState(row["state"]),
        None if row["side"] is None else Side(row["side"]),
        refusal_of(row),
    )
    return Settlement(
        SettleTransit.model_validate_json(row["request"]),
        row["amount"],
        row["owed_by"],
        state,
        row["cause"],
        row["settled_at"],
        row["ended_at"],
    )
