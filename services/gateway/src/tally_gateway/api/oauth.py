"""OAuth 2.0 client credentials (RFC 6749, section 4.4): a client's secret for a token of ten minutes."""

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import unquote_plus

from pydantic import Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from tally_gateway.api.model import Answer, Document, Gateway, Operation, Route, answer
from tally_gateway.credentials import TOKEN_LIFE
from tally_gateway.errors import Problem
from tally_gateway.problems import field_errors
from tally_gateway.routes.model import Body

FORM: Final = "application/x-www-form-urlencoded"
_Short = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[!-~]+$")]


class TokenForm(Body):
    """What is asked for. The client's id and secret stand here or in a Basic Authorization header."""

    grant_type: Annotated[str, StringConstraints(pattern=r"^client_credentials$")]
    client_id: _Short | None = None
    client_secret: _Short | None = None
    scope: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        default=None, description="scopes with blanks; all of the client's if absent"
    )


class TokenDocument(Document):
    """An access token; `expires_in` in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


def operations(gateway: Gateway) -> Iterator[Route]:
    """The token endpoint."""

    async def token(request: Request) -> Response:
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != FORM:
            raise Problem("unsupported_media_type", f"The body has to be {FORM}.")
        async with request.form(max_files=0, max_fields=20) as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
        try:
            asked = TokenForm.model_validate(fields)
        except ValidationError as error:
            raise Problem(
                "invalid_request", "Fields of the form are wrong.", errors=field_errors(error)
            ) from None
        client_id, secret = _basic(request) or (asked.client_id or "", asked.client_secret or "")
        scopes = None if asked.scope is None else frozenset(asked.scope.split())
        text, given = await gateway.credentials.token_for(client_id, secret, scopes)
        return answer(
            {
                "access_token": text,
                "token_type": "Bearer",
                "expires_in": int(TOKEN_LIFE.total_seconds()),
                "scope": " ".join(sorted(given)),
            }
        )

    operation = Operation(
        method="POST",
        path="/v1/oauth/token",
        name="oauth_token",
        summary="Exchange a client's secret for an access token",
        tag="credentials",
        body=TokenForm,
        body_media=FORM,
        body_example={
            "grant_type": "client_credentials",
            "client_id": "client_01h455vb4pex5vsknk084sn02q",
            "client_secret": "as shown once",
            "scope": "payouts:write",
        },
        answers={
            200: Answer(
                "A token",
                TokenDocument,
                {
                    "access_token": "eyJ…",
                    "token_type": "Bearer",
                    "expires_in": 600,
                    "scope": "payouts:write",
                },
            )
        },
        problems=("credentials_invalid", "scope_missing", "malformed_request"),
    )
    yield operation, token


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(client_id), unquote_plus(secret)
