"""What viewers ask: pages of what they see, wallets, movements and sums, by index alone."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tally_portfolio.domain.books import Flow, Movement, Sums
from tally_postgres import Connection, Record

BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """Where a page of things goes on: behind this time and id, the newest first."""

    at: datetime
    subject: str


class Position(NamedTuple):
    """A place among an account's movements, in the order the ledger recorded them."""

    at: datetime
    log_seq: int
    transfer_id: str


NEWEST = Place(END_OF_TIME, "")
LAST = Position(END_OF_TIME, 0, "")

_ATTENTION = """
SELECT at, subject, kind FROM sight WHERE viewer = $1 AND attention AND (at, subject) < ($2, $3)
ORDER BY at DESC, subject DESC LIMIT $4
"""
_SEEN = "SELECT subject FROM sight WHERE viewer = $1 AND subject = ANY($2::text[])"
_BELOW = "SELECT party FROM descent WHERE ancestor = $1 AND party = ANY($2::text[])"
_TENANT_OF = "SELECT tenant FROM party WHERE party_id = $1"
_CONNECTED = """
SELECT EXISTS (
    SELECT FROM connection WHERE from_party = $1 AND to_party = $2 AND state = 'accepted'
    AND access IN ('view', 'manage')
)
"""
_ACCOUNT_OF = "SELECT account FROM wallet WHERE wallet_id = $1"
_GRANTS = """
SELECT g.grant_id, g.tenant, g.fields, w.account, g.wallet
FROM wallet_grant g JOIN wallet w ON w.wallet_id = g.wallet
WHERE g.to_party = $1 AND g.wallet = $2 AND g.fields <> '{}' ORDER BY g.grant_id
"""
# CASE, not COALESCE: Postgres takes the latter for something that could leak a row, and would test
# whose row it is before it looked for the row itself.
_EITHER = "CASE WHEN w.{0} IS NULL THEN a.{0} ELSE w.{0} END"
_WALLETS = f"""
SELECT n.account, {_EITHER.format("owner")} AS owner, {_EITHER.format("currency")} AS currency,
       {_EITHER.format("ledger")} AS ledger, {_EITHER.format("opened_at")} AS opened_at,
       a.path, w.wallet_id, w.purpose, w.reference, w.company, w.value_kind, p.alias,
       COALESCE(b.posted, 0) AS posted, COALESCE(b.held, 0) AS held
FROM unnest($1::text[]) n (account)
LEFT JOIN account a ON a.account_id = n.account
LEFT JOIN wallet w ON w.account = n.account
LEFT JOIN party p ON p.party_id = {_EITHER.format("owner")}
LEFT JOIN balance b ON b.account = n.account AND b.currency = {_EITHER.format("currency")}
WHERE {_EITHER.format("owner")} IS NOT NULL
"""
_PARTIES = """
SELECT party_id, kind, parent, alias, external_id, country, state, registered_at FROM party
WHERE party_id = ANY($1::text[]) AND described IS NOT NULL
"""
_CONSENTS = """
SELECT party_id FROM consent WHERE company = $1 AND party_id = ANY($2::text[]) AND given
"""
_TOTALS = f"""
SELECT currency, {", ".join(Sums._fields)} FROM total WHERE party = $1 ORDER BY currency
"""
_COUNTERPARTIES = """
SELECT a.account_id, a.purpose, p.alias FROM account a LEFT JOIN party p ON p.party_id = a.owner
WHERE a.account_id = ANY($1::text[])
"""

_MOVEMENT = ", ".join(Movement._fields)
_NEWEST_MOVEMENTS = f"""
SELECT {_MOVEMENT} FROM movement
WHERE account = $1 AND (at, log_seq, transfer_id) < ($2, $3, $4) AND at >= $5
ORDER BY at DESC, log_seq DESC, transfer_id DESC LIMIT $6
"""
_SPAN = f"""
SELECT {_MOVEMENT} FROM movement
WHERE account = $1 AND (at, log_seq, transfer_id) >= ($2, $3, $4) AND at < $5
ORDER BY at, log_seq, transfer_id LIMIT $6
"""
_NOW = "SELECT posted, held FROM balance WHERE account = $1 AND currency = $2"
# Whole days, hours of the last day and minutes of the last hour from their sums; the last minute from
# its rows.
_BEFORE = """
SELECT COALESCE(sum(posted), 0) AS posted, COALESCE(sum(held), 0) AS held
FROM (
    SELECT posted, held FROM day
    WHERE account = $1 AND currency = $2 AND starts_at < date_trunc('day', $3::timestamptz, 'UTC')
    UNION ALL
    SELECT posted, held FROM hour
    WHERE account = $1 AND currency = $2 AND starts_at >= date_trunc('day', $3::timestamptz, 'UTC')
    AND starts_at < date_trunc('hour', $3::timestamptz, 'UTC')
    UNION ALL
    SELECT posted, held FROM minute
    WHERE account = $1 AND currency = $2 AND starts_at >= date_trunc('hour', $3::timestamptz, 'UTC')
    AND starts_at < date_trunc('minute', $3::timestamptz, 'UTC')
    UNION ALL
    SELECT posted, held FROM movement
    WHERE account = $1 AND currency = $2 AND at >= date_trunc('minute', $3::timestamptz, 'UTC')
    AND (at, log_seq, transfer_id) < ($3, $4, $5)
) x
"""

_VIEW_LOGGED = """
INSERT INTO view_log (view_id, tenant, grant_id, wallet, viewer, route, fields, viewed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


class GrantedWallet(NamedTuple):
    """A wallet that a grant opens to somebody, and the fields it opens."""

    grant_id: str
    tenant: str
    fields: tuple[str, ...]
    account: str
    wallet: str


async def attention(
    conn: Connection, viewer: str, after: Place, limit: int
) -> list[tuple[Place, str]]:
    """Things that somebody should look at, with their kind, the newest first."""
    rows = await conn.fetch(_ATTENTION, viewer, *after, limit)
    return [(Place(row["at"], row["subject"]), row["kind"]) for row in rows]


async def seen(conn: Connection, viewer: str, subjects: Collection[str]) -> set[str]:
    """Those of the things that somebody sees."""
    return {row[0] for row in await conn.fetch(_SEEN, viewer, list(subjects))}


async def below(conn: Connection, ancestor: str, parties: Collection[str]) -> set[str]:
    """Those of the parties that are somebody or below."""
    return {row[0] for row in await conn.fetch(_BELOW, ancestor, list(parties))}


async def tenant_of(conn: Connection, party: str) -> str | None:
    """The tenant of a party, None if it is not known."""
    tenant: str | None = await conn.fetchval(_TENANT_OF, party)
    return tenant


async def connected(conn: Connection, party: str, to: str) -> bool:
    """Whether a party may see what is another's, by a connection that was accepted."""
    found: bool = await conn.fetchval(_CONNECTED, party, to)
    return found


async def account_of(conn: Connection, wallet_id: str) -> str | None:
    """The account of a wallet."""
    account: str | None = await conn.fetchval(_ACCOUNT_OF, wallet_id)
    return account


async def granted(conn: Connection, party: str, wallet_id: str) -> list[GrantedWallet]:
    """What grants open of a wallet to a party."""
    rows = await conn.fetch(_GRANTS, party, wallet_id)
    return [
        GrantedWallet(
            row["grant_id"], row["tenant"], tuple(row["fields"]), row["account"], wallet_id
        )
        for row in rows
    ]


async def wallets(conn: Connection, accounts: Sequence[str]) -> dict[str, Record]:
    """Wallets with their balances, by account."""
    return {row["account"]: row for row in await conn.fetch(_WALLETS, accounts)}


async def parties(conn: Connection, ids: Sequence[str]) -> dict[str, Record]:
    """Parties by id."""
    return {row["party_id"]: row for row in await conn.fetch(_PARTIES, ids)}


async def consenting(conn: Connection, company: str, ids: Sequence[str]) -> set[str]:
    """Those of the payees that a company may know beyond their alias."""
    return {row[0] for row in await conn.fetch(_CONSENTS, company, ids)}


async def totals(conn: Connection, party: str) -> list[tuple[str, Sums]]:
    """What a sub-tree comes to, by currency."""
    return [(row["currency"], Sums(*list(row)[1:])) for row in await conn.fetch(_TOTALS, party)]


async def counterparties(
    conn: Connection, accounts: Collection[str]
) -> dict[str, tuple[str, str | None]]:
    """What accounts are for, and the alias of whose they are: all that others may know of them."""
    rows = await conn.fetch(_COUNTERPARTIES, list(accounts))
    return {row["account_id"]: (row["purpose"], row["alias"]) for row in rows}


async def newest_movements(
    conn: Connection, account: str, before: Position, since: datetime, limit: int
) -> list[Movement]:
    """Movements of an account before a position, the newest first."""
    rows = await conn.fetch(_NEWEST_MOVEMENTS, account, *before, since, limit)
    return [_movement(row) for row in rows]


async def movements_between(
    conn: Connection, account: str, begins: Position, until: datetime, limit: int
) -> list[Movement]:
    """Movements from a position on, recorded before `until`, the oldest first."""
    return [_movement(row) for row in await conn.fetch(_SPAN, account, *begins, until, limit)]


async def sums_before(
    conn: Connection, account: str, currency: str, position: Position
) -> tuple[int, int]:
    """Posted and held of an account as all movements before a position leave them."""
    if position == LAST:
        row = await conn.fetchrow(_NOW, account, currency)
    else:
        row = await conn.fetchrow(_BEFORE, account, currency, *position)
    return (0, 0) if row is None else (row["posted"], row["held"])


async def log_view(conn: Connection, *row: object) -> None:
    """Keep a look: its id, and tenant, grant, wallet, viewer, route, fields and time."""
    await conn.execute(_VIEW_LOGGED, *row)


def _movement(row: Record) -> Movement:
    found = Movement(*row)
    return found._replace(flow=Flow(found.flow))
