"""Rules, owners' keys and consents in SQL: each function is one statement unless it says otherwise."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tally_contracts.base import Who
from tally_funding.domain import Beneficiary
from tally_funding.rules.match import Facts
from tally_postgres import Connection, Record

_EVERY_TENANT: Final = "SELECT set_config('tally.tenant', '*', true)"

# Rows of every tenant show from here on: this service's consumers work across them.
_HOLD_STAMP = "SELECT set_config('tally.tenant', '*', true), stamp FROM rule_stamp FOR SHARE"

_LOCK_STAMP = "SELECT set_config('tally.tenant', '*', true), stamp FROM rule_stamp FOR UPDATE"

_RAISE_STAMP = "UPDATE rule_stamp SET stamp = nextval('rule_change')"

_EDITIONS = """
SELECT rule_id, version, tenant, effective_from, effective_until FROM allocation_rule_version
"""

_DOCUMENTS = """
SELECT v.rule_id, v.version, v.document
FROM allocation_rule_version v
JOIN unnest($1::text[], $2::integer[]) AS asked (rule_id, version) USING (rule_id, version)
"""

_RULE = """
SELECT rule_id, tenant, name, last_version, retired_at FROM allocation_rule
WHERE rule_id = $1 OR (tenant = $2 AND name = $3)
"""

_VERSIONS = """
SELECT version, digest, effective_from, effective_until, actor, principal
FROM allocation_rule_version WHERE rule_id = $1 ORDER BY version
"""

_PUT_RULE = """
INSERT INTO allocation_rule (rule_id, tenant, name, last_version) VALUES ($1, $2, $3, $4)
ON CONFLICT (rule_id) DO UPDATE SET last_version = EXCLUDED.last_version
"""

_ADD_VERSION = """
INSERT INTO allocation_rule_version (
    rule_id, version, tenant, document, digest, effective_from, effective_until, actor, principal,
    published_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
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
       p.rule_facts, t.tenant
FROM pay_in p LEFT JOIN party_place t ON t.party_id = p.company
WHERE p.pay_in_id = ANY($1::text[])
"""

_TENANTS = "SELECT party_id, tenant FROM party_place WHERE party_id = ANY($1::text[])"

_GROUPS_OF = """
SELECT party, group_id, tenant FROM known_member
WHERE member AND party = ANY($1::text[]) AND group_id = ANY($2::text[])
"""

_MEMBERS = """
SELECT asked.group_id, m.party, m.tenant
FROM unnest($1::text[]) AS asked (group_id) CROSS JOIN LATERAL (
    SELECT k.party, k.tenant FROM known_member k
    WHERE k.group_id = asked.group_id AND k.member ORDER BY k.party LIMIT $2) m
"""

_RELATIONS = """
SELECT other, relation, party, tenant FROM known_relation
WHERE NOT ended AND other = ANY($1::text[]) AND relation = ANY($2::text[])
ORDER BY party
"""

_SET_RELATIONS = """
INSERT INTO known_relation AS known (other, relation, party, tenant, ended, changed_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[])
ON CONFLICT (other, relation, party) DO UPDATE
SET ended = EXCLUDED.ended, changed_at = EXCLUDED.changed_at
WHERE EXCLUDED.changed_at >= known.changed_at
"""

_SET_MEMBERS = """
INSERT INTO known_member AS known (group_id, party, tenant, member, version)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[])
ON CONFLICT (group_id, party) DO UPDATE
SET member = EXCLUDED.member, version = EXCLUDED.version
WHERE EXCLUDED.version > known.version
"""

_KEYS = """
SELECT owner, public_key, tenant, state, proposed_by, proposed_for FROM owner_key
WHERE owner = $1 FOR UPDATE
"""

_PUT_KEY = """
INSERT INTO owner_key (
    owner, public_key, tenant, state, proposed_by, proposed_for, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (owner, public_key) DO UPDATE
SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at
"""

_REPLACE_KEYS = """
UPDATE owner_key SET state = 'replaced', changed_at = $3
WHERE owner = $1 AND public_key <> $2 AND state <> 'replaced'
"""

_KEYS_IN_FORCE = """
SELECT owner, public_key, tenant FROM owner_key
WHERE owner = ANY($1::text[]) AND state = 'registered'
"""

_USED_NONCES = """
SELECT c.owner, c.nonce FROM owner_consent c
JOIN unnest($1::text[], $2::text[]) AS given (owner, nonce) USING (owner, nonce)
"""

_ADD_CONSENTS = """
INSERT INTO owner_consent (owner, nonce, tenant, rule_id, version, given_at)
SELECT g.*, $3, $4, $5, $6 FROM unnest($1::text[], $2::text[]) AS g (owner, nonce)
"""


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of a rule, and when it is in force."""

    rule_id: str
    version: int
    tenant: str
    effective_from: datetime
    effective_until: datetime | None


@dataclass(frozen=True, slots=True)
class KnownRule:
    """A rule as stored. `last_version` is its highest."""

    rule_id: str
    tenant: str
    name: str
    last_version: int
    retired_at: datetime | None


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


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """A key that an owner signs with, or is proposed to."""

    owner: str
    public_key: str
    tenant: str
    state: str
    proposed_by: str
    proposed_for: str


async def show_every_tenant(conn: Connection) -> None:
    """Let this transaction work across tenants."""
    await conn.execute(_EVERY_TENANT)


async def hold_stamp(conn: Connection) -> int:
    """The stamp of the rules, held until the transaction ends: no rule changes meanwhile."""
    return _stamp(await conn.fetchrow(_HOLD_STAMP))


async def lock_stamp(conn: Connection) -> int:
    """The stamp, locked for a change: waits for all who book under the rules as they are."""
    return _stamp(await conn.fetchrow(_LOCK_STAMP))


def _stamp(row: Record | None) -> int:
    assert row is not None, "the migration made the one row"
    stamp = row["stamp"]
    assert isinstance(stamp, int)
    return stamp


async def raise_stamp(conn: Connection) -> None:
    """Tell everybody that the rules have changed."""
    await conn.execute(_RAISE_STAMP)


async def editions(conn: Connection) -> Sequence[Edition]:
    """Every version of every rule."""
    return [Edition(*row) for row in await conn.fetch(_EDITIONS)]


async def documents(
    conn: Connection, asked: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], str]:
    """The documents of these versions; those that do not exist are left out."""
    rows = await conn.fetch(
        _DOCUMENTS, [rule_id for rule_id, _ in asked], [version for _, version in asked]
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def rules_named(
    conn: Connection, *, rule_id: str, tenant: str, name: str
) -> Sequence[KnownRule]:
    """The rule of this id, and the tenant's rule of this name."""
    return [KnownRule(*row) for row in await conn.fetch(_RULE, rule_id, tenant, name)]


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
    await conn.execute(_PUT_RULE, edition.rule_id, edition.tenant, name, edition.version)
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


async def tenants(conn: Connection, parties: Collection[str]) -> Mapping[str, str]:
    """The tenant of each party that the directory knows."""
    return {row[0]: row[1] for row in await conn.fetch(_TENANTS, sorted(parties))}


async def groups_of(
    conn: Connection, parties: Collection[str], groups: Collection[str]
) -> Sequence[tuple[str, str, str]]:
    """Which of these parties are in which of these groups: (party, group, tenant)."""
    rows = await conn.fetch(_GROUPS_OF, sorted(parties), sorted(groups))
    return [(row[0], row[1], row[2]) for row in rows]


async def members(
    conn: Connection, groups: Collection[str], limit: int
) -> Sequence[tuple[str, str, str]]:
    """The members of groups, at most `limit` each, by id: (group, party, tenant)."""
    return [(row[0], row[1], row[2]) for row in await conn.fetch(_MEMBERS, sorted(groups), limit)]


async def relations(
    conn: Connection, others: Collection[str], names: Collection[str]
) -> Sequence[tuple[str, str, str, str]]:
    """Who stands in these relations to these parties: (other, relation, party, tenant)."""
    rows = await conn.fetch(_RELATIONS, sorted(others), sorted(names))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def set_relations(
    conn: Connection, rows: Mapping[tuple[str, str, str], tuple[str, bool, datetime]]
) -> None:
    """Keep relations: (other, relation, party) -> (tenant, ended, since)."""
    ordered = [(*key, *rows[key]) for key in sorted(rows)]
    await conn.execute(_SET_RELATIONS, *_columns(ordered))


async def set_members(
    conn: Connection, rows: Mapping[tuple[str, str], tuple[str, bool, int]]
) -> None:
    """Keep memberships: (group, party) -> (tenant, member, the group's version)."""
    ordered = [(*key, *rows[key]) for key in sorted(rows)]
    await conn.execute(_SET_MEMBERS, *_columns(ordered))


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def keys_of(conn: Connection, owner: str) -> Sequence[OwnerKey]:
    """All keys of an owner, locked."""
    return [OwnerKey(*row) for row in await conn.fetch(_KEYS, owner)]


async def put_key(conn: Connection, key: OwnerKey, now: datetime) -> None:
    """Enter a key or change its state; one that is registered replaces all others (a statement more)."""
    if key.state == "registered":
        await conn.execute(_REPLACE_KEYS, key.owner, key.public_key, now)
    await conn.execute(
        _PUT_KEY,
        key.owner,
        key.public_key,
        key.tenant,
        key.state,
        key.proposed_by,
        key.proposed_for,
        now,
    )


async def keys_in_force(conn: Connection, owners: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """The public key and the tenant of each owner that has a key in force."""
    return {
        row["owner"]: (row["public_key"], row["tenant"])
        for row in await conn.fetch(_KEYS_IN_FORCE, sorted(owners))
    }


async def used_nonces(
    conn: Connection, given: Sequence[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """Which of these (owner, nonce) have served before."""
    rows = await conn.fetch(_USED_NONCES, [one[0] for one in given], [one[1] for one in given])
    return frozenset((row[0], row[1]) for row in rows)


async def add_consents(
    conn: Connection, given: Sequence[tuple[str, str]], edition: Edition, now: datetime
) -> None:
    """Let these (owner, nonce) never serve again."""
    await conn.execute(
        _ADD_CONSENTS,
        [one[0] for one in given],
        [one[1] for one in given],
        edition.tenant,
        edition.rule_id,
        edition.version,
        now,
    )
