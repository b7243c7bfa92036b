"""The edge of the API: a correlation id for each request, a bound on bodies, and no error unanswered."""

import json
from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tally_gateway.batching import unavailable
from tally_gateway.credentials import pace_headers
from tally_gateway.errors import Problem
from tally_gateway.problems import MEDIA_TYPE, document
from tally_postgres import is_transient
from tally_runtime import get_logger

_LOG = get_logger("tally_gateway.api")
CORRELATION_HEADER: Final = b"tally-correlation-id"
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_STREAMED: Final = "/v1/imports"
"""Where a body may be of any length: it is read row by row."""


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, body_bytes_max: int, new_id: Callable[[], str]) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = self._new_id()
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                given = {name for name, _ in message["headers"]}
                pace = scope["state"].get("pace")
                told = {} if pace is None else pace_headers(pace)
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in told.items()),
                    (CORRELATION_HEADER, correlation_id.encode()),
                    *((name, value) for name, value in _HEADERS if name not in given),
                ]
            await send(message)

        bounded = receive if scope["path"] == _STREAMED else self._bounded(receive)
        try:
            await self._app(scope, bounded, sending)
        except ClientDisconnect:
            # Nobody is there to be answered, and nothing was begun that a repetition would not do.
            return
        except Exception as error:
            if begun:
                raise
            await _answer(_problem(error, correlation_id), correlation_id, sending)

    def _bounded(self, receive: Receive) -> Receive:
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_bytes_max:
                raise Problem(
                    "body_too_large", f"A body has at most {self._body_bytes_max} bytes here."
                )
            return message

        return receiving


def _problem(error: Exception, correlation_id: str) -> Problem:
    if isinstance(error, Problem):
        return error
    if is_transient(error):
        return unavailable("The database cannot be reached at the moment.")
    _LOG.error("request_failed", correlation_id=correlation_id, exc_info=error)
    return Problem("internal_error", "The request could not be worked on.")


async def _answer(problem: Problem, correlation_id: str, send: Send) -> None:
    body = json.dumps(document(problem, correlation_id)).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
