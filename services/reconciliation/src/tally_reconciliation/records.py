"""A reader of records of its own: lenient, so that what the platform refuses can be counted too.

It shares no code with the platform's parser. Whatever it is given, it answers; what it cannot read
is None.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tally_messaging.envelope import CE_ID
from tally_money import UnknownCurrency, currency

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,40})(\.[0-9]{1,20})?", re.ASCII)
_REFERENCE = re.compile(r"[!-~]{1,128}")
_MINOR_MAX = 10**38
_COUNT_MAX = 2**53


class RawRecord(Protocol):
    """A record as it lies on the topic."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


@dataclass(frozen=True, slots=True)
class Sum:
    """An amount in minor units of its currency."""

    code: str
    minor: int


def header(record: RawRecord, name: str) -> str | None:
    """A header's text; the last one of that name counts."""
    found = None
    for key, raw in record.headers:
        if key == name:
            found = raw
    if found is None:
        return None
    text = found.decode("utf-8", "backslashreplace")
    return text if "\0" not in text else None


def event_id(record: RawRecord) -> str | None:
    """The CloudEvents id."""
    return header(record, CE_ID)


def body(record: RawRecord) -> Mapping[str, Any]:
    """The JSON object of the value; empty if it is none."""
    if record.value is None:
        return {}
    try:
        read = json.loads(record.value)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def digest(record: RawRecord) -> bytes:
    """The same for equal values."""
    return hashlib.sha256(b"" if record.value is None else record.value).digest()


def reference(value: object) -> str | None:
    """An opaque reference in printable ASCII."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def count(value: object) -> int | None:
    """A whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _COUNT_MAX:
        return value
    return None


def amount(value: object) -> Sum | None:
    """Money on the wire in minor units; None if it is no exact amount of a known currency."""
    if not isinstance(value, dict):
        return None
    code, text = value.get("currency"), value.get("amount")
    if not isinstance(code, str) or not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        return None
    try:
        decimals = currency(code).exponent
    except UnknownCurrency:
        return None
    whole, _, fraction = text.partition(".")
    minor = int(whole + fraction.ljust(decimals, "0"))
    return Sum(code, minor) if len(fraction) <= decimals and minor < _MINOR_MAX else None
