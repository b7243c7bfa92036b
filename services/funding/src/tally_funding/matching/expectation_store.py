"""What money is expected, in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.funding import Beneficiary
from tally_contracts.funding_sources import ExpectPayIn
from tally_funding.matching.domain import Expected, key_of
from tally_money import Currency, Money, currency
from tally_postgres import Connection, Record

_DIGEST = "SELECT digest FROM expectation WHERE expectation_id = $1"

_TAKEN = """
SELECT expectation_id FROM expectation
WHERE currency = $2 AND reference_key = $3
  AND (company = $1 OR (kind = 'virtual_account' AND $4 = 'virtual_account'))
"""

_INSERT_EXPECTATION = """
INSERT INTO expectation (
    expectation_id, digest, kind, reference, reference_key, currency, amount, company, beneficiary,
    program, payer, registered_at, tenant)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

# Money that was looked at may be what is expected only now.
_LOOK_AGAIN = """
DELETE FROM match_look l USING pay_in p
WHERE l.pay_in_id = p.pay_in_id AND p.state = 'suspense' AND p.currency = $2
  AND (p.company = $1 OR $3 = 'virtual_account')
"""

_EXPECTATION = """
SELECT expectation_id, kind, reference, currency, amount, received, company, beneficiary, program
FROM expectation WHERE expectation_id = $1
"""

_LOCK_EXPECTATIONS = """
SELECT expectation_id, kind, reference, currency, amount, received, company, beneficiary, program
FROM expectation WHERE expectation_id = ANY($1::text[])
ORDER BY expectation_id FOR UPDATE
"""

# By what it names, or by an amount that is just what is open.
_POSSIBLE = """
SELECT expectation_id, kind, reference, currency, amount, received, payer
FROM expectation
WHERE company = $1 AND currency = $2 AND reference_key = ANY($3::text[])
UNION
SELECT expectation_id, kind, reference, currency, amount, received, payer
FROM expectation
WHERE kind = 'virtual_account' AND currency = $2 AND reference_key = ANY($3::text[])
UNION
(SELECT expectation_id, kind, reference, currency, amount, received, payer
 FROM expectation
 WHERE company = $1 AND currency = $2 AND amount - received = $4 AND amount > received
 ORDER BY expectation_id LIMIT 50)
"""

_RECEIVE = """
UPDATE expectation e SET received = e.received + r.amount
FROM unnest($1::text[], $2::numeric[]) AS r (expectation_id, amount)
WHERE e.expectation_id = r.expectation_id
"""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What somebody expects, as stored. `amount` None: any amount, any number of times."""

    expectation_id: str
    kind: str
    reference: str
    unit: Currency
    amount: Money | None
    received: Money
    company: str
    beneficiary: Beneficiary
    program: str


async def digest_of(conn: Connection, expectation_id: str) -> bytes | None:
    """The content an expectation's id came with before."""
    found = await conn.fetchval(_DIGEST, expectation_id)
    return None if found is None else bytes(found)


async def taken_by(conn: Connection, command: ExpectPayIn) -> str | None:
    """The expectation that has this reference already; a virtual account is one for all companies."""
    key = key_of(command.reference)
    found = await conn.fetchval(_TAKEN, command.company, command.currency, key, command.kind)
    return None if found is None else str(found)


async def insert_expectation(  # noqa: PLR0917 - a row's parts
    conn: Connection,
    command: ExpectPayIn,
    digest: bytes,
    amount: Money | None,
    tenant: str,
    now: datetime,
) -> None:
    """Enter an expectation, and have money in suspense looked at again."""
    await conn.execute(
        _INSERT_EXPECTATION,
        command.expectation_id,
        digest,
        command.kind,
        command.reference,
        key_of(command.reference),
        command.currency,
        None if amount is None else amount.minor,
        command.company,
        command.beneficiary.model_dump(mode="json"),
        command.program,
        command.payer,
        now,
        tenant,
    )
    await conn.execute(_LOOK_AGAIN, command.company, command.currency, command.kind)


async def expectation(conn: Connection, expectation_id: str) -> Expectation | None:
    """One expectation."""
    row = await conn.fetchrow(_EXPECTATION, expectation_id)
    return None if row is None else _expectation(row)


async def lock_expectations(
    conn: Connection, expectation_ids: Sequence[str]
) -> dict[str, Expectation]:
    """Expectations by id, locked."""
    rows = await conn.fetch(_LOCK_EXPECTATIONS, expectation_ids)
    return {row["expectation_id"]: _expectation(row) for row in rows}


def _expectation(row: Record) -> Expectation:
    unit = currency(row["currency"])
    return Expectation(
        row["expectation_id"],
        row["kind"],
        row["reference"],
        unit,
        None if row["amount"] is None else Money(row["amount"], unit),
        Money(row["received"], unit),
        row["company"],
        Beneficiary.model_validate(row["beneficiary"]),
        row["program"],
    )


async def possible(
    conn: Connection, company: str, amount: Money, words: Sequence[str]
) -> tuple[Expected, ...]:
    """Expectations that money of a company may be for, by a word it names or by its amount."""
    rows = await conn.fetch(_POSSIBLE, company, amount.currency.code, words, amount.minor)
    return tuple(
        Expected(
            row["expectation_id"],
            row["kind"],
            row["reference"],
            None
            if row["amount"] is None
            else Money(row["amount"] - row["received"], amount.currency),
            row["payer"],
        )
        for row in rows
    )


async def receive(conn: Connection, received: Mapping[str, int]) -> None:
    """Add minor units to what expectations have received; the caller holds their locks."""
    await conn.execute(_RECEIVE, list(received), list(received.values()))
