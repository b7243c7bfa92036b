"""Every question of the read API is answered by an index, and reads rows by the page, not by the table."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tally_portfolio.service import reading
from tally_portfolio.store import payments, views
from tally_portfolio.store.views import LAST, NEWEST, Position

PAYMENTS, PAYEES = 5_000, 1_000
START = datetime(2026, 1, 1, tzinfo=UTC)
HOT = f"acc_{0:026d}"
ONE = f"acc_{17:026d}"
_ROWS = re.compile(r"rows=(\d+(?:\.\d+)?) loops=(\d+)")
_REMOVED = re.compile(r"Rows Removed by \w+(?: \w+)*: (\d+)")


class Explained:
    """A connection that runs each query it passes on once more, to see what it reads."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.plans: list[str] = []

    async def _explain(self, query: str, arguments: tuple[object, ...]) -> None:
        rows = await self._conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {query}", *arguments)
        self.plans.append("\n".join(row[0] for row in rows))

    async def fetch(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._conn.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._conn.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._conn.fetchval(query, *arguments)


def _scanned(plan: str) -> int:
    """Rows that scans of tables gave or threw away."""
    total = 0
    scanning = False
    for line in plan.splitlines():
        node = _ROWS.search(line)
        if node is not None:
            scanning = " Scan" in line and "Function Scan" not in line
            if scanning:
                total += round(float(node[1]) * int(node[2]))
        removed = _REMOVED.search(line)
        if removed is not None and scanning:
            total += int(removed[1])
    return total


@pytest.fixture
async def filled(portfolio: Any, project_root: Path) -> Any:
    text = (project_root / "services/portfolio/bench/fill.sql").read_text()
    for name, value in {
        ":payments": PAYMENTS,
        ":payees": PAYEES,
        ":step": "interval '10 minutes'",
        ":start": f"timestamptz '{START.isoformat()}'",
    }.items():
        text = text.replace(name, str(value))
    with psycopg.connect(portfolio.admin_dsn, autocommit=True) as administrator:
        administrator.execute("SET search_path = portfolio")
        for statement in text.split(";\n"):
            if statement.strip():
                administrator.execute(statement.encode())
        administrator.execute("ANALYZE")
    return portfolio


@pytest.mark.parametrize("tenant", ["party_root", "*"])
async def test_every_question_is_answered_by_an_index_within_its_budget(
    filled: Any, tenant: str
) -> None:
    root = "*" if tenant == "*" else "party_root"
    middle = START + timedelta(days=17, minutes=5)
    payouts = [f"po_{n}" for n in range(1, 51)]
    async with reading(filled.pool, tenant) as conn:
        seen = Explained(conn)
        questions: list[tuple[int, Any]] = [
            (200, await views.page(seen, root, "payout", NEWEST, 51)),
            (200, await views.page(seen, "party_c7", "pay_in", NEWEST, 51)),
            (10, await views.attention(seen, root, NEWEST, 51)),
            (150, await views.seen(seen, root, payouts)),
            (10, await views.seen(seen, "party_c17", [ONE])),
            (10, await views.below(seen, "party_root", ["party_p17", "nobody"])),
            (5, await views.tenant_of(seen, "party_c7")),
            (30, await views.wallets(seen, [ONE, HOT])),
            (20, await views.parties(seen, ["party_c7", "party_p17"])),
            (10, await views.totals(seen, root)),
            (300, await views.newest_movements(seen, HOT, LAST, START, 51)),
            (10, await views.sums_before(seen, HOT, "USD", LAST)),
            (2_000, await views.sums_before(seen, HOT, "USD", Position(middle, -1, ""))),
            (
                500,
                await views.movements_between(seen, HOT, middle, middle + timedelta(hours=5), 500),
            ),
            (300, await payments.payouts_by_id(seen, payouts)),
            (300, await payments.pay_ins(seen, [f"pin_{n}" for n in range(1, 51)])),
        ]
    assert len(seen.plans) == len(questions)
    for (budget, answer), plan in zip(questions, seen.plans, strict=True):
        assert answer, plan
        assert "Seq Scan" not in plan, plan
        assert _scanned(plan) <= budget, plan


async def test_an_empty_question_reads_next_to_nothing(filled: Any) -> None:
    async with reading(filled.pool, "party_root") as conn:
        seen = Explained(conn)
        assert not await views.page(seen, "party_p17", "party_x", NEWEST, 51)
        assert not await views.attention(seen, "party_p18", NEWEST, 51)
        assert not await views.connected(seen, "party_c7", "party_c8")
        assert not await views.granted(seen, "party_c7", "wal_1")
        assert await views.account_of(seen, "wal_1") is None
        assert not await views.consenting(seen, "party_c7", ["party_p17"])
    for plan in seen.plans:
        assert "Seq Scan" not in plan, plan
        assert _scanned(plan) <= 2, plan
