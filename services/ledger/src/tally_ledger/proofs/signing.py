"""Ed25519 keys of daily roots; a key's id is the first 16 hex digits of the SHA-256 of its 32 bytes."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tally_ledger.proofs.errors import KeyMalformed

_KEY_BYTES = 32
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The 32 bytes that signatures are verified by."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """From base64; raises `KeyMalformed`."""
        return cls(_decoded(text, "key"))

    @property
    def id(self) -> str:
        """What signed roots call this key."""
        return hashlib.sha256(self.raw).hexdigest()[:_ID_DIGITS]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return base64.b64encode(self.raw).decode()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; it is never shown."""

    _private: Ed25519PrivateKey
    public: PublicKey

    @classmethod
    def parse(cls, text: str) -> Self:
        """From base64 of 32 random bytes; raises `KeyMalformed`."""
        private = Ed25519PrivateKey.from_private_bytes(_decoded(text, "ledger_signing_key"))
        return cls(private, PublicKey(private.public_key().public_bytes_raw()))

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return self._private.sign(message)


def _decoded(text: str, field: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise KeyMalformed(field) from None
    if len(raw) != _KEY_BYTES:
        raise KeyMalformed(field)
    return raw
