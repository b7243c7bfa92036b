"""At 100,000 hops every question is answered by an index."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tally_portfolio import store
from tally_portfolio.service import reading, time_line

HOPS = 100_000
PER_PAYMENT = 10
_FILL = (
    """
    INSERT INTO hop
    SELECT 'event-' || n, CASE n % 10 WHEN 9 THEN 'po_' ELSE 'pin_' END || n / 10,
           'corr-' || n / 10, NULL, 'ledger.journal.posted.v1', 'ledger.journals.v1', 'ledger',
           $2, $2 + n * interval '1 ms', '{"debit": "acc_1"}'
    FROM generate_series(1, $1::integer) n
    """,
    """
    INSERT INTO payment_key
    SELECT CASE WHEN n % 2 = 0 THEN 'key-' || n ELSE 'acc_' || n % 3 END, 'pin_' || n / 10,
           n % 2 = 1, $2 + n * interval '1 ms'
    FROM generate_series(1, $1::integer) n ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO pay_in
    SELECT 'pin_' || n, 'corr-' || n, 'cards', 'ext-' || n, 'USD', 100, 'co', 'ann',
           $2 + n * interval '1 s', 1, 'allocated', 3, $2 + n * interval '1 s'
    FROM generate_series(1, $1::integer / 10) n
    """,
    """
    INSERT INTO payout
    SELECT 'po_' || n, 'pin_' || n, 'corr-' || n, 'ann', 'co', 'acc_1', 'USD', 100, 1, 'paid', $2
    FROM generate_series(1, $1::integer / 10) n
    """,
    """
    INSERT INTO account
    SELECT 'acc_' || n, 'main', 'wallet/' || n, 'ann', 'wallet', 'USD', $2
    FROM generate_series(1, $1::integer / 10) n
    """,
    """
    INSERT INTO set_aside
    SELECT 'ledger', 't', 0, n, 'not_json', 'd', $2 + n * interval '1 s'
    FROM generate_series(1, $1::integer / 10) n
    """,
)


class Explaining:
    """A connection that keeps the plan of each query it passes on."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.plans: list[str] = []

    async def _explain(self, query: str, arguments: tuple[object, ...]) -> None:
        rows = await self._conn.fetch(f"EXPLAIN {query}", *arguments)
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


@pytest.fixture
async def filled(portfolio: Any, story: Any) -> tuple[Any, datetime]:
    at = story("x").at
    with psycopg.connect(portfolio.admin_dsn, autocommit=True) as administrator:
        administrator.execute("SET search_path = portfolio")
        for statement in _FILL:
            filled = statement.replace("$2", f"timestamptz '{at}'").replace("$1", str(HOPS))
            administrator.execute(filled.encode())
        # A service's own role may not.
        administrator.execute("ANALYZE")
    return portfolio, at


async def test_every_question_is_answered_by_an_index(filled: tuple[Any, datetime]) -> None:
    portfolio, at = filled
    async with reading(portfolio.pool, store.ALL_TENANTS) as conn:
        explaining = Explaining(conn)
        answers: list[Any] = [
            await store.own_subjects(explaining, "key-500", 51),
            await store.shared_subjects(explaining, "acc_1", 51),
            await store.has_hops(explaining, "pin_77"),
            await store.hop_of_event(explaining, "event-5000"),
            await store.hops(explaining, ["pin_77", "po_77"], 5001),
            await store.pay_ins_of(explaining, ["po_77", "po_78"]),
            await store.pay_ins(explaining, ["pin_77", "pin_78"]),
            await store.payouts(explaining, ["pin_77", "po_78"]),
            await store.accounts(explaining, ["acc_1", "acc_2"]),
            await store.set_aside_since(explaining, at + timedelta(seconds=9_900), 5),
            await store.slowest(
                explaining, at + timedelta(seconds=100), at + timedelta(seconds=110), 5
            ),
        ]
    assert all(answers), "each question had something to find"
    assert len(explaining.plans) == len(answers)
    for plan in explaining.plans:
        assert "Seq Scan" not in plan, plan
        assert "Index" in plan, plan


async def test_a_wallet_with_many_payments_is_listed_without_reading_them_all(
    filled: tuple[Any, datetime],
) -> None:
    portfolio, _ = filled
    async with reading(portfolio.pool, store.ALL_TENANTS) as conn:
        explaining = Explaining(conn)
        assert len(await store.shared_subjects(explaining, "acc_1", 51)) == 51
    (plan,) = explaining.plans
    assert "payment_key_newest" in plan
    assert "Sort" not in plan, plan


async def test_a_time_line_among_100_000_hops_holds_its_own_only(
    filled: tuple[Any, datetime],
) -> None:
    portfolio, _ = filled
    line = await time_line(portfolio.pool, "pin_77")
    assert line is not None
    assert len(line.steps) == PER_PAYMENT
