"""The read API: a party's contacts, for the gateway alone. See README.md."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from tally_contracts.base import Text
from tally_directory.looking import Document, Look, NotSeen, TooOften, look
from tally_directory.vault import Vault
from tally_messaging import Transactor, UnitOfWork
from tally_postgres import is_transient
from tally_runtime import Clock, get_logger
from tally_security.internal import (
    VIEWER_HEADER,
    InternalKeys,
    Viewer,
    ViewerRefused,
    read_viewer,
)

_LOG = get_logger("tally_directory.api")


class Question(BaseModel):
    """What a look has to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: Text


@dataclass(frozen=True, slots=True)
class ReadApi:
    """What the route works with; `per_minute` is how often one party may look."""

    transactor: Transactor
    clock: Clock
    keys: InternalKeys
    vault: Vault
    per_minute: int

    def viewer(self, request: Request) -> Viewer:
        """Who looks, as the gateway signed it; raises ViewerRefused."""
        return read_viewer(request.headers.get(VIEWER_HEADER, ""), self.keys, now=self.clock.now())


def build_api(api: ReadApi) -> FastAPI:
    """The application; it asks first who looks."""
    app = FastAPI(title="Tallystick directory reads", openapi_url=None)
    for error, handler in (
        (ViewerRefused, _not_believed),
        (RequestValidationError, _malformed),
        (NotSeen, _not_seen),
        (TooOften, _too_often),
        (Exception, _failed),
    ):
        app.add_exception_handler(error, handler)

    @app.get("/parties/{party_id}/contacts")
    async def contacts(
        party_id: str,
        asked: Annotated[Question, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        async def unit(uow: UnitOfWork) -> Document:
            return await look(uow, api.vault, api.per_minute, Look(viewer, party_id, asked.purpose))

        try:
            return JSONResponse(await api.transactor.run(unit))
        except Exception as error:
            if not is_transient(error):
                raise
            _LOG.warning("look_refused", error=type(error).__name__)
            return _answer(503, "temporarily_unavailable", "the database is away", "try again")

    return app


def _not_believed(_: Request, error: Exception) -> Response:
    assert isinstance(error, ViewerRefused), "registered for these"
    return _answer(401, error.code, str(error), "ask through the gateway", f"/{VIEWER_HEADER}")


def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for these"
    first = error.errors()[0]
    field = "/" + "/".join(str(part) for part in first["loc"][1:])
    return _answer(422, "parameter_invalid", first["msg"], "correct it", field)


def _not_seen(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotSeen), "registered for these"
    return _answer(
        404, "not_found", "nothing of this id is in your view", "check the id, ask for its consent"
    )


def _too_often(_: Request, error: Exception) -> Response:
    assert isinstance(error, TooOften), "registered for these"
    answer = _answer(
        429,
        "rate_limited",
        "contacts were looked at as often as may be in a minute",
        "wait as many seconds as Retry-After says",
    )
    answer.headers["Retry-After"] = str(error.wait_s)
    return answer


def _failed(_: Request, error: Exception) -> Response:
    _LOG.error("look_failed", exc_info=error)
    return _answer(500, "internal_error", "the question could not be answered", "tell support")


def _answer(
    status: int, code: str, detail: str, remedy: str, field: str | None = None
) -> JSONResponse:
    return JSONResponse(
        {"code": code, "detail": detail, "field": field, "remedy": remedy}, status_code=status
    )
