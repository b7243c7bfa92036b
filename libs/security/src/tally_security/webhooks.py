"""Signatures of webhooks: who sent this body, and when.

Two schemes, both HMAC-SHA256 over a time and the body as it came, byte for byte:

- Stripe: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=...]` over `<t>.<body>`;
- Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, and `webhook-signature` with blanks
  between its `v1,<base64>`, over `<id>.<timestamp>.<body>`.

While a secret changes, sender and receiver may each have two: one signature that fits one secret is
enough. A good signature tells who sent the body, not that it comes for the first time: receivers
also drop what they have had, by the id of the event.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final

TOLERANCE: Final = timedelta(seconds=300)
"""How far the time of a signature may be from now, either way."""

BODY_BYTES_MAX: Final = 1024 * 1024
SECRET_BYTES_MIN: Final = 16
STRIPE_HEADER: Final = "stripe-signature"
ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

_HEADER_CHARS_MAX: Final = 4096
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_MESSAGE_ID: Final = re.compile(r"[!-~]{1,256}", re.ASCII)
_KEY_PREFIX: Final = "whsec_"


class WebhookRefused(ValueError):  # noqa: N818 - named for what it says
    """A webhook nobody may act on; `code` tells machines why, the text tells people what to do."""

    code: ClassVar[str] = "webhook_refused"
    retryable: ClassVar[bool] = False


class SignatureMissing(WebhookRefused):
    code = "signature_missing"


class SignatureMalformed(WebhookRefused):
    code = "signature_malformed"


class SignatureWrong(WebhookRefused):
    """No signature fits any secret: another sender, another secret, or the body was changed."""

    code = "signature_wrong"


class SignatureExpired(WebhookRefused):
    """Signed too long ago, or ahead of this machine's clock; perhaps sent again by somebody else."""

    code = "signature_expired"


class BodyTooLarge(WebhookRefused):
    code = "body_too_large"


class WebhookSecretInvalid(ValueError):  # noqa: N818 - named for what it says
    """A secret too short or not in its scheme's form."""

    code: ClassVar[str] = "webhook_secret_invalid"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """The secrets of one sender: `current` signs; `previous` still verify while it changes."""

    current: bytes = field(repr=False)
    previous: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for secret in self.all:
            if len(secret) < SECRET_BYTES_MIN:
                raise WebhookSecretInvalid(
                    f"a webhook secret has at least {SECRET_BYTES_MIN} bytes, this one "
                    f"{len(secret)}; copy it whole from the sender's page"
                )

    @classmethod
    def stripe(cls, *texts: str) -> "WebhookSecrets":
        """Stripe's endpoint secrets, current first; the text is the key, prefix included."""
        return cls._of([text.encode() for text in texts])

    @classmethod
    def standard(cls, *texts: str) -> "WebhookSecrets":
        """Secrets of Standard Webhooks, current first: `whsec_` and the key in base64."""
        keys = []
        for text in texts:
            try:
                keys.append(base64.b64decode(text.removeprefix(_KEY_PREFIX), validate=True))
            except ValueError:
                raise WebhookSecretInvalid(
                    f"a secret is {_KEY_PREFIX} and base64; copy it whole from the sender's page"
                ) from None
        return cls._of(keys)

    @classmethod
    def _of(cls, keys: Sequence[bytes]) -> "WebhookSecrets":
        if not keys:
            raise WebhookSecretInvalid("a sender has at least one webhook secret; give it")
        return cls(keys[0], tuple(keys[1:]))

    @property
    def all(self) -> tuple[bytes, ...]:
        return (self.current, *self.previous)


def verify_stripe(
    headers: Mapping[str, str],
    body: bytes,
    secrets: WebhookSecrets,
    *,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> datetime:
    """Check a `Stripe-Signature`; returns the time it was signed. Raises WebhookRefused.

    Any `v1` that fits any secret is enough; other schemes are ignored, so that nobody can choose a
    weaker one.
    """
    text = _header(headers, STRIPE_HEADER)
    fields = [part.partition("=") for part in text.split(",")]
    times = [value.strip() for name, _, value in fields if name.strip() == "t"]
    given = [value.strip() for name, _, value in fields if name.strip() == "v1"]
    if len(times) != 1 or not given:
        raise SignatureMalformed(f"{STRIPE_HEADER} has one t and at least one v1; send it as it is")
    signed = times[0].encode() + b"." + _bounded(body)
    try:
        tags = [bytes.fromhex(tag) for tag in given]
    except ValueError:
        raise SignatureMalformed(f"a v1 of {STRIPE_HEADER} is not hexadecimal") from None
    return _checked(times[0], signed, tags, secrets, now, tolerance)


def verify_standard(
    headers: Mapping[str, str],
    body: bytes,
    secrets: WebhookSecrets,
    *,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """Check the three headers of Standard Webhooks; returns the `webhook-id`. Raises WebhookRefused.

    Signatures of other versions than v1 are ignored.
    """
    message_id = _header(headers, ID_HEADER)
    seconds = _header(headers, TIMESTAMP_HEADER)
    if _MESSAGE_ID.fullmatch(message_id) is None:
        raise SignatureMalformed(f"{ID_HEADER} is 1 to 256 printable characters")
    versions = [part.partition(",") for part in _header(headers, SIGNATURE_HEADER).split()]
    try:
        tags = [
            base64.b64decode(tag, validate=True) for version, _, tag in versions if version == "v1"
        ]
    except binascii.Error:
        raise SignatureMalformed(f"a v1 of {SIGNATURE_HEADER} is not base64") from None
    if not tags:
        raise SignatureMalformed(f"{SIGNATURE_HEADER} has no v1 signature")
    signed = _standard_text(message_id, seconds, _bounded(body))
    _checked(seconds, signed, tags, secrets, now, tolerance)
    return message_id


def sign_standard(
    message_id: str, body: bytes, secrets: WebhookSecrets, *, now: datetime
) -> dict[str, str]:
    """The three headers for a body, signed with the current secret and every previous one."""
    if _MESSAGE_ID.fullmatch(message_id) is None:
        raise SignatureMalformed(f"{ID_HEADER} is 1 to 256 printable characters")
    seconds = str(int(now.timestamp()))
    signed = _standard_text(message_id, seconds, _bounded(body))
    tags = [base64.b64encode(_tag(secret, signed)).decode() for secret in secrets.all]
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: seconds,
        SIGNATURE_HEADER: " ".join(f"v1,{tag}" for tag in tags),
    }


def sign_stripe(body: bytes, secrets: WebhookSecrets, *, now: datetime) -> dict[str, str]:
    """The header a Stripe-style sender gives a body: for simulators and tests of receivers."""
    seconds = str(int(now.timestamp()))
    signed = seconds.encode() + b"." + _bounded(body)
    tags = [f"v1={_tag(secret, signed).hex()}" for secret in secrets.all]
    return {STRIPE_HEADER: ",".join([f"t={seconds}", *tags])}


def _header(headers: Mapping[str, str], name: str) -> str:
    """The one header of this name, in whatever case it came."""
    found = [value for key, value in headers.items() if key.lower() == name]
    if not found:
        raise SignatureMissing(f"the header {name} is missing; send it as the sender made it")
    if len(found) > 1 or len(found[0]) > _HEADER_CHARS_MAX or not found[0].isascii():
        raise SignatureMalformed(f"{name} is one header of at most {_HEADER_CHARS_MAX} characters")
    return found[0]


def _bounded(body: bytes) -> bytes:
    if len(body) > BODY_BYTES_MAX:
        raise BodyTooLarge(f"a webhook has at most {BODY_BYTES_MAX} bytes, this one {len(body)}")
    return body


def _checked(  # noqa: PLR0917 - what both schemes hand on
    seconds: str,
    signed: bytes,
    tags: Sequence[bytes],
    secrets: WebhookSecrets,
    now: datetime,
    tolerance: timedelta,
) -> datetime:
    if _SECONDS.fullmatch(seconds) is None:
        raise SignatureMalformed("the time of the signature is not a whole number of seconds")
    # Every pair is compared, so that the time taken tells nothing of which one fits.
    fits = [
        hmac.compare_digest(tag, _tag(secret, signed)) for secret in secrets.all for tag in tags
    ]
    if not any(fits):
        raise SignatureWrong(
            "no signature fits a known secret; check that the secret is this endpoint's and that "
            "the body is passed on unchanged"
        )
    # The time is looked at only once it is known to be the sender's own.
    age = timedelta(seconds=int(now.timestamp()) - int(seconds))
    if abs(age) > tolerance:
        raise SignatureExpired(
            f"signed {int(age.total_seconds())} seconds ago, at most "
            f"{int(tolerance.total_seconds())} either way are taken; have it sent again, and check "
            "the clocks"
        )
    return now - age


def _standard_text(message_id: str, seconds: str, body: bytes) -> bytes:
    return f"{message_id}.{seconds}.".encode() + body


def _tag(secret: bytes, signed: bytes) -> bytes:
    return hmac.digest(secret, signed, hashlib.sha256)
