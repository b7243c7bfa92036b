"""Every question of the read API is answered by an index, and reads rows by the page, not by the table."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tally_portfolio.service import reading
from tally_portfolio.store import lists, payments, views
from tally_portfolio.store.views import LAST, NEWEST, Position

from .portfolio_plans import START, Explained, fill, scanned

HOT = f"acc_{0:026d}"
ONE = f"acc_{17:026d}"


@pytest.fixture
def filled(portfolio: Any, project_root: Path) -> Any:
    fill(portfolio, project_root, payments=5_000, payees=1_000, step="10 minutes")
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
            (200, await lists.newest(seen, root, ["payout"], NEWEST, 51)),
            (200, await lists.newest(seen, "party_c7", ["pay_in"], NEWEST, 51)),
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
                200,
                await views.movements_between(
                    seen, HOT, Position(middle, -1, ""), middle + timedelta(days=9), 51
                ),
            ),
            (300, await payments.payouts_by_id(seen, payouts)),
            (300, await payments.pay_ins(seen, [f"pin_{n}" for n in range(1, 51)])),
        ]
    assert len(seen.plans) == len(questions)
    for (budget, answer), plan in zip(questions, seen.plans, strict=True):
        assert answer, plan
        assert "Seq Scan" not in plan, plan
        assert scanned(plan) <= budget, plan


async def test_an_empty_question_reads_next_to_nothing(filled: Any) -> None:
    async with reading(filled.pool, "party_root") as conn:
        seen = Explained(conn)
        assert not (await lists.newest(seen, "party_p17", ["party_x"], NEWEST, 51)).places
        assert not await views.attention(seen, "party_p18", NEWEST, 51)
        assert not await views.connected(seen, "party_c7", "party_c8")
        assert not await views.granted(seen, "party_c7", "wal_1")
        assert await views.account_of(seen, "wal_1") is None
        assert not await views.consenting(seen, "party_c7", ["party_p17"])
    for plan in seen.plans:
        assert "Seq Scan" not in plan, plan
        assert scanned(plan) <= 2, plan
