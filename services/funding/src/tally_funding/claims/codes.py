"""Claim codes: made here, kept as a hash, and sent sealed to whoever delivers them."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from tally_security.sealing import Place, SealingKey, seal

_BYTES: Final = 16
TABLE: Final = "claim"
COLUMN: Final = "code"
"""Where a sealed code belongs; its row is the claim's id, its tenant the claim's."""


@dataclass(frozen=True, slots=True)
class Code:
    """A new code as it leaves here (sealed), and as it is kept (hashed)."""

    sealed: str
    hash: bytes


def make(key: SealingKey, *, tenant: str, claim_id: str) -> Code:
    """A code of 128 random bits, in URL-safe text, for this claim alone."""
    text = secrets.token_urlsafe(_BYTES)
    return Code(seal(text, key, Place(tenant, TABLE, COLUMN, claim_id)), hash_of(text))


def hash_of(text: str) -> bytes:
    """SHA-256 of a code's text: enough, since nobody can try 128 random bits."""
    return hashlib.sha256(text.encode()).digest()


def is_right(given_hash: str, kept: bytes) -> bool:
    """Whether a hash given in hexadecimal is the kept one, without telling how nearly."""
    return hmac.compare_digest(bytes.fromhex(given_hash), kept)
