"""Reads: passed on to portfolio with who looks, signed for this one request."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import httpx
from pydantic import BaseModel, Field, StringConstraints, create_model
from starlette.requests import Request
from starlette.responses import Response

from tally_contracts.base import AssetCode, Slug, Token, UtcTime
from tally_gateway.api.events import Names
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
from tally_gateway.batching import unavailable
from tally_gateway.credentials import Caller
from tally_gateway.errors import Problem, not_found
from tally_security.internal import VIEWER_HEADER, Viewer, sign_viewer

PAGE_MAX: Final = 500
_NOT_FOUND: Final = 404
_OK: Final = 200
_REFUSED: Final = frozenset({400, 422})

OpaqueCursor = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[!-~]+$")]


class Page(Document):
    """A page of a list; `next` is the cursor of the page after, null on the last."""

    items: list[dict[str, Any]]
    next: str | None


class One(Document):
    """One thing, its fields as the caller may see them."""


class Sparse(Query):
    """What every read takes."""

    fields: Names | None = Field(default=None, description="only these fields, with commas")
    under: Token | None = Field(
        default=None, description="look from the seat of this party of the caller's sub-tree"
    )


class Listed(Sparse):
    """What every list takes."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    cursor: OpaqueCursor | None = Field(default=None, description="`next` of the page before")


_FILTERS: Final[Mapping[str, Any]] = {
    "currency": AssetCode,
    "purpose": Slug,
    "state": Slug,
    "source": Slug,
    "rail": Slug,
    "kind": Slug,
    "from": UtcTime,
    "until": UtcTime,
    "at": UtcTime,
}
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "wallets": {
        "id": "wal_01h455vb4pex5vsknk084sn02q",
        "currency": "EUR",
        "available": {"currency": "EUR", "amount": "120.00"},
    },
    "payments": {"id": "pin_01h455vb4pex5vsknk084sn02q", "state": "allocated"},
    "parties": {"id": "party_01h455vb4pex5vsknk084sn02q", "kind": "payee"},
}

# Address, operation id, summary, tag, scope, filters, whether it is a list.
_READS: Final[tuple[tuple[str, str, str, str, str, bool], ...]] = (
    ("/wallets", "wallet_list", "Wallets with their balances", "wallets", "currency purpose", True),
    ("/wallets/{id}", "wallet_get", "A wallet with its balance", "wallets", "", False),
    (
        "/wallets/{id}/movements",
        "wallet_movements",
        "Who, what, when, where and why of each movement, newest first",
        "wallets",
        "from until",
        True,
    ),
    (
        "/wallets/{id}/statement",
        "wallet_statement",
        "A statement of a settled span: the same bytes whenever it is asked for",
        "wallets",
        "at from until",
        False,
    ),
    ("/payments", "payment_list", "Pay-ins with their payouts", "payments", "state", True),
    ("/payments/{id}", "payment_get", "A payment with its time line", "payments", "", False),
    ("/pay-ins", "pay_in_list", "Money that came in", "payments", "state source", True),
    ("/payouts", "payout_list", "Money that goes out", "payments", "state rail", True),
    ("/exceptions", "exception_list", "What waits for a person, or failed", "payments", "", True),
    ("/parties", "party_list", "The caller's tree", "parties", "kind", True),
    ("/parties/{id}", "party_get", "A party", "parties", "", False),
    ("/totals", "totals", "Received, committed, paid, held, resting", "payments", "", False),
)


def operations(gateway: Gateway) -> Iterator[Route]:
    """Every read."""
    for path, name, summary, tag, filters, is_list in _READS:
        base = Listed if is_list else Sparse
        fields: dict[str, Any] = {
            f"{filter_name}_": (_FILTERS[filter_name] | None, Field(None, alias=filter_name))
            for filter_name in filters.split()
        }
        query: type[BaseModel] = create_model(f"{name}_query", __base__=base, **fields)
        example = dict(_EXAMPLES.get(tag, {}))
        operation = Operation(
            method="GET",
            path=f"/v1{path}",
            name=name,
            summary=summary,
            tag=tag,
            scope=f"{tag}:read",
            query=query,
            answers={
                200: Answer("A page", Page, {"items": [example], "next": None})
                if is_list
                else Answer("As it stands", One, example)
            },
            problems=("not_found",),
        )
        yield operation, _reader(gateway, path, f"{tag}:read", query)


def _reader(gateway: Gateway, path: str, scope: str, query: type[BaseModel]) -> Handler:
    async def read(request: Request) -> Response:
        caller = await gateway.caller(request, scope)
        read_query(request, query)
        # As they came: they were checked, and portfolio reads them itself.
        parameters = dict(request.query_params)
        url = path.replace("{id}", str(request.path_params.get("id", "")))
        try:
            found = await gateway.reads.get(
                url, params=parameters, headers={VIEWER_HEADER: viewer_text(gateway, caller)}
            )
        except httpx.HTTPError:
            raise unavailable("What is read here cannot be reached at the moment.") from None
        return _passed_on(found)

    return read


def viewer_text(gateway: Gateway, caller: Caller) -> str:
    """Who looks, for the read API to believe."""
    viewer = Viewer(caller.party, caller.tenant, caller.persona, caller.scopes)
    return sign_viewer(viewer, gateway.internal_keys, now=gateway.clock.now())


def _passed_on(found: httpx.Response) -> Response:
    if found.status_code == _OK:
        return Response(found.content, media_type=JSON)
    if found.status_code == _NOT_FOUND:
        raise not_found()
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
