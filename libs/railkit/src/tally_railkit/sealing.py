"""Details of instruments, readable by the rails service alone.

Sealed as any text (`tally_security.sealing`), bound to instrument and rail: a sealed text cannot be moved
to another instrument.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tally_security import sealing
from tally_security.sealing import (
    Keyring,
    SealBroken,
    SealingError,
    SealingKey,
    SealingKeyInvalid,
    SealingKeyUnknown,
    TextTooLong,
)

__all__ = [
    "Keyring",
    "SealBroken",
    "SealingError",
    "SealingKey",
    "SealingKeyInvalid",
    "SealingKeyUnknown",
    "TextTooLong",
    "seal",
    "unseal",
]


@dataclass(frozen=True, slots=True)
class _Instrument:
    instrument_id: str
    rail: str

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.instrument_id, self.rail)


def seal(details: Mapping[str, str], key: SealingKey, *, instrument_id: str, rail: str) -> str:
    """Seal details for one instrument; raises TextTooLong beyond 4096 characters."""
    plain = json.dumps(dict(details), sort_keys=True, separators=(",", ":"))
    return sealing.seal(plain, key, _Instrument(instrument_id, rail))


def unseal(sealed: str, keys: Keyring, *, instrument_id: str, rail: str) -> dict[str, str]:
    """Open sealed details; raises SealingKeyUnknown or SealBroken, whatever the text is."""
    plain = sealing.unseal(sealed, keys, _Instrument(instrument_id, rail))
    try:
        details = json.loads(plain)
    except ValueError:
        details = None
    if not isinstance(details, dict) or not all(isinstance(v, str) for v in details.values()):
        raise SealBroken("sealed details are not texts by name; seal them again")
    return details
