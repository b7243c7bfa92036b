"""Assets that were registered."""

from collections.abc import Collection, Mapping
from datetime import datetime

from tally_ledger.domain import Answer, Asset, Context, Known, Registered, Rejected
from tally_money import AssetKind, Currency
from tally_postgres import Connection, Record

_UNITS = "SELECT code, scale::int, kind FROM asset WHERE code = ANY($1::text[])"

_ASSET = """
SELECT code, scale::int, kind, registered_at FROM asset WHERE code = $1
"""

_KNOWN = """
SELECT g.request_hash, a.code, a.scale::int, a.kind, g.recorded_at, NULL AS refusal, NULL AS detail
FROM asset_registration g JOIN asset a ON a.code = g.asset WHERE g.id = $1
UNION ALL
SELECT r.request_hash, NULL, NULL, NULL, r.recorded_at, r.code, r.detail
FROM rejection r WHERE r.id = $1
"""

_IS_OPEN = "SELECT EXISTS (SELECT FROM shard_state WHERE shard = $1)"

_ADD_ASSET = "INSERT INTO asset (code, scale, kind, registered_at) VALUES ($1, $2, $3, $4)"

_ADD_REGISTRATION = """
INSERT INTO asset_registration (id, shard, asset, request_hash, recorded_at, who_actor,
    who_principal, why_program, why_event, why_reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

_REJECT = """
INSERT INTO rejection (id, shard, operation, reference, request_hash, code, detail, recorded_at)
VALUES ($1, $2, 'register', $3, $4, $5, $6, $7)
"""


async def units(conn: Connection, codes: Collection[str]) -> Mapping[str, Currency]:
    """Those of the assets that are in the books, by code."""
    rows = await conn.fetch(_UNITS, sorted(codes))
    return {row[0]: Currency(row[0], row[1], AssetKind(row[2])) for row in rows}


async def asset(conn: Connection, code: str) -> Asset | None:
    """An asset as it is booked."""
    row = await conn.fetchrow(_ASSET, code)
    return None if row is None else Asset(*row)


async def known_registration(conn: Connection, registration_id: str) -> Known | None:
    """What a registration of this id was answered."""
    row = await conn.fetchrow(_KNOWN, registration_id)
    return None if row is None else _known(row)


async def is_open(conn: Connection, ledger: str) -> bool:
    """Whether there is such a ledger."""
    found: bool = await conn.fetchval(_IS_OPEN, ledger)
    return found


async def add_asset(
    conn: Connection,
    new: Asset,
    ids: tuple[str, str, str],
    request_hash: bytes,
    context: Context,
) -> None:
    """Enter an asset, with who asked and why; a unique violation if it was entered meanwhile.

    `ids` are those of registration, ledger and asset.
    """
    await conn.execute(_ADD_ASSET, new.code, new.scale, new.kind, new.registered_at)
    await conn.execute(
        _ADD_REGISTRATION,
        *ids,
        request_hash,
        new.registered_at,
        context.actor,
        context.principal,
        context.program,
        context.event,
        context.reason,
    )


async def reject_registration(
    conn: Connection,
    ids: tuple[str, str, str],
    request_hash: bytes,
    rejected: Rejected,
    now: datetime,
) -> None:
    """Remember a refusal; `ids` are those of registration, ledger and asset."""
    await conn.execute(_REJECT, *ids, request_hash, rejected.code, rejected.detail, now)


def _known(row: Record) -> Known:
    outcome: Registered | Rejected
    if row["refusal"] is not None:
        outcome = Rejected(row["refusal"], row["detail"])
    else:
        outcome = Registered(
            Asset(row["code"], row["scale"], row["kind"], row["recorded_at"]), is_new=False
        )
    return Known(row["request_hash"], Answer(outcome, row["recorded_at"]))
