"""What is owed and how it is settled, in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Shape, Where, Who, Why
from tally_money import Money, currency
from tally_postgres import Connection, Record

_INSERT = """
INSERT INTO receivable (
    receivable_id, return_id, position, owner, company, account, currency, amount, opened_at,
    changed_at)
SELECT r.*, $9, $9
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::numeric[])
    AS r (receivable_id, return_id, position, owner, company, account, currency, amount)
"""

_LOCK = """
SELECT receivable_id, return_id, position, owner, company, account, currency, amount, settled,
       settling
FROM receivable WHERE receivable_id = ANY($1::text[])
ORDER BY receivable_id FOR UPDATE
"""

_OF_RETURN = "SELECT receivable_id FROM receivable WHERE return_id = $1"

_SETTLEMENT_DIGEST = "SELECT digest FROM receivable_settlement WHERE settlement_id = $1"

_INSERT_SETTLEMENTS = """
INSERT INTO receivable_settlement (
    settlement_id, receivable_id, digest, amount, state, settled_by, journal_id, about, asked_at,
    changed_at)
SELECT s.settlement_id, s.receivable_id, s.digest, s.amount, 'asked', s.settled_by, s.journal_id,
       s.about, $8, $8
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::numeric[], $5::text[], $6::text[], $7::jsonb[])
    AS s (settlement_id, receivable_id, digest, amount, settled_by, journal_id, about)
"""

_SETTLING = """
UPDATE receivable v SET settling = v.settling + s.amount, changed_at = $3
FROM unnest($1::text[], $2::numeric[]) AS s (receivable_id, amount)
WHERE v.receivable_id = s.receivable_id
"""

# The receivables first, as everywhere; a settlement belongs to one for good.
_ASKED = """
SELECT s.settlement_id, s.receivable_id, s.amount, s.settled_by, s.about
FROM receivable_settlement s
WHERE s.journal_id = ANY($1::text[]) AND s.state = 'asked'
ORDER BY s.settlement_id
"""

_END = """
WITH ended AS (
    UPDATE receivable_settlement s SET state = $2, changed_at = $3
    WHERE s.settlement_id = ANY($1::text[]) AND s.state = 'asked'
    RETURNING s.receivable_id, s.amount
), sums AS (
    SELECT receivable_id, sum(amount) AS amount FROM ended GROUP BY receivable_id
)
UPDATE receivable v
SET settling = v.settling - e.amount,
    settled = v.settled + CASE WHEN $2 = 'settled' THEN e.amount ELSE 0 END,
    changed_at = $3
FROM sums e WHERE v.receivable_id = e.receivable_id
"""

_OPEN = """
SELECT currency, count(*), min(opened_at) FROM receivable WHERE settled < amount GROUP BY currency
"""


@dataclass(frozen=True, slots=True)
class NewReceivable:
    """A debt about to be entered."""

    receivable_id: str
    return_id: str
    position: int
    owner: str
    company: str
    account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Receivable:
    """A debt as stored, locked. `settling` was asked of the ledger and not answered yet."""

    receivable_id: str
    return_id: str
    position: int
    owner: str
    company: str
    account: str
    amount: Money
    settled: Money
    settling: Money

    @property
    def left(self) -> Money:
        """What is open and not being settled."""
        return self.amount - self.settled - self.settling


class AboutSettlement(Shape):
    """Who settles, where and why."""

    who: Who
    where: Where
    why: Why


@dataclass(frozen=True, slots=True)
class NewSettlement:
    """Money about to be moved to a debt."""

    settlement_id: str
    receivable_id: str
    digest: bytes
    amount: Money
    settled_by: str
    journal_id: str
    about: AboutSettlement


@dataclass(frozen=True, slots=True)
class AskedSettlement:
    """A settlement the ledger has not answered."""

    settlement_id: str
    receivable_id: str
    minor: int
    settled_by: str
    about: AboutSettlement


async def insert(conn: Connection, opened: Sequence[NewReceivable], now: datetime) -> None:
    """Enter debts."""
    await conn.execute(
        _INSERT,
        [r.receivable_id for r in opened],
        [r.return_id for r in opened],
        [r.position for r in opened],
        [r.owner for r in opened],
        [r.company for r in opened],
        [r.account for r in opened],
        [r.amount.currency.code for r in opened],
        [r.amount.minor for r in opened],
        now,
    )


async def lock(conn: Connection, receivable_ids: Sequence[str]) -> dict[str, Receivable]:
    """Debts by id, locked; ids that are none are left out."""
    rows = await conn.fetch(_LOCK, receivable_ids)
    return {row["receivable_id"]: _receivable(row) for row in rows}


def _receivable(row: Record) -> Receivable:
    unit = currency(row["currency"])
    return Receivable(
        row["receivable_id"],
        row["return_id"],
        row["position"],
        row["owner"],
        row["company"],
        row["account"],
        Money(row["amount"], unit),
        Money(row["settled"], unit),
        Money(row["settling"], unit),
    )


async def of_return(conn: Connection, return_id: str) -> tuple[str, ...]:
    """The debts a return led to."""
    return tuple(row[0] for row in await conn.fetch(_OF_RETURN, return_id))


async def settlement_digest(conn: Connection, settlement_id: str) -> bytes | None:
    """The content a settlement's id came with before."""
    found = await conn.fetchval(_SETTLEMENT_DIGEST, settlement_id)
    return None if found is None else bytes(found)


async def insert_settlements(
    conn: Connection, asked: Sequence[NewSettlement], now: datetime
) -> None:
    """Enter settlements asked of the ledger, and keep their amounts from being settled twice."""
    await conn.execute(
        _INSERT_SETTLEMENTS,
        [s.settlement_id for s in asked],
        [s.receivable_id for s in asked],
        [s.digest for s in asked],
        [s.amount.minor for s in asked],
        [s.settled_by for s in asked],
        [s.journal_id for s in asked],
        [s.about.model_dump(mode="json") for s in asked],
        now,
    )
    await conn.execute(
        _SETTLING, [s.receivable_id for s in asked], [s.amount.minor for s in asked], now
    )


async def asked_by(conn: Connection, journal_ids: Sequence[str]) -> tuple[AskedSettlement, ...]:
    """Settlements that these journals move and that were not answered yet."""
    return tuple(
        AskedSettlement(
            row["settlement_id"],
            row["receivable_id"],
            int(row["amount"]),
            row["settled_by"],
            AboutSettlement.model_validate(row["about"]),
        )
        for row in await conn.fetch(_ASKED, journal_ids)
    )


async def end(
    conn: Connection, settlement_ids: Sequence[str], *, settled: bool, now: datetime
) -> None:
    """End settlements: their amounts are settled, or open again."""
    await conn.execute(_END, settlement_ids, "settled" if settled else "refused", now)


async def open_receivables(conn: Connection) -> Mapping[str, tuple[int, datetime]]:
    """Open debts by currency: how many, and since when the oldest stands."""
    return {row[0]: (row[1], row[2]) for row in await conn.fetch(_OPEN)}
