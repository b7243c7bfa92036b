"""Attempts and their history at rest."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tally_money import Money, currency
from tally_postgres import Connection, Record
from tally_railkit import Action, AttemptState, PayoutOrder
from tally_rails.domain.attempt import Attempt, Moved
from tally_rails.errors import StaleVersion

_FIXED = (
    ("id", "text"),
    ("payout_id", "text"),
    ("rail", "text"),
    ("instrument_id", "text"),
    ("owner", "text"),
    ("company", "text"),
    ("currency", "text"),
    ("amount", "numeric"),
    ("circumstances", "jsonb"),
    ("cause", "text"),
)
_CHANGING = (
    ("version", "bigint"),
    ("state", "text"),
    ("sequence", "bigint"),
    ("provider_reference", "text"),
    ("code", "text"),
    ("action", "text"),
    ("source", "text"),
    ("return_reference", "text"),
    ("settlement_date", "date"),
)
_COLUMNS = _FIXED + _CHANGING
_NAMES = ", ".join(name for name, _ in _COLUMNS)

# In id order, so that two writers never wait for each other in a circle.
_LOCK = f"SELECT {_NAMES} FROM attempt WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"

_SAVE = f"""
INSERT INTO attempt AS a ({_NAMES}, opened_at, changed_at)
SELECT {", ".join(f"r.{name}" for name, _ in _COLUMNS)}, $1, $1
FROM unnest({", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(_COLUMNS, 2))})
    AS r ({_NAMES})
ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name, _ in _CHANGING)}, changed_at = $1
WHERE a.version = excluded.version - 1
"""

_SAVE_HISTORY = """
INSERT INTO attempt_history (attempt_id, sequence, state, previous, code, source, reference, at)
SELECT h.*
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::timestamptz[]) AS h
"""

_SETTLING = """
SELECT id FROM attempt
WHERE rail = $1 AND state = 'in_transit' AND settlement_date <= $2
ORDER BY settlement_date, id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """An attempt with what is kept beside it. `version` is 0 until it is saved."""

    attempt: Attempt
    circumstances: Mapping[str, Any]
    cause: str
    version: int = 0


async def lock_attempts(conn: Connection, ids: Collection[str]) -> list[StoredAttempt]:
    """Lock and read attempts; ids that are not ours are left out."""
    if not ids:
        return []
    return [_read(row) for row in await conn.fetch(_LOCK, sorted(ids))]


async def save_attempts(conn: Connection, stored: Sequence[StoredAttempt], now: datetime) -> None:
    """Insert new attempts and update changed ones; raise `StaleVersion` if any was changed since."""
    if not stored:
        return
    rows = [_row(item) for item in sorted(stored, key=lambda item: item.attempt.id)]
    status = await conn.execute(_SAVE, now, *zip(*rows, strict=True))
    if status != f"INSERT 0 {len(rows)}":
        raise StaleVersion(len(rows), status)


async def save_history(conn: Connection, steps: Sequence[tuple[Moved, datetime]]) -> None:
    """Append what attempts went through; a sequence number that is taken is an error."""
    if not steps:
        return
    rows = [
        (
            step.attempt.id,
            step.attempt.sequence,
            step.attempt.state,
            step.previous,
            step.attempt.code,
            step.attempt.source,
            step.attempt.return_reference or step.attempt.provider_reference,
            at,
        )
        for step, at in steps
    ]
    await conn.execute(_SAVE_HISTORY, *zip(*rows, strict=True))


async def settling(conn: Connection, rail: str, day: date, limit: int) -> list[str]:
    """Attempts in transit whose settlement date has come."""
    return [row[0] for row in await conn.fetch(_SETTLING, rail, day, limit)]


def _row(stored: StoredAttempt) -> tuple[object, ...]:
    attempt = stored.attempt
    order = attempt.order
    return (
        order.attempt_id,
        order.payout_id,
        attempt.rail,
        order.instrument_id,
        order.owner,
        order.company,
        order.amount.currency.code,
        order.amount.minor,
        stored.circumstances,
        stored.cause,
        stored.version + 1,
        attempt.state,
        attempt.sequence,
        attempt.provider_reference,
        attempt.code,
        attempt.action,
        attempt.source,
        attempt.return_reference,
        attempt.settlement_date,
    )


def _read(row: Record) -> StoredAttempt:
    (
        attempt_id, payout_id, rail, instrument_id, owner, company, code_of_currency, minor,
        circumstances, cause, version, state, sequence, provider_reference, code, action, source,
        return_reference, settlement_date,
    ) = row  # fmt: skip
    attempt = Attempt(
        order=PayoutOrder(
            attempt_id=attempt_id,
            payout_id=payout_id,
            instrument_id=instrument_id,
            amount=Money(minor, currency(code_of_currency)),
            owner=owner,
            company=company,
        ),
        rail=rail,
        state=AttemptState(state),
        sequence=sequence,
        provider_reference=provider_reference,
        code=code,
        action=Action(action),
        source=source,
        return_reference=return_reference,
        settlement_date=settlement_date,
    )
    return StoredAttempt(attempt, circumstances, cause, version)
