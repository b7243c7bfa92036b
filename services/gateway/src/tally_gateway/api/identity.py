"""Levels, tasks and tables: asked of the kyc service, which decides who sees what."""

import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
from starlette.requests import Request
from starlette.responses import Response

from tally_gateway.api.model import (
    JSON,
    Answer,
    Document,
    Gateway,
    Handler,
    Operation,
    Query,
    Route,
    read_query,
)
from tally_gateway.api.reads import viewer_text
from tally_gateway.batching import unavailable
from tally_gateway.errors import not_found
from tally_gateway.routes.identity import READ
from tally_security.internal import VIEWER_HEADER

_ID: Final = re.compile(r"[A-Za-z0-9_.:~-]{1,128}")
_OK, _NOT_FOUND = 200, 404


class Bare(Query):
    """These reads take nothing."""


class Identity(Document):
    """A party's level, and its tasks for whoever may see them."""

    party_id: str
    party_kind: str
    level: str
    may_remit: bool
    valid_until: str | None
    tasks: list[dict[str, Any]] | None = None


class DatedTable(Document):
    """A table by version, the newest first."""

    table: str
    versions: list[dict[str, Any]]


_IDENTITY: Final = {
    "party_id": "party_01h455vb4pex5vsknk084sn02q",
    "party_kind": "person",
    "level": "basic",
    "may_remit": False,
    "valid_until": "2028-10-31T00:00:00Z",
    "jurisdiction": "DE",
    "policy_version": 1,
    "reasons": ["passed:collect_data", "missing:document", "missing:liveness"],
    "tasks": [
        {
            "task_id": "task_01h455vb4pex5vsknk084sn02q",
            "kind": "document",
            "state": "open",
            "reason": "For the level standard",
            "who_must_act": "payee",
            "opened_at": "2026-09-21T08:00:00Z",
            "expires_at": None,
            "evidence": [],
        }
    ],
}
_VERSION: Final = {
    "version": 1,
    "jurisdictions": ["*"],
    "valid_from": "2026-10-01T00:00:00Z",
    "valid_until": None,
    "source": "Compliance handbook, section 4 (verify before production)",
    "rows": [],
}


def operations(gateway: Gateway) -> Iterator[Route]:
    """The reads of identity."""
    for path, name, summary, shown in (
        (
            "/v1/parties/{party_id}/identity",
            "identity_get",
            "A party's level; its tasks for itself, whom it lets manage it, its tenant, the operator",
            Answer("As the caller may see it", Identity, _IDENTITY),
        ),
        (
            "/v1/gates/{table}",
            "gate_table_get",
            "A table of gates by version, the newest first",
            Answer("Every version", DatedTable, {"table": "standard", "versions": [_VERSION]}),
        ),
        (
            "/v1/limits/{table}",
            "limit_table_get",
            "A table of limits by version, the newest first",
            Answer("Every version", DatedTable, {"table": "standard", "versions": [_VERSION]}),
        ),
    ):
        yield (
            Operation(
                method="GET",
                path=path,
                name=name,
                summary=summary,
                tag="identity",
                scope=READ,
                query=Bare,
                answers={_OK: shown},
            ),
            _reader(gateway),
        )


def _reader(gateway: Gateway) -> Handler:
    async def read(request: Request) -> Response:
        caller = await gateway.caller(request, READ)
        read_query(request, Bare)
        if any(_ID.fullmatch(given) is None for given in request.path_params.values()):
            # It becomes part of an address behind us, and no id or name looks like this.
            raise not_found()
        try:
            found = await gateway.identities.get(
                request.url.path.removeprefix("/v1"),
                headers={VIEWER_HEADER: viewer_text(gateway, caller)},
            )
        except httpx.HTTPError:
            raise unavailable("Identity cannot be read at the moment.") from None
        if found.status_code == _NOT_FOUND:
            raise not_found()
        if found.status_code != _OK:
            raise unavailable("The kyc service did not answer as it should.")
        return Response(found.content, media_type=JSON)

    return read
