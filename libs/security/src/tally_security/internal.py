"""Who looks: what the gateway tells the services behind it of the caller it has authenticated.

The text is `v1.<payload>.<tag>` in unpadded URL-safe base64. The tag is HMAC-SHA256 of the part
before it, under a key that the gateway and the read APIs share. It lives for 30 seconds: long
enough for one request, too short to be worth keeping.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

VIEWER_HEADER: Final = "Tally-Viewer"
"""The HTTP header the text travels in."""

ALL_TENANTS: Final = "*"
"""The tenant of an operator, who sees every tenant's things."""

LIFE: Final = timedelta(seconds=30)
"""How long a text may be used after it was made."""

KEY_BYTES_MIN: Final = 32
TOKEN_CHARS_MAX: Final = 4096
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)
_VERSION: Final = "v1"
_PARTS: Final = 3
_FIELDS: Final = frozenset({"at", "party", "persona", "scopes", "tenant"})
_ACTOR: Final = "actor"
_PURPOSE: Final = b"tally viewer\n"


class InternalError(ValueError):
    """A viewer that could not be signed or read."""

    code: ClassVar[str] = "internal_failed"
    retryable: ClassVar[bool] = False


class InternalKeyInvalid(InternalError):  # noqa: N818 - named for what it says
    code = "internal_key_invalid"


class ViewerTooLong(InternalError):  # noqa: N818 - named for what it says
    code = "viewer_too_long"


class ViewerRefused(InternalError):  # noqa: N818 - named for what it says
    """Not a viewer signed with a known key, or changed on the way."""

    code = "viewer_refused"


class ViewerExpired(ViewerRefused):
    """Signed too long ago, or ahead of this machine's clock."""

    code = "viewer_expired"


class Persona(StrEnum):
    """As what somebody looks: it decides which fields are shown."""

    OPERATOR = "operator"
    AGGREGATOR = "aggregator"
    COMPANY = "company"
    PARTNER = "partner"
    PAYEE = "payee"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: a party, the tenant it belongs to, as what, and what its credentials allow.

    An operator's `tenant` is ALL_TENANTS, and nobody else's is. `actor` is the key or person that
    looks for the party, where the read API has to know it.
    """

    party: str
    tenant: str
    persona: Persona
    scopes: frozenset[str]
    actor: str | None = None

    def __post_init__(self) -> None:
        if not self.party or not self.tenant:
            raise ViewerRefused("a viewer has a party and a tenant; give both")
        if (self.tenant == ALL_TENANTS) != (self.persona is Persona.OPERATOR):
            raise ViewerRefused("an operator looks across tenants, and nobody else does")


@dataclass(frozen=True, slots=True)
class InternalKeys:
    """The keys of a deployment: `current` signs, `previous` are still read while keys change."""

    current: bytes = field(repr=False)
    previous: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for key in (self.current, *self.previous):
            if len(key) < KEY_BYTES_MIN:
                raise InternalKeyInvalid(
                    f"an internal key has at least {KEY_BYTES_MIN} bytes, this one {len(key)}; "
                    "make one with `openssl rand -base64 32`"
                )

    @classmethod
    def parse(cls, text: str) -> "InternalKeys":
        """Read keys in base64, the current one first, previous ones behind commas."""
        try:
            current, *previous = (
                base64.b64decode(part.strip(), validate=True) for part in text.split(",")
            )
        except ValueError:
            raise InternalKeyInvalid(
                "an internal key is not base64; make one with `openssl rand -base64 32`"
            ) from None
        return cls(current, tuple(previous))


def sign_viewer(viewer: Viewer, keys: InternalKeys, *, now: datetime) -> str:
    """Make the text for one request; raises ViewerTooLong if the scopes are too many."""
    payload: dict[str, object] = {
        "at": int(now.timestamp() * 1000),
        "party": viewer.party,
        "persona": viewer.persona.value,
        "scopes": sorted(viewer.scopes),
        "tenant": viewer.tenant,
    }
    if viewer.actor is not None:
        payload[_ACTOR] = viewer.actor
    body = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    signed = f"{_VERSION}.{_encode(body)}"
    token = f"{signed}.{_encode(_tag(keys.current, signed))}"
    if len(token) > TOKEN_CHARS_MAX:
        raise ViewerTooLong(
            f"a viewer has at most {TOKEN_CHARS_MAX} characters, this one {len(token)}; "
            "give it fewer scopes"
        )
    return token


def read_viewer(token: str, keys: InternalKeys, *, now: datetime) -> Viewer:
    """Read a text made by `sign_viewer`; raises ViewerRefused, or ViewerExpired after LIFE."""
    parts = token.split(".") if token.isascii() and len(token) <= TOKEN_CHARS_MAX else []
    if len(parts) != _PARTS or parts[0] != _VERSION:
        raise ViewerRefused("not a signed viewer; the gateway makes one for each request")
    signed = f"{parts[0]}.{parts[1]}"
    try:
        tag, body = _decode(parts[2]), _decode(parts[1])
    except binascii.Error:
        raise ViewerRefused("the signed viewer is not base64; it was changed on the way") from None
    known = [hmac.compare_digest(tag, _tag(key, signed)) for key in (keys.current, *keys.previous)]
    if not any(known):
        raise ViewerRefused("the viewer was signed with another key, or changed on the way")
    payload = json.loads(body)
    if not isinstance(payload, dict) or payload.keys() - {_ACTOR} != _FIELDS:
        raise ViewerRefused("the viewer was signed by a release that knows other fields")
    age = now - datetime.fromtimestamp(payload["at"] / 1000, UTC)
    if not -_CLOCK_TOLERANCE <= age <= LIFE:
        raise ViewerExpired(
            f"the viewer is good for {LIFE.seconds} seconds; ask again, and check the clocks"
        )
    return _viewer(payload)


def _viewer(payload: Mapping[str, object]) -> Viewer:
    try:
        persona = Persona(str(payload["persona"]))
    except ValueError:
        raise ViewerRefused(
            "the viewer was signed by a release that knows other personas"
        ) from None
    scopes = payload["scopes"]
    if not isinstance(scopes, list):
        raise ViewerRefused("the viewer was signed by a release that knows other scopes")
    return Viewer(
        str(payload["party"]),
        str(payload["tenant"]),
        persona,
        frozenset(map(str, scopes)),
        None if _ACTOR not in payload else str(payload[_ACTOR]),
    )


def _tag(key: bytes, signed: str) -> bytes:
    return hmac.digest(key, _PURPOSE + signed.encode(), hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(raw) != text:
        raise binascii.Error("more than one way to write the same bytes")
    return raw
