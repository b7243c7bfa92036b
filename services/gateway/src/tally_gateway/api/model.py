"""An operation of the API as data, and what all operations do: recognise, read, answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tally_gateway.batching import Batching
from tally_gateway.bell import Bell
from tally_gateway.credentials import Caller, Credentials
from tally_gateway.errors import Problem
from tally_gateway.intake import Intake
from tally_gateway.problems import field_errors, unread
from tally_gateway.settings import GatewaySettings
from tally_messaging import Transactor
from tally_postgres import Pool
from tally_runtime import Clock, Ids
from tally_security.internal import InternalKeys

B = TypeVar("B", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]
JSON: Final = "application/json"

# Each operation may be answered with these, besides its own.
ALWAYS: Final = ("rate_limited", "internal_error", "unavailable")
STEP_UP: Final = (
    "step_up_invalid",
    "step_up_required",
    "step_up_wrong",
    "step_up_expired",
    "step_up_used",
    "step_up_dead",
    "step_up_other_request",
    "step_up_unknown",
    "step_up_too_many",
)
AUTHENTICATED: Final = ("credentials_missing", "credentials_invalid", "scope_missing")


class Document(BaseModel):
    """The shape of an answer; readers ignore fields they do not know."""

    model_config = ConfigDict(frozen=True)


class Query(BaseModel):
    """The parameters of a request; one that nobody reads is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of good answer."""

    description: str
    model: type[BaseModel] | None
    example: Any = None
    media: str = JSON


@dataclass(frozen=True)
class Operation:
    """What the OpenAPI document says of an operation. `problems` are kinds it may answer with."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    scope: str | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_media: str = JSON
    body_example: Any = None
    is_command: bool = False
    step_up: bool = False
    problems: tuple[str, ...] = ()
    slashes: bool = False

    @property
    def address(self) -> str:
        """Its path as the router takes it: a parameter has no slash in it, unless `slashes`."""
        return self.path.replace("}", ":path}") if self.slashes else self.path

    @property
    def path_names(self) -> tuple[str, ...]:
        """Its parameters in the address."""
        parts = (part for part in self.path.split("/") if part.startswith("{"))
        return tuple(part[1:-1] for part in parts)

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Every kind of problem it may answer with."""
        kinds = [*self.problems, *ALWAYS]
        if self.scope is not None:
            kinds += AUTHENTICATED
        if self.query is not None or self.body is not None:
            kinds.append("invalid_request")
        if self.body is not None:
            kinds += ["malformed_json", "body_too_large", "unsupported_media_type"]
        if self.is_command:
            kinds += ["idempotency_key_missing", "prefer_invalid", "idempotency_key_reused"]
            kinds += ["command_refused", "not_found"]
        if self.step_up:
            kinds += STEP_UP
        if self.path_names:
            kinds.append("not_found")
        return tuple(dict.fromkeys(kinds))


Route = tuple[Operation, Handler]


@dataclass(frozen=True, slots=True)
class Gateway:
    """What handlers work with. `stopping` is set when the service comes to its end."""

    settings: GatewaySettings
    pool: Pool
    transactor: Transactor
    clock: Clock
    ids: Ids
    credentials: Credentials
    intake: Intake
    batching: Batching
    bell: Bell
    reads: httpx.AsyncClient
    contacts: httpx.AsyncClient
    identities: httpx.AsyncClient
    internal_keys: InternalKeys
    stopping: asyncio.Event

    async def caller(self, request: Request, scope: str) -> Caller:
        """Who sends a request, once it is sure that they have the scope."""
        caller, pace = await self.credentials.recognise(request.headers.get("authorization"))
        request.state.pace = pace
        caller.need(scope)
        return caller


def correlation_id(request: Request) -> str:
    """The id that joins everything a request leads to."""
    found: str = request.state.correlation_id
    return found


def read_query(request: Request, model: type[B]) -> B:
    """The parameters of a request; raises a Problem that names each wrong one."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise Problem("invalid_request", f"The parameter {name} is given twice.")
        given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Problem(
            "invalid_request", "Parameters of the request are wrong.", errors=field_errors(error)
        ) from None


async def read_body(request: Request, model: type[B]) -> B:
    """The JSON body of a request; raises a Problem that names each wrong field."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != JSON:
        raise Problem("unsupported_media_type", f"The body has to be {JSON}.")
    raw = await request.body()
    try:
        body = model.model_validate_json(raw)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            raise Problem("malformed_json", "The body is not JSON in UTF-8.") from None
        raise Problem(
            "invalid_request", "Fields of the body are wrong.", errors=field_errors(error)
        ) from None
    errors = tuple(unread(body, from_json(raw)))
    if errors:
        raise Problem("invalid_request", "The body has fields that nobody reads.", errors=errors)
    return body


def answer(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A JSON answer."""
    return _Json(content, status_code=status, headers=dict(headers or {}))


class _Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
