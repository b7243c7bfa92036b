"""Charges in SQL: each function is one statement, whatever the number of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Where, Who, Why
from tally_money import Money, currency
from tally_postgres import Connection, Record

_INSERT = """
INSERT INTO rule_charge (
    charge_id, pay_in_id, tenant, rule, payer, owner, currency, amount, journal_id, actor, principal,
    channel, country, program, event, reason, state, code, on_refund, returns, asked_at, changed_at)
SELECT c.*, $21, $21 FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::numeric[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[]) AS c
ON CONFLICT (charge_id) DO NOTHING
RETURNING charge_id
"""

# All charges of their pay-ins at once, in id order, as returns lock them: two units never wait for each
# other.
_LOCK_ASKED = """
SELECT charge_id, pay_in_id, tenant, rule, payer, owner, currency, amount, journal_id, actor,
       principal, channel, country, program, event, reason, on_refund, returns, state
FROM rule_charge WHERE pay_in_id IN (
    SELECT pay_in_id FROM rule_charge WHERE charge_id = ANY($1::text[]))
ORDER BY charge_id FOR UPDATE
"""

_ANSWER = """
UPDATE rule_charge c SET state = a.state, code = a.code, changed_at = $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS a (charge_id, state, code)
WHERE c.charge_id = a.charge_id AND c.state = 'asked'
"""


# Those the ledger has not answered too: who answers them waits, and sees what is returned by then.
_LOCK_RETURNABLE = """
SELECT charge_id, pay_in_id, tenant, rule, payer, owner, currency, amount, journal_id, actor,
       principal, channel, country, program, event, reason, on_refund, returns, state
FROM rule_charge WHERE pay_in_id = ANY($1::text[]) AND on_refund = 'return'
ORDER BY charge_id FOR UPDATE
"""

_GIVEN_BACK = """
SELECT returns, sum(amount) FROM rule_charge WHERE returns = ANY($1::text[]) GROUP BY returns
"""

_RETURNED_OF = """
SELECT p.pay_in_id, p.amount, coalesce(sum(r.amount), 0) AS returned
FROM pay_in p LEFT JOIN pay_in_return r
    ON r.pay_in_id = p.pay_in_id AND r.state IN ('done', 'reinstating')
WHERE p.pay_in_id = ANY($1::text[])
GROUP BY p.pay_in_id
"""


@dataclass(frozen=True, slots=True)
class ReturnedOf:
    """How much of a pay-in is returned, in minor units."""

    amount: int
    returned: int

    def of(self, minor: int) -> int:
        """The same part of another amount, rounded down."""
        return minor * self.returned // self.amount


@dataclass(frozen=True, slots=True)
class Charge:
    """What a rule takes from the payer's wallet for the owner, beside a pay-in.

    `on_refund`: keep or return, where the pay-in goes back. `returns`: the charge this one gives back.
    """

    charge_id: str
    pay_in_id: str
    tenant: str
    rule: str
    payer: str
    owner: str
    amount: Money
    journal_id: str
    who: Who
    where: Where
    why: Why
    on_refund: str
    returns: str | None


async def insert(
    conn: Connection, charges: Sequence[tuple[Charge, str | None]], now: datetime
) -> frozenset[str]:
    """Enter charges, asked for or with the code they are refused with; the ids that were new."""
    rows = [
        _row(charge, code) for charge, code in sorted(charges, key=lambda one: one[0].charge_id)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return frozenset(row[0] for row in await conn.fetch(_INSERT, *columns, now))


def _row(charge: Charge, code: str | None) -> tuple[object, ...]:
    return (
        charge.charge_id,
        charge.pay_in_id,
        charge.tenant,
        charge.rule,
        charge.payer,
        charge.owner,
        charge.amount.currency.code,
        charge.amount.minor,
        charge.journal_id,
        charge.who.actor,
        charge.who.principal,
        charge.where.channel,
        charge.where.country,
        charge.why.program,
        charge.why.event,
        charge.why.reason,
        "asked" if code is None else "refused",
        code,
        charge.on_refund,
        charge.returns,
    )


async def lock_asked(conn: Connection, charge_ids: Sequence[str]) -> dict[str, Charge]:
    """Charges the ledger has not answered, by id; locked, with all others of their pay-ins."""
    rows = await conn.fetch(_LOCK_ASKED, charge_ids)
    wanted = frozenset(charge_ids)
    return {
        row["charge_id"]: _charge(row)
        for row in rows
        if row["state"] == "asked" and row["charge_id"] in wanted
    }


def _charge(row: Record) -> Charge:
    return Charge(
        charge_id=row["charge_id"],
        pay_in_id=row["pay_in_id"],
        tenant=row["tenant"],
        rule=row["rule"],
        payer=row["payer"],
        owner=row["owner"],
        amount=Money(int(row["amount"]), currency(row["currency"])),
        journal_id=row["journal_id"],
        who=Who(actor=row["actor"], principal=row["principal"]),
        where=Where(channel=row["channel"], country=row["country"]),
        why=Why(program=row["program"], event=row["event"], reason=row["reason"]),
        on_refund=row["on_refund"],
        returns=row["returns"],
    )


async def lock_returnable(conn: Connection, pay_in_ids: Sequence[str]) -> tuple[Charge, ...]:
    """Charges of these pay-ins that were taken and go back with them; locked, with those still asked."""
    rows = await conn.fetch(_LOCK_RETURNABLE, pay_in_ids)
    return tuple(_charge(row) for row in rows if row["state"] == "taken")


async def given_back(conn: Connection, charge_ids: Sequence[str]) -> Mapping[str, int]:
    """Minor units of each charge that were asked back so far, refused ones too."""
    return {row[0]: int(row[1]) for row in await conn.fetch(_GIVEN_BACK, charge_ids)}


async def returned_of(conn: Connection, pay_in_ids: Sequence[str]) -> Mapping[str, ReturnedOf]:
    """How much of each pay-in is returned."""
    return {
        row["pay_in_id"]: ReturnedOf(int(row["amount"]), int(row["returned"]))
        for row in await conn.fetch(_RETURNED_OF, pay_in_ids)
    }


async def answer(conn: Connection, codes: Mapping[str, str | None], now: datetime) -> None:
    """Keep the ledger's answers: None for yes, else its code; the caller holds the rows' locks."""
    ids = sorted(codes)
    states = ["taken" if codes[one] is None else "refused" for one in ids]
    status = await conn.execute(_ANSWER, ids, states, [codes[one] for one in ids], now)
    assert status == f"UPDATE {len(ids)}", f"{len(ids)} answers, the database made {status!r}"
