"""The read API: questions over HTTP, for the gateway alone. See README.md for the routes."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from tally_portfolio import views, wallet_views
from tally_portfolio.answering import Answer, ReadApi, list_route
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
    moment,
    sparse,
)
from tally_portfolio.domain.statement import canonical
from tally_portfolio.errors import NotFound, QuestionRefused
from tally_portfolio.store.views import BEGINNING
from tally_postgres import is_transient
from tally_runtime import get_logger
from tally_security.internal import VIEWER_HEADER, Viewer, ViewerRefused

_LOG = get_logger("tally_portfolio.api")


def build_api(api: ReadApi) -> FastAPI:
    """The application; every route asks first who looks."""
    app = FastAPI(title="Tallystick portfolio reads", openapi_url=None)
    for error, handler in (
        (QuestionRefused, _refused),
        (ViewerRefused, _not_believed),
        (RequestValidationError, _malformed),
        (HTTPException, _no_route),
        (Exception, _failed),
    ):
        app.add_exception_handler(error, handler)
    app.middleware("http")(_only_when_the_database_answers)
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
        app.get(path)(_one_route(api, kind, load))
    add_record_routes(app, api)
    _add_payment_routes(app, api)
    _add_wallet_routes(app, api)
    return app


def _one_route(api: ReadApi, kind: str, load: views.Load) -> Answer:
    async def answer(
        id: str,  # noqa: A002 - the route's own word
        asked: Annotated[Question, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen(kind)
        async with views.seated(api.pool, viewer) as seat:
            document = await views.one(seat, id, load)
        return JSONResponse(sparse(document, chosen))

    return answer


def _add_payment_routes(app: FastAPI, api: ReadApi) -> None:
    @app.get("/payments/{id}")
    async def payment(
        id: str,  # noqa: A002
        asked: Annotated[Question, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        chosen = asked.chosen("payment")
        async with views.seated(api.pool, viewer) as seat:
            document = await views.payment(seat, id)
        return JSONResponse(sparse(document, chosen))

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
        since, until = asked.span()
        async with wallet_views.opened(api.pool, viewer, id) as found:
            document = await wallet_views.account_statement(
                found, since, until, now=api.clock.now(), settled=api.settled
            )
            grants = found.grants
        await api.log(viewer, grants, "statement")
        return Response(canonical(document), media_type="application/json")


async def _only_when_the_database_answers(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    try:
        return await answer(request)
    except Exception as error:
        if not is_transient(error):
            raise
        _LOG.warning("read_refused", error=type(error).__name__)
        return _answer(503, "temporarily_unavailable", "the database is away", None, "try again")


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, QuestionRefused), "registered for these"
    return _answer(error.status, error.code, error.detail, error.field, error.remedy)


def _not_believed(_: Request, error: Exception) -> Response:
    assert isinstance(error, ViewerRefused), "registered for these"
    field = f"/{VIEWER_HEADER}"
    return _answer(401, error.code, str(error), field, "ask through the gateway")


def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for these"
    first = error.errors()[0]
    unknown = first["type"] == "extra_forbidden"
    return _answer(
        422,
        "parameter_unknown" if unknown else "parameter_invalid",
        first["msg"],
        "/" + "/".join(str(part) for part in first["loc"][1:]),
        "leave it out" if unknown else "correct it",
    )


def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these"
    if error.status_code == NotFound.status:
        return _refused(_, NotFound())
    return _answer(
        error.status_code, "not_allowed", str(error.detail), None, "only GET is answered"
    )


def _failed(_: Request, error: Exception) -> Response:
    _LOG.error("read_failed", exc_info=error)
    return _answer(
        500, "internal_error", "the question could not be answered", None, "tell support"
    )


def _answer(status: int, code: str, detail: str, field: str | None, remedy: str) -> Response:
    return JSONResponse(
        {"code": code, "detail": detail, "field": field, "remedy": remedy}, status_code=status
    )
