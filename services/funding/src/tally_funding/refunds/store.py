"""Returns, their legs and what is owed, in SQL.

Rows are locked in one order everywhere: pay-in, return, leg, receivable, each by id.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.funding_sources import ReturnPayIn
from tally_contracts.owners import RESTRICTED
from tally_funding.claims.domain.estate import receiver
from tally_funding.refunds.domain import (
    Holding,
    LegState,
    Portion,
    ReturnKind,
    ReturnState,
)
from tally_messaging import Cause
from tally_money import Currency, Money, currency
from tally_postgres import Connection

_DIGEST = "SELECT digest FROM pay_in_return WHERE return_id = $1"

_UNDER_WAY = """
SELECT coalesce(sum(amount), 0) FROM pay_in_return
WHERE pay_in_id = $1 AND state NOT IN ('refused', 'reinstated')
"""

_INSERT_RETURN = """
INSERT INTO pay_in_return (
    return_id, pay_in_id, digest, kind, state, currency, amount, command, cause, asked_at, changed_at)
VALUES ($1, $2, $3, $4, 'waiting', $5, $6, $7, $8, $9, $9)
"""

_INSERT_LEGS = """
INSERT INTO return_leg (return_id, position, owner, account, amount, state, journal_id)
SELECT $1, l.position, l.owner, l.account, l.amount, 'reversing', l.journal_id
FROM unnest($2::smallint[], $3::text[], $4::text[], $5::numeric[], $6::text[])
    AS l (position, owner, account, amount, journal_id)
"""

_HOLDINGS = """
SELECT a.position, a.owner, a.account, a.amount, coalesce(r.returned, 0) AS returned,
       coalesce(r.reversed_before, 0) AS reversed_before
FROM allocation a
LEFT JOIN (
    SELECT l.position, sum(l.amount) FILTER (WHERE p.state <> 'reinstated') AS returned,
           sum(l.amount) FILTER (WHERE l.state IN ('reversing', 'reversed')) AS reversed_before
    FROM return_leg l JOIN pay_in_return p USING (return_id)
    WHERE p.pay_in_id = $1
    GROUP BY l.position
) r USING (position)
WHERE a.pay_in_id = $1
ORDER BY a.position
"""

_RETURNED_LEGS = """
SELECT coalesce(sum(l.amount) FILTER (WHERE p.state <> 'reinstated'), 0) AS returned,
       coalesce(sum(l.amount) FILTER (WHERE l.state IN ('reversing', 'reversed')), 0) AS reversed
FROM return_leg l JOIN pay_in_return p USING (return_id)
WHERE p.pay_in_id = $1
"""

# Money of an unknown payee on its way to whom it is led, or still to be sent there: the ledger may have
# refused that for now. Where it is to be taken shows once it has arrived.
_LEADING_ON = f"""EXISTS (
    SELECT FROM allocation a LEFT JOIN redirect l USING (owner)
    WHERE a.pay_in_id = p.pay_in_id
      AND (EXISTS (SELECT FROM movement m
                   WHERE m.state = 'moving'
                     AND m.owner IN (a.owner, l.to_owner, '{RESTRICTED}' || l.to_owner))
           OR EXISTS (SELECT FROM claimable_wallet w
                      WHERE l.owner = a.owner AND w.account = a.account AND w.balance > 0)))
"""

# Where money of these owners is by now: with whom it was led on to, or, until it was released since,
# restricted for that party. A share that came by two owners nobody knew is followed over both.
_RESTING = f"""
SELECT a.owner, r.to_owner,
       CASE WHEN s.stood LIKE '{RESTRICTED}%' AND NOT EXISTS (
           SELECT FROM movement x
           WHERE x.owner = s.stood AND x.reason = 'released' AND x.state = 'moved'
             AND x.started_at >= s.since AND x.amounts ? $3)
       THEN s.stood END AS restricted
FROM unnest($1::text[]) AS a (owner)
JOIN pay_in p ON p.pay_in_id = $2
LEFT JOIN redirect r ON r.owner = a.owner
LEFT JOIN movement m ON m.movement_id = r.movement_id
LEFT JOIN redirect n ON n.owner = m.to_owner
LEFT JOIN movement l ON l.movement_id = n.movement_id
CROSS JOIN LATERAL (
    SELECT coalesce(l.to_owner, m.to_owner, a.owner) AS stood,
           coalesce(l.changed_at, m.changed_at, p.changed_at) AS since) AS s
"""

_DUE = (
    """
SELECT r.return_id, r.pay_in_id FROM pay_in_return r JOIN pay_in p USING (pay_in_id)
WHERE ((r.state = 'waiting' AND NOT """
    + _LEADING_ON
    + """) OR (r.state = 'done' AND r.reinstate))
  AND p.state IN ('allocated', 'suspense')
  AND NOT EXISTS (
      SELECT 1 FROM pay_in_match m WHERE m.pay_in_id = r.pay_in_id AND m.state = 'asked')
ORDER BY r.asked_at, r.return_id
LIMIT $1
"""
)

_MATCH_OPEN = "SELECT true FROM pay_in_match WHERE pay_in_id = $1 AND state = 'asked'"

_IS_LED_ON = "SELECT " + _LEADING_ON + " FROM pay_in p WHERE p.pay_in_id = $1"

_PAY_INS_OF = "SELECT DISTINCT pay_in_id FROM pay_in_return WHERE return_id = ANY($1::text[])"

_LOCK_RETURNS = """
SELECT return_id, pay_in_id, kind, state, reinstate, currency, amount, command, cause
FROM pay_in_return WHERE return_id = ANY($1::text[])
ORDER BY return_id FOR UPDATE
"""

_LEGS = """
SELECT l.return_id, l.position, l.owner, l.account, l.amount, l.state, l.journal_id, l.refusal,
       v.receivable_id
FROM return_leg l LEFT JOIN receivable v USING (return_id, position)
WHERE l.return_id = ANY($1::text[])
ORDER BY l.return_id, l.position FOR UPDATE OF l
"""

_RETURNED_TOTALS = """
SELECT pay_in_id, sum(amount) FROM pay_in_return
WHERE pay_in_id = ANY($1::text[]) AND state IN ('done', 'reinstating')
GROUP BY pay_in_id
"""

_MOVE_LEGS = """
UPDATE return_leg l SET state = m.state, journal_id = m.journal_id, refusal = m.refusal
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[])
    AS m (return_id, position, state, journal_id, refusal)
WHERE l.return_id = m.return_id AND l.position = m.position
"""

_MOVE_RETURNS = """
UPDATE pay_in_return r SET state = m.following, changed_at = $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS m (return_id, previous, following)
WHERE r.return_id = m.return_id AND r.state = m.previous
"""

_WANT_REINSTATED = """
UPDATE pay_in_return SET reinstate = true, changed_at = $2
WHERE return_id = $1 AND NOT reinstate
"""


# Asked for by the processor's word, and not undone.
_REFUND_OF = """
SELECT return_id FROM pay_in_return
WHERE pay_in_id = $1 AND kind = 'refund' AND amount = $2 AND NOT reinstate AND state <> 'refused'
  AND command -> 'where' ->> 'channel' = $3
ORDER BY asked_at, return_id LIMIT 1 FOR UPDATE
"""

_OPEN = """
SELECT count(*) AS number, min(asked_at) AS oldest FROM pay_in_return
WHERE state IN ('waiting', 'moving', 'reinstating')
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """What one owner bears, as stored. `refusal`: the ledger's code where the wallet could not pay."""

    portion: Portion
    state: LegState
    journal_id: str
    refusal: str | None
    receivable_id: str | None


@dataclass(frozen=True, slots=True)
class Return:
    """A return as stored, locked for this transaction, with what was asked and why."""

    return_id: str
    pay_in_id: str
    kind: ReturnKind
    state: ReturnState
    reinstate: bool
    amount: Money
    command: ReturnPayIn
    cause: Cause
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class LegMove:
    """A change of one leg."""

    return_id: str
    position: int
    state: LegState
    journal_id: str
    refusal: str | None


async def digest_of(conn: Connection, return_id: str) -> bytes | None:
    """The content a return's id came with before."""
    found = await conn.fetchval(_DIGEST, return_id)
    return None if found is None else bytes(found)


async def under_way(conn: Connection, pay_in_id: str, unit: Currency) -> Money:
    """All that was returned of a pay-in or is asked to be."""
    return Money(int(await conn.fetchval(_UNDER_WAY, pay_in_id)), unit)


async def insert_return(  # noqa: PLR0917 - a row, field by field
    conn: Connection,
    command: ReturnPayIn,
    digest: bytes,
    amount: Money,
    cause: Cause,
    now: datetime,
) -> None:
    """Enter a return as waiting."""
    await conn.execute(
        _INSERT_RETURN,
        command.return_id,
        command.pay_in_id,
        digest,
        command.kind,
        amount.currency.code,
        amount.minor,
        command.model_dump(mode="json"),
        cause.to_text(),
        now,
    )


async def insert_legs(
    conn: Connection, return_id: str, legs: Sequence[tuple[Portion, str]]
) -> None:
    """Enter the portions of a return, each with the journal that moves it back."""
    await conn.execute(
        _INSERT_LEGS,
        return_id,
        [portion.position for portion, _ in legs],
        [portion.owner for portion, _ in legs],
        [portion.account for portion, _ in legs],
        [portion.amount.minor for portion, _ in legs],
        [journal_id for _, journal_id in legs],
    )


async def holdings(conn: Connection, pay_in_id: str, unit: Currency) -> tuple[Holding, ...]:
    """The allocations of a pay-in with what of each was returned."""
    return tuple(
        Holding(
            position,
            owner,
            account,
            Money(amount, unit),
            Money(int(returned), unit),
            Money(int(reversed_before), unit),
        )
        for position, owner, account, amount, returned, reversed_before in await conn.fetch(
            _HOLDINGS, pay_in_id
        )
    )


async def returned_legs(conn: Connection, pay_in_id: str, unit: Currency) -> tuple[Money, Money]:
    """Of a pay-in that stands in suspense: what is returned now, and what reversals ever moved."""
    row = await conn.fetchrow(_RETURNED_LEGS, pay_in_id)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return Money(int(row["returned"]), unit), Money(int(row["reversed"]), unit)


async def match_open(conn: Connection, pay_in_id: str) -> bool:
    """Whether the ledger was asked to match this money and has not answered."""
    return bool(await conn.fetchval(_MATCH_OPEN, pay_in_id))


async def leading_on(conn: Connection, pay_in_id: str) -> bool:
    """Whether a share of an unknown payee is on its way to another owner, or about to be."""
    return bool(await conn.fetchval(_IS_LED_ON, pay_in_id))


async def resting(
    conn: Connection, pay_in_id: str, owners: Collection[str], code: str
) -> Mapping[str, str]:
    """The owners whose money of a pay-in these owners' shares are by now, where those are others."""
    rows = await conn.fetch(_RESTING, sorted(owners), pay_in_id, code)
    found = {row[0]: row[2] or row[1] or receiver(row[0]) for row in rows}
    return {owner: to for owner, to in found.items() if to != owner}


async def due(conn: Connection, most: int) -> tuple[tuple[str, str], ...]:
    """Returns (with their pay-ins) that waited and can begin, or are to be reinstated; oldest first."""
    return tuple((row[0], row[1]) for row in await conn.fetch(_DUE, most))


async def pay_ins_of(conn: Connection, return_ids: Sequence[str]) -> tuple[str, ...]:
    """The pay-ins these returns belong to."""
    return tuple(row[0] for row in await conn.fetch(_PAY_INS_OF, return_ids))


async def lock_returns(conn: Connection, return_ids: Sequence[str]) -> dict[str, Return]:
    """Returns with their legs by id, locked; ids that are none are left out."""
    rows = await conn.fetch(_LOCK_RETURNS, return_ids)
    units = {row["return_id"]: currency(row["currency"]) for row in rows}
    legs: dict[str, list[Leg]] = defaultdict(list)
    for leg in await conn.fetch(_LEGS, list(units)):
        return_id = leg["return_id"]
        amount = Money(leg["amount"], units[return_id])
        legs[return_id].append(
            Leg(
                Portion(leg["position"], leg["owner"], leg["account"], amount),
                LegState(leg["state"]),
                leg["journal_id"],
                leg["refusal"],
                leg["receivable_id"],
            )
        )
    return {
        row["return_id"]: Return(
            return_id=row["return_id"],
            pay_in_id=row["pay_in_id"],
            kind=ReturnKind(row["kind"]),
            state=ReturnState(row["state"]),
            reinstate=row["reinstate"],
            amount=Money(row["amount"], units[row["return_id"]]),
            command=ReturnPayIn.model_validate(row["command"]),
            cause=Cause.from_text(row["cause"]),
            legs=tuple(legs[row["return_id"]]),
        )
        for row in rows
    }


async def returned_totals(conn: Connection, pay_in_ids: Sequence[str]) -> Mapping[str, int]:
    """Minor units returned in full per pay-in; pay-ins without a return are left out."""
    return {row[0]: int(row[1]) for row in await conn.fetch(_RETURNED_TOTALS, pay_in_ids)}


async def move_legs(conn: Connection, moves: Sequence[LegMove]) -> None:
    """Change legs; the caller holds their locks."""
    await conn.execute(
        _MOVE_LEGS,
        [m.return_id for m in moves],
        [m.position for m in moves],
        [m.state.value for m in moves],
        [m.journal_id for m in moves],
        [m.refusal for m in moves],
    )


async def move_returns(
    conn: Connection, moves: Mapping[str, tuple[ReturnState, ReturnState]], now: datetime
) -> None:
    """Change states of returns, (previous, following) each; every change must take."""
    status = await conn.execute(
        _MOVE_RETURNS,
        list(moves),
        [previous.value for previous, _ in moves.values()],
        [following.value for _, following in moves.values()],
        now,
    )
    assert status == f"UPDATE {len(moves)}", f"{len(moves)} moves, the database made {status!r}"


async def want_reinstated(conn: Connection, return_id: str, now: datetime) -> None:
    """Note that a return is to be given back once it is done."""
    await conn.execute(_WANT_REINSTATED, return_id, now)


async def refund_of(conn: Connection, pay_in_id: str, amount: Money, channel: str) -> str | None:
    """The oldest refund of just this amount that came by a channel and stands; locked."""
    found = await conn.fetchval(_REFUND_OF, pay_in_id, amount.minor, channel)
    return None if found is None else str(found)


async def open_returns(conn: Connection) -> tuple[int, datetime | None]:
    """How many returns are not done, and since when the oldest was asked for."""
    row = await conn.fetchrow(_OPEN)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return row["number"], row["oldest"]
