"""Among many tenants' rows every load of a batch finds its own by an index condition."""

import re
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from tally_postgres import create_pool
from tally_programs.app import SCHEMA
from tally_programs.settings import ProgramsSettings
from tally_programs.store import answers, budgets, payables, payments, programs
from tally_programs.store.table import across_tenants
from tally_runtime import FixedClock

_FILL = """
CREATE TEMP TABLE s AS SELECT n, 'prog-' || (n / 10 + 1) AS program FROM generate_series(1, 20000) n;
INSERT INTO program SELECT 'prog-' || n, 't-' || n % 9, 'name-' || n, 'co', 'x', 1, 0, 0, 1 FROM s;
INSERT INTO document SELECT 't', 'prog-' || n, 'policy', 1, '2026-01-01', NULL, '{}' FROM s;
INSERT INTO budget SELECT 'bud-' || n, 't', program, nullif('bud-1', 'bud-' || n), '',
    'holder-' || n % 10, 'w', 'USD', 100, 0, 0, 0, 1 FROM s;
INSERT INTO reservation SELECT 'res-' || n, 't', 'bud-' || n, 10, 0, 'ref', true, 1, false FROM s;
INSERT INTO payable SELECT 'pbl_' || n, 't', program, 'invoice', 'no-' || n, 'a', 'b', 'USD', 10,
    '2026-03-01', 'payables', 'payout', 0, false, 1 FROM s;
INSERT INTO settlement SELECT 'pbl_' || n, 'po_' || n, 't', 'payout', 'a', 'USD', 10, 1 FROM s;
INSERT INTO payment SELECT 'pmt_' || n, 't', program, 'h', 'p', 'USD', 10, 'ach', 'k', NULL, 1, NULL,
    0, 0, '{"parts": []}', '{}', 1, 'a', '{"people": []}', 'proposed', NULL, 1, NULL FROM s;
INSERT INTO claim SELECT 'clm_' || n, 't', program, 'bud-' || n, 'res-' || n, 'h', 'USD', 10, 'k', 'e',
    'a', 'submitted', NULL, NULL, 1, NULL FROM s;
INSERT INTO wallet SELECT 'acc_' || n, 't', 'o', 'USD' FROM s;
INSERT INTO answer SELECT 't', 'type', 'subject-' || n, 'hash', 'fact', '{}' FROM s;
ANALYZE;
"""


class Explaining:
    """A connection that keeps the plan of each query it passes on."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.plans: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    async def fetch(self, query: str, *arguments: object) -> Any:
        rows = await self._conn.fetch(f"EXPLAIN {query}", *arguments)
        self.plans.append("\n".join(row[0] for row in rows))
        return await self._conn.fetch(query, *arguments)


@pytest.fixture
async def filled(fresh_database: Any) -> AsyncIterator[Explaining]:
    database = fresh_database(SCHEMA)
    with psycopg.connect(database.admin_dsn, autocommit=True) as administrator:
        administrator.execute("SET search_path = programs")
        administrator.execute(_FILL.encode())
    settings = ProgramsSettings(
        environment="test",
        kafka="127.0.0.1:9092",
        TALLY_PROGRAMS_POSTGRES_DSN=SecretStr(database.dsn("programs")),
    )
    pool = await create_pool(
        settings.postgres_dsn.get_secret_value(),
        schema=SCHEMA.name,
        application_name="test",
        max_size=1,
    )
    async with pool.acquire() as conn, conn.transaction():
        await across_tenants(conn)
        yield Explaining(conn)
    await pool.close()


async def test_every_load_of_a_batch_is_by_index(filled: Explaining, clock: FixedClock) -> None:
    found: list[Any] = [
        await programs.load_programs(filled, ["prog-7"], ["name-8"]),
        await programs.load_documents(filled, ["prog-7"], clock.now()),
        await payments.load_payments(filled, ["pmt_7", "pmt_8"]),
        await payments.load_claims(filled, ["clm_7"]),
        await budgets.load_budgets(filled, ["bud-77"], [("prog-9", "holder-3")]),
        await budgets.load_reservations(filled, ["res-7"]),
        await payables.load_payables(
            filled, ["pbl_7"], [("name-9", "no-85")], [("prog-9", "no-86")]
        ),
        await payables.load_settlements(filled, ["pbl_7"], ["pbl_8"], ["po_8"]),
        await programs.load_wallets(filled, ["acc_7"]),
        await answers.load_answers(filled, [("t", "type", "subject-7")]),
    ]
    assert [len(rows) for rows in found] == [2, 1, 2, 1, 3, 1, 3, 2, 1, 1]
    assert len(filled.plans) == len(found)
    for plan in filled.plans:
        assert "Seq Scan" not in plan, plan
        scans = re.findall(r"Index (?:Only )?Scan", plan)
        assert plan.count("Index Cond") == len(scans) > 0, plan
