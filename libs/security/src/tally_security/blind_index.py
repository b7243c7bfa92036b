"""Tokens by which equal secrets meet, though nobody can read the secret from its token.

HMAC-SHA256 (RFC 2104) of a length-prefixed label and value, cut to 160 bits. Without the key not
even a guess can be tried. The key never changes: its tokens stand in events and in the books.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from tally_security.sealing import SealingKeyInvalid, read_key

KEY_BYTES_MIN: Final = 32
_TOKEN_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class BlindIndex:
    """Makes tokens under one key."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES_MIN:
            raise SealingKeyInvalid(
                f"a token key has at least {KEY_BYTES_MIN} bytes, this one {len(self.key)}; make "
                "one with `openssl rand -base64 32`"
            )

    @classmethod
    def parse(cls, text: str) -> "BlindIndex":
        """Read the key from base64; raises SealingKeyInvalid."""
        return cls(read_key(text))

    def token(self, label: str, value: str) -> str:
        """The token of a value: 32 lower-case characters, always the same for label and value."""
        said = "".join(f"{len(part)}:{part}" for part in (label, value)).encode()
        digest = hmac.digest(self.key, said, hashlib.sha256)[:_TOKEN_BYTES]
        return base64.b32encode(digest).decode("ascii").lower()
