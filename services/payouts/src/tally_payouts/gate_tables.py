"""Published gate and limit tables: from the fact, and from the row that keeps them.

Words a later table may use and this version does not know never open anything: a row for an unknown
level, act, class or kind of party is nobody's here, an unknown answer is `closed`, an unknown window
counts everything ever.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from pydantic import BaseModel

from tally_contracts.kyc import GateRow as WireGateRow
from tally_contracts.kyc import GateTablePublished, LimitTablePublished
from tally_contracts.kyc import LimitRow as WireLimitRow
from tally_gates import (
    Act,
    Answer,
    EndpointClass,
    GateBook,
    GateRow,
    GateTable,
    Level,
    LimitRow,
    LimitTable,
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


class _Gates(BaseModel):
    jurisdictions: tuple[str, ...]
    rows: tuple[WireGateRow, ...]


class _Limits(BaseModel):
    jurisdictions: tuple[str, ...]
    rows: tuple[WireLimitRow, ...]


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
    def of(cls, event: GateTablePublished | LimitTablePublished) -> "StoredTable":
        """The row for a published version."""
        kind = GATES if isinstance(event, GateTablePublished) else LIMITS
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
    name, version = stored.name, stored.version
    begins, ends = stored.valid_from, stored.valid_until
    if stored.kind == GATES:
        gates = _Gates.model_validate_json(stored.document)
        places = frozenset(gates.jurisdictions)
        return GateTable(name, version, places, begins, _gate_rows(gates.rows), ends)
    limits = _Limits.model_validate_json(stored.document)
    places = frozenset(limits.jurisdictions)
    return LimitTable(name, version, places, begins, _limit_rows(limits.rows), ends)


def _gate_rows(rows: Sequence[WireGateRow]) -> tuple[GateRow, ...]:
    read: list[GateRow] = []
    for row in rows:
        kind = word(PartyKind, row.party_kind)
        level, act = word(Level, row.level), word(Act, row.act)
        found = word(EndpointClass, row.endpoint_class)
        if kind is None or level is None or act is None or found is None:
            continue
        answer = word(Answer, row.answer) or Answer.CLOSED
        limit = None
        if answer is Answer.OPEN_TO:
            if row.limit is None:
                answer = Answer.CLOSED
            else:
                limit = _money(row.limit.amount, row.limit.currency)
        must_act = word(MustAct, row.who_must_act or "") or MustAct.OPERATOR
        read.append(GateRow(kind, level, act, found, answer, limit, row.code, row.remedy, must_act))
    return tuple(read)


def _limit_rows(rows: Sequence[WireLimitRow]) -> tuple[LimitRow, ...]:
    read: list[LimitRow] = []
    for row in rows:
        level, act = word(Level, row.level), word(Act, row.act)
        found = word(EndpointClass, row.endpoint_class)
        if level is None or act is None or found is None:
            continue
        window = word(Window, row.window) or Window.LIFETIME
        limit = _money(row.limit.amount, row.limit.currency)
        read.append(LimitRow(level, act, found, window, limit))
    return tuple(read)


def word(words: type[_Word], text: str) -> _Word | None:
    """The word of a list, or None for one that is not on it."""
    try:
        return words(text)
    except ValueError:
        return None


def _money(amount: str, code: str) -> Money:
    """A ceiling; one in an asset that is no money is no payout's currency, and so closes."""
    try:
        unit = currency(code)
    except UnknownCurrency:
        unit = Currency(code, _ASSET_DECIMALS, AssetKind.CRYPTO)
    return Money(parse_minor(amount, unit), unit)
