"""Webhooks of card processors: the signature is the credential, the same body is one command."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from tally_contracts.funding_sources import ReceiveWebhook
from tally_gateway.api.model import Answer, Document, Gateway, Operation, Route, answer
from tally_gateway.api.model import correlation_id as correlation_id_of
from tally_gateway.credentials import Caller
from tally_gateway.errors import Problem, not_found
from tally_gateway.intake import Request as Asking
from tally_gateway.routes.model import Asked, CommandRoute
from tally_gateway.store import EVERY_TENANT, scoped, tree
from tally_postgres import Connection, in_transaction
from tally_security.internal import Persona
from tally_security.webhooks import (
    STRIPE_HEADER,
    BodyTooLarge,
    WebhookRefused,
    WebhookSecrets,
    verify_stripe,
)

_BODY_BYTES_MAX: Final = 256 * 1024


class ReceivedDocument(Document):
    """It was taken in; what became of it is the event log's to say."""

    id: str


def _content(asked: Asked) -> Mapping[str, Any]:
    return {"content": asked.value("raw")}


ROUTE: Final = CommandRoute(
    "/v1/webhooks/{source}",
    ReceiveWebhook,
    tag="webhooks",
    summary="Receive what a card processor sends",
    scope="pay-ins:write",
    subject="webhook_id",
    makes={"webhook_id": "whk"},
    works_out=frozenset({"content"}),
    drops=frozenset({"raw"}),
    extra={"raw": (str, ...)},
    prepare=_content,
    example={"raw": "e30="},
)


def operations(gateway: Gateway) -> Iterator[Route]:
    """The one address of each source."""
    sources = gateway.settings.webhook_sources()

    async def receive(request: Request) -> Response:
        name = request.path_params["source"]
        source = sources.get(name)
        if source is None:
            raise not_found()
        raw = await request.body()
        try:
            verify_stripe(
                dict(request.headers),
                raw,
                WebhookSecrets.stripe(*source.secrets),
                now=gateway.clock.now(),
            )
        except BodyTooLarge as error:
            raise Problem("body_too_large", str(error)) from None
        except WebhookRefused as error:
            raise Problem(
                "credentials_invalid", str(error), problem_code=error.code, pointer=STRIPE_HEADER
            ) from None
        if len(raw) > _BODY_BYTES_MAX:
            raise Problem("body_too_large", f"A webhook has at most {_BODY_BYTES_MAX} bytes here.")
        digest = hashlib.sha256(raw).digest()
        taken = await gateway.batching.submit(
            Asking(
                route=ROUTE,
                caller=await _sender(gateway, name, source.company),
                body=ROUTE.body.model_validate({"raw": base64.b64encode(raw).decode()}),
                path={"source": name},
                correlation_id=correlation_id_of(request),
                key=f"webhook:{name}:{digest.hex()}",
                request_hash=digest,
            )
        )
        return answer({"id": taken.command.subject}, 202)

    yield (
        Operation(
            method="POST",
            path=ROUTE.path,
            name="webhook_receive",
            summary=f"Receive what a card processor sends, signed with {STRIPE_HEADER}",
            tag="webhooks",
            body_media="application/octet-stream",
            body_example="{}",
            answers={
                202: Answer(
                    "It was taken in",
                    ReceivedDocument,
                    {"id": "whk_01h455vb4pex5vsknk084sn02q"},
                )
            },
            problems=("credentials_invalid", "body_too_large"),
        ),
        receive,
    )


async def _sender(gateway: Gateway, source: str, company: str) -> Caller:
    """The processor acts, for the company whose account with it this is."""

    async def read(conn: Connection) -> str:
        await scoped(conn, EVERY_TENANT)
        node = (await tree.nodes(conn, [company])).get(company)
        return company if node is None else node.tenant

    return Caller(
        credential_id=f"webhook:{source}",
        actor=f"webhook:{source}",
        party=company,
        tenant=await in_transaction(gateway.pool, read),
        persona=Persona.COMPANY,
        scopes=frozenset({ROUTE.scope}),
    )
