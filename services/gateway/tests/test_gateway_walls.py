"""Walls between tenants in the database itself: forced, in every table, whoever asks."""

import pytest

from tally_gateway.store import scoped

from .gateway_bench import START, Bench, party

_TABLES = """
SELECT c.relname AS name, c.relrowsecurity AS is_on, c.relforcerowsecurity AS is_forced,
       pg_get_expr(p.polqual, p.polrelid) AS shows, pg_get_expr(p.polwithcheck, p.polrelid) AS takes,
       p.polcmd::text AS commands
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
LEFT JOIN pg_policy p ON p.polrelid = c.oid
WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p')
"""

_MINE = [
    "credential",
    "idempotency",
    "command",
    "party_node",
    "party_reference",
    "connection",
    "thing",
    "event",
    "party_log",
    "party_event",
    "bulk_import",
    "bulk_row",
    "step_up",
    "verified_contact",
]


async def test_every_table_of_the_gateway_has_a_tenant_and_a_forced_wall(bench: Bench) -> None:
    rows = await bench.pool.fetch(_TABLES)
    assert sorted(row["name"] for row in rows) == sorted(_MINE)
    for row in rows:
        assert row["is_on"], row["name"]
        assert row["is_forced"], row["name"]
        assert row["commands"] == "*", row["name"]
        assert row["shows"] == row["takes"], row["name"]
        assert "current_setting('tally.tenant'" in row["shows"], row["name"]


async def test_the_services_role_cannot_step_over_the_wall(bench: Bench) -> None:
    row = await bench.pool.fetchrow(
        "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    assert row is not None
    assert not row["rolsuper"]
    assert not row["rolbypassrls"]


_CHALLENGE = """
INSERT INTO step_up VALUES ($1, $1, $1, 'key', sha256('request'), sha256('code'), 'open', 0, $2, $2)
"""


async def two_tenants(bench: Bench) -> None:
    for name in ("agg", "rival"):
        await bench.register(name, "aggregator")
        await bench.register(f"{name}-co", "company", name)
        key = await bench.key(f"{name}-co")
        wallet = await bench.wallet(f"{name}-co")
        body = {
            "wallet": wallet,
            "amount": {"currency": "USD", "amount": "1.00"},
            "why": {"program": "p", "event": "e", "reason": "r"},
        }
        assert (await bench.post("/v1/payouts", key, body)).status_code == 202
        async with bench.pool.acquire() as conn, conn.transaction():
            await scoped(conn, party(name))
            await conn.execute(_CHALLENGE, party(name), START)
            await conn.execute("INSERT INTO verified_contact VALUES ($1, $1, $1)", party(name))


@pytest.mark.parametrize("table", [name for name in _MINE if not name.startswith("bulk")])
async def test_a_session_sees_its_tenants_rows_and_without_one_none(
    bench: Bench, table: str
) -> None:
    await two_tenants(bench)
    assert await bench.pool.fetchval(f"SELECT count(*) FROM {table}") == 0
    for tenant in ("agg", "rival"):
        async with bench.pool.acquire() as conn, conn.transaction():
            await scoped(conn, party(tenant))
            rows = await conn.fetch(f"SELECT tenant FROM {table}")
            assert {row["tenant"] for row in rows} <= {party(tenant)}
            if table not in {"party_reference", "connection"}:
                assert rows


async def test_a_session_cannot_write_a_row_of_another_tenant(bench: Bench) -> None:
    await two_tenants(bench)
    async with bench.pool.acquire() as conn:

        async def insert(tenant: str) -> None:
            async with conn.transaction():
                await scoped(conn, party("agg"))
                await conn.execute(
                    "INSERT INTO thing (thing_id, tenant, parties, data) VALUES ('x', $1, '{}', '{}')",
                    tenant,
                )

        with pytest.raises(Exception, match="row-level security"):
            await insert(party("rival"))
        await insert(party("agg"))
        async with conn.transaction():
            await scoped(conn, party("agg"))
            changed = await conn.execute("UPDATE command SET actor = 'x' WHERE true")
            assert changed == "UPDATE 1"
