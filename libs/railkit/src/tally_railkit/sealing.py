"""Details of instruments, readable by the rails service alone.

AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce. The text is `<key id>.<nonce>.<ciphertext
and tag>` in unpadded URL-safe base64. Instrument id and rail are associated data: a sealed text
cannot be moved to another instrument.
"""

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
SEALED_CHARS_MAX: Final = 4096
_NONCE_BYTES: Final = 12
_PARTS: Final = 3
_match_part: Final = re.compile(r"[A-Za-z0-9_-]+").fullmatch


class SealingError(ValueError):
    """Details that could not be sealed or opened."""

    code: ClassVar[str] = "sealing_failed"
    retryable: ClassVar[bool] = False


class SealingKeyInvalid(SealingError):  # noqa: N818 - named for what it says
    code = "sealing_key_invalid"


class SealingKeyUnknown(SealingError):  # noqa: N818 - named for what it says
    code = "sealing_key_unknown"


class SealBroken(SealingError):  # noqa: N818 - named for what it says
    """Not a sealed text, changed on the way, or sealed for another instrument."""

    code = "seal_broken"


class DetailsTooLong(SealingError):  # noqa: N818 - named for what it says
    code = "details_too_long"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A 256-bit key; `id` is derived from it, so that no two keys share one by mistake."""

    secret: bytes = field(repr=False)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise SealingKeyInvalid(
                f"a sealing key has {KEY_BYTES} bytes, this one {len(self.secret)}; make one with "
                "`openssl rand -base64 32`"
            )
        digest = hashlib.blake2b(self.secret, digest_size=6, person=b"tally-seal-key")
        object.__setattr__(self, "id", _encode(digest.digest()))

    @classmethod
    def parse(cls, text: str) -> "SealingKey":
        """Read a key from base64 (standard or URL-safe); raises SealingKeyInvalid."""
        try:
            plain = text.strip().rstrip("=").replace("+", "-").replace("/", "_")
            return cls(_decode(plain))
        except (binascii.Error, ValueError) as error:
            if isinstance(error, SealingKeyInvalid):
                raise
            raise SealingKeyInvalid(
                "the sealing key is not base64; make one with `openssl rand -base64 32`"
            ) from None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key in use, and the one before it while texts sealed with it are still about."""

    current: SealingKey
    previous: SealingKey | None = None

    def find(self, key_id: str) -> SealingKey | None:
        return next((k for k in (self.current, self.previous) if k and k.id == key_id), None)


def seal(details: Mapping[str, str], key: SealingKey, *, instrument_id: str, rail: str) -> str:
    """Seal details for one instrument; raises DetailsTooLong beyond 4096 characters."""
    plain = json.dumps(dict(details), sort_keys=True, separators=(",", ":")).encode()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key.secret).encrypt(nonce, plain, _associated(key.id, instrument_id, rail))
    text = ".".join((key.id, _encode(nonce), _encode(sealed)))
    if len(text) > SEALED_CHARS_MAX:
        raise DetailsTooLong(
            f"sealed details take {len(text)} characters, at most {SEALED_CHARS_MAX} are carried; "
            "shorten the details"
        )
    return text


def unseal(sealed: str, keys: Keyring, *, instrument_id: str, rail: str) -> dict[str, str]:
    """Open sealed details; raises SealingKeyUnknown or SealBroken, whatever the text is."""
    parts = sealed.split(".")
    if len(parts) != _PARTS or not all(map(_match_part, parts)):
        raise SealBroken("sealed details are <key id>.<nonce>.<ciphertext>; seal them again")
    key_id, nonce, ciphertext = parts
    key = keys.find(key_id)
    if key is None:
        raise SealingKeyUnknown(
            f"details are sealed with key {key_id[:16]}, which is neither the current nor the "
            "previous one; seal them with the current key"
        )
    try:
        plain = AESGCM(key.secret).decrypt(
            _decode(nonce), _decode(ciphertext), _associated(key_id, instrument_id, rail)
        )
        details = json.loads(plain)
    except (InvalidTag, ValueError):
        raise SealBroken(
            "sealed details do not open: changed on the way, or sealed for another instrument or "
            "rail; seal them for exactly this one"
        ) from None
    if not isinstance(details, dict) or not all(isinstance(v, str) for v in details.values()):
        raise SealBroken("sealed details are not texts by name; seal them again")
    return details


def _associated(key_id: str, instrument_id: str, rail: str) -> bytes:
    parts = (key_id, instrument_id, rail)
    return "".join(f"{len(part)}:{part}" for part in parts).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
