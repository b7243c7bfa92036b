"""Fixed-width records: where each field sits, how it is read and written.

Positions are the standard's own, counted from 1 and inclusive. Positions no field names are
reserved: written blank, not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Final, assert_never

from tally_bankfiles.nacha.errors import ErrorLog

RECORD_LENGTH: Final = 94
_NOT_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_DIGITS: Final = re.compile(r"[0-9]+").fullmatch
_CENTURY: Final = 2000
_NO_DATE: Final = "000000"


class Kind(StrEnum):
    """How a field stands in its positions, and as what it is read.

    TEXT is left-justified (`str`), ID right-justified text, FREE text that keeps its leading
    blanks; DIGITS fills its positions with digits and stays a `str`, NUMBER is zero-filled (`int`);
    DATE is YYMMDD of this century and TIME HHMM. A blank date, time or optional number is None, and
    so is an optional date of zeros, which banks write in returns.
    """

    TEXT = "text"
    ID = "id"
    FREE = "free"
    DIGITS = "digits"
    NUMBER = "number"
    DATE = "date"
    TIME = "time"


class Inclusion(StrEnum):
    """The standard's inclusion requirements.

    A blank MANDATORY field is refused by reader and writer, a blank REQUIRED one by the writer.
    """

    MANDATORY = "mandatory"
    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    start: int
    end: int
    kind: Kind = Kind.TEXT
    inclusion: Inclusion = Inclusion.MANDATORY

    @property
    def width(self) -> int:
        return self.end - self.start + 1


def required(name: str, start: int, end: int) -> Field:
    return Field(name, start, end, inclusion=Inclusion.REQUIRED)


def optional(name: str, start: int, end: int, kind: Kind = Kind.TEXT) -> Field:
    return Field(name, start, end, kind, Inclusion.OPTIONAL)


@dataclass(frozen=True, slots=True)
class Layout:
    """One record format: the `prefix` every such record starts with, then its fields."""

    name: str
    prefix: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        position = len(self.prefix)
        for field in self.fields:
            assert position < field.start <= field.end <= RECORD_LENGTH, (self.name, field.name)
            position = field.end

    def parse(self, text: str, line: int, log: ErrorLog) -> dict[str, Any] | None:
        """The field values of a 94-character record by name, or None after logging errors."""
        known = len(log)
        if not (text.isascii() and text.isprintable()):
            self._report_characters(text, line, log)
        values = {
            field.name: _parsed(field, text[field.start - 1 : field.end], line, log)
            for field in self.fields
        }
        return values if len(log) == known else None

    def render(self, values: Mapping[str, object], line: int, log: ErrorLog) -> str:
        """A 94-character record; what does not fit is logged, never cut silently."""
        parts = [self.prefix]
        position = len(self.prefix)
        for field in self.fields:
            parts.append(" " * (field.start - 1 - position))
            parts.append(_rendered(field, values[field.name], line, log))
            position = field.end
        parts.append(" " * (RECORD_LENGTH - position))
        return "".join(parts)

    def _report_characters(self, text: str, line: int, log: ErrorLog) -> None:
        for match in _NOT_PRINTABLE.finditer(text):
            position = match.start() + 1
            field = next((f.name for f in self.fields if f.start <= position <= f.end), "reserved")
            rule = f"only printable ASCII is allowed, found {match.group()!a} at {position}"
            log.add("character", line, field, rule)


def _parsed(field: Field, raw: str, line: int, log: ErrorLog) -> str | int | date | time | None:
    kind = field.kind
    if kind is Kind.DIGITS or kind is Kind.NUMBER:
        if field.inclusion is Inclusion.OPTIONAL and raw.isspace():
            return None
        if not _DIGITS(raw):
            rule = f"{field.width} digits expected, found {raw!a}"
            log.add("not_numeric", line, field.name, rule)
            return None
        return raw if kind is Kind.DIGITS else int(raw)
    text = raw.rstrip(" ") if kind is Kind.FREE else raw.strip(" ")
    if not text and field.inclusion is Inclusion.MANDATORY:
        log.add("mandatory_field", line, field.name, "the field is mandatory, found blanks")
    if kind is Kind.DATE:
        if field.inclusion is Inclusion.OPTIONAL and text == _NO_DATE:
            return None
        return _parsed_date(field.name, text, line, log)
    if kind is Kind.TIME:
        return _parsed_time(field.name, text, line, log)
    return text


def _parsed_date(name: str, text: str, line: int, log: ErrorLog) -> date | None:
    if not text:
        return None
    try:
        if len(text) == len("YYMMDD") and _DIGITS(text):
            return date(_CENTURY + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        pass
    log.add("date", line, name, f"a calendar date YYMMDD expected, found {text!a}")
    return None


def _parsed_time(name: str, text: str, line: int, log: ErrorLog) -> time | None:
    if not text:
        return None
    try:
        if len(text) == len("HHMM") and _DIGITS(text):
            return time(int(text[:2]), int(text[2:]))
    except ValueError:
        pass
    log.add("time", line, name, f"a time HHMM expected, found {text!a}")
    return None


def _rendered(field: Field, value: object, line: int, log: ErrorLog) -> str:
    text = _as_text(field, value, line, log)
    if not text and field.inclusion is not Inclusion.OPTIONAL:
        log.add("mandatory_field", line, field.name, "the field must be given")
    if text.rstrip(" ") != text or (field.kind is not Kind.FREE and text.lstrip(" ") != text):
        log.add("outer_blanks", line, field.name, "blanks at either end are lost; strip them")
    if _NOT_PRINTABLE.search(text):
        rule = f"only printable ASCII is allowed, given {text!a}; convert it with to_ach_text"
        log.add("character", line, field.name, rule)
    if len(text) > field.width:
        rule = f"at most {field.width} characters, given {len(text)}; shorten it"
        log.add("field_too_long", line, field.name, rule)
        return text[: field.width]
    return text.rjust(field.width) if field.kind is Kind.ID else text.ljust(field.width)


def _as_text(field: Field, value: object, line: int, log: ErrorLog) -> str:
    match field.kind:
        case Kind.TEXT | Kind.ID | Kind.FREE:
            return str(value)
        case Kind.DIGITS | Kind.NUMBER:
            return _digits(field, value, line, log)
        case Kind.DATE:
            return _date_digits(field.name, value, line, log)
        case Kind.TIME:
            return f"{value:%H%M}" if isinstance(value, time) else ""
        case _ as never:
            assert_never(never)


def _digits(field: Field, value: object, line: int, log: ErrorLog) -> str:
    if value is None and field.inclusion is Inclusion.OPTIONAL:
        return ""
    text = str(value)
    if field.kind is Kind.NUMBER:
        text = text.zfill(field.width)
    if not _DIGITS(text) or (field.kind is Kind.DIGITS and len(text) != field.width):
        rule = f"{field.width} digits expected, given {value!a}"
        log.add("not_numeric", line, field.name, rule)
        return "0" * field.width
    return text


def _date_digits(name: str, value: object, line: int, log: ErrorLog) -> str:
    if not isinstance(value, date):
        return ""
    if isinstance(value, datetime) or not _CENTURY <= value.year < _CENTURY + 100:
        rule = f"a date of {_CENTURY}-{_CENTURY + 99} without a time expected, given {value}"
        log.add("date", line, name, rule)
    return f"{value:%y%m%d}"
