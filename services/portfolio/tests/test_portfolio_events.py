"""Money of an event is found in pages, nothing left out, however many others have things of it (F25)."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tally_portfolio.event_views import EventPage, money_of_event
from tally_portfolio.service import reading
from tally_portfolio.store.events import FIRST_WINDOW, Asked, Found, Way, led_to_and_seen
from tally_portfolio.store.views import NEWEST
from tally_portfolio.views import Seat
from tally_reads import NotFound
from tally_security.internal import Persona, Viewer

from .portfolio_plans import Explained, fill

ROOT, FEW_OF_MANY, STRANGER, HOT = "party_root", "party_c8", "party_c7", "party_p0"
# Both lists by their windows, then a page of payments with all that belongs to them.
ROWS_OF_A_PAGE = FIRST_WINDOW * 5 + 50 * 40


@pytest.fixture
def filled(portfolio: Any, project_root: Path) -> Any:
    """Half of 10,000 pay-ins are of one event: 100 of them the one company's, none the other's."""
    fill(portfolio, project_root, payments=10_000, payees=200, step="8.64 seconds")
    return portfolio


def _seat(conn: Any, party: str) -> Seat:
    persona = Persona.PAYEE if party == HOT else Persona.COMPANY
    return Seat(conn, Viewer(party, ROOT, persona, frozenset()), party)


async def test_a_company_with_few_things_of_a_large_event_reads_a_page_and_finds_them_all(
    filled: Any,
) -> None:
    pages: list[list[Any]] = []
    found = Found([], Way.OF_THE_ID, NEWEST)
    async with reading(filled.pool, ROOT) as conn:
        while found.after is not None:
            explained = Explained(conn)
            page = EventPage(found.after, found.way if pages else None, 40)
            document, found = await money_of_event(_seat(explained, FEW_OF_MANY), "campaign", page)
            payments = document["payments"]
            assert isinstance(payments, list)
            assert document["more"] is (found.after is not None)
            pages.append([one["payment_id"] for one in payments])
            effort = explained.effort()
            assert effort.rows <= ROWS_OF_A_PAGE, effort
            assert effort.statements <= 16, effort
    own = [n for n in range(10_000, 0, -1) if n % 100 == 8]
    assert [len(each) for each in pages] == [40, 40, 20]
    assert [one for each in pages for one in each] == [f"pin_{n}" for n in own]


async def test_an_event_of_others_alone_is_none(filled: Any) -> None:
    async with reading(filled.pool, ROOT) as conn:
        with pytest.raises(NotFound):
            await money_of_event(_seat(conn, STRANGER), "campaign", EventPage(NEWEST, None, 50))


async def test_the_oldest_of_a_payees_many_things_is_found_among_many_of_others(
    filled: Any,
) -> None:
    with psycopg.connect(filled.admin_dsn, autocommit=True) as administrator:
        administrator.execute(
            "INSERT INTO portfolio.payment_key SELECT 'event:mixed', subject, shared, at"
            " FROM portfolio.payment_key WHERE id <> 'event:campaign' AND shared"
            " UNION ALL SELECT 'event:mixed', 'pin_10', true, min(at) FROM portfolio.payment_key"
        )
        administrator.execute(
            "DELETE FROM portfolio.payment_key WHERE id = 'event:mixed'"
            " AND subject IN (SELECT subject FROM portfolio.sight WHERE viewer = 'party_p0')"
            " AND subject <> 'pin_10'"
        )
        administrator.execute("ANALYZE portfolio.payment_key")
    async with reading(filled.pool, ROOT) as conn:
        found = await led_to_and_seen(conn, Asked("event:mixed", HOT, 50))
    assert (found.subjects, found.after) == (["pin_10"], None)
