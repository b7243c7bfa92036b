"""Instruments at rest."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tally_postgres import Connection, Record
from tally_rails.domain.instrument import Instrument, InstrumentState

_NAMES = "id, rail, owner, currency, sealed, masked, settlement_account, state, version"

_LOAD = f"SELECT {_NAMES} FROM instrument WHERE id = ANY($1::text[])"

_ADD = f"""
INSERT INTO instrument ({_NAMES}, changed_at)
SELECT i.*, $10
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::integer[]) AS i
"""

_REFUSE = f"""
UPDATE instrument SET state = 'refused', changed_at = $2
WHERE id = ANY($1::text[]) AND state = 'registered'
RETURNING {_NAMES}
"""

_CORRECT = """
WITH kept AS (
    INSERT INTO instrument_version (instrument_id, version, sealed, code, replaced_at)
    SELECT i.id, i.version, i.sealed, c.code, $6
    FROM unnest($1::text[], $5::text[]) AS c (id, code) JOIN instrument i USING (id)
)
UPDATE instrument i
SET sealed = c.sealed, masked = c.masked, version = c.version, state = 'registered',
    changed_at = $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[]) AS c (id, sealed, masked, version)
WHERE i.id = c.id AND i.version = c.version - 1
"""

_LOCK = f"{_LOAD} ORDER BY id FOR UPDATE"


async def load_instruments(conn: Connection, ids: Collection[str]) -> dict[str, Instrument]:
    """Read instruments by id."""
    if not ids:
        return {}
    return {row[0]: _read(row) for row in await conn.fetch(_LOAD, sorted(ids))}


async def lock_instruments(conn: Connection, ids: Collection[str]) -> dict[str, Instrument]:
    """Lock and read instruments whose details are about to change."""
    if not ids:
        return {}
    return {row[0]: _read(row) for row in await conn.fetch(_LOCK, sorted(ids))}


async def add_instruments(
    conn: Connection, instruments: Sequence[Instrument], now: datetime
) -> None:
    """Keep new instruments; an id that is taken is an error, so that the batch is applied anew."""
    if not instruments:
        return
    rows = [
        (i.id, i.rail, i.owner, i.currency, i.sealed, i.masked, i.settlement_account, i.state, 1)
        for i in instruments
    ]
    await conn.execute(_ADD, *zip(*rows, strict=True), now)


async def refuse_instruments(
    conn: Connection, ids: Collection[str], now: datetime
) -> list[Instrument]:
    """Mark instruments dead; those that were not dead before come back."""
    if not ids:
        return []
    return [_read(row) for row in await conn.fetch(_REFUSE, sorted(ids), now)]


async def correct_instruments(
    conn: Connection, changed: Mapping[str, Instrument], codes: Mapping[str, str], now: datetime
) -> None:
    """Put corrected details in place and keep the ones before; `codes` say why, by id."""
    if not changed:
        return
    rows = [(i.id, i.sealed, i.masked, i.version, codes[i.id]) for i in changed.values()]
    await conn.execute(_CORRECT, *zip(*rows, strict=True), now)


def _read(row: Record) -> Instrument:
    instrument_id, rail, owner, code, sealed, masked, account, state, version = row
    return Instrument(
        id=instrument_id,
        rail=rail,
        owner=owner,
        currency=code,
        sealed=sealed,
        masked=masked,
        settlement_account=account,
        state=InstrumentState(state),
        version=version,
    )
