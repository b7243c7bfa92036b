"""Pay-ins, allocations and cases in SQL: each function is one statement, whatever the number of rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Amount, Where, Who, Why
from tally_contracts.funding import Allocation, FundingReceived
from tally_funding.domain import Content, PayInState, Standing
from tally_funding.postings import Designated
from tally_funding.rules.model import Rule
from tally_money import Currency, Money, currency
from tally_postgres import Connection, Record

_INSERT_PAY_INS = """
INSERT INTO pay_in (
    pay_in_id, source, external_id, content_digest, by_statement, state, currency, amount,
    actor, principal, channel, country, program, event, reason, occurred_at,
    originator, originator_country, company, beneficiary, kind, value_date, source_references,
    rule, rule_facts, journal_id, case_id, correlation_id, tenant, received_at, changed_at)
SELECT p.pay_in_id, p.source, p.external_id, p.content_digest, p.by_statement, p.state, p.currency,
       p.amount, p.actor, p.principal, p.channel, p.country, p.program, p.event, p.reason,
       p.occurred_at, p.originator, p.originator_country, p.company, p.beneficiary, p.kind,
       p.value_date, p.source_references, p.rule, p.rule_facts, p.journal_id, p.case_id,
       p.correlation_id, p.tenant, $30, $30
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bytea[], $5::boolean[], $6::text[], $7::text[],
    $8::numeric[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::text[], $16::timestamptz[], $17::text[], $18::text[], $19::text[], $20::text[],
    $21::text[], $22::date[], $23::jsonb[], $24::text[], $25::jsonb[], $26::text[],
    $27::text[], $28::text[], $29::text[]
) AS p (
    pay_in_id, source, external_id, content_digest, by_statement, state, currency, amount, actor,
    principal, channel, country, program, event, reason, occurred_at, originator,
    originator_country, company, beneficiary, kind, value_date, source_references, rule,
    rule_facts, journal_id, case_id, correlation_id, tenant)
-- Without a target: either unique index may be the one that meets a concurrent insert.
ON CONFLICT DO NOTHING
RETURNING pay_in_id
"""

_INSERT_ALLOCATIONS = """
INSERT INTO allocation (pay_in_id, position, account, owner, role, amount, pay_out)
SELECT * FROM unnest(
    $1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::boolean[])
"""

_CONTENTS = """
SELECT pay_in_id, content_digest, currency, amount, by_statement
FROM pay_in WHERE pay_in_id = ANY($1::text[])
"""

_INSERT_CASES = """
INSERT INTO suspense_case (case_id, pay_in_id, reason_code, remedy, detail, opened_at)
SELECT c.*, $6 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS c (case_id, pay_in_id, reason_code, remedy, detail)
ON CONFLICT (case_id) DO NOTHING
"""

_COUNT_REPEATS = """
INSERT INTO repeated_announcement AS known (pay_in_id, same, conflicting, last_at)
SELECT r.*, $4 FROM unnest($1::text[], $2::bigint[], $3::bigint[])
    AS r (pay_in_id, same, conflicting)
ON CONFLICT (pay_in_id) DO UPDATE
SET same = known.same + EXCLUDED.same,
    conflicting = known.conflicting + EXCLUDED.conflicting,
    last_at = EXCLUDED.last_at
"""

# In id order, so that two units never wait for each other.
_LOCK_PAY_INS = """
SELECT p.pay_in_id, p.source, p.external_id, p.state, p.journal_id, p.currency, p.amount, p.actor,
       p.principal, p.channel, p.country, p.program, p.event, p.reason, p.company, p.kind,
       p.rule, c.case_id, c.reason_code, c.remedy
FROM pay_in p LEFT JOIN suspense_case c ON c.case_id = p.case_id
WHERE p.pay_in_id = ANY($1::text[])
ORDER BY p.pay_in_id
FOR UPDATE OF p
"""

_ALLOCATIONS = """
SELECT pay_in_id, account, owner, role, amount, pay_out FROM allocation
WHERE pay_in_id = ANY($1::text[])
ORDER BY pay_in_id, position
"""

_MOVE = """
UPDATE pay_in p
SET state = m.following, journal_id = m.journal_id, case_id = m.case_id, changed_at = $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS m (pay_in_id, previous, following, journal_id, case_id)
WHERE p.pay_in_id = m.pay_in_id AND p.state = m.previous
"""

_WAITING = """
SELECT count(*) AS number, min(changed_at) AS oldest FROM pay_in
WHERE state IN ('allocating', 'suspending')
"""

_CASES = """
SELECT reason_code, count(*), min(opened_at) FROM suspense_case
WHERE closed_at IS NULL GROUP BY reason_code
"""

_REMEMBER_RULE = """
INSERT INTO rule_version (rule, version, digest, document, first_used_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (rule, version) DO NOTHING
"""

_RULE_DIGEST = "SELECT digest FROM rule_version WHERE rule = $1 AND version = $2"


@dataclass(frozen=True, slots=True)
class NewPayIn:
    """A pay-in about to be entered."""

    pay_in_id: str
    source: str
    event: FundingReceived
    content: Content
    state: PayInState
    rule: str
    rule_facts: Mapping[str, object] | None
    journal_id: str
    case_id: str | None
    designated: tuple[Designated, ...]
    correlation_id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class NewCase:
    """Something a person must look at."""

    case_id: str
    pay_in_id: str
    reason_code: str
    remedy: str
    detail: str


@dataclass(frozen=True, slots=True)
class OpenCase:
    """The case a pay-in in suspense refers to."""

    case_id: str
    reason_code: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PayIn:
    """A pay-in as stored, locked for this transaction."""

    pay_in_id: str
    source: str
    external_id: str
    standing: Standing
    amount: Money
    who: Who
    where: Where
    why: Why
    company: str
    kind: str
    rule: str
    case: OpenCase | None


@dataclass(frozen=True, slots=True)
class Move:
    """A change of state, made only if `previous` still holds."""

    pay_in_id: str
    previous: PayInState
    following: PayInState
    journal_id: str
    case_id: str | None


async def insert_pay_ins(
    conn: Connection, pay_ins: Sequence[NewPayIn], now: datetime
) -> frozenset[str]:
    """Enter pay-ins and their allocations; the ids that were new, all others were known before."""
    ordered = sorted(pay_ins, key=lambda pay_in: pay_in.pay_in_id)
    rows = await conn.fetch(_INSERT_PAY_INS, *_columns([_pay_in_row(p) for p in ordered], 29), now)
    new = frozenset(row[0] for row in rows)
    shares = [
        (p.pay_in_id, position, d.wallet.id, part.owner, part.role, part.amount.minor, part.pay_out)
        for p in ordered
        if p.pay_in_id in new
        for position, d in enumerate(p.designated)
        for part in (d.part,)
    ]
    if shares:
        await conn.execute(_INSERT_ALLOCATIONS, *_columns(shares, 7))
    return new


def _pay_in_row(pay_in: NewPayIn) -> tuple[object, ...]:
    event = pay_in.event
    amount = pay_in.content.amount
    return (
        pay_in.pay_in_id,
        pay_in.source,
        event.external_id,
        pay_in.content.digest,
        pay_in.content.by_statement,
        pay_in.state.value,
        amount.currency.code,
        amount.minor,
        event.who.actor,
        event.who.principal,
        event.where.channel,
        event.where.country,
        event.why.program,
        event.why.event,
        event.why.reason,
        event.occurred_at,
        event.originator.reference,
        event.originator.country,
        event.company,
        None if event.beneficiary is None else event.beneficiary.owner,
        event.kind,
        event.value_date,
        event.references,
        pay_in.rule,
        pay_in.rule_facts,
        pay_in.journal_id,
        pay_in.case_id,
        pay_in.correlation_id,
        pay_in.tenant,
    )


async def contents(conn: Connection, pay_in_ids: Sequence[str]) -> Mapping[str, Content]:
    """What is known of these pay-ins' money."""
    return {
        row["pay_in_id"]: Content(
            row["content_digest"],
            Money(row["amount"], currency(row["currency"])),
            row["by_statement"],
        )
        for row in await conn.fetch(_CONTENTS, pay_in_ids)
    }


async def insert_cases(conn: Connection, cases: Sequence[NewCase], now: datetime) -> None:
    """Open cases; one that is open already stays as it is."""
    rows = [(c.case_id, c.pay_in_id, c.reason_code, c.remedy, c.detail) for c in cases]
    await conn.execute(_INSERT_CASES, *_columns(rows, 5), now)


async def count_repeats(
    conn: Connection, repeats: Mapping[str, tuple[int, int]], now: datetime
) -> None:
    """Add to the counts (same content, conflicting content) of announcements made again."""
    rows = [(pay_in_id, *repeats[pay_in_id]) for pay_in_id in sorted(repeats)]
    await conn.execute(_COUNT_REPEATS, *_columns(rows, 3), now)


async def lock_pay_ins(conn: Connection, pay_in_ids: Sequence[str]) -> dict[str, PayIn]:
    """Pay-ins by id, locked; ids that are no pay-ins are left out."""
    rows = await conn.fetch(_LOCK_PAY_INS, pay_in_ids)
    return {row["pay_in_id"]: _pay_in(row) for row in rows}


def _pay_in(row: Record) -> PayIn:
    case_id = row["case_id"]
    return PayIn(
        pay_in_id=row["pay_in_id"],
        source=row["source"],
        external_id=row["external_id"],
        standing=Standing(PayInState(row["state"]), row["journal_id"]),
        amount=Money(row["amount"], currency(row["currency"])),
        who=Who(actor=row["actor"], principal=row["principal"]),
        where=Where(channel=row["channel"], country=row["country"]),
        why=Why(program=row["program"], event=row["event"], reason=row["reason"]),
        company=row["company"],
        kind=row["kind"],
        rule=row["rule"],
        case=None if case_id is None else OpenCase(case_id, row["reason_code"], row["remedy"]),
    )


async def allocations(
    conn: Connection, pay_ins: Mapping[str, Currency]
) -> Mapping[str, tuple[Allocation, ...]]:
    """The allocations of these pay-ins, each in its currency, in the order of the rule."""
    found: dict[str, list[Allocation]] = defaultdict(list)
    for pay_in_id, account, owner, role, minor, pay_out in await conn.fetch(
        _ALLOCATIONS, list(pay_ins)
    ):
        found[pay_in_id].append(
            # Not validated: written by this service, in this shape.
            Allocation.model_construct(
                account=account,
                owner=owner,
                role=role,
                amount=Amount.of(Money(minor, pay_ins[pay_in_id])),
                pay_out=pay_out,
            )
        )
    return {pay_in_id: tuple(shares) for pay_in_id, shares in found.items()}


async def move(conn: Connection, moves: Sequence[Move], now: datetime) -> None:
    """Change states; the caller holds the rows' locks, so every change must take."""
    rows = [
        (m.pay_in_id, m.previous.value, m.following.value, m.journal_id, m.case_id) for m in moves
    ]
    status = await conn.execute(_MOVE, *_columns(rows, 5), now)
    assert status == f"UPDATE {len(moves)}", f"{len(moves)} moves, the database made {status!r}"


async def waiting(conn: Connection) -> tuple[int, datetime | None]:
    """How many pay-ins wait for the ledger, and since when the oldest does."""
    row = await conn.fetchrow(_WAITING)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return row["number"], row["oldest"]


async def cases(conn: Connection) -> Mapping[str, tuple[int, datetime]]:
    """Cases by reason: how many, and since when the oldest stands."""
    return {row[0]: (row[1], row[2]) for row in await conn.fetch(_CASES)}


async def remember_rule(
    conn: Connection, rule: Rule, digest: bytes, document: Mapping[str, object], now: datetime
) -> bytes:
    """Keep a rule's document for ever; the digest under which this version is known."""
    await conn.execute(_REMEMBER_RULE, rule.name, rule.version, digest, document, now)
    known = await conn.fetchval(_RULE_DIGEST, rule.name, rule.version)
    assert isinstance(known, bytes), "the row was entered above"
    return known


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Rows as the columns that unnest takes."""
    if not rows:
        return [[] for _ in range(width)]
    assert len(rows[0]) == width, f"{len(rows[0])} values for {width} columns"
    return [list(column) for column in zip(*rows, strict=True)]
