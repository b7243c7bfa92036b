"""Methods, instruments and wallet owners at rest."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tally_payouts.domain.methods import (
    Instrument,
    InstrumentState,
    Method,
    Methods,
    MethodState,
)
from tally_postgres import Connection

Key = tuple[str, str]
"""Owner and currency."""

_EXPECT_INSTRUMENTS = """
INSERT INTO instrument (id, state) SELECT i, 'expected' FROM unnest($1::text[]) AS i ORDER BY i
ON CONFLICT DO NOTHING
"""

# The lock makes a choice of an instrument and a word of the rail about it wait for each other.
_LOCK_INSTRUMENTS = """
SELECT id, state, rail, owner, currency, settlement_account
FROM instrument WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""

_CHOSEN_BY = """
SELECT DISTINCT owner, currency FROM method
WHERE instrument = ANY($1::text[]) AND NOT superseded
"""

_EXPECT_PAYEES = """
INSERT INTO payee (owner, currency)
SELECT k.owner, k.currency FROM unnest($1::text[], $2::text[]) AS k (owner, currency)
ORDER BY k.owner, k.currency
ON CONFLICT DO NOTHING
"""

# A payout that opens and a choice that is made at the same time wait for each other here: whoever
# is second sees the first, so no payout stays claimable beside a method in force.
_LOCK_PAYEES = """
SELECT p.owner, p.currency, p.versions
FROM payee p
WHERE (p.owner, p.currency) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY p.owner, p.currency
FOR UPDATE
"""

# Looked up payee by payee: joined freely, a plan kept from when choices were few goes through all.
_CHOICES = """
SELECT m.owner, m.currency, m.version, m.rail, m.instrument, m.state, m.reason_code,
       m.settlement_account, m.superseded
FROM unnest($1::text[], $2::text[]) AS k (owner, currency)
CROSS JOIN LATERAL (
    SELECT * FROM method c
    WHERE c.owner = k.owner AND c.currency = k.currency AND NOT c.superseded OFFSET 0
) AS m
ORDER BY m.owner, m.currency, m.version
"""

_SAVE_METHODS = """
WITH counted AS (
    UPDATE payee p SET versions = c.versions
    FROM (
        SELECT owner, currency, max(version) AS versions
        FROM unnest($2::text[], $3::text[], $4::integer[]) AS c (owner, currency, version)
        GROUP BY owner, currency
    ) AS c
    WHERE p.owner = c.owner AND p.currency = c.currency AND p.versions < c.versions
)
INSERT INTO method (owner, currency, version, rail, instrument, state, reason_code,
                    settlement_account, superseded, changed_at)
SELECT m.*, $1
FROM unnest($2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::boolean[]) AS m
ON CONFLICT (owner, currency, version) DO UPDATE SET
    state = excluded.state, reason_code = excluded.reason_code,
    settlement_account = excluded.settlement_account, superseded = excluded.superseded,
    changed_at = excluded.changed_at
"""

_SAVE_INSTRUMENTS = """
UPDATE instrument i
SET state = r.state, rail = r.rail, owner = r.owner, currency = r.currency,
    settlement_account = r.settlement_account
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS r (id, state, rail, owner, currency, settlement_account)
WHERE i.id = r.id
"""

_LOAD_WALLETS = "SELECT account, owner, currency FROM wallet WHERE account = ANY($1::text[])"

_SAVE_WALLETS = """
INSERT INTO wallet (account, owner, currency)
SELECT w.account, w.owner, w.currency
FROM unnest($1::text[], $2::text[], $3::text[]) AS w (account, owner, currency)
ORDER BY w.account
ON CONFLICT DO NOTHING
"""


async def lock_instruments(conn: Connection, ids: Collection[str]) -> dict[str, Instrument]:
    """Lock and read instruments; those nobody has heard of yet become EXPECTED."""
    if not ids:
        return {}
    wanted = sorted(ids)
    await conn.execute(_EXPECT_INSTRUMENTS, wanted)
    rows = await conn.fetch(_LOCK_INSTRUMENTS, wanted)
    return {
        instrument_id: Instrument(instrument_id, InstrumentState(state), *rest)
        for instrument_id, state, *rest in rows
    }


async def chosen_by(conn: Connection, instruments: Collection[str]) -> set[Key]:
    """Owner and currency of the choices that name any of these instruments."""
    if not instruments:
        return set()
    return {(row[0], row[1]) for row in await conn.fetch(_CHOSEN_BY, list(instruments))}


async def lock_methods(conn: Connection, keys: Collection[Key]) -> dict[Key, Methods]:
    """Lock the payees and read their choices; a payee nobody has heard of yet has none."""
    if not keys:
        return {}
    wanted = sorted(keys)
    owners, currencies = [key[0] for key in wanted], [key[1] for key in wanted]
    await conn.execute(_EXPECT_PAYEES, owners, currencies)
    payees = await conn.fetch(_LOCK_PAYEES, owners, currencies)
    choices: dict[Key, list[Method]] = {}
    for owner, code, version, rail, instrument, state, *rest in await conn.fetch(
        _CHOICES, owners, currencies
    ):
        method = Method(owner, code, version, rail, instrument, MethodState(state), *rest)
        choices.setdefault((owner, code), []).append(method)
    return {
        (owner, code): Methods(owner, code, versions, tuple(choices.get((owner, code), ())))
        for owner, code, versions in payees
    }


async def save_methods(conn: Connection, methods: Sequence[Method], now: datetime) -> None:
    """Insert new choices and update changed ones."""
    if not methods:
        return
    rows = [
        (
            m.owner,
            m.currency,
            m.version,
            m.rail,
            m.instrument,
            m.state,
            m.reason_code,
            m.settlement_account,
            m.superseded,
        )
        for m in methods
    ]
    await conn.execute(_SAVE_METHODS, now, *zip(*rows, strict=True))


async def save_instruments(conn: Connection, instruments: Sequence[Instrument]) -> None:
    """Write instruments that `lock_instruments` has locked."""
    if not instruments:
        return
    rows = [(i.id, i.state, i.rail, i.owner, i.currency, i.settlement_account) for i in instruments]
    await conn.execute(_SAVE_INSTRUMENTS, *zip(*rows, strict=True))


async def load_wallets(conn: Connection, accounts: Collection[str]) -> dict[str, Key]:
    """Owner and currency of wallets, by account."""
    if not accounts:
        return {}
    rows = await conn.fetch(_LOAD_WALLETS, list(accounts))
    return {account: (owner, code) for account, owner, code in rows}


async def save_wallets(conn: Connection, wallets: Mapping[str, Key]) -> None:
    """Keep whose wallets these are; the first word stands."""
    if wallets:
        rows = [(account, *key) for account, key in wallets.items()]
        await conn.execute(_SAVE_WALLETS, *zip(*rows, strict=True))
