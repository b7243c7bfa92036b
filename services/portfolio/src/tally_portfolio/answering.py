"""What all routes of the read API work with, and how any list is answered."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from tally_messaging import Transactor, UnitOfWork
from tally_portfolio import views, wallet_views
from tally_portfolio.asking import Question, SeatQuestion, cursor_of, sparse
from tally_portfolio.domain.redaction import Document
from tally_portfolio.domain.statement import time
from tally_portfolio.store.views import GrantedWallet, Place, Position
from tally_postgres import Pool
from tally_reads import viewer_of
from tally_runtime import Clock
from tally_security.internal import InternalKeys, Viewer

Answer = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ReadApi:
    """What the routes work with. `settled`: how old the end of a statement must be."""

    pool: Pool
    transactor: Transactor
    clock: Clock
    keys: InternalKeys
    settled: timedelta

    async def viewer(self, request: Request) -> Viewer:
        """Who looks, as the gateway signed it; raises ViewerMissing, ViewerRefused."""
        # A coroutine, though it waits for nothing: any other dependency runs in a thread of its own.
        return viewer_of(request, self.keys, self.clock.now())

    async def log(self, viewer: Viewer, grants: Sequence[GrantedWallet], route: str) -> None:
        """Keep a look by grants before it is answered: what cannot be logged is not shown."""

        async def unit(uow: UnitOfWork) -> None:
            await wallet_views.log_views(uow, viewer, tuple(grants), route)

        if grants:
            await self.transactor.run(unit)

    def listed(
        self,
        items: Sequence[Document],
        after: Place | Position | None,
        chosen: frozenset[str] | None,
    ) -> Response:
        """The answer to a question for a list."""
        return JSONResponse(
            {
                "items": [sparse(item, chosen) for item in items],
                "next": cursor_of(after),
                "as_of": time(self.clock.now()),
            }
        )


def list_route(
    api: ReadApi,
    kind: str,
    question: type[SeatQuestion],
    kinds: Sequence[str],
    load: views.Load,
) -> Answer:
    """Answers with a page of the things of these kinds that are seen from a seat."""

    async def answer(
        asked: Annotated[question, Query()],  # type: ignore[valid-type] # each route has its own
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        seat_question: SeatQuestion = asked
        chosen = seat_question.chosen(kind)
        page = views.Page(seat_question.place(), seat_question.limit, seat_question.wanted())
        async with views.seated(api.pool, viewer, seat_question.under) as seat:
            found = await views.listing(seat, kinds, page, load)
        return api.listed(found.items, found.after, chosen)

    return answer


def one_route(
    api: ReadApi, kind: str, ask: Callable[[views.Seat, str], Awaitable[Document]]
) -> Answer:
    """Answers with one thing of this kind, as it is seen from the viewer's own seat."""

    async def answer(
        id: str,  # noqa: A002 - the route's own word
        asked: Annotated[Question, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen(kind)
        async with views.seated(api.pool, viewer) as seat:
            document = await ask(seat, id)
        return JSONResponse(sparse(document, chosen))

    return answer
