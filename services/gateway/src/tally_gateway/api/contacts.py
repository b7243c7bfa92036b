"""Contacts in clear: asked of the directory, which decides who sees what, and logs each look."""

import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tally_contracts.base import Text
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
from tally_gateway.errors import Problem, not_found
from tally_gateway.routes import CONTACTS_READ
from tally_security.internal import VIEWER_HEADER, Viewer, sign_viewer

_ID: Final = re.compile(r"[A-Za-z0-9_:~-]{1,128}")
_OK, _NOT_FOUND, _TOO_OFTEN = 200, 404, 429


class Purposeful(Query):
    """What a look at contacts takes."""

    purpose: Text = Field(description="why they are looked at; the party reads it in its log")


class Contacts(Document):
    """A party's contacts; `basis` says by what they are shown.

    `own`, `consent` and `grant` show each with its `value`, `alias` without.
    """

    party_id: str
    alias: str
    basis: str
    contacts: list[dict[str, Any]]


_EXAMPLE: Final = {
    "party_id": "party_01h455vb4pex5vsknk084sn02q",
    "alias": "payee-7Q2M",
    "basis": "own",
    "contacts": [
        {
            "contact_id": "ctc_01h455vb4pex5vsknk084sn02q",
            "channel": "email",
            "contact": "hmac1.email.0c8e",
            "verified_at": None,
            "value": "ap@supplier.example",
        }
    ],
}


def operations(gateway: Gateway) -> Iterator[Route]:
    """The one read of contacts."""
    yield (
        Operation(
            method="GET",
            path="/v1/parties/{party_id}/contacts",
            name="contact_list",
            summary="A party's contacts: in clear for itself and whom it lets, else by their tokens",
            tag="contacts",
            scope=CONTACTS_READ,
            query=Purposeful,
            answers={200: Answer("As the caller may see them", Contacts, _EXAMPLE)},
        ),
        _reader(gateway),
    )


def _reader(gateway: Gateway) -> Handler:
    async def read(request: Request) -> Response:
        caller = await gateway.caller(request, CONTACTS_READ)
        asked = read_query(request, Purposeful)
        party_id = request.path_params["party_id"]
        if _ID.fullmatch(party_id) is None:
            # It becomes part of an address behind us, and no id looks like this.
            raise not_found()
        viewer = Viewer(caller.party, caller.tenant, caller.persona, caller.scopes, caller.actor)
        signed = sign_viewer(viewer, gateway.internal_keys, now=gateway.clock.now())
        try:
            found = await gateway.contacts.get(
                f"/parties/{party_id}/contacts",
                params={"purpose": asked.purpose},
                headers={VIEWER_HEADER: signed},
            )
        except httpx.HTTPError:
            raise unavailable("Contacts cannot be read at the moment.") from None
        return _passed_on(found)

    return read


def _passed_on(found: httpx.Response) -> Response:
    if found.status_code == _OK:
        return Response(found.content, media_type=JSON)
    if found.status_code == _NOT_FOUND:
        raise not_found()
    if found.status_code == _TOO_OFTEN:
        raise Problem(
            "rate_limited",
            "Contacts were looked at as often as they may be in a minute.",
            headers={"Retry-After": found.headers["Retry-After"]},
        )
    raise unavailable("The directory did not answer as it should.")
