"""The total parser: bytes in, `Received | Refused | Skipped` out. It cannot raise."""

import hashlib
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from tally_messaging import envelope as names
from tally_messaging.envelope import Cause, Envelope
from tally_messaging.records import Received, Record, Refused, Skipped
from tally_postgres import Uuid

_HEADER_CHARS_MAX = 512
_HEADER_TEXT = re.compile(rf"[\x20-\x7e\u00a0-\uffff]{{1,{_HEADER_CHARS_MAX}}}")
_TYPE_VERSION = re.compile(r"(?P<stem>[a-z0-9_.]+)\.v(?P<major>[0-9]{1,4})")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_NAMESPACE = uuid.UUID("5f0c8a52-2f4e-5c0f-8d57-0f2f6f1f7c11")
_DETAIL_CHARS = 500
_MAX_ID_CHARS = 255
_UUID_CHARS = len("00000000-0000-0000-0000-000000000000")
# Milliseconds since 1970 of 2020 and 2100: what lies outside was not made by a clock.
_TIMES_OF_IDS = (1_577_836_800_000, 4_102_444_800_000)

_REPEATS: Mapping[str, bool] = {
    name: name
    in {
        names.CONTENT_TYPE_HEADER,
        names.CE_SPECVERSION,
        names.CE_SOURCE,
        names.CE_TYPE,
        names.CE_DATASCHEMA,
        names.TENANT,
    }
    for name in names.KNOWN
}
"""Of the headers that are read, which have the same few values in all records."""

_PYDANTIC_TYPES = frozenset(get_args(ErrorType))
_CODES: Mapping[str, str] = {
    "missing": "missing_field",
    "string_pattern_mismatch": "bad_format",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "timezone_aware": "time_not_utc",
    "datetime_from_date_parsing": "bad_time",
    "datetime_parsing": "bad_time",
    "datetime_object_invalid": "bad_time",
    "datetime_future": "bad_time",
    "date_from_datetime_parsing": "bad_date",
    "date_parsing": "bad_date",
    "finite_number": "not_finite",
    "greater_than": "out_of_bounds",
    "greater_than_equal": "out_of_bounds",
    "less_than": "out_of_bounds",
    "less_than_equal": "out_of_bounds",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a consumer reads from one topic.

    `open_to_unknown` topics may carry types the consumer has no use for; on others an unknown type
    is refused. On an `untrusted` topic event ids are the publisher's own: they count within the
    topic only, so that nobody can use up another's ids. Records whose key `wants` turns down are
    skipped unread, and so are those of a type in `glance` whose bytes hold nothing that its pattern
    finds; events that `heeds` turns down once they are read.
    """

    models: Mapping[str, type[BaseModel]]
    open_to_unknown: bool = True
    untrusted: bool = False
    wants: Callable[[bytes | None], bool] | None = None
    glance: Mapping[bytes | None, re.Pattern[bytes]] = field(default_factory=dict)
    heeds: Callable[[BaseModel], bool] | None = None
    stems: Collection[str] = field(init=False)
    readers: Mapping[str, Callable[[bytes], Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stems", {name.rpartition(".v")[0] for name in self.models})
        # What `model_validate_json` asks after its own options, none of which is used here.
        readers = {name: TypeAdapter(m).validator.validate_json for name, m in self.models.items()}
        object.__setattr__(self, "readers", readers)


def parse(record: Record, expected: Expected) -> Received[BaseModel] | Refused | Skipped:
    """Read one record. Whatever is in it, the answer is a value, never an exception."""
    try:
        return _parse(record, expected)
    except Exception as error:  # noqa: BLE001 - totality: an unforeseen record must not stop the topic
        return Refused(
            "parser_failure", None, f"{type(error).__name__}: {error}"[:_DETAIL_CHARS], record
        )


def _parse(record: Record, expected: Expected) -> Received[BaseModel] | Refused | Skipped:
    if (expected.wants is not None and not expected.wants(record.key)) or (
        expected.glance and _holds_nothing_of_note(record, expected.glance)
    ):
        return Skipped("", record)
    headers = _readable_headers(record)
    if isinstance(headers, Refused):
        return headers
    refusal = _wrong_envelope(headers, record)
    if refusal is not None:
        return refusal
    event_type = headers[names.CE_TYPE]
    read_event = expected.readers.get(event_type)
    if read_event is None:
        return _not_ours(event_type, expected, record)
    value = record.value
    if value is None:
        return Refused("tombstone", None, "the record has no value", record)
    try:
        event = read_event(value)
    except ValidationError as error:
        return _refused(error, record)
    if expected.heeds is not None and not expected.heeds(event):
        return Skipped(event_type, record)
    envelope = _envelope(headers)
    return Received(
        event,
        envelope,
        record,
        event_key(envelope, record.topic, untrusted=expected.untrusted),
        hashlib.blake2b(value, digest_size=16, person=b"tally-body").digest(),
    )


def _holds_nothing_of_note(
    record: Record, glance: Mapping[bytes | None, re.Pattern[bytes]]
) -> bool:
    value = record.value
    # An escape could hide a word: what has one is read.
    if value is None or b"\\" in value:
        return False
    types = [raw for name, raw in record.headers if name == names.CE_TYPE]
    pattern = glance.get(types[0]) if len(types) == 1 else None
    return pattern is not None and pattern.search(value) is None


@lru_cache(maxsize=1024)
def _repeated_text(raw: bytes) -> str:
    """A header's value that comes again and again; raises for what is not plain."""
    text = raw.decode("ascii")
    if not text.isprintable() or not 0 < len(text) <= _HEADER_CHARS_MAX:
        raise ValueError("not plain text")
    return text


def _readable_headers(record: Record) -> dict[str, str] | Refused:
    """The headers this library reads, as text; others are let be, whatever they hold.

    Nearly all are plain ASCII, and half of them the same in record after record: these are read
    quickly. What is not is judged header by header.
    """
    headers: dict[str, str] = {}
    try:
        for name, raw in record.headers:
            repeats = _REPEATS.get(name)
            if repeats is None:
                continue
            if repeats:
                headers[name] = _repeated_text(raw)
                continue
            text = raw.decode("ascii")  # type: ignore[union-attr]
            if not text.isprintable() or not 0 < len(text) <= _HEADER_CHARS_MAX:
                return _judged_headers(record)
            headers[name] = text
    except (AttributeError, ValueError):
        # No value, or one that is not plain text.
        return _judged_headers(record)
    for name in names.REQUIRED:
        if name not in headers:
            return _judged_headers(record)
    return headers


def _judged_headers(record: Record) -> dict[str, str] | Refused:
    headers: dict[str, str] = {}
    for name, raw in record.headers:
        if name not in names.KNOWN:
            continue
        if raw is None:
            return Refused("header_null", name, f"header {name} has no value", record)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return Refused("header_not_utf8", name, f"header {name} is not UTF-8", record)
        if _HEADER_TEXT.fullmatch(text) is None:
            return Refused(
                "header_malformed",
                name,
                f"header {name} is not 1 to 512 printable characters",
                record,
            )
        headers[name] = text
    for name in names.REQUIRED:
        if name not in headers:
            return Refused("header_missing", name, f"header {name} is required", record)
    return headers


def event_key(read: Envelope, topic: str, *, untrusted: bool) -> uuid.UUID:
    """The inbox key: a platform event's own UUIDv7, or a hash of topic and id where others mint ids.

    A UUIDv7 holds the time the inbox goes by; keys of other ids begin with ff, so that they lie apart.
    """
    if not untrusted and len(read.id) == _UUID_CHARS and read.id[14] == "7":
        try:
            key = _uuid(read.id)
        except ValueError:
            pass  # not a UUID after all: hashed like any other id
        else:
            if _TIMES_OF_IDS[0] <= key.int >> 80 < _TIMES_OF_IDS[1]:
                return key
    digest = hashlib.blake2b(f"{topic}\0{read.id}".encode(), digest_size=16, key=_NAMESPACE.bytes)
    return uuid.UUID(bytes=b"\xff" + digest.digest()[1:])


def _uuid(text: str) -> uuid.UUID:
    try:
        return Uuid(text)
    except ValueError:
        # It is stricter than Python's, by whose reading keys were entered before.
        return uuid.UUID(text)


def _wrong_envelope(headers: Mapping[str, str], record: Record) -> Refused | None:
    if headers[names.CE_SPECVERSION] != names.SPEC_VERSION:
        return Refused(
            "unsupported_specversion", names.CE_SPECVERSION, "CloudEvents 1.0 is read", record
        )
    content_type = headers.get(names.CONTENT_TYPE_HEADER, names.CONTENT_TYPE)
    if (
        content_type != names.CONTENT_TYPE
        and content_type.partition(";")[0].strip().lower() != names.CONTENT_TYPE
    ):
        return Refused(
            "unsupported_content_type",
            names.CONTENT_TYPE_HEADER,
            f"{names.CONTENT_TYPE} is read",
            record,
        )
    if len(headers[names.CE_ID]) > _MAX_ID_CHARS:
        return Refused(
            "header_malformed", names.CE_ID, f"an id has at most {_MAX_ID_CHARS} characters", record
        )
    return None


def _not_ours(event_type: str, expected: Expected, record: Record) -> Refused | Skipped:
    versioned = _TYPE_VERSION.fullmatch(event_type)
    if versioned is not None and versioned["stem"] in expected.stems:
        return Refused(
            "unsupported_version",
            names.CE_TYPE,
            f"{event_type} is a version this consumer does not read yet: upgrade it, then replay",
            record,
        )
    if expected.open_to_unknown:
        return Skipped(event_type, record)
    known = ", ".join(sorted(expected.models))
    return Refused("unknown_type", names.CE_TYPE, f"this topic carries {known}", record)


def _envelope(headers: Mapping[str, str]) -> Envelope:
    traceparent = headers.get(names.TRACEPARENT)
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent) is None:
        traceparent = None
    event_id = headers[names.CE_ID]
    get = headers.get
    cause = Cause(
        get(names.CORRELATION_ID, event_id),
        get(names.CAUSATION_ID),
        get(names.TENANT, "main"),
        get(names.ACTOR),
        traceparent,
    )
    return Envelope(
        event_id,
        headers[names.CE_SOURCE],
        headers[names.CE_TYPE],
        cause,
        get(names.CE_SUBJECT),
        get(names.CE_TIME),
    )


def _refused(error: ValidationError, record: Record) -> Refused:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"]) or None
    more = error.error_count() - 1
    detail = first["msg"] + (f" (and {more} more)" if more else "")
    return Refused(_code(first), path, detail[:_DETAIL_CHARS], record)


def _code(error: ErrorDetails) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "json_invalid":
        return "too_deep" if "recursion" in error["msg"] else "not_json"
    if isinstance(given, float) and not isfinite(given):
        return "not_finite"
    if kind in _CODES:
        return _CODES[kind]
    # A type Pydantic does not know is a contract model's own code (too_many_decimals …).
    return "wrong_type" if kind in _PYDANTIC_TYPES else kind
