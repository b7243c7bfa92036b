"""Claims, movements and redirects: one statement per function, whatever the number of rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_funding.claims.domain.estate import Claim, ClaimState, Movement, Reason
from tally_funding.claims.store.wallets import Circumstances
from tally_money import Money
from tally_postgres import Connection, Record

_CLAIM = "claim_id, tenant, owner, code_hash, contact, expires_at, expires_to, state, claimant"

_ISSUE = """
INSERT INTO claim (
    claim_id, tenant, owner, code_hash, contact, company, expires_at, expires_to, circumstances,
    cause, state, claimant, due_at, issued_at, changed_at)
SELECT c.claim_id, c.tenant, c.owner, c.code_hash, c.contact, c.company, c.expires_at, c.expires_to,
       c.circumstances, c.cause, c.state, c.claimant, CASE c.state WHEN 'issued' THEN c.expires_at END, $13, $13
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::timestamptz[],
    $8::text[], $9::jsonb[], $10::text[], $11::text[], $12::text[])
    AS c (claim_id, tenant, owner, code_hash, contact, company, expires_at, expires_to,
          circumstances, cause, state, claimant)
"""

_MOVE_CLAIMS = """
UPDATE claim c
SET state = m.state, claimant = m.claimant, due_at = m.due_at, changed_at = $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    AS m (claim_id, previous, state, claimant, due_at)
WHERE c.claim_id = m.claim_id AND c.state = m.previous
"""

_BY_ID = f"SELECT {_CLAIM} FROM claim WHERE claim_id = ANY($1::text[])"

_OPEN_OF = f"""
SELECT {_CLAIM} FROM claim
WHERE owner = ANY($1::text[]) AND state IN ('issued', 'redeeming', 'expiring')
ORDER BY claim_id FOR UPDATE
"""

_DUE_OWNERS = "SELECT owner FROM claim WHERE due_at <= $1 ORDER BY due_at LIMIT $2"

_STILL_DUE = "SELECT owner FROM claim WHERE owner = ANY($1::text[]) AND due_at <= $2"

_PUT_OFF = """
UPDATE claim SET due_at = $2
WHERE owner = ANY($1::text[]) AND due_at IS NOT NULL AND due_at < $2
"""

_MOVEMENT = """m.movement_id, m.owner, m.to_owner, m.reason, m.claim_id, m.amounts,
    m.circumstances, m.cause, m.started_at"""

_START = """
INSERT INTO movement (
    movement_id, tenant, owner, to_owner, reason, claim_id, journal_id, amounts, circumstances,
    cause, state, started_at, changed_at)
SELECT m.*, $12, $12 FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
    $9::jsonb[], $10::text[], $11::text[])
    AS m (movement_id, tenant, owner, to_owner, reason, claim_id, journal_id, amounts,
          circumstances, cause, state)
"""

_END = """
UPDATE movement m SET state = e.state, changed_at = $3
FROM unnest($1::text[], $2::text[]) AS e (movement_id, state)
WHERE m.movement_id = e.movement_id AND m.state = 'moving'
"""

_MOVING_OF = f"""
SELECT {_MOVEMENT} FROM movement m WHERE m.owner = ANY($1::text[]) AND m.state = 'moving'
"""

_OWNERS_OF_MOVING = """
SELECT movement_id, owner FROM movement WHERE movement_id = ANY($1::text[]) AND state = 'moving'
"""

# Where the new owner is redirected itself by now, straight to the end.
_REDIRECT = """
INSERT INTO redirect (owner, tenant, to_owner, movement_id, since)
SELECT n.owner, n.tenant, coalesce(r.to_owner, n.to_owner), n.movement_id, $5
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
    AS n (owner, tenant, to_owner, movement_id)
LEFT JOIN redirect r ON r.owner = n.to_owner
"""

_LEAD_ON = """
UPDATE redirect led SET to_owner = r.to_owner
FROM redirect r WHERE r.owner = led.to_owner AND r.owner = ANY($1::text[])
"""

_REDIRECTS = "SELECT owner, to_owner FROM redirect WHERE owner = ANY($1::text[])"

_LED = "SELECT owner, to_owner, retry_at FROM redirect WHERE owner = ANY($1::text[])"

_RETRY = """
UPDATE redirect r SET retry_at = t.retry_at
FROM unnest($1::text[], $2::timestamptz[]) AS t (owner, retry_at) WHERE r.owner = t.owner
"""

_RETRY_OWNERS = "SELECT owner FROM redirect WHERE retry_at <= $1 ORDER BY retry_at LIMIT $2"

_COMPANIES = """
SELECT c.owner, c.company, coalesce(p.path, '{}') AS path
FROM claimable_company c LEFT JOIN party_place p ON p.party_id = c.company
WHERE c.owner = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class KeptClaim:
    """A claim with what only its keeper needs: whose money, and the hash of its code."""

    claim: Claim
    tenant: str
    owner: str
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A claim about to be entered. `company` issued it."""

    kept: KeptClaim
    company: str
    told: Circumstances


@dataclass(frozen=True, slots=True)
class ClaimMove:
    """A change of state, made only if `previous` still holds; `due_at`: when time moves it on."""

    claim: Claim
    previous: ClaimState
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptMovement:
    """A movement with its circumstances, as it stands."""

    movement: Movement
    owner: str
    tenant: str
    journal_id: str | None
    told: Circumstances
    state: str = "moving"


@dataclass(frozen=True, slots=True)
class Ending:
    """A movement that is over, made only while it is under way."""

    movement_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the money of an owner goes from now on."""

    owner: str
    tenant: str
    to_owner: str
    movement_id: str


async def issue(conn: Connection, claims: Sequence[NewClaim], now: datetime) -> None:
    """Enter new claims."""
    rows = [
        (
            new.kept.claim.claim_id,
            new.kept.tenant,
            new.kept.owner,
            new.kept.code_hash,
            new.kept.claim.contact,
            new.company,
            new.kept.claim.expires_at,
            new.kept.claim.expires_to,
            new.told.document(),
            new.told.cause.to_text(),
            new.kept.claim.state.value,
            new.kept.claim.claimant,
        )
        for new in claims
    ]
    await conn.execute(_ISSUE, *map(list, zip(*rows, strict=True)), now)


async def move(conn: Connection, moves: Sequence[ClaimMove], now: datetime) -> None:
    """Change states; the caller holds the rows' locks, so every change must take."""
    rows = [
        (m.claim.claim_id, m.previous.value, m.claim.state.value, m.claim.claimant, m.due_at)
        for m in moves
    ]
    status = await conn.execute(_MOVE_CLAIMS, *map(list, zip(*rows, strict=True)), now)
    assert status == f"UPDATE {len(moves)}", f"{len(moves)} claims, the database: {status!r}"


async def by_id(conn: Connection, claim_ids: Collection[str]) -> Mapping[str, KeptClaim]:
    """Claims by id, open or not."""
    return {row["claim_id"]: _claim(row) for row in await conn.fetch(_BY_ID, sorted(claim_ids))}


async def open_of(conn: Connection, owners: Collection[str]) -> Mapping[str, KeptClaim]:
    """The open claim of each owner that has one, locked."""
    return {row["owner"]: _claim(row) for row in await conn.fetch(_OPEN_OF, sorted(owners))}


async def due_owners(conn: Connection, now: datetime, limit: int) -> Sequence[str]:
    """Owners whose open claim is over by now, the longest first."""
    return [row[0] for row in await conn.fetch(_DUE_OWNERS, now, limit)]


async def still_due(conn: Connection, owners: Collection[str], now: datetime) -> frozenset[str]:
    """Those of these owners whose claim is due by now; the caller holds their locks."""
    return frozenset(row[0] for row in await conn.fetch(_STILL_DUE, sorted(owners), now))


async def put_off(conn: Connection, owners: Collection[str], until: datetime) -> None:
    """Look at the due claims of these owners again at that time."""
    await conn.execute(_PUT_OFF, sorted(owners), until)


async def start(conn: Connection, movements: Sequence[KeptMovement], now: datetime) -> None:
    """Enter movements, as they stand."""
    rows = [
        (
            m.movement.movement_id,
            m.tenant,
            m.owner,
            m.movement.to_owner,
            m.movement.reason.value,
            m.movement.claim_id,
            m.journal_id,
            {amount.currency.code: amount.wire_amount for amount in m.movement.amounts},
            m.told.document(),
            m.told.cause.to_text(),
            m.state,
        )
        for m in movements
    ]
    await conn.execute(_START, *map(list, zip(*rows, strict=True)), now)


async def end(conn: Connection, endings: Sequence[Ending], now: datetime) -> None:
    """End movements; each must be under way."""
    status = await conn.execute(
        _END, [e.movement_id for e in endings], [e.state for e in endings], now
    )
    assert status == f"UPDATE {len(endings)}", f"{len(endings)} ends, the database: {status!r}"


async def moving_of(
    conn: Connection, owners: Collection[str]
) -> Mapping[str, tuple[Movement, Circumstances, datetime]]:
    """The movement under way of each owner that has one, with when it was asked for."""
    return {
        row["owner"]: (
            Movement(
                row["movement_id"],
                row["to_owner"],
                Reason(row["reason"]),
                tuple(Money.parse(text, code) for code, text in sorted(row["amounts"].items())),
                row["claim_id"],
            ),
            Circumstances.of(row),
            row["started_at"],
        )
        for row in await conn.fetch(_MOVING_OF, sorted(owners))
    }


async def owners_of_moving(conn: Connection, movement_ids: Collection[str]) -> Mapping[str, str]:
    """The owners of those of the movements that are under way, by movement."""
    rows = await conn.fetch(_OWNERS_OF_MOVING, sorted(movement_ids))
    return {row[0]: row[1] for row in rows}


async def redirect(conn: Connection, redirects: Sequence[Redirect], now: datetime) -> None:
    """Lead the money of owners elsewhere, and what led to them straight on."""
    rows = [(r.owner, r.tenant, r.to_owner, r.movement_id) for r in redirects]
    await conn.execute(_REDIRECT, *map(list, zip(*rows, strict=True)), now)
    await conn.execute(_LEAD_ON, [r.owner for r in redirects])


async def redirects(conn: Connection, owners: Collection[str]) -> Mapping[str, str]:
    """Where the money of those owners goes that are redirected."""
    return {row[0]: row[1] for row in await conn.fetch(_REDIRECTS, sorted(owners))}


async def led(
    conn: Connection, owners: Collection[str]
) -> Mapping[str, tuple[str, datetime | None]]:
    """Where the money of redirected owners goes, and before when that is not to be tried again."""
    rows = await conn.fetch(_LED, sorted(owners))
    return {row["owner"]: (row["to_owner"], row["retry_at"]) for row in rows}


async def retry(conn: Connection, times: Mapping[str, datetime | None]) -> None:
    """When to try again to move on what came for each owner; None: not needed."""
    await conn.execute(_RETRY, list(times), list(times.values()))


async def retry_owners(conn: Connection, now: datetime, limit: int) -> Sequence[str]:
    """Owners for whom moving on is due again, the longest first."""
    return [row[0] for row in await conn.fetch(_RETRY_OWNERS, now, limit)]


async def companies(
    conn: Connection, owners: Collection[str]
) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Whose money each owner's is: companies, each with itself and the parties above it."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for owner, company, path in await conn.fetch(_COMPANIES, sorted(owners)):
        found.setdefault(owner, {})[company] = frozenset({company, *path})
    return found


def _claim(row: Record) -> KeptClaim:
    claim = Claim(
        row["claim_id"],
        row["contact"],
        row["expires_at"],
        row["expires_to"],
        ClaimState(row["state"]),
        row["claimant"],
    )
    return KeptClaim(claim, row["tenant"], row["owner"], row["code_hash"])
