"""API keys: `tk_<id>_<secret><checksum>`; of a key only the id and a hash of the secret are kept.

The id is shown everywhere and says which key it is. The secret has 256 random bits, so one SHA-256
is enough to keep it (a slow hash is for what people make up). The checksum tells a mistyped or cut
key from a wrong one without asking a database, and lets scanners find keys that leaked.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

SECRET_BYTES: Final = 32
_CHECKSUM_CHARS: Final = 8
_FORM: Final = re.compile(
    r"tk_(?P<id>[0-9a-hjkmnp-tv-z]{26})_(?P<secret>[0-9a-f]{64})(?P<sum>[0-9a-f]{8})"
)
_ID: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")


class ApiKeyMalformed(ValueError):  # noqa: N818 - named for what it says
    """A text that is no key: cut, mistyped, or something else altogether."""

    code: ClassVar[str] = "api_key_malformed"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its holder has it; `id` is 26 characters of a TypeID, without its prefix."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The key to hand over, once."""
        return f"tk_{self.id}_{self.secret}{_checksum(self.id, self.secret)}"

    @property
    def digest(self) -> bytes:
        """What is kept of the secret: SHA-256 over the id and the secret."""
        return hashlib.sha256(f"{self.id}:{self.secret}".encode()).digest()

    @classmethod
    def make(
        cls, key_id: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> "ApiKey":
        """A new key for this id."""
        if _ID.fullmatch(key_id) is None:
            raise ValueError(f"{key_id!r} is no id of a key: give 26 characters of a TypeID")
        return cls(key_id, random_bytes(SECRET_BYTES).hex())

    @classmethod
    def parse(cls, text: str) -> "ApiKey":
        """Read a key as it was handed over; raises `ApiKeyMalformed`, and never repeats the text."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ApiKeyMalformed(
                "an API key is tk_, 26 characters, _ and 72 hexadecimal digits: copy it whole"
            )
        key = cls(match["id"], match["secret"])
        if not hmac.compare_digest(match["sum"], _checksum(key.id, key.secret)):
            raise ApiKeyMalformed("the API key has a wrong checksum: copy it again, whole")
        return key

    def matches(self, digest: bytes) -> bool:
        """Whether `digest` was kept of this key; takes the same time for any answer."""
        return hmac.compare_digest(self.digest, digest)


def _checksum(key_id: str, secret: str) -> str:
    return f"{zlib.crc32(f'{key_id}{secret}'.encode()):0{_CHECKSUM_CHARS}x}"
