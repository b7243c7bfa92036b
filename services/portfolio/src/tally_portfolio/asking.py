"""What a question over HTTP may say, read strictly: an unknown or malformed part is refused."""

import base64
import binascii
import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tally_portfolio.domain.redaction import FIELDS, Document
from tally_portfolio.errors import CursorInvalid, FieldUnknown, SpanInvalid
from tally_portfolio.event_views import EventPage
from tally_portfolio.store.events import Way
from tally_portfolio.store.views import LAST, NEWEST, Place, Position
from tally_portfolio.wallet_views import Part

LIMIT_MAX = 200
"""A page has this many things at most."""
_CURSOR_CHARS_MAX = 400
_PLACE_PARTS, _POSITION_PARTS, _WAY_PARTS, _PART_PARTS = 2, 3, 3, 4
_SHA256 = re.compile(r"[0-9a-f]{64}")

Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str, StringConstraints(max_length=_CURSOR_CHARS_MAX)]


class Question(BaseModel):
    """What every route may be asked with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None

    def chosen(self, kind: str) -> frozenset[str] | None:
        """The fields asked for, None for all; raises FieldUnknown."""
        if self.fields is None:
            return None
        names = frozenset(name.strip() for name in self.fields.split(","))
        unknown = names - FIELDS[kind].keys()
        if unknown:
            raise FieldUnknown(f"a {kind} has no field {min(unknown)!r}", "/fields")
        return names


class ListQuestion(Question):
    """What lists may be asked with."""

    limit: Limit = 50
    cursor: Cursor | None = None

    def place(self) -> Place:
        """Where the list goes on; raises CursorInvalid."""
        if self.cursor is None:
            return NEWEST
        at, subject = _opened(self.cursor, _PLACE_PARTS)
        return Place(_moment(at), _word(subject))

    def position(self) -> Position:
        """Where the list of movements goes on; raises CursorInvalid."""
        if self.cursor is None:
            return LAST
        return _position(_opened(self.cursor, _POSITION_PARTS))


class SeatQuestion(ListQuestion):
    """What lists of a sub-tree may be asked with."""

    under: Word | None = None

    def wanted(self) -> tuple[tuple[str, str], ...]:
        """Values that fields of the items must have."""
        plain = set(SeatQuestion.model_fields)
        return tuple(
            (name, value)
            for name, value in self.model_dump(exclude_none=True).items()
            if name not in plain
        )


class WalletsQuestion(SeatQuestion):
    currency: Word | None = None
    purpose: Word | None = None


class PayInsQuestion(SeatQuestion):
    state: Word | None = None
    source: Word | None = None


class PayoutsQuestion(SeatQuestion):
    state: Word | None = None
    rail: Word | None = None


class PartiesQuestion(SeatQuestion):
    kind: Word | None = None


class StatesQuestion(SeatQuestion):
    state: Word | None = None


class BudgetsQuestion(SeatQuestion):
    program_id: Word | None = None
    holder: Word | None = None


class OfProgramQuestion(StatesQuestion):
    program_id: Word | None = None


class TotalsQuestion(Question):
    under: Word | None = None


class HistoryQuestion(ListQuestion):
    """Movements recorded from `from` up to, not including, `until`."""

    since: Annotated[str | None, Field(alias="from")] = None
    until: str | None = None

    def before(self) -> Position:
        """The position the page is before."""
        position = self.position()
        if self.until is None:
            return position
        return min(position, Position(moment(self.until, "/until"), -1, ""))


class EventQuestion(ListQuestion):
    """What is told of an event, in pages."""

    def page(self) -> EventPage:
        """Where it goes on; raises CursorInvalid."""
        if self.cursor is None:
            return EventPage(NEWEST, None, self.limit)
        at, subject, way = _opened(self.cursor, _WAY_PARTS)
        if not isinstance(way, str) or way not in set(Way):
            raise _bad_cursor()
        return EventPage(Place(_moment(at), _word(subject)), Way(way), self.limit)


class StatementQuestion(BaseModel):
    """Balances `at` a time, or all movements `from` one time `until` another, not included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str | None = None
    since: Annotated[str | None, Field(alias="from")] = None
    until: str | None = None
    limit: Limit = 50
    cursor: Cursor | None = None

    def part(self) -> Part:
        """Which part of the statement is asked for; raises SpanInvalid, CursorInvalid."""
        since, until = self.span()
        if self.cursor is None:
            return Part(since, until, Position(since, -1, ""), None, self.limit)
        *begins, follows = _opened(self.cursor, _PART_PARTS)
        position = _position(begins)
        if not since <= position.at < until:
            raise _bad_cursor()
        return Part(since, until, position, _digest(follows), self.limit)

    def span(self) -> tuple[datetime, datetime]:
        """From when until when; raises SpanInvalid."""
        if self.at is not None and self.since is None and self.until is None:
            at = moment(self.at, "/at")
            return at, at
        if self.at is None and self.since is not None and self.until is not None:
            since, until = moment(self.since, "/from"), moment(self.until, "/until")
            if since < until:
                return since, until
            raise SpanInvalid("the span ends before it begins", "/until")
        raise SpanInvalid("the span is not said in one of the two ways", "/at")


def moment(text: str, field: str) -> datetime:
    """A day (its beginning in UTC) or a time with its offset; raises SpanInvalid."""
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # refused below, whatever is wrong with it
    raise SpanInvalid(f"{text[:40]!r} is neither a day nor a time with its offset", field)


def cursor_of(place: Place | Position | None, *more: str) -> str | None:
    """The text that lets a list go on from a place, None at the end; `more` is kept in it."""
    if place is None:
        return None
    micros = (place.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = json.dumps([micros, *place[1:], *more], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def sparse(document: Document, chosen: frozenset[str] | None) -> Document:
    """The document's fields that were asked for."""
    if chosen is None:
        return document
    return {name: value for name, value in document.items() if name in chosen}


def _opened(cursor: str, parts: int) -> list[object]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        opened = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        raise _bad_cursor() from None
    if not isinstance(opened, list) or len(opened) != parts:
        raise _bad_cursor()
    return opened


def _moment(micros: object) -> datetime:
    if isinstance(micros, int):
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        except OverflowError:
            raise _bad_cursor() from None
    raise _bad_cursor()


def _position(parts: list[object]) -> Position:
    at, log_seq, transfer_id = parts
    if not isinstance(log_seq, int) or not 0 <= log_seq < 2**63:
        raise _bad_cursor()
    return Position(_moment(at), log_seq, _word(transfer_id))


def _digest(text: object) -> str:
    if isinstance(text, str) and _SHA256.fullmatch(text):
        return text
    raise _bad_cursor()


def _word(text: object) -> str:
    if isinstance(text, str) and text.isascii() and "\0" not in text:
        return text
    raise _bad_cursor()


def _bad_cursor() -> CursorInvalid:
    return CursorInvalid("this is no place in a list", "/cursor")
