"""Reads all that a batch of commands may need: each question is one statement for all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeVar

from tally_directory.domain.bonds import EVERY_TENANT
from tally_directory.domain.contacts import reference_of
from tally_directory.domain.rows import (
    Access,
    Approval,
    ApprovalState,
    Connection,
    ConnectionState,
    Consent,
    Contact,
    FundingDetails,
    Grant,
    Holding,
    Kind,
    Membership,
    Naming,
    Party,
    PartyState,
    Reference,
    Role,
    Verification,
    Wallet,
)
from tally_directory.domain.world import Shelf, World
from tally_money import iso_currencies
from tally_postgres import Connection as Session
from tally_postgres import Record

K = TypeVar("K")
V = TypeVar("V")

# One batch decides at a time: what a command is refused for must still hold when another is saved.
_TURN: Final = 7_020_001
_TAKE_TURN = f"SELECT set_config('tally.tenant', '*', true), pg_advisory_xact_lock({_TURN})"

# Whom merged parties went on as, so that what those have is read as well.
_WENT_ON_AS = """
WITH RECURSIVE merged AS (
    SELECT p.merged_into FROM party p WHERE p.party_id = ANY($1::text[])
    UNION
    SELECT p.merged_into FROM merged m JOIN party p ON p.party_id = m.merged_into
)
SELECT merged_into FROM merged WHERE merged_into IS NOT NULL
"""
_CONTACTS = """
SELECT contact_id, tenant, party_id, channel, token, sealed, verified_at, codes_day, codes_sent
FROM contact
WHERE contact_id IN (
    SELECT unnest($1::text[])
    UNION ALL
    SELECT contact_id FROM verification WHERE verification_id = ANY($1::text[])
    UNION ALL
    SELECT c.contact_id FROM contact c
    WHERE c.party_id = ANY($1::text[]) AND c.token = ANY($2::text[]))
"""
_VERIFICATIONS = """
SELECT verification_id, tenant, contact_id, code_token, expires_at, attempts, confirmed
FROM verification WHERE verification_id = ANY($1::text[])
"""
_CONNECTIONS = """
SELECT connection_id, tenant, other_tenant, from_party, to_party, access, state
FROM connection WHERE connection_id = ANY($1::text[])
UNION
SELECT connection_id, tenant, other_tenant, from_party, to_party, access, state
FROM connection
WHERE from_party = ANY($1::text[]) AND to_party = ANY($1::text[]) AND state <> 'revoked'
"""
_WALLETS = """
SELECT wallet_id, tenant, owner, account, ledger, currency, purpose, reference, company, value_kind
FROM wallet WHERE wallet_id = ANY($1::text[])
UNION
SELECT wallet_id, tenant, owner, account, ledger, currency, purpose, reference, company, value_kind
FROM wallet WHERE account = ANY($2::text[])
"""
_GRANTS = """
SELECT grant_id, tenant, other_tenant, wallet, to_party, fields, revoked
FROM wallet_grant WHERE grant_id = ANY($1::text[])
UNION
SELECT grant_id, tenant, other_tenant, wallet, to_party, fields, revoked
FROM wallet_grant
WHERE wallet = ANY($1::text[]) AND to_party = ANY($1::text[]) AND NOT revoked
"""
_APPROVALS = """
SELECT approval_id, tenant, party_id, act, subject, content_digest, proposed_by, state, decided_by
FROM approval WHERE approval_id = ANY($1::text[])
"""
_REFERENCES = """
SELECT reference, tenant, party_id FROM owner_reference WHERE reference = ANY($1::text[])
"""
# Each party with its ancestors, what merged ones went on as, and whose money made them known.
_PARTIES = """
WITH RECURSIVE found AS (
    SELECT p.* FROM party p WHERE p.party_id = ANY($1::text[])
    UNION
    SELECT p.* FROM party p
    JOIN unnest($2::text[], $3::text[]) AS e (tenant, external_id)
        ON p.tenant = e.tenant AND p.external_id = e.external_id
    UNION
    SELECT p.* FROM found f
    JOIN party p ON p.party_id = ANY(ARRAY[f.parent, f.merged_into, f.made_for])
)
SELECT party_id, tenant, kind, parent, external_id, country, alias, state, merged_into,
       made_for, group_version
FROM found
"""
_ROLES = """
SELECT party_id, person, role, tenant, held FROM role
WHERE party_id = ANY($1::text[]) AND person = ANY($2::text[])
UNION
SELECT party_id, person, role, tenant, held FROM role
WHERE party_id = ANY($1::text[]) AND role = 'owner' AND held
"""
_RELATION_TYPES = """
SELECT tenant, relation, label FROM relation_type
WHERE tenant = ANY($1::text[]) AND relation = ANY($2::text[])
"""
_MEMBERSHIPS = """
SELECT group_id, party, tenant, member, version FROM membership
WHERE group_id = ANY($1::text[]) AND party = ANY($1::text[])
"""
# Of whom was merged into a party too.
_NAMINGS = """
WITH RECURSIVE became AS (
    SELECT unnest($1::text[]) COLLATE "C" AS party_id
    UNION
    SELECT p.party_id FROM became b JOIN party p ON p.merged_into = b.party_id
)
SELECT e.known_to, e.party_id, e.tenant, e.external_id
FROM became JOIN external_reference e USING (party_id)
UNION
SELECT known_to, party_id, tenant, external_id FROM external_reference
WHERE known_to = ANY($1::text[]) AND external_id = ANY($2::text[])
"""
# Of whom a party was merged into too: an approval may name one that has become another since.
_CONSENTS = """
WITH RECURSIVE went_on_as AS (
    SELECT unnest($1::text[]) COLLATE "C" AS party_id
    UNION
    SELECT p.merged_into FROM went_on_as w JOIN party p USING (party_id)
    WHERE p.merged_into IS NOT NULL
)
SELECT c.party_id, c.company, c.tenant, c.other_tenant, c.given, c.carried
FROM went_on_as JOIN consent c USING (party_id)
"""
# Of whom was merged into a party too: that two have shown the same contact says that they are one, whoever approves it.
_SHOWN_CONTACTS = """
WITH RECURSIVE became AS (
    SELECT unnest($1::text[]) COLLATE "C" AS party_id
    UNION
    SELECT p.party_id FROM became b JOIN party p ON p.merged_into = b.party_id
)
SELECT contact_id, tenant, party_id, channel, token, sealed, verified_at, codes_day, codes_sent
FROM became JOIN contact USING (party_id)
WHERE verified_at IS NOT NULL AND sealed IS NOT NULL
"""
_FUNDING_DETAILS = """
SELECT party_id, currency, tenant, virtual_account FROM funding_details
WHERE party_id = ANY($1::text[]) AND currency = ANY($2::text[])
"""
_ASSETS = "SELECT code FROM asset WHERE code = ANY($1::text[])"
_ANSWERS = """
SELECT command_id, digest, answer, refusal FROM command
WHERE command_id = ANY($1::text[])
"""


@dataclass(slots=True)
class Asked:
    """What a batch names: ids of anything, and what is looked up by other keys.

    Without `acts` nothing is decided but whose money is that arrives: parties, references and wallets
    are read alone.
    `merges`: two of the parties may become one.
    """

    ids: set[str] = field(default_factory=set)
    tenants: set[str] = field(default_factory=set)
    persons: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    references: set[str] = field(default_factory=set)
    external_ids: set[tuple[str, str]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    relations: set[str] = field(default_factory=set)
    currencies: set[str] = field(default_factory=set)
    acts: bool = True
    merges: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command was answered with: the type of the fact, and the whole of a refusal."""

    digest: bytes
    event_type: str
    refusal: Mapping[str, Any] | None


async def take_turn(conn: Session) -> None:
    """Wait until no other batch decides, and see the rows of all tenants, until the unit ends."""
    await conn.execute(_TAKE_TURN)


async def answers(conn: Session, command_ids: Sequence[str]) -> dict[str, Answer]:
    """The answers that these commands got before."""
    return {
        row["command_id"]: Answer(row["digest"], row["answer"], row["refusal"])
        for row in await conn.fetch(_ANSWERS, command_ids)
    }


async def read(conn: Session, asked: Asked) -> World:
    """All rows that the batch may need, with the ancestors of every party in them."""

    async def for_acts(
        query: str, row_of: Callable[[Record], tuple[K, V]], *arguments: list[str]
    ) -> Shelf[K, V]:
        return await _shelf(conn, query, row_of, *arguments) if asked.acts else Shelf()

    merged = await conn.fetch(_WENT_ON_AS, sorted(asked.ids))
    ids = sorted(asked.ids.union(row[0] for row in merged))
    contacts = await for_acts(_CONTACTS, _contact, ids, sorted(asked.tokens))
    verifications = await for_acts(_VERIFICATIONS, _verification, ids)
    connections = await for_acts(_CONNECTIONS, _connection, ids)
    grants = await for_acts(_GRANTS, _grant, ids)
    shared = sorted({*ids} | {grant.wallet for grant in grants.values()})
    wallets = await _shelf(conn, _WALLETS, _wallet, shared, sorted(asked.accounts))
    approvals = await for_acts(_APPROVALS, _approval, ids)
    named = asked.references | {reference_of(contact.token) for contact in contacts.values()}
    references = await _shelf(conn, _REFERENCES, _reference, sorted(named.union(ids)))
    # Only where somebody is named: nearly no batch asks.
    namings = (
        await _shelf(conn, _NAMINGS, _naming, ids, sorted(asked.names))
        if asked.names
        else Shelf[tuple[str, str], Naming]()
    )
    rows = (contacts, connections, wallets, grants, approvals, references)
    in_rows = {
        *_parties_in(chain.from_iterable(shelf.values() for shelf in rows)),
        *(party_id for (_, party_id), _ in namings.items()),
    }
    consents = Shelf[tuple[str, str], Consent]()
    if asked.merges:
        of = sorted({*ids, *in_rows})
        consents = await _shelf(conn, _CONSENTS, _consent, of)
        shown = await _shelf(conn, _SHOWN_CONTACTS, _contact, of)
        in_rows |= {contact.party_id for contact in shown.values()}
        contacts = Shelf(dict([*shown.items(), *contacts.items()]))
    parties = await _shelf(
        conn,
        _PARTIES,
        _party,
        sorted({*ids, *asked.tenants, *in_rows}),
        [tenant for tenant, _ in sorted(asked.external_ids)],
        [external_id for _, external_id in sorted(asked.external_ids)],
    )
    tenants = sorted(asked.tenants | {EVERY_TENANT, *(p.tenant for p in parties.values())})
    known = sorted(party_id for party_id, _ in parties.items())
    codes = sorted(asked.currencies)
    assets = await conn.fetch(_ASSETS, codes) if asked.acts else []
    return World(
        parties=parties,
        namings=namings,
        consents=consents,
        references=references,
        relation_types=await for_acts(
            _RELATION_TYPES, _relation_type, tenants, sorted(asked.relations)
        ),
        connections=connections,
        roles=await for_acts(_ROLES, _role, known, sorted(asked.persons)),
        contacts=contacts,
        verifications=verifications,
        wallets=wallets,
        grants=grants,
        memberships=await for_acts(_MEMBERSHIPS, _membership, known),
        funding_details=await for_acts(_FUNDING_DETAILS, _funding_details, known, codes),
        approvals=approvals,
        currencies=frozenset(iso_currencies()) | {row[0] for row in assets},
    )


def _parties_in(rows: Iterable[object]) -> Iterator[str]:
    """Every party that these rows name."""
    for row in rows:
        match row:
            case Contact() | Reference():
                yield row.party_id
            case Connection():
                yield row.from_party
                yield row.to_party
            case Wallet():
                yield row.owner
            case Grant():
                yield row.to_party
            case Approval():
                yield row.party_id
                yield row.subject


async def _shelf(
    conn: Session,
    query: str,
    row_of: Callable[[Record], tuple[K, V]],
    *arguments: list[str],
) -> Shelf[K, V]:
    return Shelf(dict(map(row_of, await conn.fetch(query, *arguments))))


def _party(row: Record) -> tuple[str, Party]:
    return row["party_id"], Party(
        **{**row, "kind": Kind(row["kind"]), "state": PartyState(row["state"])}
    )


def _reference(row: Record) -> tuple[str, Reference]:
    return row["reference"], Reference(row["tenant"], row["party_id"])


def _relation_type(row: Record) -> tuple[tuple[str, str], str]:
    return (row["tenant"], row["relation"]), row["label"]


def _connection(row: Record) -> tuple[str, Connection]:
    access, state = Access(row["access"]), ConnectionState(row["state"])
    return row["connection_id"], Connection(**{**row, "access": access, "state": state})


def _role(row: Record) -> tuple[tuple[str, str, Role], Holding]:
    key = row["party_id"], row["person"], Role(row["role"])
    return key, Holding(row["tenant"], row["held"])


def _contact(row: Record) -> tuple[str, Contact]:
    return row["contact_id"], Contact(**row)


def _verification(row: Record) -> tuple[str, Verification]:
    return row["verification_id"], Verification(**row)


def _wallet(row: Record) -> tuple[str, Wallet]:
    return row["wallet_id"], Wallet(**row)


def _grant(row: Record) -> tuple[str, Grant]:
    return row["grant_id"], Grant(**{**row, "fields": tuple(row["fields"])})


def _membership(row: Record) -> tuple[tuple[str, str], Membership]:
    return (row["group_id"], row["party"]), Membership(row["tenant"], row["member"], row["version"])


def _naming(row: Record) -> tuple[tuple[str, str], Naming]:
    return (row["known_to"], row["party_id"]), Naming(row["tenant"], row["external_id"])


def _consent(row: Record) -> tuple[tuple[str, str], Consent]:
    key = row["party_id"], row["company"]
    return key, Consent(row["tenant"], row["other_tenant"], row["given"], row["carried"])


def _funding_details(row: Record) -> tuple[tuple[str, str], FundingDetails]:
    return (row["party_id"], row["currency"]), FundingDetails(row["tenant"], row["virtual_account"])


def _approval(row: Record) -> tuple[str, Approval]:
    return row["approval_id"], Approval(**{**row, "state": ApprovalState(row["state"])})
