"""Published rules in SQL: each function is one statement unless it says otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Who
from tally_funding.domain import Beneficiary
from tally_funding.rules.match import Facts
from tally_postgres import Connection, Record

# Rows of every tenant show from here on: this service's consumers work across them.
# The lock on the table counts: a publication that waits goes before those who come to book later,
# where locks on the row alone could keep it waiting for ever.
_HOLD_STAMP = """
SELECT set_config('tally.tenant', '*', true), stamp,
       coalesce(xmin = pg_current_xact_id_if_assigned()::xid, false) AS raised_here
FROM rule_stamp FOR KEY SHARE
"""

# Not ACCESS EXCLUSIVE: a backup that reads the table would hold up publications, and they the money.
_LOCK_STAMP = "LOCK TABLE rule_stamp IN EXCLUSIVE MODE"

_RAISE_STAMP = "UPDATE rule_stamp SET stamp = nextval('rule_change')"

_EDITIONS = """
SELECT rule_id, version, tenant, effective_from, effective_until, company
FROM allocation_rule_version WHERE stamp > $1
"""

_EDITION = """
SELECT rule_id, version, tenant, effective_from, effective_until, company
FROM allocation_rule_version WHERE rule_id = $1 AND version = $2
"""

_HELD = """
SELECT count(DISTINCT rule_id) AS rules, count(*) AS versions FROM allocation_rule_version
WHERE tenant = $1 AND company IS NOT DISTINCT FROM $2
"""

_DOCUMENTS = """
SELECT v.rule_id, v.version, v.document
FROM allocation_rule_version v
JOIN unnest($1::text[], $2::integer[]) AS asked (rule_id, version) USING (rule_id, version)
"""

_RULE = """
SELECT rule_id, tenant, name, last_version, retired_at, company FROM allocation_rule
WHERE rule_id = $1 OR (tenant = $2 AND company IS NOT DISTINCT FROM $3 AND name = $4)
"""

_VERSIONS = """
SELECT version, digest, effective_from, effective_until, actor, principal
FROM allocation_rule_version WHERE rule_id = $1 ORDER BY version
"""

_PUT_RULE = """
INSERT INTO allocation_rule (rule_id, tenant, company, name, last_version)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (rule_id) DO UPDATE SET last_version = EXCLUDED.last_version
"""

_ADD_VERSION = """
INSERT INTO allocation_rule_version (
    rule_id, version, tenant, document, digest, effective_from, effective_until, actor, principal,
    published_at, company)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

# A version that would have begun later begins never.
_END_VERSIONS = """
UPDATE allocation_rule_version SET effective_until = greatest(effective_from, $2)
WHERE rule_id = $1 AND (effective_until IS NULL OR effective_until > $2)
"""

_RETIRE = "UPDATE allocation_rule SET retired_at = $2 WHERE rule_id = $1"

_ASK = """
INSERT INTO rule_question AS known (question_id, tenant, digest, asked_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (question_id) DO UPDATE SET asked_at = known.asked_at
RETURNING digest
"""

_PAST = """
SELECT p.pay_in_id, p.source, p.program, p.event, p.kind, p.currency, p.amount, p.company,
       p.beneficiary, p.originator_country, p.source_references, p.occurred_at, p.rule,
       p.rule_facts, nullif(p.tenant, '*') AS tenant
FROM pay_in p
WHERE p.pay_in_id = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The number of the rules' last change. `raised_here`: by this transaction, which may be undone."""

    number: int
    raised_here: bool


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of a rule, and when it is in force. `company`: whose below the tenant, if one's."""

    rule_id: str
    version: int
    tenant: str
    effective_from: datetime
    effective_until: datetime | None
    company: str | None


@dataclass(frozen=True, slots=True)
class KnownRule:
    """A rule as stored. `last_version` is its highest."""

    rule_id: str
    tenant: str
    name: str
    last_version: int
    retired_at: datetime | None
    company: str | None


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A published version."""

    version: int
    digest: str
    effective_from: datetime
    effective_until: datetime | None
    who: Who


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version about to be published."""

    edition: Edition
    document: str
    digest: str
    who: Who


@dataclass(frozen=True, slots=True)
class PastPayIn:
    """A pay-in as it was announced, and what it was divided by.

    `tenant` is its company's now; `rule_facts` what the directory said then.
    """

    pay_in_id: str
    facts: Facts
    beneficiary: Beneficiary | None
    rule: str
    rule_facts: Mapping[str, object] | None


async def hold_stamp(conn: Connection) -> Stamp:
    """The stamp of the rules, held until the transaction ends: no rule changes meanwhile."""
    row = await conn.fetchrow(_HOLD_STAMP)
    assert row is not None, "the migration made the one row"
    return Stamp(row["stamp"], row["raised_here"])


async def lock_stamp(conn: Connection) -> None:
    """Lock the stamp for a change: waits for all who book under the rules as they are."""
    await conn.execute(_LOCK_STAMP)


async def raise_stamp(conn: Connection) -> None:
    """Tell everybody that the rules have changed."""
    await conn.execute(_RAISE_STAMP)


async def editions(conn: Connection, above: int) -> Sequence[Edition]:
    """The versions that were published or got an end since the rules had this stamp."""
    return [Edition(*row) for row in await conn.fetch(_EDITIONS, above)]


async def edition(conn: Connection, rule_id: str, version: int) -> Edition | None:
    """One version of a rule."""
    row = await conn.fetchrow(_EDITION, rule_id, version)
    return None if row is None else Edition(*row)


async def held(conn: Connection, tenant: str, company: str | None) -> tuple[int, int]:
    """How many rules an owner has published, and how many versions of them all."""
    row = await conn.fetchrow(_HELD, tenant, company)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return row["rules"], row["versions"]


async def documents(
    conn: Connection, asked: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], str]:
    """The documents of these versions; those that do not exist are left out."""
    rows = await conn.fetch(
        _DOCUMENTS, [rule_id for rule_id, _ in asked], [version for _, version in asked]
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def rules_named(
    conn: Connection, *, rule_id: str, tenant: str, company: str | None, name: str
) -> Sequence[KnownRule]:
    """The rule of this id, and the rule of this name of the tenant, or of its company."""
    return [KnownRule(*row) for row in await conn.fetch(_RULE, rule_id, tenant, company, name)]


async def versions(conn: Connection, rule_id: str) -> Sequence[KnownVersion]:
    """The versions of a rule, in order."""
    return [
        KnownVersion(
            version=row["version"],
            digest=row["digest"],
            effective_from=row["effective_from"],
            effective_until=row["effective_until"],
            who=Who(actor=row["actor"], principal=row["principal"]),
        )
        for row in await conn.fetch(_VERSIONS, rule_id)
    ]


async def publish(conn: Connection, name: str, new: NewVersion, now: datetime) -> None:
    """Add a version and end the one before it where the new one begins; three statements."""
    edition = new.edition
    await conn.execute(
        _PUT_RULE, edition.rule_id, edition.tenant, edition.company, name, edition.version
    )
    await conn.execute(_END_VERSIONS, edition.rule_id, edition.effective_from)
    await conn.execute(
        _ADD_VERSION,
        edition.rule_id,
        edition.version,
        edition.tenant,
        new.document,
        new.digest,
        edition.effective_from,
        edition.effective_until,
        new.who.actor,
        new.who.principal,
        now,
        edition.company,
    )


async def retire(conn: Connection, rule_id: str, now: datetime) -> None:
    """End every version of a rule; two statements."""
    await conn.execute(_RETIRE, rule_id, now)
    await conn.execute(_END_VERSIONS, rule_id, now)


async def ask(
    conn: Connection, question_id: str, tenant: str, digest: bytes, now: datetime
) -> bytes:
    """Enter a question; the digest of the first one that was asked under this id."""
    known = await conn.fetchval(_ASK, question_id, tenant, digest, now)
    assert isinstance(known, bytes), "the row was entered just now"
    return known


async def past_pay_ins(conn: Connection, pay_in_ids: Sequence[str]) -> Mapping[str, PastPayIn]:
    """Pay-ins by id; ids that are none are left out."""
    return {row["pay_in_id"]: _past(row) for row in await conn.fetch(_PAST, pay_in_ids)}


def _past(row: Record) -> PastPayIn:
    owner = row["beneficiary"]
    return PastPayIn(
        pay_in_id=row["pay_in_id"],
        facts=Facts(
            source=row["source"],
            program=row["program"],
            event=row["event"],
            kind=row["kind"],
            code=row["currency"],
            minor=int(row["amount"]),
            country=row["originator_country"],
            company=row["company"],
            tags=row["source_references"],
            occurred_at=row["occurred_at"],
            tenant=row["tenant"],
        ),
        beneficiary=None if owner is None else Beneficiary(_kind(owner), owner),
        rule=row["rule"],
        rule_facts=row["rule_facts"],
    )


def _kind(owner: str) -> str:
    prefix = owner.partition(":")[0]
    return prefix if prefix in {"contact", "event"} and ":" in owner else "party"
