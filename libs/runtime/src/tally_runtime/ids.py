"""Identifiers: TypeIDs over UUIDv7, and derived ones that a replay makes again.

The text form follows the TypeID specification (github.com/jetify-com/typeid): a lower-case prefix,
an underscore, and the 128 bits of a UUID as 26 characters of Crockford's base 32.
"""

import hashlib
import random
import re
import uuid

import uuid_utils

from tally_runtime.clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_PREFIX = re.compile(r"[a-z]{0,63}")
_SUFFIX = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_TO_PYTHON_BASE32 = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_NAMESPACE = uuid.UUID("b0b4a1f6-6e0c-5d3a-9c52-7a3b1f0e4d21")
_NAMESPACE_BYTES = _NAMESPACE.bytes
# Where RFC 9562 puts the version (four bits) and the variant (two), and what a UUIDv5 has there.
_VERSION_AND_VARIANT = 0xF << 76 | 0b11 << 62
_UUID5 = 5 << 76 | 0b10 << 62
_RANDOM_BITS = 74
_SHOWN_MAX = 80


class MalformedId(ValueError):  # noqa: N818 - named for what it says
    """A text that is not a TypeID of the expected kind."""

    code = "malformed_id"
    retryable = False

    def __init__(self, prefix: str, text: object) -> None:
        shown = repr(text)
        if len(shown) > _SHOWN_MAX:
            shown = shown[:_SHOWN_MAX] + "…"
        start = f"{prefix}_" if prefix else ""
        super().__init__(
            f"{shown} is not an id of kind '{prefix}': expected '{start}' and 26 lower-case "
            "characters, as in the message or answer that first named it"
        )
        self.prefix = prefix


def encode_id(prefix: str, value: uuid.UUID) -> str:
    """Write a UUID as a TypeID; the prefix is 0 to 63 letters a-z."""
    return _encode(prefix, value.int)


def parse_id(prefix: str, text: object) -> uuid.UUID:
    """Read a TypeID of exactly this prefix, or raise `MalformedId`."""
    start = f"{prefix}_" if prefix else ""
    if not isinstance(text, str) or not text.startswith(start):
        raise MalformedId(prefix, text)
    suffix = text[len(start) :]
    if _SUFFIX.fullmatch(suffix) is None:
        raise MalformedId(prefix, text)
    return uuid.UUID(int=int(suffix.translate(_TO_PYTHON_BASE32), 32))


def derived_uuid(*parts: str) -> uuid.UUID:
    """Return the same UUIDv5 for the same parts, on every machine and in every replay.

    Parts are length-prefixed, so ("a", "bc") and ("ab", "c") differ.
    """
    return uuid.UUID(int=_derived(parts))


def derived_id(prefix: str, *parts: str) -> str:
    """Return the TypeID of `derived_uuid(*parts)`."""
    return _encode(prefix, _derived(parts))


def _derived(parts: tuple[str, ...]) -> int:
    assert parts, "an id is derived from at least one part"
    name = "".join([f"{len(part)}:{part}" for part in parts]).encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(_NAMESPACE_BYTES + name, usedforsecurity=False).digest()
    return int.from_bytes(digest[:16], "big") & ~_VERSION_AND_VARIANT | _UUID5


def party_id_of(owner: str, installation: str) -> str:
    """The id of the party an owner reference names, known to every service before it is registered.

    Money names its owner by the id of a party, or by a reference of whoever sent it.
    """
    start = "party_"
    if owner.startswith(start) and _SUFFIX.fullmatch(owner, len(start)) is not None:
        return owner
    return derived_id("party", installation, owner)


class Ids:
    """Fresh ids, each greater than the one before within a process (UUIDv7, RFC 9562)."""

    def uuid7(self) -> uuid.UUID:
        return uuid.UUID(int=self._next())

    def uuid7_bytes(self) -> bytes:
        """The next of them as its 16 bytes: Python's UUID takes longer to make than the id itself."""
        return self._next().to_bytes(16, "big")

    def new(self, prefix: str) -> str:
        """Return a new TypeID such as `po_01h2xcejqtf2nbrexx3vqjhp41`."""
        return _encode(prefix, self._next())

    def _next(self) -> int:
        return uuid_utils.uuid7().int


class SeededIds(Ids):
    """Ids that depend on a seed and a clock alone: for tests and simulation."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, never a secret
        self._clock = clock
        self._last_ms = -1
        self._tail = 0

    def _next(self) -> int:
        now_ms = int(self._clock.now().timestamp() * 1000)
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            # The top bit stays free so that a millisecond cannot run out of ids.
            self._tail = self._random.getrandbits(_RANDOM_BITS - 1)
        else:
            self._tail += 1 + self._random.getrandbits(32)
        high, low = self._tail >> 62, self._tail & ((1 << 62) - 1)
        return self._last_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low


def _encode(prefix: str, value: int) -> str:
    if _PREFIX.fullmatch(prefix) is None:
        raise ValueError(f"{prefix!r} cannot start an id: use 0 to 63 letters a-z")
    pairs = _PAIRS
    text = (
        pairs[value >> 120]
        + pairs[value >> 110 & 1023]
        + pairs[value >> 100 & 1023]
        + pairs[value >> 90 & 1023]
        + pairs[value >> 80 & 1023]
        + pairs[value >> 70 & 1023]
        + pairs[value >> 60 & 1023]
        + pairs[value >> 50 & 1023]
        + pairs[value >> 40 & 1023]
        + pairs[value >> 30 & 1023]
        + pairs[value >> 20 & 1023]
        + pairs[value >> 10 & 1023]
        + pairs[value & 1023]
    )
    return f"{prefix}_{text}" if prefix else text
