"""Commands: each route of the table becomes an operation; each command can be looked at again."""

import asyncio
import hmac
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tally_gateway.api.model import (
    Answer,
    Document,
    Gateway,
    Handler,
    Operation,
    Query,
    Route,
    answer,
    correlation_id,
    read_body,
    read_query,
)
from tally_gateway.bell import heard_within
from tally_gateway.credentials import Caller
from tally_gateway.domain.access import OPERATOR, Access, World, reaches
from tally_gateway.domain.outcomes import REFUSED, refusal_of
from tally_gateway.errors import FieldError, Problem, not_found
from tally_gateway.intake import COMMAND_PREFIX
from tally_gateway.intake import Request as Asking
from tally_gateway.routes import ROUTES
from tally_gateway.routes.model import CommandRoute
from tally_gateway.showing import decoded, is_mine, shown
from tally_gateway.step_up import CHALLENGE_PREFIX, CODE_CHARS, HEADER, Presented
from tally_gateway.store import EVERY_TENANT, commands, scoped, tree
from tally_gateway.store.commands import Command
from tally_postgres import Connection, in_transaction
from tally_runtime import encode_id

WAIT_MAX_S: Final = 30
_LOOK_S: Final = 0.5
_SOON_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1)
_KEY: Final = re.compile(r"[!-~]{1,128}")
_WAIT: Final = re.compile(r"wait\s*=\s*([0-9]{1,2})")
_STEP_UP: Final = re.compile(rf"({CHALLENGE_PREFIX}_[0-9a-z]{{26}}):([0-9A-Za-z]{{{CODE_CHARS}}})")
PAGE_MAX: Final = 500
_FIRST: Final = f"{COMMAND_PREFIX}_~"
_EXAMPLE_ID: Final = "cmd_01h455vb4pex5vsknk084sn02q"


class OutcomeDocument(Document):
    """The fact a command led to, as its sender may see it."""

    id: str
    type: str
    data: dict[str, Any]


class CommandDocument(Document):
    """A command as it stands.

    `state`: accepted, succeeded, refused. `subject` is what it is about: for a command that makes
    something, the new id.
    """

    id: str
    type: str
    state: str
    subject: str
    actor: str
    principal: str
    correlation_id: str
    accepted_at: datetime
    decided_at: datetime | None
    outcome: OutcomeDocument | None


class CommandPage(Document):
    """Commands, newest first; `next` is the cursor of the page after, null on the last."""

    data: list[CommandDocument]
    next: str | None


class CommandsQuery(Query):
    """Which commands."""

    after: str | None = Field(
        default=None,
        pattern=r"^cmd_[0-9a-hjkmnp-tv-z]{26}$",
        description="`next` of the page before",
    )
    limit: int = Field(default=50, ge=1, le=PAGE_MAX)


EXAMPLE: Final = {
    "id": _EXAMPLE_ID,
    "type": "payouts.payout.request.v1",
    "state": "accepted",
    "subject": "po_01h455vb4pex5vsknk084sn02q",
    "actor": "key_01h455vb4pex5vsknk084sn02q",
    "principal": "party_01h455vb4pex5vsknk084sn02q",
    "correlation_id": "0192156b-1bb0-7d0f-a1d5-6e5f4c6b7a80",
    "accepted_at": "2026-09-21T08:00:00Z",
    "decided_at": None,
    "outcome": None,
}
_DECIDED: Final = {
    **EXAMPLE,
    "state": "succeeded",
    "decided_at": "2026-09-21T08:00:00.250Z",
    "outcome": {
        "id": "evt_01h455vb4pex5vsknk084sn02q",
        "type": "payouts.payout.changed.v1",
        "data": {"payout_id": "po_01h455vb4pex5vsknk084sn02q", "state": "approved"},
    },
}


def operations(gateway: Gateway) -> Iterator[Route]:
    """Every command, and the two ways to look at commands."""
    for route in ROUTES:
        yield _operation(route), _sender(gateway, route)
    yield from _lookers(gateway)


def _operation(route: CommandRoute) -> Operation:
    return Operation(
        method=route.method,
        path=route.path,
        name=route.name,
        summary=route.summary,
        tag=route.tag,
        scope=route.scope,
        body=route.body,
        body_example=route.example,
        is_command=True,
        step_up=route.step_up,
        answers={
            200: Answer("The command with its outcome", CommandDocument, _DECIDED),
            202: Answer("The command was taken in", CommandDocument, EXAMPLE),
        },
    )


def _sender(gateway: Gateway, route: CommandRoute) -> Handler:
    secret = gateway.internal_keys.current

    async def send(request: Request) -> Response:
        caller = await gateway.caller(request, route.scope)
        key, wait_s = idempotency_key(request), seconds_to_wait(request)
        presented = presented_code(request) if route.step_up else None
        body = await read_body(request, route.body)
        said = f"{request.url.path}\n{body.model_dump_json()}".encode()
        taken = await gateway.batching.submit(
            Asking(
                route=route,
                caller=caller,
                body=body,
                path=dict(request.path_params),
                correlation_id=correlation_id(request),
                key=key,
                # With a key of our own: a body may hold what must not be guessed from a hash.
                request_hash=hmac.digest(secret, said, "sha256"),
                presented=presented,
            )
        )
        return await answered(gateway, caller, taken.command, wait_s)

    return send


async def answered(gateway: Gateway, caller: Caller, command: Command, wait_s: int) -> Response:
    """The answer to a command that was taken in: 202, or its outcome within `wait_s` seconds."""
    if wait_s and command.state == "accepted":
        command = await _outcome(gateway, command, wait_s)
    if command.state == "accepted":
        headers = {"Location": f"/v1/commands/{command.id}"}
        return answer(_document(command, None), 202, headers)
    return await _decided(gateway, caller, command)


def idempotency_key(request: Request) -> str:
    """The key of a command; raises a Problem without one."""
    key = request.headers.get("idempotency-key", "")
    if _KEY.fullmatch(key) is None:
        raise Problem("idempotency_key_missing", "The header Idempotency-Key is missing or no key.")
    return key


def presented_code(request: Request) -> Presented | None:
    """The code a request comes with, if it comes with one; raises a Problem for what is none."""
    given = request.headers.get(HEADER)
    if given is None:
        return None
    match = _STEP_UP.fullmatch(given)
    if match is None:
        raise Problem("step_up_invalid", "The header is no challenge and code.", pointer=HEADER)
    return Presented(match[1], match[2])


def seconds_to_wait(request: Request) -> int:
    """What the header Prefer asks for: 0 is not to wait."""
    for preference in request.headers.get("prefer", "").split(","):
        name = preference.partition("=")[0].strip().lower()
        if name == "wait":
            match = _WAIT.fullmatch(preference.strip().lower())
            if match is None or int(match[1]) > WAIT_MAX_S:
                raise Problem("prefer_invalid", f"wait is a number from 0 to {WAIT_MAX_S}.")
            return int(match[1])
    return 0


async def _outcome(gateway: Gateway, command: Command, wait_s: int) -> Command:
    """The command once it is decided, or as it is when the time is up."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    soon = list(_SOON_S)
    ringing = False
    with gateway.bell.listening(command.id) as heard:
        while not gateway.stopping.is_set():
            found = await _read(gateway, EVERY_TENANT, command.id)
            if found is not None and found.state != "accepted":
                return found
            left_s = until_s - loop.time()
            if left_s <= 0:
                break
            # After the ring the outcome is about to be committed: look again shortly.
            pause_s = soon.pop(0) if ringing and soon else _LOOK_S
            ringing = await heard_within(heard, min(pause_s, left_s)) or ringing
    return command


async def _decided(gateway: Gateway, caller: Caller, command: Command) -> Response:
    assert command.outcome is not None, "a decided command has an outcome"
    payload = decoded(command.outcome)
    if command.state == REFUSED:
        refusal = refusal_of(payload)
        raise Problem(
            "command_refused",
            refusal.detail,
            problem_code=refusal.code,
            pointer=refusal.field,
            remedy=refusal.remedy,
            errors=tuple(
                FieldError(
                    each.field, each.code, "This place keeps it from being taken.", each.remedy
                )
                for each in refusal.faults
            ),
            headers={"Content-Location": f"/v1/commands/{command.id}"},
        )
    return answer(await _shown(gateway, caller, command))


async def _shown(gateway: Gateway, caller: Caller, command: Command) -> dict[str, Any]:
    if command.outcome is None:
        return _document(command, None)
    payload = decoded(command.outcome)

    async def read(conn: Connection) -> dict[str, Any]:
        await scoped(conn, caller.tenant)
        mine = await is_mine(conn, caller.party, [payload])
        return shown(caller, command.outcome_type or "", payload, mine)

    return _document(command, await in_transaction(gateway.pool, read))


def _document(command: Command, data: dict[str, Any] | None) -> dict[str, Any]:
    outcome = None
    if data is not None and command.outcome_id is not None:
        outcome = {
            "id": encode_id("evt", command.outcome_id),
            "type": command.outcome_type,
            "data": data,
        }
    return {
        "id": command.id,
        "type": command.type,
        "state": command.state,
        "subject": command.subject,
        "actor": command.actor,
        "principal": command.principal,
        "correlation_id": command.correlation_id,
        "accepted_at": iso(command.accepted_at),
        "decided_at": None if command.decided_at is None else iso(command.decided_at),
        "outcome": outcome,
    }


def iso(at: datetime) -> str:
    """A moment as RFC 3339 in UTC."""
    return at.isoformat().replace("+00:00", "Z")


async def _read(gateway: Gateway, tenant: str, command_id: str) -> Command | None:
    async def read(conn: Connection) -> Command | None:
        await scoped(conn, tenant)
        return (await commands.find(conn, [command_id])).get(command_id)

    return await in_transaction(gateway.pool, read)


def _lookers(gateway: Gateway) -> Iterator[Route]:
    async def one(request: Request) -> Response:
        caller = await gateway.caller(request, "commands:read")
        command_id = request.path_params["command_id"]

        async def read(conn: Connection) -> Command | None:
            await scoped(conn, caller.tenant)
            command = (await commands.find(conn, [command_id])).get(command_id)
            if command is None or caller.party in {OPERATOR, command.principal}:
                return command
            world = World(await tree.nodes(conn, [command.principal]))
            return command if reaches(world, caller.party, command.principal, Access.VIEW) else None

        command = await in_transaction(gateway.pool, read)
        if command is None:
            raise not_found()
        return answer(await _shown(gateway, caller, command))

    yield (
        Operation(
            method="GET",
            path="/v1/commands/{command_id}",
            name="command_get",
            summary="A command and what became of it",
            tag="commands",
            scope="commands:read",
            answers={200: Answer("The command", CommandDocument, _DECIDED)},
        ),
        one,
    )

    async def many(request: Request) -> Response:
        caller = await gateway.caller(request, "commands:read")
        query = read_query(request, CommandsQuery)

        async def read(conn: Connection) -> list[dict[str, Any]]:
            await scoped(conn, caller.tenant)
            found = await commands.of_principal(
                conn, caller.party, query.after or _FIRST, query.limit + 1
            )
            payloads = [decoded(each.outcome) if each.outcome else {} for each in found]
            mine = await is_mine(conn, caller.party, payloads)
            return [
                _document(
                    each,
                    shown(caller, each.outcome_type or "", payload, mine) if payload else None,
                )
                for each, payload in zip(found, payloads, strict=True)
            ]

        documents = await in_transaction(gateway.pool, read)
        more = len(documents) > query.limit
        page = documents[: query.limit]
        return answer({"data": page, "next": page[-1]["id"] if more else None})

    yield (
        Operation(
            method="GET",
            path="/v1/commands",
            name="command_list",
            summary="The commands of the caller's party, newest first",
            tag="commands",
            scope="commands:read",
            query=CommandsQuery,
            answers={200: Answer("A page", CommandPage, {"data": [_DECIDED], "next": None})},
        ),
        many,
    )
