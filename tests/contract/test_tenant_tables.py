"""Every table of every service: its rows are a tenant's and forced to be, or it says here why not."""

from collections.abc import Callable
from typing import Any

from tally_directory.app import SCHEMA as DIRECTORY
from tally_funding.app import SCHEMA as FUNDING
from tally_gateway.app import SCHEMA as GATEWAY
from tally_kyc.app import SCHEMA as KYC
from tally_ledger.app import SCHEMA as LEDGER
from tally_payouts.app import SCHEMA as PAYOUTS
from tally_portfolio.app import SCHEMA as PORTFOLIO
from tally_postgres import create_pool
from tally_programs.app import SCHEMA as PROGRAMS
from tally_rails.app import SCHEMA as RAILS

SCHEMAS = (DIRECTORY, FUNDING, GATEWAY, KYC, LEDGER, PAYOUTS, PORTFOLIO, PROGRAMS, RAILS)
OF_MESSAGING = ("inbox", "outbox", "quarantine", "relay", "retention", "migration_")
_BOOKS = "the books are the installation's: every account has an owner, and its parts show by the portfolio"
_PAYOUTS = "no session of a tenant reads it: payouts show by the portfolio"
_RAILS = (
    "what goes to banks is the installation's: payments of many tenants share files and accounts"
)
_SIGHT = (
    "rows of several tenants: who sees one is in portfolio.sight, by whose word the policy goes"
)
_OPERATOR = "the operator's alone: its policy lets no tenant see it"
WITHOUT_TENANT = {
    "directory.asset": "currencies and assets are the installation's",
    "kyc.table_version": "gates and limits are the installation's: every tenant's parties are judged by them",
    **dict.fromkeys(
        ("funding.gate_table", "funding.party_level"),
        "copies of what kyc told, that all money is asked by: no session of a tenant reads them",
    ),
    "funding.rule_stamp": "one number for all rules",
    "funding.rule_version": "documents of the installation's own file",
    "funding.untold_balance": "of accounts nobody has told the owner of yet: no session of a tenant reads it",
    **dict.fromkeys(
        (
            "ledger." + name
            for name in [
                "account",
                "account_change",
                "asset",
                "asset_registration",
                "cross_credit",
                "cross_transfer",
                "daily_root",
                "entry",
                "hold",
                "home",
                "journal",
                "log",
                "rejection",
                "shard_state",
                "signing_key",
                "transfer",
                "transit_mirror",
                "transit_settlement",
            ]
        ),
        _BOOKS,
    ),
    **dict.fromkeys(
        (
            "payouts." + name
            for name in [
                "designation",
                "exit_due",
                "gate_table",
                "instrument",
                "method",
                "party_level",
                "party_owner",
                "payee",
                "payout",
                "payout_case",
                "payout_history",
                "program_policy",
                "restricted_release",
                "return_seen",
                "wallet",
            ]
        ),
        _PAYOUTS,
    ),
    **dict.fromkeys(
        (
            "rails." + name
            for name in [
                "ach_counter",
                "ach_entry",
                "ach_file",
                "ach_incoming",
                "attempt",
                "attempt_history",
                "instrument",
                "instrument_version",
                "job",
                "rail_case",
            ]
        ),
        _RAILS,
    ),
    **dict.fromkeys(
        (
            "portfolio." + name
            for name in [
                "account",
                "balance",
                "budget",
                "day",
                "hop",
                "hour",
                "minute",
                "movement",
                "pay_in",
                "payment_key",
                "payout",
                "record",
                "tier",
            ]
        ),
        _SIGHT,
    ),
    **dict.fromkeys(
        (
            "portfolio." + name
            for name in ["belonging", "involvement", "keeper", "owned", "set_aside"]
        ),
        _OPERATOR,
    ),
}
"""Each table without a tenant, and why it has none."""

_TABLES = """
SELECT n.nspname::text || '.' || c.relname AS name, c.relname::text AS table,
       c.relrowsecurity AND c.relforcerowsecurity AS forced,
       (SELECT a.attnotnull FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped) AS tenant,
       coalesce((SELECT pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p
                 WHERE p.polrelid = c.oid AND p.polcmd = '*'), '') AS policy
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1
"""


async def test_every_table_is_a_tenants_by_force_or_named_here_with_its_reason(
    fresh_database: Callable[..., Any],
) -> None:
    database = fresh_database(*SCHEMAS)
    pool = await create_pool(database.dsn("funding"), schema="funding", application_name="test")
    rows = await pool.fetch(_TABLES, [schema.name for schema in SCHEMAS])
    await pool.close()
    found = {row["name"]: row for row in rows if not row["table"].startswith(OF_MESSAGING)}
    assert {name for name, row in found.items() if row["tenant"] is None} == set(WITHOUT_TENANT)
    for name, row in found.items():
        if row["tenant"] is not None:
            assert row["tenant"], f"{name}: a row may have no tenant"
            assert row["forced"], f"{name}: its owner sees all of it"
        if row["tenant"] is not None or name.startswith("portfolio."):
            assert "current_setting('tally.tenant'::text, true)" in row["policy"], name
