"""Ledgers and assets, entered when the service starts."""

from collections.abc import Iterable, Mapping, Sequence

from tally_money import Currency
from tally_postgres import Connection

_ENSURE_SHARDS = """
INSERT INTO shard_state (shard) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""

_ENSURE_ASSETS = """
INSERT INTO asset (code, scale, kind) SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[])
ON CONFLICT DO NOTHING
"""

_SCALES = "SELECT code, scale FROM asset"


async def ensure_shards(conn: Connection, ledgers: Iterable[str]) -> None:
    """Open the ledgers that are not open yet."""
    await conn.execute(_ENSURE_SHARDS, sorted(ledgers))


async def ensure_assets(conn: Connection, currencies: Sequence[Currency]) -> Mapping[str, int]:
    """Enter assets that are missing; what comes back is the scale of every asset in the books."""
    await conn.execute(
        _ENSURE_ASSETS,
        [unit.code for unit in currencies],
        [unit.exponent for unit in currencies],
        [unit.kind for unit in currencies],
    )
    return {row[0]: row[1] for row in await conn.fetch(_SCALES)}
