"""Imports: a stream of rows in, a stream of their answers out."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tally_gateway.api.commands import idempotency_key, iso
from tally_gateway.api.model import (
    Answer,
    Document,
    Gateway,
    Operation,
    Query,
    Route,
    answer,
    correlation_id,
    read_query,
)
from tally_gateway.credentials import Caller
from tally_gateway.domain.access import OPERATOR, Access, World, reaches
from tally_gateway.domain.outcomes import refusal_of
from tally_gateway.domain.rows import CSV, NDJSON
from tally_gateway.errors import Problem, not_found
from tally_gateway.importing import KINDS, Importing
from tally_gateway.showing import decoded
from tally_gateway.store import imports as store
from tally_gateway.store import scoped, tree
from tally_gateway.store.imports import Import, RowStanding
from tally_postgres import Connection, in_transaction

_PAGE: Final = 1_000
LIST_MAX: Final = 500
_EXAMPLE_ID: Final = "imp_01h455vb4pex5vsknk084sn02q"
_ROW_EXAMPLE: Final = json.dumps(
    {
        "wallet": "wal_01h455vb4pex5vsknk084sn02q",
        "amount": {"currency": "USD", "amount": "25.00"},
        "why": {"program": "mass", "event": "run:7", "reason": "Run 7"},
    }
)


class ImportDocument(Document):
    """An import. `state`: receiving, received, cancelled. `rows` counts them by their state now."""

    id: str
    kind: str
    state: str
    rows_accepted: int
    rows_refused: int
    started_at: datetime
    received_at: datetime | None
    rows: dict[str, int]


class ImportSummary(Document):
    """An import without the states of its rows."""

    id: str
    kind: str
    state: str
    rows_accepted: int
    rows_refused: int
    started_at: datetime
    received_at: datetime | None


class ImportPage(Document):
    """Imports, newest first; `next` is the cursor of the page after, null on the last."""

    data: list[ImportSummary]
    next: str | None


class ImportsQuery(Query):
    """Which imports."""

    after: str | None = Field(
        default=None,
        pattern=r"^imp_[0-9a-hjkmnp-tv-z]{26}$",
        description="`next` of the page before",
    )
    limit: int = Field(default=50, ge=1, le=LIST_MAX)


class ImportQuery(Query):
    """What the rows are."""

    kind: Annotated[str, StringConstraints(pattern=f"^({'|'.join(KINDS)})$")]


class RowsQuery(Query):
    """From where on."""

    after: int = Field(default=0, ge=0, le=2**53 - 1, description="the last row number read")


_EXAMPLE: Final = {
    "id": _EXAMPLE_ID,
    "kind": "payouts",
    "state": "received",
    "rows_accepted": 99_998,
    "rows_refused": 2,
    "started_at": "2026-09-21T08:00:00Z",
    "received_at": "2026-09-21T08:04:00Z",
    "rows": {"invalid": 2, "succeeded": 99_990, "accepted": 8},
}
_SUMMARY: Final = {name: value for name, value in _EXAMPLE.items() if name != "rows"}


def operations(gateway: Gateway) -> Iterator[Route]:
    """Send an import, look at it, and read what became of its rows."""
    importing = Importing(gateway.intake, gateway.transactor, gateway.settings.import_rows_max)

    async def send(request: Request) -> Response:
        caller = await gateway.caller(request, "imports:write")
        query = read_query(request, ImportQuery)
        caller.need(KINDS[query.kind].scope)
        key = idempotency_key(request)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in {NDJSON, CSV}:
            raise Problem("unsupported_media_type", f"The body has to be {NDJSON} or {CSV}.")
        received = await importing.receive(
            caller,
            query.kind,
            key,
            request.stream(),
            media=media,
            correlation_id=correlation_id(request),
        )
        return answer(await _document(gateway, caller, received), 201)

    yield (
        Operation(
            method="POST",
            path="/v1/imports",
            name="import_send",
            summary="Send many commands as rows; each is answered for itself",
            tag="imports",
            scope="imports:write",
            query=ImportQuery,
            body_media=f"{NDJSON} {CSV}",
            body_example=_ROW_EXAMPLE,
            answers={201: Answer("All rows were answered", ImportDocument, _EXAMPLE)},
            problems=(
                "idempotency_key_missing",
                "idempotency_key_reused",
                "import_cancelled",
                "body_too_large",
                "unsupported_media_type",
            ),
        ),
        send,
    )
    yield from _lookers(gateway)
    yield _canceller(gateway)


def _lookers(gateway: Gateway) -> Iterator[Route]:
    """The list, one import, and its rows."""

    async def many(request: Request) -> Response:
        caller = await gateway.caller(request, "imports:read")
        query = read_query(request, ImportsQuery)

        async def read(conn: Connection) -> list[Import]:
            await scoped(conn, caller.tenant)
            return await store.of_principal(conn, caller.party, query.after, query.limit + 1)

        found = await in_transaction(gateway.pool, read)
        page = found[: query.limit]
        more = len(found) > query.limit
        return answer(
            {"data": [_summary(each) for each in page], "next": page[-1].id if more else None}
        )

    yield (
        Operation(
            method="GET",
            path="/v1/imports",
            name="import_list",
            summary="The imports of the caller's party, newest first, those under way too",
            tag="imports",
            scope="imports:read",
            query=ImportsQuery,
            answers={200: Answer("A page", ImportPage, {"data": [_SUMMARY], "next": None})},
        ),
        many,
    )

    async def one(request: Request) -> Response:
        caller = await gateway.caller(request, "imports:read")
        return answer(await _document(gateway, caller, await _found(gateway, caller, request)))

    yield (
        Operation(
            method="GET",
            path="/v1/imports/{import_id}",
            name="import_get",
            summary="An import and how far its rows are",
            tag="imports",
            scope="imports:read",
            answers={200: Answer("The import", ImportDocument, _EXAMPLE)},
        ),
        one,
    )

    async def answers(request: Request) -> Response:
        caller = await gateway.caller(request, "imports:read")
        query = read_query(request, RowsQuery)
        found = await _found(gateway, caller, request)
        return StreamingResponse(_rows(gateway, caller, found.id, query.after), media_type=NDJSON)

    yield (
        Operation(
            method="GET",
            path="/v1/imports/{import_id}/rows",
            name="import_rows",
            summary="What became of each row, one JSON object a line",
            tag="imports",
            scope="imports:read",
            query=RowsQuery,
            answers={200: Answer("Rows in order", None, None, NDJSON)},
        ),
        answers,
    )


def _canceller(gateway: Gateway) -> Route:
    async def cancel(request: Request) -> Response:
        caller = await gateway.caller(request, "imports:write")
        found = await _found(gateway, caller, request, Access.MANAGE)

        async def end(conn: Connection) -> Import:
            await scoped(conn, caller.tenant)
            return await store.cancel(conn, found.id)

        ended = await in_transaction(gateway.pool, end)
        if ended.state != "cancelled":
            raise Problem(
                "command_refused",
                "All rows of the import have been taken in.",
                problem_code="import_received",
                remedy="Cancel what its rows have begun one by one: each row names its subject.",
            )
        return answer(await _document(gateway, caller, ended))

    operation = Operation(
        method="POST",
        path="/v1/imports/{import_id}/cancel",
        name="import_cancel",
        summary="Take in no more rows; the commands of those before stand",
        tag="imports",
        scope="imports:write",
        answers={200: Answer("The import", ImportDocument, {**_EXAMPLE, "state": "cancelled"})},
        problems=("command_refused",),
    )
    return operation, cancel


async def _found(
    gateway: Gateway, caller: Caller, request: Request, access: Access = Access.VIEW
) -> Import:
    """An import of the caller's party or of one in its reach."""

    async def read(conn: Connection) -> Import | None:
        await scoped(conn, caller.tenant)
        found = await store.find(conn, request.path_params["import_id"])
        if found is None or caller.party in {OPERATOR, found.principal}:
            return found
        world = World(await tree.nodes(conn, [found.principal]))
        return found if reaches(world, caller.party, found.principal, access) else None

    found = await in_transaction(gateway.pool, read)
    if found is None:
        raise not_found()
    return found


async def _document(gateway: Gateway, caller: Caller, found: Import) -> dict[str, Any]:
    async def read(conn: Connection) -> dict[str, int]:
        await scoped(conn, caller.tenant)
        return dict(await store.progress(conn, found.id))

    return {**_summary(found), "rows": await in_transaction(gateway.pool, read)}


def _summary(found: Import) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "rows_accepted": found.rows_accepted,
        "rows_refused": found.rows_refused,
        "started_at": iso(found.started_at),
        "received_at": None if found.received_at is None else iso(found.received_at),
    }


async def _rows(
    gateway: Gateway, caller: Caller, import_id: str, after: int
) -> AsyncIterator[bytes]:
    """The rows page by page: no transaction lasts as long as a slow reader."""
    while True:

        async def read(conn: Connection, from_row: int = after) -> list[RowStanding]:
            await scoped(conn, caller.tenant)
            return await store.standing(conn, import_id, from_row, _PAGE)

        page = await in_transaction(gateway.pool, read)
        for row in page:
            yield json.dumps(_row(row), ensure_ascii=False).encode() + b"\n"
        if len(page) < _PAGE:
            return
        after = page[-1].answer.number


def _row(row: RowStanding) -> dict[str, Any]:
    found = row.answer
    refusal = None if row.outcome is None else refusal_of(decoded(row.outcome))
    return {
        "row": found.number,
        "state": row.state or "invalid",
        "command": found.command_id,
        "subject": found.subject,
        "code": found.code if refusal is None else refusal.code,
        "field": found.field if refusal is None else refusal.field,
        "detail": found.detail if refusal is None else refusal.detail,
        "remedy": found.remedy if refusal is None else refusal.remedy,
    }
