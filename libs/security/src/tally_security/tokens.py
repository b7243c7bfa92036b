"""Access tokens: signed JWTs of a short life (RFC 9068), one algorithm, issuer and audience each.

Signed with HMAC-SHA256: the gateway both makes and reads them, nobody else needs to. A key before
the current one may be given while tokens made with it live on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
SECRET_BYTES_MIN: Final = 32
_TOKEN_CHARS_MAX: Final = 4096


class TokenRefused(ValueError):  # noqa: N818 - named for what it says
    """A token that must not be accepted; the reason is for the log, not for the caller."""

    code: ClassVar[str] = "token_refused"
    retryable: ClassVar[bool] = False


class TokenExpired(TokenRefused):
    code: ClassVar[str] = "token_expired"


class TokenSecretTooShort(ValueError):  # noqa: N818 - named for what it says
    """A signing secret that could be guessed."""

    code: ClassVar[str] = "token_secret_too_short"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token says: whose it is, what it may do, and until when."""

    client_id: str
    scopes: frozenset[str]
    expires_at: datetime


class Tokens:
    """Makes and reads access tokens of one issuer for one audience."""

    def __init__(
        self, secret: bytes, *, issuer: str, audience: str, previous: bytes | None = None
    ) -> None:
        self._keys = tuple(_key(each) for each in (secret, previous) if each is not None)
        self._issuer = issuer
        self._audience = audience

    def issue(
        self, client_id: str, scopes: frozenset[str], *, now: datetime, life: timedelta, jti: str
    ) -> str:
        """A token for a client; `jti` is a fresh id of the token."""
        issued = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": client_id,
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
            "iat": issued,
            "exp": issued + int(life.total_seconds()),
            "jti": jti,
        }
        return jwt.encode({"alg": ALGORITHM, "typ": TYPE}, claims, self._keys[0])

    def read(self, text: str, *, now: datetime) -> AccessToken:
        """What the token says; raises `TokenRefused` whatever the text is, `TokenExpired` if late."""
        claims = self._claims(text)
        expires = claims.get("exp")
        client_id, scope = claims.get("client_id"), claims.get("scope")
        if (
            claims.get("iss") != self._issuer
            or claims.get("aud") != self._audience
            or not isinstance(expires, int)
            or not isinstance(client_id, str)
            or not isinstance(scope, str)
        ):
            raise TokenRefused("the token is not one of ours for this API")
        if expires <= now.timestamp():
            raise TokenExpired("the token has expired")
        return AccessToken(
            client_id, frozenset(scope.split()), datetime.fromtimestamp(expires, now.tzinfo)
        )

    def _claims(self, text: str) -> Mapping[str, object]:
        if len(text) > _TOKEN_CHARS_MAX:
            raise TokenRefused("the token is longer than any of ours")
        for key in self._keys:
            try:
                token = jwt.decode(text, key, algorithms=[ALGORITHM])
            except (JoseError, ValueError):
                continue
            if token.header.get("typ") != TYPE:
                break
            return token.claims
        raise TokenRefused("the token is not signed by us")


def _key(secret: bytes) -> OctKey:
    if len(secret) < SECRET_BYTES_MIN:
        raise TokenSecretTooShort(
            f"a token secret has at least {SECRET_BYTES_MIN} bytes; make one with "
            "`openssl rand -base64 32`"
        )
    return OctKey.import_key(secret)
