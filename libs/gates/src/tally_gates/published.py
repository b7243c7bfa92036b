"""Published gate and limit tables, and levels of parties, as events tell them and rows keep them.

Words a later table may use and this version does not know never open anything. A row with an unknown
level, act, class or kind of party is listed for all that the word may mean, at a level above those
known: nobody reaches it, so that it closes what no other row opens, and a limit binds where there is no
other. An unknown answer is `closed`, an unknown window counts everything ever.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import product
from typing import Any, Final, Protocol, TypeVar

from tally_gates.book import GateBook, GateTable, LimitTable
from tally_gates.rows import (
    Act,
    Answer,
    EndpointClass,
    GateRow,
    Level,
    LimitRow,
    MustAct,
    PartyKind,
    Window,
)
from tally_money import AssetKind, Currency, Money, UnknownCurrency, currency, parse_minor

GATES: Final = "gates"
LIMITS: Final = "limits"
_CACHED_TABLES: Final = 512
_ASSET_DECIMALS: Final = 18
_Word = TypeVar("_Word", bound=StrEnum)
_Row = Mapping[str, Any]


class PublishedTable(Protocol):
    """The event that publishes a version of a table."""

    @property
    def table(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def valid_from(self) -> datetime: ...
    @property
    def valid_until(self) -> datetime | None: ...
    def model_dump_json(self, *, include: set[str]) -> str: ...


class ToldLevel(Protocol):
    """The event that tells of a party's level; the highest `sequence` counts."""

    @property
    def party_id(self) -> str: ...
    @property
    def party_kind(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def jurisdiction(self) -> str | None: ...
    @property
    def valid_until(self) -> datetime | None: ...
    @property
    def sequence(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Party:
    """What is known of a party: by the newest word, else nothing, which is level `none`."""

    owner: str
    kind: PartyKind = PartyKind.PERSON
    level: Level = Level.NONE
    jurisdiction: str | None = None
    valid_until: datetime | None = None
    sequence: int = 0

    @classmethod
    def told(cls, event: ToldLevel) -> "Party":
        """The party as an event tells of it."""
        return cls(
            event.party_id,
            word(PartyKind, event.party_kind) or PartyKind.PERSON,
            word(Level, event.level) or Level.NONE,
            event.jurisdiction,
            event.valid_until,
            event.sequence,
        )

    def level_at(self, now: datetime) -> Level:
        """The level while what it rests on is valid, else `none` until the next word."""
        over = self.valid_until is not None and self.valid_until <= now
        return Level.NONE if over else self.level


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A version as it is kept; `document` is the JSON of what the fact said of places and rows."""

    kind: str
    name: str
    version: int
    valid_from: datetime
    valid_until: datetime | None
    document: str

    @classmethod
    def of(cls, kind: str, event: PublishedTable) -> "StoredTable":
        """The row for a published version of a table of this kind."""
        document = event.model_dump_json(include={"jurisdictions", "rows"})
        return cls(kind, event.table, event.version, event.valid_from, event.valid_until, document)


def book_of(stored: Iterable[StoredTable]) -> GateBook:
    """The book these versions make."""
    read = [_read(table) for table in stored]
    return GateBook(
        tuple(table for table in read if isinstance(table, GateTable)),
        tuple(table for table in read if isinstance(table, LimitTable)),
    )


@lru_cache(maxsize=_CACHED_TABLES)
def _read(stored: StoredTable) -> GateTable | LimitTable:
    """The version as it decides; read once, since it never changes."""
    document = json.loads(stored.document)
    places = frozenset(document["jurisdictions"])
    name, version = stored.name, stored.version
    begins, ends = stored.valid_from, stored.valid_until
    if stored.kind == GATES:
        return GateTable(name, version, places, begins, _gate_rows(document["rows"]), ends)
    return LimitTable(name, version, places, begins, _limit_rows(document["rows"]), ends)


def _gate_rows(rows: Sequence[_Row]) -> tuple[GateRow, ...]:
    read: list[GateRow] = []
    for row in rows:
        answer = word(Answer, row["answer"]) or Answer.CLOSED
        limit = None
        if answer is Answer.OPEN_TO:
            if row.get("limit") is None:
                answer = Answer.CLOSED
            else:
                limit = _money(row["limit"])
        must_act = word(MustAct, row.get("who_must_act") or "") or MustAct.OPERATOR
        code, remedy = row.get("code"), row.get("remedy")
        level, acts, found = _place(row)
        kinds = _meant(PartyKind, row["party_kind"])
        if len(kinds) > 1:
            level = None
        read += [
            GateRow(kind, level, act, found, answer, limit, code, remedy, must_act)
            for kind, act in product(kinds, acts)
        ]
    return tuple(read)


def _limit_rows(rows: Sequence[_Row]) -> tuple[LimitRow, ...]:
    read: list[LimitRow] = []
    for row in rows:
        level, acts, found = _place(row)
        window = word(Window, row["window"]) or Window.LIFETIME
        limit = _money(row["limit"])
        read += [LimitRow(level, act, found, window, limit) for act in acts]
    return tuple(read)


def _place(row: _Row) -> tuple[Level | None, Sequence[Act], EndpointClass]:
    """The level, acts and class a row is listed for; no level where one of its words is not known."""
    acts, found = _meant(Act, row["act"]), word(EndpointClass, row["endpoint_class"])
    is_known = len(acts) == 1 and found is not None
    level = word(Level, row["level"]) if is_known else None
    return level, acts, found or EndpointClass.ANY


def _meant(words: type[_Word], text: str) -> Sequence[_Word]:
    """The word, or all of the list where it is not on it: it may stand beside or within any."""
    known = word(words, text)
    return tuple(words) if known is None else (known,)


def word(words: type[_Word], text: str) -> _Word | None:
    """The word of a list, or None for one that is not on it."""
    try:
        return words(text)
    except ValueError:
        return None


def _money(ceiling: _Row) -> Money:
    """A ceiling; one in an asset that is no money is no payout's currency, and so closes."""
    code = ceiling["currency"]
    try:
        unit = currency(code)
    except UnknownCurrency:
        unit = Currency(code, _ASSET_DECIMALS, AssetKind.CRYPTO)
    return Money(parse_minor(ceiling["amount"], unit), unit)
