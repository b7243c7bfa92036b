"""The application that is served: every operation under its address, every error as a problem."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tally_gateway.api import (
    commands,
    contacts,
    events,
    identity,
    imports,
    keys,
    oauth,
    reads,
    webhooks,
)
from tally_gateway.api.edge import Edge
from tally_gateway.api.model import Gateway, Route, answer, correlation_id
from tally_gateway.api.openapi import VERSION, openapi
from tally_gateway.errors import KINDS, Problem
from tally_gateway.problems import MEDIA_TYPE, document

_BY_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 400: "malformed_request"}


def all_routes(gateway: Gateway) -> Iterator[Route]:
    """Every operation and what answers it; fixed addresses come before those with an id in place."""
    routes = [
        route
        for part in (events, keys, oauth, webhooks, imports, commands, reads, contacts, identity)
        for route in part.operations(gateway)
    ]
    yield from sorted(routes, key=lambda route: len(route[0].path_names))


def build_api(gateway: Gateway) -> Edge:
    """The whole API as an ASGI application."""
    routes = list(all_routes(gateway))
    app = FastAPI(
        title="Tallystick", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None
    )
    for operation, handler in routes:
        app.add_route(operation.address, handler, methods=[operation.method])
    described = openapi((operation for operation, _ in routes), gateway.settings.public_url)

    async def describe(_: Request) -> Response:
        return answer(described)

    app.add_route("/v1/openapi.json", describe, methods=["GET"])
    app.add_route("/v1/problems/{code}", _explain, methods=["GET"])
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    return Edge(
        app,
        body_bytes_max=gateway.settings.body_bytes_max,
        new_id=lambda: str(gateway.ids.uuid7()),
    )


async def _explain(request: Request) -> Response:
    """What a code means; codes of services behind the gateway are explained by their remedy."""
    code = request.path_params["code"]
    kind = KINDS.get(code, KINDS["command_refused"])
    return answer({"code": code, "title": kind.title, "status": kind.status, "remedy": kind.remedy})


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem), "registered for problems alone"
    return _answered(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these alone"
    kind = _BY_STATUS.get(error.status_code, "malformed_request")
    return _answered(
        request, Problem(kind, KINDS[kind].title + ".", headers=dict(error.headers or {}))
    )


def _answered(request: Request, problem: Problem) -> Response:
    body: dict[str, Any] = document(problem, correlation_id(request))
    return JSONResponse(
        body,
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=dict(problem.headers),
    )
