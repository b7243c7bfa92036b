"""Contacts in clear: asked of the directory, which decides who sees what, and logs each look."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import Field

from tally_contracts.base import Text
from tally_gateway.api.behind import passed_on
from tally_gateway.api.model import Answer, Document, Gateway, Operation, Query, Route
from tally_gateway.routes import CONTACTS_READ


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
        passed_on(
            gateway,
            gateway.contacts,
            "/parties/{party_id}/contacts",
            scope=CONTACTS_READ,
            query=Purposeful,
            names_actor=True,
        ),
    )
