"""Questions passed on to the read APIs behind the gateway, with who looks signed for this one."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tally_gateway.api.model import JSON, Gateway, Handler, read_query
from tally_gateway.batching import unavailable
from tally_gateway.credentials import Caller
from tally_gateway.errors import Problem, not_found
from tally_security.internal import VIEWER_HEADER, Viewer, sign_viewer

_OK, _NOT_FOUND, _TOO_OFTEN = 200, 404, 429
_REFUSED: Final = frozenset({400, 409, 422})
_ID: Final = re.compile(r"[!-~]{1,128}")


def passed_on(
    gateway: Gateway,
    api: httpx.AsyncClient,
    path: str,
    *,
    scope: str,
    query: type[BaseModel],
    names_actor: bool = False,
) -> Handler:
    """The handler that asks `path` of a read API, with the ids and the query of the request.

    `names_actor`: the read API is told which key or person looks, since it keeps a log of looks.
    """

    async def read(request: Request) -> Response:
        caller = await gateway.caller(request, scope)
        read_query(request, query)
        address = address_of(path, request.path_params)
        try:
            found = await api.get(
                address,
                # As they came: they were checked, and the read API reads them itself.
                params=dict(request.query_params),
                headers={VIEWER_HEADER: _viewer(gateway, caller, names_actor=names_actor)},
            )
        except httpx.HTTPError:
            raise unavailable("What is read here cannot be reached at the moment.") from None
        return _answered(found)

    return read


def address_of(path: str, ids: Mapping[str, str]) -> str:
    """`path` with these ids in it, each one part of the address whatever is in it.

    Raises `not_found` where no id or reference of anybody's looks like this.
    """
    for name, asked_for in ids.items():
        if _ID.fullmatch(asked_for) is None:
            raise not_found()
        # Dots too: two of them would lead upwards.
        path = path.replace(f"{{{name}}}", quote(asked_for, safe="").replace(".", "%2E"))
    return path


def _viewer(gateway: Gateway, caller: Caller, *, names_actor: bool) -> str:
    actor = caller.actor if names_actor else None
    viewer = Viewer(caller.party, caller.tenant, caller.persona, caller.scopes, actor)
    return sign_viewer(viewer, gateway.internal_keys, now=gateway.clock.now())


def _answered(found: httpx.Response) -> Response:
    if found.status_code == _OK:
        return Response(found.content, media_type=JSON)
    if found.status_code == _NOT_FOUND:
        raise not_found()
    if found.status_code == _TOO_OFTEN:
        raise Problem(
            "rate_limited",
            "This was looked at as often as it may be for now.",
            headers={"Retry-After": found.headers["Retry-After"]},
        )
    if found.status_code in _REFUSED:
        refusal = found.json()
        raise Problem(
            "invalid_request",
            str(refusal.get("detail", "A parameter is wrong.")),
            problem_code=refusal.get("code"),
            pointer=refusal.get("field"),
            remedy=refusal.get("remedy"),
        )
    raise unavailable("What is read here did not answer as it should.")
