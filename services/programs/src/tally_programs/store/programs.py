"""Programs, their documents, and whose wallets accounts are, at rest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_postgres import Connection
from tally_programs.domain.periods import Period
from tally_programs.domain.program import Document, DocumentKind, Program
from tally_programs.errors import StaleRow
from tally_programs.store.table import Table

PROGRAM = Table(
    "program",
    ("id",),
    (
        ("id", "text"),
        ("tenant", "text"),
        ("name", "text"),
        ("company", "text"),
        ("title", "text"),
        ("policy_versions", "integer"),
        ("fees_versions", "integer"),
        ("funding_order_versions", "integer"),
        ("sequence", "integer"),
    ),
    ("policy_versions", "fees_versions", "funding_order_versions", "sequence"),
)

_LOAD_PROGRAMS = f"""
SELECT {PROGRAM.names} FROM program
WHERE id = ANY($1::text[] || ARRAY(SELECT id FROM program WHERE name = ANY($2::text[])))
ORDER BY id
FOR UPDATE
"""

# What is in force, and what is still to come.
_LOAD_DOCUMENTS = """
SELECT d.program_id, d.tenant, d.kind, d.version, d.effective_from, d.effective_until, d.body
FROM document d
WHERE d.program_id = ANY($1::text[]) AND NOT EXISTS (
    SELECT FROM document later
    WHERE later.program_id = d.program_id AND later.kind = d.kind AND later.version > d.version
        AND later.effective_from <= $2
)
ORDER BY d.program_id, d.kind, d.version
"""

_SAVE_DOCUMENTS = """
INSERT INTO document (tenant, program_id, kind, version, effective_from, effective_until, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[],
                     $6::timestamptz[], $7::jsonb[])
ON CONFLICT DO NOTHING
"""

_LOAD_WALLETS = """
SELECT account, tenant, owner, currency FROM wallet WHERE account = ANY($1::text[])
"""

_SAVE_WALLETS = """
INSERT INTO wallet (account, tenant, owner, currency)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Wallet:
    """Whose an account is."""

    account: str
    tenant: str
    owner: str
    currency: str


async def load_programs(
    conn: Connection, ids: Collection[str], names: Collection[str]
) -> dict[str, Program]:
    """Lock and read programs by id or name."""
    if not ids and not names:
        return {}
    rows = await conn.fetch(_LOAD_PROGRAMS, list(ids), list(names))
    programs = {}
    for program_id, tenant, name, company, title, policy, fees, order, sequence in rows:
        versions = {
            DocumentKind.POLICY: policy,
            DocumentKind.FEES: fees,
            DocumentKind.FUNDING_ORDER: order,
        }
        programs[program_id] = Program(program_id, tenant, name, company, title, versions, sequence)
    return programs


async def save_programs(conn: Connection, programs: Sequence[Program]) -> None:
    """Insert new programs and count the documents of others."""
    await PROGRAM.save(
        conn,
        [
            (
                p.id,
                p.tenant,
                p.name,
                p.company,
                p.title,
                p.versions[DocumentKind.POLICY],
                p.versions[DocumentKind.FEES],
                p.versions[DocumentKind.FUNDING_ORDER],
                p.sequence,
            )
            for p in programs
        ],
    )


async def load_documents(
    conn: Connection, programs: Collection[str], now: datetime
) -> list[Document]:
    """The documents of programs that are in force now or later, in order of their versions."""
    if not programs:
        return []
    rows = await conn.fetch(_LOAD_DOCUMENTS, list(programs), now)
    return [
        Document(program_id, tenant, DocumentKind(kind), Period(version, begins, ends), body)
        for program_id, tenant, kind, version, begins, ends, body in rows
    ]


async def save_documents(conn: Connection, documents: Sequence[Document]) -> None:
    """Add versions; raise `StaleRow` if one is there already."""
    if not documents:
        return
    rows = [
        (
            d.tenant,
            d.program_id,
            d.kind,
            d.period.version,
            d.period.begins,
            d.period.ends,
            d.body,
        )
        for d in documents
    ]
    status = await conn.execute(_SAVE_DOCUMENTS, *zip(*rows, strict=True))
    if status != f"INSERT 0 {len(rows)}":
        raise StaleRow("document", len(rows), status)


async def load_wallets(conn: Connection, accounts: Collection[str]) -> dict[str, Wallet]:
    """Whose these accounts are; those the directory has not told of are left out."""
    if not accounts:
        return {}
    return {row[0]: Wallet(*row) for row in await conn.fetch(_LOAD_WALLETS, list(accounts))}


async def save_wallets(conn: Connection, wallets: Sequence[Wallet]) -> None:
    """Keep whose wallets these are; the first word stands."""
    if wallets:
        rows = [(w.account, w.tenant, w.owner, w.currency) for w in wallets]
        await conn.execute(_SAVE_WALLETS, *zip(*rows, strict=True))
