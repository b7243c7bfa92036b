"""The read API: questions over HTTP, for the gateway alone. See README.md for the routes."""

from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from fastapi.responses import JSONResponse, Response

from tally_portfolio import views, wallet_views
from tally_portfolio.answering import ReadApi, list_route, one_route
from tally_portfolio.api_records import add_record_routes
from tally_portfolio.asking import (
    HistoryQuestion,
    PartiesQuestion,
    PayInsQuestion,
    PayoutsQuestion,
    Question,
    SeatQuestion,
    StatementQuestion,
    TotalsQuestion,
    WalletsQuestion,
    cursor_of,
    moment,
    sparse,
)
from tally_portfolio.store.views import BEGINNING
from tally_reads import guarded
from tally_security.internal import Viewer


def build_api(api: ReadApi) -> FastAPI:
    """The application; every route asks first who looks."""
    app = guarded("Tallystick portfolio reads")
    for kind, path, question, kinds, load in (
        ("wallet", "/wallets", WalletsQuestion, ("wallet",), views.load_wallets),
        ("pay_in", "/pay-ins", PayInsQuestion, ("pay_in",), views.load_pay_ins),
        (
            "payout",
            "/payouts",
            PayoutsQuestion,
            ("payout", "withdrawal"),
            views.load_payouts,
        ),
        ("payment", "/payments", SeatQuestion, ("pay_in", "withdrawal"), views.load_payments),
        ("party", "/parties", PartiesQuestion, ("party",), views.load_parties),
    ):
        app.get(path)(list_route(api, kind, question, kinds, load))
    for kind, path, load in (
        ("pay_in", "/pay-ins/{id}", views.load_pay_ins),
        ("payout", "/payouts/{id}", views.load_payouts),
        ("party", "/parties/{id}", views.load_parties),
    ):
        app.get(path)(one_route(api, kind, partial(views.one, load=load)))
    add_record_routes(app, api)
    _add_payment_routes(app, api)
    _add_wallet_routes(app, api)
    return app


def _add_payment_routes(app: FastAPI, api: ReadApi) -> None:
    app.get("/payments/{id}")(one_route(api, "payment", views.payment))

    @app.get("/exceptions")
    async def exceptions(
        asked: Annotated[SeatQuestion, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen("exception")
        async with views.seated(api.pool, viewer, asked.under) as seat:
            found = await views.exceptions(seat, views.Page(asked.place(), asked.limit))
        return api.listed(found.items, found.after, chosen)

    @app.get("/totals")
    async def totals(
        asked: Annotated[TotalsQuestion, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen("total")
        async with views.seated(api.pool, viewer, asked.under) as seat:
            found = await views.totals(seat)
        return api.listed(found, None, chosen)


def _add_wallet_routes(app: FastAPI, api: ReadApi) -> None:
    @app.get("/wallets/{id}")
    async def wallet(
        id: str,  # noqa: A002
        asked: Annotated[Question, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen("wallet")
        async with wallet_views.opened(api.pool, viewer, id) as found:
            document, grants = sparse(found.document, chosen), found.grants
        await api.log(viewer, grants, "wallet")
        return JSONResponse(document)

    @app.get("/wallets/{id}/movements")
    async def movements(
        id: str,  # noqa: A002
        asked: Annotated[HistoryQuestion, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen("movement")
        since = BEGINNING if asked.since is None else moment(asked.since, "/from")
        async with wallet_views.opened(api.pool, viewer, id) as found:
            page = await wallet_views.history(found, asked.before(), since, asked.limit)
            grants = found.grants
        await api.log(viewer, grants, "movements")
        return api.listed(page.items, page.after, chosen)

    @app.get("/wallets/{id}/statement")
    async def statement(
        id: str,  # noqa: A002
        asked: Annotated[StatementQuestion, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        part = asked.part()
        async with wallet_views.opened(api.pool, viewer, id) as found:
            written, after = await wallet_views.account_statement(
                found, part, now=api.clock.now(), settled=api.settled
            )
            grants = found.grants
        await api.log(viewer, grants, "statement")
        return Response(
            written.answer(cursor_of(after, written.sha256)), media_type="application/json"
        )
