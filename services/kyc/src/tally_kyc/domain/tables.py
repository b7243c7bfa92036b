"""Tables of gates and limits: what a row may say, and which version holds where and when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tally_kyc.domain.policy import Level, PartyKind
from tally_kyc.domain.refusal import refuse
from tally_money import Money, MoneyError


class TableKind(StrEnum):
    """What the rows of a table say."""

    GATE = "gate"
    LIMIT = "limit"


ACTS: Final = frozenset({"receive", "hold", "convert", "exit"})
CLASSES: Final = frozenset({"cash", "cash_like", "closed_loop", "any"})
ANSWERS: Final = frozenset({"open", "open_to", "closed"})
WINDOWS: Final = frozenset({"item", "day", "month", "year", "lifetime"})
ACTORS: Final = frozenset({"payee", "company", "operator"})
_LEVELS: Final = frozenset(Level)
_PARTY_KINDS: Final = frozenset(PartyKind)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount as it was written."""

    amount: str
    currency: str


@dataclass(frozen=True, slots=True)
class Gate:
    """A row of a table of gates, as it was written."""

    party_kind: str
    level: str
    act: str
    endpoint_class: str
    answer: str
    limit: Amount | None
    code: str | None
    remedy: str | None
    who_must_act: str | None


@dataclass(frozen=True, slots=True)
class Limit:
    """A row of a table of limits, as it was written."""

    level: str
    act: str
    endpoint_class: str
    window: str
    limit: Amount


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a table; without `valid_until` it holds until the next one of the table.

    `source` and `rows` are as they were published; none where only the times were asked for.
    """

    kind: TableKind
    table: str
    number: int
    jurisdictions: frozenset[str]
    valid_from: datetime
    valid_until: datetime | None
    source: str = ""
    rows: tuple[Mapping[str, object], ...] = ()

    @property
    def key(self) -> tuple[TableKind, str, int]:
        """What it is kept under."""
        return self.kind, self.table, self.number


def check_gates(rows: Sequence[Gate]) -> None:
    """Raise Refused for a row that says nothing clear, or says it twice."""
    seen: set[tuple[str, ...]] = set()
    for place, row in enumerate(rows):
        _known(place, "party_kind", row.party_kind, _PARTY_KINDS)
        _known(place, "answer", row.answer, ANSWERS)
        _check_key(place, row.level, row.act, row.endpoint_class)
        key = (row.party_kind, row.level, row.act, row.endpoint_class)
        _once(seen, key, place)
        if (row.limit is not None) != (row.answer == "open_to"):
            refuse(
                "row_incomplete",
                f"/rows/{place}/limit",
                "a limit goes with the answer open_to, and with no other",
                "give open_to a limit, or leave it out",
            )
        if row.limit is not None:
            _check_amount(place, row.limit)
        if row.answer != "open":
            for name, value in (
                ("code", row.code),
                ("remedy", row.remedy),
                ("who_must_act", row.who_must_act),
            ):
                if value is None:
                    refuse(
                        "row_incomplete",
                        f"/rows/{place}/{name}",
                        "whoever finds a gate closed must know why and what to do",
                        "give code, remedy and who_must_act",
                    )
        if row.who_must_act is not None:
            _known(place, "who_must_act", row.who_must_act, ACTORS)


def check_limits(rows: Sequence[Limit]) -> None:
    """Raise Refused for a row that says nothing clear, or says it twice."""
    seen: set[tuple[str, ...]] = set()
    for place, row in enumerate(rows):
        _check_key(place, row.level, row.act, row.endpoint_class)
        _known(place, "window", row.window, WINDOWS)
        key = (row.level, row.act, row.endpoint_class, row.window, row.limit.currency)
        _once(seen, key, place)
        _check_amount(place, row.limit)


def check_version(new: Version, known: Sequence[Version], now: datetime) -> None:
    """Raise Refused unless the version is the table's next, and alone where and when it holds.

    `known` are all versions of this kind of table. What holds already is never changed.
    """
    own = sorted((v for v in known if v.table == new.table), key=lambda v: v.number)
    newest = own[-1].number if own else 0
    if new.number != newest + 1:
        refuse(
            "version_stale",
            "/version",
            f"the newest version is {newest}",
            f"look at it, then publish version {newest + 1}",
        )
    if new.valid_from < now:
        refuse(
            "effective_past",
            "/valid_from",
            "what was decided in the past stays decided",
            "leave it out, or name a time to come",
        )
    if new.valid_until is not None and new.valid_until <= new.valid_from:
        refuse(
            "period_empty",
            "/valid_until",
            "the version would end before it begins",
            "name a later time, or leave it out",
        )
    if own and new.valid_from <= own[-1].valid_from:
        refuse(
            "table_overlap",
            "/valid_from",
            f"version {newest} begins at {own[-1].valid_from.isoformat()}",
            "let this version begin later",
        )
    for other, begins, ends in _periods([v for v in known if v.table != new.table]):
        both = new.jurisdictions & other.jurisdictions
        if both and begins < (new.valid_until or _NEVER) and new.valid_from < ends:
            refuse(
                "table_overlap",
                "/jurisdictions",
                f"{', '.join(sorted(both))}: table {other.table} holds there in this time",
                f"leave them out, or end table {other.table} first",
            )


def _periods(versions: Sequence[Version]) -> Iterator[tuple[Version, datetime, datetime]]:
    """Each version with when it holds: the next one of its table ends it."""
    for version in versions:
        later = [
            other.valid_from
            for other in versions
            if other.table == version.table and other.number > version.number
        ]
        yield version, version.valid_from, min([version.valid_until or _NEVER, *later])


def _check_key(place: int, level: str, act: str, endpoint_class: str) -> None:
    _known(place, "level", level, _LEVELS)
    _known(place, "act", act, ACTS)
    _known(place, "endpoint_class", endpoint_class, CLASSES)


def _known(place: int, name: str, word: str, words: frozenset[str]) -> None:
    if word not in words:
        refuse(
            "word_unknown",
            f"/rows/{place}/{name}",
            f"{word} is no {name}",
            f"use one of: {', '.join(sorted(words))}",
        )


def _once(seen: set[tuple[str, ...]], key: tuple[str, ...], place: int) -> None:
    if key in seen:
        refuse(
            "row_duplicate",
            f"/rows/{place}",
            f"an earlier row answers for {', '.join(key)} too",
            "leave one of them out",
        )
    seen.add(key)


def _check_amount(place: int, limit: Amount) -> None:
    try:
        Money.parse(limit.amount, limit.currency)
    except MoneyError as error:
        refuse(error.code, f"/rows/{place}/limit", str(error), "correct the amount")
