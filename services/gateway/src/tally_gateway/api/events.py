"""A party's own log of events: by page with a cursor, or as a stream that resumes (X1)."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from tally_contracts.base import Token
from tally_gateway.api.commands import iso
from tally_gateway.api.model import (
    Answer,
    Document,
    Gateway,
    Operation,
    Query,
    Route,
    answer,
    read_query,
)
from tally_gateway.batching import unavailable
from tally_gateway.bell import heard_within
from tally_gateway.credentials import Caller
from tally_gateway.domain.access import Access, World, reaches
from tally_gateway.domain.concerns import is_hidden, shows_itself
from tally_gateway.errors import Problem, not_found
from tally_gateway.showing import decoded, is_mine, shown
from tally_gateway.store import EVERY_TENANT, log, scoped, tree
from tally_postgres import Connection, in_transaction
from tally_runtime import encode_id

HEARTBEAT_S: Final = 15
SEND_TIMEOUT_S: Final = 30.0
PAGE_MAX: Final = 500
_STREAM_PAGE: Final = 100
_LOOK_S: Final = 2.0
_SOON_S: Final = 0.02
_TYPES_MAX: Final = 50


def _comma_list(value: object) -> object:
    return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value


Names = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,127}$")], ...],
    BeforeValidator(_comma_list),
    Field(max_length=_TYPES_MAX, json_schema_extra={"x-comma-list": True}),
]
"""A list of names with commas."""

Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
"""Where a reader stands in a log; readers keep it and send it back as it came."""


class EventDocument(Document):
    """An event as the caller may see it. `cursor` is where a reader goes on after it."""

    id: str
    cursor: str
    type: str
    occurred_at: str
    data: dict[str, Any]


class EventPage(Document):
    """Events in order; `next` is what to send as `after` next time, also when there is no more yet."""

    data: list[EventDocument]
    next: str
    has_more: bool


class StreamQuery(Query):
    """Which events."""

    party: Token | None = Field(default=None, description="whose log; the caller's own if absent")
    types: Names | None = Field(default=None, description="only these types, with commas")
    after: Cursor | None = Field(
        default=None, description="`next` or `cursor` of an earlier answer"
    )


class EventsQuery(StreamQuery):
    """Which events, how many, and which fields of `data`."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    fields: Names | None = Field(default=None, description="only these fields of data, with commas")


_EXAMPLE: Final = {
    "id": "evt_01h455vb4pex5vsknk084sn02q",
    "cursor": "42",
    "type": "payouts.payout.changed.v1",
    "occurred_at": "2026-09-21T08:00:00Z",
    "data": {"payout_id": "po_01h455vb4pex5vsknk084sn02q", "state": "paid"},
}


def operations(gateway: Gateway) -> Iterator[Route]:
    """The page and the stream."""

    async def page(request: Request) -> Response:
        caller = await gateway.caller(request, "events:read")
        query = read_query(request, EventsQuery)
        party = await _party(gateway, caller, query.party)
        after = int(query.after or 0)
        found = await _read(gateway, caller, party, after, types=query.types, limit=query.limit + 1)
        documents = found[: query.limit]
        if query.fields is not None:
            wanted = set(query.fields)
            for each in documents:
                each["data"] = {k: v for k, v in each["data"].items() if k in wanted}
        following = documents[-1]["cursor"] if documents else str(after)
        return answer({"data": documents, "next": following, "has_more": len(found) > query.limit})

    yield (
        Operation(
            method="GET",
            path="/v1/events",
            name="event_list",
            summary="The party's own log of events, from a cursor",
            tag="events",
            scope="events:read",
            query=EventsQuery,
            problems=("not_found",),
            answers={
                200: Answer(
                    "A page", EventPage, {"data": [_EXAMPLE], "next": "42", "has_more": False}
                )
            },
        ),
        page,
    )
    yield _stream(gateway)


def _stream(gateway: Gateway) -> Route:
    open_streams = 0

    async def stream(request: Request) -> Response:
        nonlocal open_streams
        caller = await gateway.caller(request, "events:read")
        query = read_query(request, StreamQuery)
        party = await _party(gateway, caller, query.party)
        after = _resumed(request, query)
        if open_streams >= gateway.settings.streams_max:
            raise unavailable("Too many streams are open.")

        async def counted() -> AsyncIterator[ServerSentEvent]:
            nonlocal open_streams
            open_streams += 1
            try:
                async for each in _following(gateway, caller, party, after, query.types):
                    yield each
            finally:
                open_streams -= 1

        # A reader that takes nothing for this long is let go: it comes back with its last id.
        return EventSourceResponse(counted(), ping=HEARTBEAT_S, send_timeout=SEND_TIMEOUT_S)

    operation = Operation(
        method="GET",
        path="/v1/events/stream",
        name="event_stream",
        summary="The party's own log as server-sent events; Last-Event-ID resumes it",
        tag="events",
        scope="events:read",
        query=StreamQuery,
        problems=("not_found", "cursor_invalid"),
        answers={200: Answer("Events as they come", None, None, "text/event-stream")},
    )
    return operation, stream


def _resumed(request: Request, query: StreamQuery) -> int:
    last = request.headers.get("last-event-id")
    if last is None:
        return int(query.after or 0)
    if not last.isascii() or not last.isdecimal() or len(last) > len("9" * 18):
        raise Problem("cursor_invalid", "Last-Event-ID is no id of an event of this stream.")
    return int(last)


async def _following(
    gateway: Gateway, caller: Caller, party: str, after: int, types: tuple[str, ...] | None
) -> AsyncIterator[ServerSentEvent]:
    """The log from here on, until the service stops."""
    with gateway.bell.listening(party) as heard:
        while not gateway.stopping.is_set():
            documents = await _read(gateway, caller, party, after, types=types, limit=_STREAM_PAGE)
            for each in documents:
                after = int(each["cursor"])
                yield ServerSentEvent(
                    data=json.dumps(each, ensure_ascii=False, separators=(",", ":")),
                    event=each["type"],
                    id=each["cursor"],
                )
            if not documents and await heard_within(heard, _LOOK_S):
                # What rang is about to be committed.
                await heard_within(heard, _SOON_S)


async def _party(gateway: Gateway, caller: Caller, asked: str | None) -> str:
    """Whose log is read: the caller's own, or that of a party in its reach."""
    if asked is None or asked == caller.party:
        return caller.party

    async def read(conn: Connection) -> bool:
        await scoped(conn, EVERY_TENANT)
        nodes = await tree.nodes(conn, [asked])
        granted = await tree.connections(conn, [caller.party], [asked])
        return asked in nodes and reaches(
            World(nodes, {}, granted), caller.party, asked, Access.VIEW
        )

    if not await in_transaction(gateway.pool, read):
        raise not_found()
    return asked


async def _read(
    gateway: Gateway,
    caller: Caller,
    party: str,
    after: int,
    *,
    types: tuple[str, ...] | None,
    limit: int,
) -> list[dict[str, Any]]:
    async def read(conn: Connection) -> list[dict[str, Any]]:
        # The party was found to be in reach, be it in another tenant.
        tenant = caller.tenant if party == caller.party else EVERY_TENANT
        await scoped(conn, tenant)
        lines = await log.page(conn, party, after, types, limit)
        payloads = [decoded(line.payload) for line in lines]
        mine = await is_mine(conn, party, payloads)
        lines_of = await _lines_of(conn, lines, payloads)
        return [
            {
                "id": encode_id("evt", line.event_id),
                "cursor": str(line.number),
                "type": line.type,
                "occurred_at": iso(line.occurred_at),
                "data": {}
                if is_hidden(line.type, payload, caller.party, lines_of)
                else shown(caller, line.type, payload, mine),
            }
            for line, payload in zip(lines, payloads, strict=True)
        ]

    return await in_transaction(gateway.pool, read)


async def _lines_of(
    conn: Connection, lines: Sequence[log.Line], payloads: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """Of each party whose identity is told of, the party it is now and all above it, root first."""
    named = (shows_itself(each.type, said) for each, said in zip(lines, payloads, strict=True))
    nodes = await tree.nodes(conn, {party for party in named if party is not None})
    return {party: node.line for party, node in nodes.items()}
