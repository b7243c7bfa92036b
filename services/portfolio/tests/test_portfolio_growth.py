"""No read costs more because there are more movements: the same rows, and the pages of deeper indexes."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tally_portfolio import event_views, record_views, views, wallet_views
from tally_portfolio.api_records import SHELVES, UNDER_PROGRAMS
from tally_portfolio.event_views import EventPage
from tally_portfolio.service import reading
from tally_portfolio.store.events import Way
from tally_portfolio.store.views import BEGINNING, LAST, NEWEST, Place, Position
from tally_portfolio.views import SCAN_MAX, Page, Seat
from tally_portfolio.wallet_views import OpenedWallet, Part
from tally_security.internal import Persona, Viewer

from .portfolio_plans import START, Effort, Explained, fill

HOT, ROOT = f"acc_{0:026d}", "party_root"
# The same day, with ten times as many payments in it.
FEW, MANY = (1_000, "86.4 seconds"), (10_000, "8.64 seconds")
MIDDLE = START + timedelta(hours=15, minutes=31, seconds=7)
DAY = START + timedelta(days=1)
# A balance at a time reads minutes of its last hour: no more of them than there are, and one has rows.
MORE_ROWS = 60
PERSONAS = (
    ("*", Persona.OPERATOR),
    (ROOT, Persona.AGGREGATOR),
    ("party_c0", Persona.COMPANY),
    ("party_p0", Persona.PAYEE),
)
CHOOSING = {
    "payouts that wait for their payee": ("payout", "state", "claimable"),
    "payouts that were paid": ("payout", "state", "paid"),
    "payouts of a rail nobody uses": ("payout", "rail", "pigeon"),
    "pay-ins of a source": ("pay_in", "source", "cards"),
    "payables that are open": ("payable", "state", "open"),
    "payables of a state none is in": ("payable", "state", "forgotten"),
}
# So many things are looked at, at most: each in its place in the list, as a row, and who may see it.
# Where there are but few more, Postgres takes them all by their pages and sorts them.
CHOOSING_ROWS = SCAN_MAX * 8
MAY_BE_EMPTY = CHOOSING.keys() | {"exceptions"}
Ask = Callable[[Explained, Seat], Awaitable[Any]]


def _listing(kinds: tuple[str, ...], load: views.Load) -> Ask:
    return lambda _, seat: views.listing(seat, kinds, Page(NEWEST, 50), load)


def _choosing(kind: str, field: str, value: str) -> Ask:
    loads = {"payout": views.load_payouts, "pay_in": views.load_pay_ins}
    load = loads.get(kind) or record_views.loader(kind)
    page = Page(NEWEST, 50, ((field, value),))
    return lambda _, seat: views.listing(seat, (kind,), page, load)


def _one(kind: str) -> Ask:
    return lambda _, seat: record_views.one(seat, f"{kind}_5", kind)


def _under(kind: str) -> Ask:
    return lambda _, seat: record_views.under(seat, "program_5", kind, Page(NEWEST, 50))


def _wallet(conn: Any, seat: Seat) -> OpenedWallet:
    return OpenedWallet(conn, seat.viewer, HOT, "USD", {}, ())


def _history(before: Position) -> Ask:
    return lambda conn, seat: wallet_views.history(_wallet(conn, seat), before, BEGINNING, 50)


def _statement(since: datetime, until: datetime, begins: datetime) -> Ask:
    part = Part(since, until, Position(begins, -1, ""), None, 50)
    settled = {"now": MIDDLE + timedelta(days=99), "settled": timedelta()}
    return lambda conn, seat: wallet_views.account_statement(_wallet(conn, seat), part, **settled)


def _event(reference: str, after: Place = NEWEST, way: Way | None = None) -> Ask:
    page = EventPage(after, way, 50)
    return lambda _, seat: event_views.money_of_event(seat, reference, page)


QUESTIONS: dict[str, Ask] = {
    "wallets": _listing(("wallet",), views.load_wallets),
    "pay-ins": _listing(("pay_in",), views.load_pay_ins),
    "payouts": _listing(("payout", "withdrawal"), views.load_payouts),
    **{name: _choosing(*asked) for name, asked in CHOOSING.items()},
    "payments": _listing(("pay_in", "withdrawal"), views.load_payments),
    "parties": _listing(("party",), views.load_parties),
    "exceptions": lambda _, seat: views.exceptions(seat, Page(NEWEST, 50)),
    "totals": lambda _, seat: views.totals(seat),
    "payment": lambda _, seat: views.payment(seat, "pin_500"),
    "movements": _history(LAST),
    "older movements": _history(Position(MIDDLE, 0, "")),
    "balance at a time": _statement(MIDDLE, MIDDLE, MIDDLE),
    "statement of a busy day": _statement(START, DAY, START),
    "a later part of it": _statement(START, DAY, MIDDLE),
    "money of an event": _event("campaign"),
    "money of a small event": _event("order:305"),
    **{shelf.path: _listing((shelf.kind,), record_views.loader(shelf.kind)) for shelf in SHELVES},
    **{f"one of {shelf.path}": _one(shelf.kind) for shelf in SHELVES},
    **{f"a program's {path}": _under(kind) for kind, path in UNDER_PROGRAMS.items()},
}


async def _efforts(portfolio: Any, persona: tuple[str, Persona]) -> dict[str, Effort]:
    party, as_what = persona
    tenant = "*" if as_what is Persona.OPERATOR else ROOT
    viewer = Viewer(party, tenant, as_what, frozenset())
    found = {}
    async with reading(portfolio.pool, tenant) as conn:
        for name, ask in QUESTIONS.items():
            seen = Explained(conn)
            answer = await ask(seen, Seat(seen, viewer, party))  # type: ignore[arg-type] # passes queries on
            assert not isinstance(answer, views.Listing) or answer.items or name in MAY_BE_EMPTY, (
                name
            )
            assert not any("Seq Scan on" in plan for plan in seen.plans), (name, seen.plans)
            found[name] = seen.effort()
    return found


async def test_no_read_looks_at_more_because_there_are_ten_times_as_many_movements(
    fresh: Any, project_root: Path
) -> None:
    few, many = await fresh(), await fresh()
    for portfolio, (payments, step) in ((few, FEW), (many, MANY)):
        fill(portfolio, project_root, payments=payments, payees=200, step=step)
    for persona in PERSONAS:
        small, large = await _efforts(few, persona), await _efforts(many, persona)
        for name, effort in large.items():
            compared = persona, name, small[name], effort
            allowed = CHOOSING_ROWS if name in CHOOSING else small[name].rows + MORE_ROWS
            assert effort.rows <= allowed, compared
            assert effort.statements == small[name].statements, compared
            # Indexes are deeper, and each row may lie in a page of its own.
            a_row = 3 if name in CHOOSING else 2.5
            pages = max(small[name].pages * 2.5, effort.rows * a_row, 150)
            assert effort.pages <= pages, compared
    rare = CHOOSING["payouts that wait for their payee"]
    async with reading(many.pool, ROOT) as conn:
        seat = Seat(conn, Viewer(ROOT, ROOT, Persona.AGGREGATOR, frozenset()), ROOT)
        page = await _choosing(*rare)(Explained(conn), seat)
    assert [one["payout_id"] for one in page.items] == ["po_5001", "po_1"], "the oldest of all too"
    assert page.after is None
