"""What questions read: plans of every query behind an answer, over tables filled as folding leaves them."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

START = datetime(2026, 1, 1, tzinfo=UTC)
_ROWS = re.compile(r"rows=(\d+(?:\.\d+)?) loops=(\d+)")
_REMOVED = re.compile(r"Rows Removed by \w+(?: \w+)*: (\d+)")
_BUFFERS = re.compile(r"Buffers: shared (?:hit=(\d+))?(?: ?read=(\d+))?")


class Effort(NamedTuple):
    """Rows that scans gave or threw away, pages of tables and indexes looked at, statements asked."""

    rows: int
    pages: int
    statements: int


class Explained:
    """A connection that runs each query it passes on once more, to see what it reads."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.plans: list[str] = []

    async def _explain(self, query: str, arguments: tuple[object, ...]) -> None:
        rows = await self._conn.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {query}", *arguments)
        self.plans.append("\n".join(row[0] for row in rows))

    def effort(self) -> Effort:
        """What all queries read together."""
        rows, pages = sum(map(scanned, self.plans)), sum(map(_pages, self.plans))
        return Effort(rows, pages, len(self.plans))

    async def execute(self, query: str, *arguments: object) -> Any:
        return await self._conn.execute(query, *arguments)

    async def fetch(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._conn.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._conn.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._conn.fetchval(query, *arguments)


def scanned(plan: str) -> int:
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


def _pages(plan: str) -> int:
    """Pages of the whole query: the top node counts those of all below it."""
    found = _BUFFERS.search(plan.partition("Planning")[0])
    return 0 if found is None else sum(int(number or 0) for number in found.groups())


def fill(
    portfolio: Any,
    project_root: Path,
    *,
    payments: int,
    payees: int,
    step: str,
    analyze: bool = True,
) -> None:
    """Fill the tables by the bench's SQL; `step` is the time between two payments.

    Unless they are analyzed, sessions keep the plans they made when tables were empty.
    """
    text = (project_root / "services/portfolio/bench/fill.sql").read_text()
    for name, value in {
        ":payments": payments,
        ":payees": payees,
        ":step": f"interval '{step}'",
        ":start": f"timestamptz '{START.isoformat()}'",
    }.items():
        text = text.replace(name, str(value))
    with psycopg.connect(portfolio.admin_dsn, autocommit=True) as administrator:
        administrator.execute("SET search_path = portfolio")
        for statement in text.split(";\n"):
            if statement.strip():
                administrator.execute(statement.encode())
        if analyze:
            administrator.execute("VACUUM ANALYZE")
