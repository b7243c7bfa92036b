"""What saving reads is looked up key by key, by whatever plan: there may be no better one for a minute."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tally_messaging import Received
from tally_messaging.parser import Expected, parse
from tally_portfolio import store
from tally_portfolio.domain.projection import Projection
from tally_portfolio.wire import FACTS, project

from .portfolio_plans import fill

PAYMENTS = 50
# A thing has up to seven owners and each three parties above it; each row is found through an index.
ROWS_OF_ONE, PAGES_OF_ONE = 30, 300
_EXPECTED = Expected({fact.TYPE: fact for fact in FACTS})
_READ = """
SELECT c.relname, sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) AS rows,
       sum(pg_stat_get_xact_blocks_fetched(i.indexrelid))
           + pg_stat_get_xact_blocks_fetched(c.oid) AS pages
FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
WHERE c.relnamespace = 'portfolio'::regnamespace GROUP BY c.oid, c.relname
"""


class Counting:
    """A connection that tells what each statement it passes on read of each table."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.most: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._before: dict[str, tuple[int, int]] = {}

    async def _count(self, statement: str) -> None:
        now = {row[0]: (int(row[1]), int(row[2])) for row in await self._conn.fetch(_READ)}
        for table, (rows, pages) in now.items():
            was = self._before.get(table, (0, 0))
            read = rows - was[0], pages - was[1]
            name = f"{table} in {' '.join(statement.split())}"
            self.most[name] = max(self.most[name], read)
        self._before = now

    async def execute(self, statement: str, *arguments: object) -> Any:
        answer = await self._conn.execute(statement, *arguments)
        await self._count(statement)
        return answer

    async def fetch(self, statement: str, *arguments: object) -> Any:
        answer = await self._conn.fetch(statement, *arguments)
        await self._count(statement)
        return answer


def _projection(records: Sequence[Any]) -> Projection:
    projection = Projection()
    for record in records:
        read = parse(record, _EXPECTED)
        assert isinstance(read, Received)
        project(read, projection)
    return projection


@pytest.fixture
def batches(story: Any, tree: Any) -> dict[str, tuple[int, Projection]]:
    """A tree that is news and then changes, and payments of parties that are known; how many things.

    The tree comes first: plans are made by how large the tables are that it leaves behind.
    """
    payments = [
        story(f"s{n}", owner=f"party_p{n}", company=f"party_c{n % 100}")
        .whole()
        .budget("program", f"b{n}", f"party_p{n}")
        for n in range(PAYMENTS)
    ]
    grown = tree().small().opens("ann").opens("bob")
    news = len(grown.records)
    moved = (
        tree().small().opens("ann").opens("bob").moves("pat", "root", "zeta").merges("ann", "bob")
    )
    return {
        "tree": (news, _projection(grown.records)),
        "moves": (news, _projection(moved.records[news:])),
        "payments": (PAYMENTS, _projection([r for one in payments for r in one.records])),
    }


@pytest.mark.parametrize("planned", ["of nothing", "of what was never analyzed"])
async def test_saving_reads_rows_of_its_own_whenever_its_plans_were_made(
    portfolio: Any, project_root: Path, batches: dict[str, tuple[int, Projection]], planned: str
) -> None:
    async with portfolio.pool.acquire() as conn:
        await conn.execute("SET plan_cache_mode = force_generic_plan")
        nothing = conn.transaction()
        await nothing.start()
        for _, projection in batches.values():
            await store.save(conn, projection)
        await nothing.rollback()
        fill(portfolio, project_root, payments=4_000, payees=200, step="1 second", analyze=False)
        if planned != "of nothing":
            await conn.execute("DISCARD PLANS")
        async with conn.transaction():
            for things, projection in batches.values():
                counting = Counting(conn)
                await counting.execute("SELECT 1")
                counting.most.clear()
                await store.save(counting, projection)  # type: ignore[arg-type] # passes statements on
                for what, (rows, pages) in counting.most.items():
                    assert rows <= things * ROWS_OF_ONE, (what, rows)
                    assert pages <= things * PAGES_OF_ONE, (what, pages)
