"""Texts that only their keeper can read, each bound to the one place it belongs to.

AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce. The text is `<key id>.<nonce>.<ciphertext
and tag>` in unpadded URL-safe base64. The place is associated data, part by part: a sealed text moved
to another one does not open. `Place` is a column of a row; `tally_railkit.sealing` has another kind.
"""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
SEALED_CHARS_MAX: Final = 4096
_NONCE_BYTES: Final = 12
_PARTS: Final = 3
_match_part: Final = re.compile(r"[A-Za-z0-9_-]+").fullmatch


class SealingError(ValueError):
    """A text that could not be sealed or opened."""

    code: ClassVar[str] = "sealing_failed"
    retryable: ClassVar[bool] = False


class SealingKeyInvalid(SealingError):  # noqa: N818 - named for what it says
    code = "sealing_key_invalid"


class SealingKeyUnknown(SealingError):  # noqa: N818 - named for what it says
    code = "sealing_key_unknown"


class SealBroken(SealingError):  # noqa: N818 - named for what it says
    """Not a sealed text, changed on the way, or sealed for another place."""

    code = "seal_broken"


class TextTooLong(SealingError):  # noqa: N818 - named for what it says
    code = "text_too_long"


class Bound(Protocol):
    """Where a sealed text belongs, as parts in a fixed order; it opens nowhere else."""

    @property
    def parts(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A column of a row of a tenant."""

    tenant: str
    table: str
    column: str
    row: str

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.tenant, self.table, self.column, self.row)


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
        return cls(read_key(text))


def read_key(text: str) -> bytes:
    """The bytes of a key given in base64 (standard or URL-safe); raises SealingKeyInvalid."""
    try:
        return _decode(text.strip().rstrip("=").replace("+", "-").replace("/", "_"))
    except (binascii.Error, ValueError):
        raise SealingKeyInvalid(
            "the key is not base64; make one with `openssl rand -base64 32`"
        ) from None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key in use, and the one before it while texts sealed with it are still about."""

    current: SealingKey
    previous: SealingKey | None = None

    def find(self, key_id: str) -> SealingKey | None:
        return next((k for k in (self.current, self.previous) if k and k.id == key_id), None)


def seal(text: str, key: SealingKey, place: Bound) -> str:
    """Seal a text for one place; raises TextTooLong beyond 4096 characters of result."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key.secret).encrypt(nonce, text.encode(), _associated(key.id, place))
    result = ".".join((key.id, _encode(nonce), _encode(sealed)))
    if len(result) > SEALED_CHARS_MAX:
        raise TextTooLong(
            f"the sealed text takes {len(result)} characters, at most {SEALED_CHARS_MAX} are "
            "carried; shorten the text"
        )
    return result


def unseal(sealed: str, keys: Keyring, place: Bound) -> str:
    """Open a sealed text; raises SealingKeyUnknown or SealBroken, whatever the text is."""
    parts = sealed.split(".")
    if len(parts) != _PARTS or not all(map(_match_part, parts)):
        raise SealBroken("a sealed text is <key id>.<nonce>.<ciphertext>; seal it again")
    key_id, nonce, ciphertext = parts
    key = keys.find(key_id)
    if key is None:
        raise SealingKeyUnknown(
            f"the text is sealed with key {key_id[:16]}, which is neither the current nor the "
            "previous one; seal it with the current key"
        )
    try:
        plain = AESGCM(key.secret).decrypt(
            _decode(nonce), _decode(ciphertext), _associated(key_id, place)
        )
        return plain.decode()
    except (InvalidTag, ValueError):
        raise SealBroken(
            "the sealed text does not open: changed on the way, or sealed for another place; seal "
            "it for exactly this one"
        ) from None


def _associated(key_id: str, place: Bound) -> bytes:
    parts = (key_id, *place.parts)
    return "".join(f"{len(part)}:{part}" for part in parts).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
