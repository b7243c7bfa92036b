"""Reading all that is one tenant's, in one snapshot over every schema."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally_cli.moving.archive import ArchiveFault, Manifest, Page, write_rows
from tally_cli.moving.history import FORWARD
from tally_postgres import Connection, create_pool

SCHEMAS = ("directory", "kyc", "programs", "funding", "ledger", "payouts", "portfolio", "gateway")

# Secrets, what only serves a running installation, and views that the topics give again.
LEFT_OUT = frozenset(
    {
        "directory.verification",
        "directory.command",
        "kyc.command",
        "kyc.consent",
        "kyc.connection",
        "gateway.credential",
        "gateway.idempotency",
        "gateway.command",
        "gateway.thing",
        "gateway.party_node",
        "gateway.party_reference",
        "gateway.party_log",
        "gateway.connection",
        "gateway.bulk_import",
        "gateway.bulk_row",
        "gateway.step_up",
        "funding.rule_question",
        "funding.known_relation",
        "funding.known_member",
    }
)
"""Tables with a tenant that no export has; all but the history of the portfolio besides."""

_OWNERS = """SELECT reference FROM directory.owner_reference WHERE tenant = $1
UNION SELECT party_id FROM directory.party WHERE tenant = $1"""
_ACCOUNTS = f"SELECT id FROM ledger.account WHERE owner IN ({_OWNERS})"
_PARTIES = "SELECT party_id FROM directory.party WHERE tenant = $1"
_PAY_INS = f"SELECT pay_in_id FROM funding.pay_in WHERE company IN ({_PARTIES})"
_PAYOUTS = f"SELECT id FROM payouts.payout WHERE company IN ({_PARTIES}) OR owner IN ({_OWNERS})"
_TRANSFERS = f"SELECT transfer_id FROM ledger.entry WHERE account IN ({_ACCOUNTS})"

OWNED: Mapping[str, str] = {
    "funding.pay_in": f"pay_in_id IN ({_PAY_INS})",
    "funding.allocation": f"pay_in_id IN ({_PAY_INS})",
    "funding.suspense_case": f"pay_in_id IN ({_PAY_INS})",
    "ledger.asset": f"registered_at IS NOT NULL AND code IN"
    f" (SELECT asset FROM ledger.account WHERE id IN ({_ACCOUNTS}))",
    "ledger.account": f"id IN ({_ACCOUNTS})",
    "ledger.entry": f"account IN ({_ACCOUNTS})",
    "ledger.transfer": f"id IN ({_TRANSFERS})",
    "ledger.journal": f"id IN (SELECT journal_id FROM ledger.transfer WHERE id IN ({_TRANSFERS}))",
    "ledger.hold": f"debit IN ({_ACCOUNTS}) OR credit IN ({_ACCOUNTS})",
    "portfolio.movement": f"account IN ({_ACCOUNTS})",
    "portfolio.hop": f"subject IN ({_PAY_INS}) OR subject IN ({_PAYOUTS}) OR event_id IN"
    " (SELECT event_id::text FROM gateway.event WHERE tenant = $1) OR summary ? 'brought' AND"
    f" subject IN (SELECT subject FROM portfolio.involvement WHERE party IN ({_PARTIES}))",
    "payouts.payout": f"id IN ({_PAYOUTS})",
    "payouts.payout_history": f"payout_id IN ({_PAYOUTS})",
    "payouts.method": f"owner IN ({_OWNERS})",
}
"""Tables without a tenant of their own, and which of their rows are the tenant's ($1)."""

_TABLES = """
SELECT n.nspname || '.' || c.relname AS table,
       (SELECT string_agg(quote_ident(k.attname), ', ' ORDER BY array_position(i.indkey, k.attnum))
        FROM pg_index i JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = ANY(i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key,
       (SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1
"""
# Views count money that is no ISO 4217 currency in 18 decimals.
_BEHIND = f"""
SELECT a.id FROM ledger.account a JOIN ledger.asset s ON s.code = a.asset
LEFT JOIN portfolio.balance b ON b.account = a.id AND b.currency = a.asset
CROSS JOIN LATERAL (
    SELECT CASE WHEN s.registered_at IS NULL THEN 1 ELSE 10::numeric ^ (18 - s.scale) END AS shown
) AS unit
WHERE a.id IN ({_ACCOUNTS}) AND a.purpose <> $2
AND ((a.credits_posted - a.debits_posted) * shown, a.debits_pending * shown)
    IS DISTINCT FROM (coalesce(b.posted, 0), coalesce(b.held, 0))
ORDER BY a.id LIMIT 1
"""
_HEADS = "SELECT shard, log_seq, encode(head, 'hex') AS head FROM ledger.shard_state ORDER BY 1"


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    key: str
    columns: Mapping[str, str]

    def query(self, condition: str) -> str:
        """Its rows as JSON, exact: numbers of any length and bytes are texts."""
        shown = ", ".join(
            f"'{name}', {_as_json(name, kind)}" for name, kind in sorted(self.columns.items())
        )
        return (
            f"SELECT jsonb_build_object({shown}) AS row FROM {self.name}"
            f" WHERE {condition} ORDER BY {self.key}"
        )


def _as_json(name: str, kind: str) -> str:
    quoted = f'"{name}"'
    if kind in {"numeric", "bigint"}:
        return f"{quoted}::text"
    if kind == "bytea":
        return f"encode({quoted}, 'hex')"
    return quoted


async def take_out(dsn: str, tenant: str, folder: Path) -> Manifest:
    """Write all that is a tenant's into an empty folder; nothing is changed.

    Raises `ArchiveFault` for a tenant nobody knows, for a folder that holds something, and while
    what is shown of an account is not yet what the books hold.
    """
    pool = await create_pool(
        dsn, schema="directory", application_name="tally_export", min_size=1, max_size=1
    )
    try:
        async with (
            pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            # An operator's session sees every tenant; what is taken is asked for by name.
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            await conn.execute("SET LOCAL statement_timeout = 0")
            root = await conn.fetchval(
                "SELECT tenant FROM directory.party WHERE party_id = $1", tenant
            )
            if root != tenant:
                raise ArchiveFault(
                    "tenant_unknown",
                    f"{tenant} is no root of a tree of parties"
                    + ("" if root is None else f": its tree is that of {root}"),
                )
            behind = await conn.fetchval(_BEHIND, tenant, FORWARD)
            if behind is not None:
                raise ArchiveFault(
                    "views_behind",
                    f"the history of {behind} has not come to its balance yet: wait until `tally lag` "
                    "shows nothing on its way to the portfolio, then export again",
                )
            _make_empty(folder)
            files = {name: page async for name, page in _written(conn, tenant, folder) if page.rows}
            taken_at = (await conn.fetchval("SELECT transaction_timestamp()")).isoformat()
            heads = {
                row["shard"]: {"log_seq": str(row["log_seq"]), "head": row["head"]}
                for row in await conn.fetch(_HEADS)
            }
    finally:
        await pool.close()
    manifest = Manifest(tenant, taken_at, heads, files)
    manifest.write(folder)
    return manifest


async def _written(conn: Connection, tenant: str, folder: Path) -> AsyncIterator[tuple[str, Page]]:
    for row in await conn.fetch(_TABLES, list(SCHEMAS)):
        table = _Table(row["table"], row["key"], row["columns"])
        condition = OWNED.get(table.name)
        if condition is None and "tenant" in table.columns and not _left_out(table.name):
            condition = "tenant = $1"
        if condition is None:
            continue
        path = folder / f"{table.name}.jsonl"
        page = await write_rows(path, _rows(conn, table.query(condition), tenant))
        if not page.rows:
            path.unlink()
        yield path.name, page


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ArchiveFault("folder_not_empty", f"{folder} holds something: give an empty folder")


def _left_out(table: str) -> bool:
    return table in LEFT_OUT or table.startswith("portfolio.")


async def _rows(conn: Connection, query: str, tenant: str) -> AsyncIterator[Mapping[str, Any]]:
    async for row in conn.cursor(query, tenant):
        yield row["row"]
