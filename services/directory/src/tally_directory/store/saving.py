"""Saves what a batch decided: one statement for each table that has changed, parties first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from tally_directory.domain.world import Shelf, World
from tally_postgres import Connection as Session

K = TypeVar("K")
V = TypeVar("V")
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is saved to: columns with their types, and how many of them are the key."""

    name: str
    columns: Mapping[str, str]
    keys: int = 1

    def upsert(self) -> str:
        """Insert rows, or replace those with the same key; the last parameter is the time."""
        names = list(self.columns)
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(self.columns.values(), 1))
        rest = names[self.keys :]
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}, changed_at) "
            f"SELECT n.*, ${len(names) + 1} FROM unnest({arrays}) AS n "
            f"ON CONFLICT ({', '.join(names[: self.keys])}) DO UPDATE SET "
            + ", ".join(f"{name} = EXCLUDED.{name}" for name in [*rest, "changed_at"])
        )


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "text")


PARTY = Table(
    "party",
    {
        **_texts("party_id", "tenant", "kind", "parent", "external_id", "country", "alias"),
        **_texts("state", "merged_into", "made_for"),
        "group_version": "bigint",
    },
)
REFERENCE = Table("owner_reference", _texts("reference", "tenant", "party_id"))
RELATION = Table(
    "relation",
    {**_texts("party", "other", "relation", "tenant", "company"), "ended": "boolean"},
    keys=3,
)
CONNECTION = Table(
    "connection",
    {
        **_texts("connection_id", "tenant", "other_tenant", "from_party", "to_party"),
        "access": "smallint",
        "state": "text",
    },
)
ROLE = Table("role", {**_texts("party_id", "person", "role", "tenant"), "held": "boolean"}, keys=3)
CONTACT = Table(
    "contact",
    {
        **_texts("contact_id", "tenant", "party_id", "channel", "token", "sealed"),
        "verified_at": "timestamptz",
        "codes_day": "date",
        "codes_sent": "integer",
    },
)
VERIFICATION = Table(
    "verification",
    {
        **_texts("verification_id", "tenant", "contact_id", "code_token"),
        "expires_at": "timestamptz",
        "attempts": "integer",
        "confirmed": "boolean",
    },
)
WALLET = Table(
    "wallet",
    {
        **_texts("wallet_id", "tenant", "owner", "account", "ledger", "currency", "purpose"),
        **_texts("reference", "company", "value_kind"),
    },
)
MEMBERSHIP = Table(
    "membership",
    {**_texts("group_id", "party", "tenant"), "member": "boolean", "version": "bigint"},
    keys=2,
)
NAMING = Table(
    "external_reference", _texts("known_to", "party_id", "tenant", "external_id"), keys=2
)
CONSENT = Table(
    "consent",
    {
        **_texts("party_id", "company", "tenant", "other_tenant"),
        "given": "boolean",
        "carried": "boolean",
    },
    keys=2,
)
FUNDING_DETAILS = Table(
    "funding_details", _texts("party_id", "currency", "tenant", "virtual_account"), keys=2
)
APPROVAL = Table(
    "approval",
    {
        **_texts("approval_id", "tenant", "party_id", "act", "subject", "content_digest"),
        **_texts("proposed_by", "state", "decided_by"),
    },
)

_RELATION_TYPES = """
INSERT INTO relation_type (tenant, relation, label)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (tenant, relation) DO UPDATE SET label = EXCLUDED.label
"""
# Fields of a grant are lists of their own: they travel as one text, since arrays of arrays are even.
_GRANTS = """
INSERT INTO wallet_grant (
    grant_id, tenant, other_tenant, wallet, to_party, fields, revoked, changed_at)
SELECT g.grant_id, g.tenant, g.other_tenant, g.wallet, g.to_party,
       string_to_array(g.fields, ','), g.revoked, $8
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[])
    AS g (grant_id, tenant, other_tenant, wallet, to_party, fields, revoked)
ON CONFLICT (grant_id) DO UPDATE
SET fields = EXCLUDED.fields, revoked = EXCLUDED.revoked, changed_at = EXCLUDED.changed_at
"""
_VIEWS = """
INSERT INTO wallet_view (
    command_id, position, tenant, grant_id, wallet, viewer, actor, fields, viewed_at)
SELECT v.command_id, v.position, v.tenant, v.grant_id, v.wallet, v.viewer, v.actor,
       string_to_array(v.fields, ','), v.viewed_at
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::timestamptz[])
    AS v (command_id, position, tenant, grant_id, wallet, viewer, actor, fields, viewed_at)
"""
_RETENANT = """
WITH moved AS (SELECT * FROM unnest($1::text[], $2::text[]) AS m (party_id, tenant)),
references_moved AS (
    UPDATE owner_reference r SET tenant = m.tenant FROM moved m WHERE r.party_id = m.party_id),
references_named AS (
    UPDATE external_reference e SET tenant = m.tenant FROM moved m WHERE e.party_id = m.party_id)
UPDATE wallet w SET tenant = m.tenant FROM moved m WHERE w.owner = m.party_id
"""
_ANSWERS = """
INSERT INTO command (command_id, tenant, digest, answer, refusal, decided_at)
SELECT a.*, $6 FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::jsonb[]) AS a
"""
_ASSETS = """
INSERT INTO asset (code, registered_at)
SELECT a.*, $2 FROM unnest($1::text[]) AS a
ON CONFLICT (code) DO NOTHING
"""


async def save(conn: Session, world: World, now: datetime) -> None:
    """Save every row that was decided on."""
    tables: Sequence[tuple[Table, Sequence[Row]]] = (
        (PARTY, _rows(world.parties, lambda _, p: _attributes(p, PARTY))),
        (REFERENCE, _rows(world.references, lambda key, r: (key, r.tenant, r.party_id))),
        (RELATION, _rows(world.relations, lambda k, r: (*k, r.tenant, r.company, r.ended))),
        (CONNECTION, _rows(world.connections, lambda _, c: _attributes(c, CONNECTION))),
        (ROLE, _rows(world.roles, lambda key, h: (*key, h.tenant, h.held))),
        (CONTACT, _rows(world.contacts, lambda _, c: _attributes(c, CONTACT))),
        (VERIFICATION, _rows(world.verifications, lambda _, v: _attributes(v, VERIFICATION))),
        (WALLET, _rows(world.wallets, lambda _, w: _attributes(w, WALLET))),
        (MEMBERSHIP, _rows(world.memberships, lambda k, m: (*k, m.tenant, m.member, m.version))),
        (NAMING, _rows(world.namings, lambda k, n: (*k, n.tenant, n.external_id))),
        (
            CONSENT,
            _rows(world.consents, lambda k, c: (*k, c.tenant, c.other_tenant, c.given, c.carried)),
        ),
        (
            FUNDING_DETAILS,
            _rows(world.funding_details, lambda k, f: (*k, f.tenant, f.virtual_account)),
        ),
        (APPROVAL, _rows(world.approvals, lambda _, a: _attributes(a, APPROVAL))),
    )
    for table, rows in tables:
        if rows:
            await conn.execute(table.upsert(), *_columns(rows), now)
    types = _rows(world.relation_types, lambda key, label: (*key, label))
    if types:
        await conn.execute(_RELATION_TYPES, *_columns(types))
    await _save_grants(conn, world, now)
    if world.retenanted:
        moved = sorted(world.retenanted.items())
        await conn.execute(_RETENANT, *_columns(moved))


async def _save_grants(conn: Session, world: World, now: datetime) -> None:
    # Revoked ones first: a party has one standing grant of a wallet at a time, row by row.
    grants = sorted(world.grants.changed.values(), key=lambda grant: not grant.revoked)
    if grants:
        rows = [
            (g.grant_id, g.tenant, g.other_tenant, g.wallet, g.to_party, ",".join(g.fields),
             g.revoked)
            for g in grants
        ]  # fmt: skip
        await conn.execute(_GRANTS, *_columns(rows), now)
    if world.views:
        entries = [
            (v.command_id, v.position, v.tenant, v.grant_id, v.wallet, v.viewer, v.actor,
             ",".join(v.fields), v.viewed_at)
            for v in world.views
        ]  # fmt: skip
        await conn.execute(_VIEWS, *_columns(entries))


async def keep_answers(conn: Session, rows: Sequence[Row], now: datetime) -> None:
    """Keep (command, tenant, digest, type of the answer, refusal if it is one) for ever."""
    await conn.execute(_ANSWERS, *_columns(rows), now)


async def keep_assets(conn: Session, codes: Sequence[str], now: datetime) -> None:
    """Note assets that wallets may be opened in."""
    await conn.execute(_ASSETS, codes, now)


def _rows(shelf: Shelf[K, V], row_of: Callable[[K, V], Row]) -> list[Row]:
    return [row_of(key, row) for key, row in shelf.changed.items()]


def _attributes(row: object, table: Table) -> Row:
    return tuple(getattr(row, name) for name in table.columns)


def _columns(rows: Sequence[Row]) -> list[list[object]]:
    """Rows as the columns that unnest takes."""
    return [list(column) for column in zip(*rows, strict=True)]
