"""The application of a read API: it believes only whom the gateway signed, and says why it refuses."""

from datetime import datetime

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from tally_postgres import is_transient
from tally_reads.errors import NotFound, QuestionRefused, ViewerMissing
from tally_runtime import get_logger
from tally_security.internal import (
    VIEWER_HEADER,
    InternalKeys,
    Viewer,
    ViewerRefused,
    read_viewer,
)

_LOG = get_logger("tally_reads.api")
_FIELD = f"/{VIEWER_HEADER}"


def guarded(title: str) -> FastAPI:
    """An application without routes that answers every refusal as the gateway reads it."""
    app = FastAPI(title=title, openapi_url=None)
    for error, handler in (
        (QuestionRefused, _refused),
        (ViewerRefused, _not_believed),
        (RequestValidationError, _malformed),
        (HTTPException, _no_route),
        (Exception, _failed),
    ):
        app.add_exception_handler(error, handler)
    app.add_middleware(_OnlyWhenTheDatabaseAnswers)
    return app


def viewer_of(request: Request, keys: InternalKeys, now: datetime) -> Viewer:
    """Who looks, as the gateway signed it; raises ViewerMissing, ViewerRefused."""
    token = request.headers.get(VIEWER_HEADER)
    if token is None:
        raise ViewerMissing(f"the header {VIEWER_HEADER} is missing", _FIELD)
    return read_viewer(token, keys, now=now)


class _OnlyWhenTheDatabaseAnswers:
    """Answers 503 to what failed by the database's fault alone; answers are given whole, or not begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if not is_transient(error):
                raise
            _LOG.warning("read_refused", error=type(error).__name__)
            refusal = "temporarily_unavailable", "the database is away", None, "try again"
            await _answer(503, *refusal)(scope, receive, send)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, QuestionRefused), "registered for these"
    answer = _answer(error.status, error.code, error.detail, error.field, error.remedy)
    answer.headers.update(error.headers)
    return answer


def _not_believed(_: Request, error: Exception) -> Response:
    assert isinstance(error, ViewerRefused), "registered for these"
    return _answer(401, error.code, str(error), _FIELD, "ask through the gateway")


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
