"""Postgres itself keeps tenants apart, whatever a query of ours forgets."""

from typing import Any

import asyncpg
import psycopg
import pytest

from tally_contracts.funding_sources import PayInRefunded

# What moves messages holds no tenant's rows that anybody is shown.
_OF_MESSAGING = ("inbox", "outbox", "quarantine", "relay", "retention", "migration_")


def _tables(admin_dsn: str) -> dict[str, tuple[bool, bool, int]]:
    """Tables of the schema: whether policies apply, whether to the owner too, how many there are."""
    with psycopg.connect(admin_dsn) as administrator:
        rows = administrator.execute(
            "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,"
            " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'portfolio' AND c.relkind IN ('r', 'p')"
        ).fetchall()
    return {
        name: (enabled, forced, policies)
        for name, enabled, forced, policies in rows
        if not name.startswith(_OF_MESSAGING)
    }


def test_row_level_security_is_forced_in_every_table(portfolio: Any) -> None:
    tables = _tables(portfolio.admin_dsn)
    assert len(tables) == 27
    for name, (enabled, forced, policies) in tables.items():
        assert enabled, name
        assert forced, name
        assert policies, name


@pytest.fixture
async def two_tenants(portfolio: Any, tree: Any, story: Any) -> Any:
    trees = tree().small().opens("ann"), tree("t2").small().opens("ann")
    for told in trees:
        one = story(told.name, owner=told.party("ann"), company=told.party("acme"))
        told.consents("ann", "acme").grants("ann", told.party("zeta"), "balance")
        told.connects(told.root, told.party("bob"), "view", "accepted")
        one.whole().returned(PayInRefunded, "refunded", "100.00", "100.00")
        one.budget(f"prog_{told.name}", "top", told.party("acme"), limit="10.00")
        await portfolio.tell(told, one)
    return trees


async def _counts(portfolio: Any, tenant: str | None) -> dict[str, int]:
    found = {}
    async with portfolio.pool.acquire() as conn, conn.transaction():
        if tenant is not None:
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", tenant)
        for name in _tables(portfolio.admin_dsn):
            found[name] = await conn.fetchval(f"SELECT count(*) FROM {name}")
    return found


async def test_a_session_sees_its_tenants_rows_and_without_a_tenant_none(
    portfolio: Any, two_tenants: Any
) -> None:
    first, second = two_tenants
    everything = await _counts(portfolio, "*")
    shared = {"set_aside", "view_log"}
    assert {name for name, count in everything.items() if not count} == shared
    for tenant in (None, "", "t1", "%"):
        assert not any((await _counts(portfolio, tenant)).values()), tenant
    ours = await _counts(portfolio, first.root)
    theirs = await _counts(portfolio, second.root)
    assert ours == theirs
    internal = {"involvement", "owned", "belonging", "keeper"}
    for name in everything.keys() - shared - internal:
        assert 0 < ours[name] <= everything[name] / 2, name
    assert not any(ours[name] for name in internal)


async def test_no_row_of_another_tenant_can_be_written(portfolio: Any, two_tenants: Any) -> None:
    first, second = two_tenants
    async with portfolio.pool.acquire() as conn:
        await conn.execute("SELECT set_config('tally.tenant', $1, false)", first.root)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await conn.execute("INSERT INTO consent VALUES ('p', 'c', $1, true, '')", second.root)
        await conn.execute("RESET tally.tenant")
        async with conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", first.root)
            assert await conn.execute("UPDATE total SET paid = 0") == "UPDATE 3"


async def test_a_tenant_named_for_one_transaction_is_forgotten_after_it(
    portfolio: Any, two_tenants: Any
) -> None:
    assert any((await _counts(portfolio, two_tenants[0].root)).values())
    assert not any((await _counts(portfolio, None)).values())
