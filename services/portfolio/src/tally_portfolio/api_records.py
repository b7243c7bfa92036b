"""Routes of things that facts tell of whole: lists of a kind, one with its history, what is under one."""

from functools import partial
from typing import Annotated, NamedTuple

from fastapi import Depends, FastAPI, Query
from fastapi.responses import JSONResponse, Response

from tally_portfolio import event_views, record_views, views
from tally_portfolio.answering import Answer, ReadApi, list_route, one_route
from tally_portfolio.asking import (
    BudgetsQuestion,
    EventQuestion,
    ListQuestion,
    OfProgramQuestion,
    SeatQuestion,
    StatesQuestion,
    cursor_of,
    sparse,
)
from tally_security.internal import Viewer


class Shelf(NamedTuple):
    """A kind of thing, where its list is, and what that may be asked with."""

    kind: str
    path: str
    question: type[SeatQuestion]


SHELVES = (
    Shelf("receivable", "/receivables", StatesQuestion),
    Shelf("agreement", "/agreements", StatesQuestion),
    Shelf("claim", "/claims", StatesQuestion),
    Shelf("designation", "/designations", StatesQuestion),
    Shelf("charge", "/charges", StatesQuestion),
    Shelf("expectation", "/expectations", StatesQuestion),
    Shelf("manual_entry", "/pay-in-entries", StatesQuestion),
    Shelf("rule", "/rules", StatesQuestion),
    Shelf("connection", "/connections", StatesQuestion),
    Shelf("grant", "/grants", StatesQuestion),
    Shelf("funding_detail", "/funding-details", SeatQuestion),
    Shelf("program", "/programs", SeatQuestion),
    Shelf("budget", "/budgets", BudgetsQuestion),
    Shelf("payable", "/payables", OfProgramQuestion),
    Shelf("program_payment", "/program-payments", OfProgramQuestion),
    Shelf("budget_claim", "/budget-claims", OfProgramQuestion),
)
"""What there is a list of."""

UNDER_PROGRAMS = {"policy": "policies", "fees": "fees", "funding_order": "funding-orders"}
"""Versions of what a program is bound by, and where they are listed below the program."""


def add_record_routes(app: FastAPI, api: ReadApi) -> None:
    """Every shelf: its list, and one thing of it by id."""
    for kind, path, question in SHELVES:
        load = record_views.loader(kind)
        app.get(path)(list_route(api, kind, question, (kind,), load))
        app.get(f"{path}/{{id}}")(one_route(api, kind, partial(record_views.one, kind=kind)))
    app.get("/events/{id:path}/money")(_event_route(api))
    for kind, path in UNDER_PROGRAMS.items():
        app.get(f"/programs/{{id}}/{path}")(_under_route(api, kind))


def _event_route(api: ReadApi) -> Answer:
    async def answer(
        id: str,  # noqa: A002
        asked: Annotated[EventQuestion, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen("event")
        async with views.seated(api.pool, viewer) as seat:
            document, found = await event_views.money_of_event(seat, id, asked.page())
        goes_on = cursor_of(found.after, found.way)
        return JSONResponse(sparse(document, chosen) | {"next": goes_on})

    return answer


def _under_route(api: ReadApi, kind: str) -> Answer:
    async def answer(
        id: str,  # noqa: A002
        asked: Annotated[ListQuestion, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen(kind)
        page = views.Page(asked.place(), asked.limit)
        async with views.seated(api.pool, viewer) as seat:
            found = await record_views.under(seat, id, kind, page)
        return api.listed(found.items, found.after, chosen)

    return answer
