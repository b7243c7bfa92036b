"""Matches and money in suspense, in SQL. A pay-in is locked before its match."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Who
from tally_contracts.funding import Beneficiary
from tally_funding.postings import Designated
from tally_postgres import Connection

_DUE = """
SELECT p.pay_in_id FROM pay_in p LEFT JOIN match_look l USING (pay_in_id)
WHERE p.state = 'suspense' AND l.pay_in_id IS NULL
ORDER BY p.pay_in_id
LIMIT $1
"""

_LOOKED = """
INSERT INTO match_look (pay_in_id, looked_at) VALUES ($1, $2)
ON CONFLICT (pay_in_id) DO UPDATE SET looked_at = EXCLUDED.looked_at
"""

_MONEY = """
SELECT p.originator, p.originator_country, p.kind, p.occurred_at, p.source_references,
       p.correlation_id, p.event,
       (SELECT string_agg(e.remittance, E'\\n') FROM statement_entry e
        WHERE e.pay_in_id = p.pay_in_id) AS remittance,
       EXISTS (SELECT 1 FROM pay_in_match m
               WHERE m.pay_in_id = p.pay_in_id AND m.state = 'asked') AS match_open,
       EXISTS (SELECT 1 FROM pay_in_return r
               WHERE r.pay_in_id = p.pay_in_id AND r.state NOT IN ('refused', 'reinstated')) AS returned
FROM pay_in p WHERE p.pay_in_id = $1
"""

_MATCH_DIGEST = "SELECT digest, state FROM pay_in_match WHERE match_id = $1"

_INSERT_MATCH = """
INSERT INTO pay_in_match (
    match_id, pay_in_id, case_id, digest, expectation_id, beneficiary, program, confidence,
    automatic, note, actor, principal, state, journal_id, rule, rule_facts, shares, cause, asked_at,
    changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'asked', $13, $14, $15, $16, $17, $18,
        $18)
"""

_PAY_INS_OF = """
SELECT DISTINCT pay_in_id FROM pay_in_match WHERE match_id = ANY($1::text[]) AND state = 'asked'
"""

_LOCK_MATCHES = """
SELECT match_id, pay_in_id, case_id, expectation_id, beneficiary, program, actor, principal,
       journal_id, rule, rule_facts, shares
FROM pay_in_match WHERE match_id = ANY($1::text[]) AND state = 'asked'
ORDER BY match_id FOR UPDATE
"""

_END_MATCHES = """
UPDATE pay_in_match m SET state = e.state, changed_at = $3
FROM unnest($1::text[], $2::text[]) AS e (match_id, state)
WHERE m.match_id = e.match_id AND m.state = 'asked'
"""

_ALLOCATE = """
UPDATE pay_in p
SET state = 'allocated', journal_id = m.journal_id, case_id = NULL, program = m.program,
    rule = m.rule, rule_facts = m.rule_facts, changed_at = $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
    AS m (pay_in_id, journal_id, program, rule, rule_facts)
WHERE p.pay_in_id = m.pay_in_id AND p.state = 'suspense'
"""

_INSERT_ALLOCATIONS = """
INSERT INTO allocation (pay_in_id, position, account, owner, role, amount, pay_out)
SELECT * FROM unnest(
    $1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::boolean[])
"""

_CLOSE_CASES = """
UPDATE suspense_case SET closed_at = $2 WHERE case_id = ANY($1::text[]) AND closed_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class SuspendedMoney:
    """What matching needs to know of money beyond its pay-in."""

    originator: str
    originator_country: str | None
    kind: str
    event: str
    occurred_at: datetime
    references: Mapping[str, str]
    remittance: str | None
    correlation_id: str
    match_open: bool
    returned: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A part of matched money, as it will be an allocation."""

    account: str
    owner: str
    role: str
    minor: int
    pay_out: bool


@dataclass(frozen=True, slots=True)
class NewMatch:
    """A match about to be asked of the ledger."""

    match_id: str
    pay_in_id: str
    case_id: str
    digest: bytes
    expectation_id: str | None
    beneficiary: Beneficiary
    program: str
    confidence: int
    automatic: bool
    note: str
    who: Who
    journal_id: str
    rule: str
    rule_facts: Mapping[str, object] | None
    shares: tuple[Designated, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class OpenMatch:
    """A match the ledger has not answered, locked."""

    match_id: str
    pay_in_id: str
    case_id: str
    expectation_id: str | None
    beneficiary: Beneficiary
    program: str
    who: Who
    journal_id: str
    rule: str
    rule_facts: Mapping[str, object] | None
    shares: tuple[Share, ...]


async def due(conn: Connection, most: int) -> tuple[str, ...]:
    """Money in suspense that nobody has compared with what is expected."""
    return tuple(row[0] for row in await conn.fetch(_DUE, most))


async def looked(conn: Connection, pay_in_id: str, now: datetime) -> None:
    """Note that money was compared with what is expected."""
    await conn.execute(_LOOKED, pay_in_id, now)


async def money(conn: Connection, pay_in_id: str) -> SuspendedMoney:
    """What is known of a pay-in's money; the caller holds the pay-in's lock."""
    row = await conn.fetchrow(_MONEY, pay_in_id)
    assert row is not None, "the pay-in is locked"
    return SuspendedMoney(
        row["originator"],
        row["originator_country"],
        row["kind"],
        row["event"],
        row["occurred_at"],
        row["source_references"],
        row["remittance"],
        row["correlation_id"],
        row["match_open"],
        row["returned"],
    )


async def match_digest(conn: Connection, match_id: str) -> tuple[bytes, str] | None:
    """The content a match's id came with before, and how it stands."""
    row = await conn.fetchrow(_MATCH_DIGEST, match_id)
    return None if row is None else (bytes(row["digest"]), row["state"])


async def insert_match(conn: Connection, match: NewMatch, now: datetime) -> None:
    """Enter a match asked of the ledger."""
    shares = [
        {
            "account": one.wallet.id,
            "owner": one.part.owner,
            "role": one.part.role,
            "minor": str(one.part.amount.minor),
            "pay_out": one.part.pay_out,
        }
        for one in match.shares
    ]
    await conn.execute(
        _INSERT_MATCH,
        match.match_id,
        match.pay_in_id,
        match.case_id,
        match.digest,
        match.expectation_id,
        match.beneficiary.model_dump(mode="json"),
        match.program,
        match.confidence,
        match.automatic,
        match.note,
        match.who.actor,
        match.who.principal,
        match.journal_id,
        match.rule,
        match.rule_facts,
        shares,
        match.cause,
        now,
    )


async def pay_ins_of(conn: Connection, match_ids: Sequence[str]) -> tuple[str, ...]:
    """The pay-ins of matches the ledger has not answered."""
    return tuple(row[0] for row in await conn.fetch(_PAY_INS_OF, match_ids))


async def lock_matches(conn: Connection, match_ids: Sequence[str]) -> dict[str, OpenMatch]:
    """Matches the ledger has not answered, by id and locked."""
    return {
        row["match_id"]: OpenMatch(
            row["match_id"],
            row["pay_in_id"],
            row["case_id"],
            row["expectation_id"],
            Beneficiary.model_validate(row["beneficiary"]),
            row["program"],
            Who(actor=row["actor"], principal=row["principal"]),
            row["journal_id"],
            row["rule"],
            row["rule_facts"],
            tuple(
                Share(s["account"], s["owner"], s["role"], int(s["minor"]), s["pay_out"])
                for s in row["shares"]
            ),
        )
        for row in await conn.fetch(_LOCK_MATCHES, match_ids)
    }


async def end_matches(conn: Connection, ended: Mapping[str, str], now: datetime) -> None:
    """End matches: each id with `allocated` or `refused`."""
    await conn.execute(_END_MATCHES, list(ended), list(ended.values()), now)


async def allocate(conn: Connection, matches: Sequence[OpenMatch], now: datetime) -> None:
    """Make allocations of matched money, and close the cases it stood in suspense with."""
    status = await conn.execute(
        _ALLOCATE,
        [m.pay_in_id for m in matches],
        [m.journal_id for m in matches],
        [m.program for m in matches],
        [m.rule for m in matches],
        [m.rule_facts for m in matches],
        now,
    )
    assert status == f"UPDATE {len(matches)}", f"{len(matches)} matches, {status!r}"
    rows = [(m.pay_in_id, at, share) for m in matches for at, share in enumerate(m.shares)]
    await conn.execute(
        _INSERT_ALLOCATIONS,
        [pay_in_id for pay_in_id, _, _ in rows],
        [position for _, position, _ in rows],
        [share.account for _, _, share in rows],
        [share.owner for _, _, share in rows],
        [share.role for _, _, share in rows],
        [share.minor for _, _, share in rows],
        [share.pay_out for _, _, share in rows],
    )
    await conn.execute(_CLOSE_CASES, [m.case_id for m in matches], now)
