"""Statements and their entries in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_funding.statements.credits import Continuity, Line, Predecessor, StatementIdentity
from tally_money import Money
from tally_postgres import Connection

# Imports take turns: the number and balance of one decide what the next follows.
_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('funding.statement', 0))"

_KNOWN = "SELECT statement_key, digest FROM statement WHERE statement_key = ANY($1::text[])"

_NEWEST = """
SELECT sequence, last_day, closing FROM statement
WHERE account = $1 AND currency = $2
ORDER BY last_day DESC, sequence DESC NULLS LAST, page DESC
LIMIT 1
"""

_INSERT_STATEMENT = """
INSERT INTO statement (
    statement_key, account, currency, number, sequence, page, period_start, period_end, last_day,
    opening, closing, digest, continuity, import_id, file_name, imported_at, company, tenant)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
        $17, $18)
"""

_INSERT_ENTRIES = """
INSERT INTO statement_entry (
    statement_key, entry_index, part, amount, credit, reversal, status, booking_date, value_date,
    bank_reference, end_to_end_id, uetr, remittance, outcome, pay_in_id)
SELECT $1, e.*
FROM unnest(
    $2::integer[], $3::integer[], $4::numeric[], $5::boolean[], $6::boolean[], $7::text[],
    $8::date[], $9::date[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[]) AS e
"""


@dataclass(frozen=True, slots=True)
class NewStatement:
    """A statement about to be entered, with the file it came in and whose it is."""

    identity: StatementIdentity
    opening: Money
    closing: Money
    digest: bytes
    continuity: Continuity
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
        statement.opening.minor,
        statement.closing.minor,
        statement.digest,
        statement.continuity.value,
        statement.import_id,
        statement.file_name,
        now,
        statement.company,
        statement.tenant,
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
        )
        for k in kept
    ]
    if rows:
        await conn.execute(_INSERT_ENTRIES, statement_key, *map(list, zip(*rows, strict=True)))
