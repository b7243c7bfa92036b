"""Statements and their entries in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tally_funding.statements.credits import (
    PLACEHOLDERS,
    Continuity,
    Credit,
    Line,
    Predecessor,
    StatementIdentity,
    booked_on,
    meant,
)
from tally_funding.statements.notices import DAYS_APART_MAX, Booked
from tally_money import Money
from tally_postgres import Connection

# Imports take turns: the number and balance of one decide what the next follows.
_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('funding.statement', 0))"

_KNOWN = "SELECT statement_key, digest FROM statement WHERE statement_key = ANY($1::text[])"

_NEWEST = """
SELECT sequence, last_day, closing FROM statement
WHERE account = $1 AND currency = $2 AND kind = 'statement'
ORDER BY last_day DESC, sequence DESC NULLS LAST, page DESC
LIMIT 1
"""

_INSERT_STATEMENT = """
INSERT INTO statement (
    statement_key, account, currency, number, sequence, page, period_start, period_end, last_day,
    opening, closing, digest, continuity, import_id, file_name, imported_at, company, tenant,
    kind)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
        $17, $18, $19)
"""

_INSERT_ENTRIES = """
INSERT INTO statement_entry (
    statement_key, entry_index, part, amount, credit, reversal, status, booking_date, value_date,
    bank_reference, end_to_end_id, uetr, remittance, outcome, pay_in_id,
    entry_reference)
SELECT $1, e.*
FROM unnest(
    $2::integer[], $3::integer[], $4::numeric[], $5::boolean[], $6::boolean[], $7::text[],
    $8::date[], $9::date[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[]) AS e
"""


# By the payer's id only about the time of the credits: payers give one id to payments of years. A
# placeholder of banks names nothing.
_BOOKED = """
SELECT p.external_id, e.pay_in_id, e.amount, e.bank_reference, e.entry_reference, e.uetr,
       e.end_to_end_id, coalesce(e.booking_date, e.value_date, s.last_day) AS day, ARRAY(
           SELECT coalesce(
               CASE WHEN upper(o.bank_reference) = ANY($7::text[]) THEN NULL ELSE o.bank_reference END,
               coalesce(o.booking_date, o.value_date, t.last_day)::text)
           FROM statement_entry o JOIN statement t USING (statement_key)
           WHERE o.pay_in_id = e.pay_in_id AND t.kind = $3) AS repeated_as
FROM statement_entry e JOIN statement s USING (statement_key) JOIN pay_in p USING (pay_in_id)
WHERE s.account = $1 AND s.currency = $2 AND s.kind <> $3
  AND e.outcome IN ('pay_in', 'already_known') AND e.pay_in_id IS NOT NULL
  AND (e.bank_reference = ANY($4::text[]) OR e.entry_reference = ANY($4::text[])
       OR e.uetr = ANY($5::text[])
       OR (e.end_to_end_id = ANY($6::text[])
           AND coalesce(e.booking_date, e.value_date, s.last_day) BETWEEN $8::date AND $9::date))
ORDER BY s.imported_at, s.statement_key, e.entry_index, e.part
"""


@dataclass(frozen=True, slots=True)
class NewStatement:
    """A statement about to be entered (a notification without balances), with the file it came in and whose it is."""

    identity: StatementIdentity
    opening: Money | None
    closing: Money | None
    digest: bytes
    continuity: Continuity | None
    import_id: str
    file_name: str
    company: str
    tenant: str


@dataclass(frozen=True, slots=True)
class KeptLine:
    """An entry with what became of it."""

    line: Line
    outcome: str
    pay_in_id: str | None


async def take_turn(conn: Connection) -> None:
    """Wait until no other import is under way."""
    await conn.execute(_TAKE_TURN)


async def known(conn: Connection, statement_keys: Sequence[str]) -> Mapping[str, bytes]:
    """Digests of the statements imported before."""
    return {row[0]: row[1] for row in await conn.fetch(_KNOWN, statement_keys)}


async def newest(conn: Connection, identity: StatementIdentity) -> Predecessor | None:
    """The newest statement of the same account and currency."""
    row = await conn.fetchrow(_NEWEST, identity.account, identity.currency.code)
    if row is None:
        return None
    return Predecessor(row["sequence"], row["last_day"], Money(row["closing"], identity.currency))


async def insert_statement(conn: Connection, statement: NewStatement, now: datetime) -> None:
    """Enter a statement."""
    identity = statement.identity
    await conn.execute(
        _INSERT_STATEMENT,
        identity.statement_key,
        identity.account,
        identity.currency.code,
        identity.number,
        identity.sequence,
        identity.page,
        identity.start,
        identity.end,
        identity.last_day,
        None if statement.opening is None else statement.opening.minor,
        None if statement.closing is None else statement.closing.minor,
        statement.digest,
        None if statement.continuity is None else statement.continuity.value,
        statement.import_id,
        statement.file_name,
        now,
        statement.company,
        statement.tenant,
        identity.kind.value,
    )


async def insert_entries(conn: Connection, statement_key: str, kept: Sequence[KeptLine]) -> None:
    """Enter the entries of a statement."""
    rows = [
        (
            k.line.entry_index,
            k.line.part,
            k.line.amount.minor,
            k.line.credit,
            k.line.reversal,
            k.line.status.value,
            k.line.booking_date,
            k.line.value_date,
            k.line.bank_reference,
            k.line.end_to_end_id,
            k.line.uetr,
            "\n".join(k.line.remittance),
            k.outcome,
            k.pay_in_id,
            k.line.entry_reference,
        )
        for k in kept
    ]
    if rows:
        await conn.execute(_INSERT_ENTRIES, statement_key, *map(list, zip(*rows, strict=True)))


async def booked_by_others(
    conn: Connection, identity: StatementIdentity, money: Sequence[Credit]
) -> tuple[Booked, ...]:
    """Credits of the account that the other kind of message brought and that share a reference."""
    if not money:
        return ()
    said = [credit.line for credit in money]
    days = [booked_on(identity, line) for line in said]
    apart = timedelta(DAYS_APART_MAX)
    references = {text for line in said for text in (line.bank_reference, line.entry_reference)}
    rows = await conn.fetch(
        _BOOKED,
        identity.account,
        identity.currency.code,
        identity.kind.value,
        _given(references),
        _given({line.uetr for line in said}),
        _given({line.end_to_end_id for line in said}),
        sorted(PLACEHOLDERS),
        min(days) - apart,
        max(days) + apart,
    )
    return tuple(
        Booked(
            row["external_id"],
            row["pay_in_id"],
            Money(row["amount"], identity.currency),
            row["day"],
            row["bank_reference"],
            row["entry_reference"],
            row["uetr"],
            row["end_to_end_id"],
            tuple(row["repeated_as"]),
        )
        for row in rows
    )


def _given(texts: Iterable[str | None]) -> list[str]:
    return sorted(text for text in texts if text is not None and meant(text) is not None)
