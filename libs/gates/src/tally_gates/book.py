"""Table versions by jurisdiction and date."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from tally_gates.rows import GateRow, LimitRow
from tally_gates.rulings import Ruling

ANYWHERE: Final = "*"
"""The jurisdiction of the default table: it binds where no other table does."""


@dataclass(frozen=True, slots=True)
class GateTable:
    """One version of a gate table for some jurisdictions.

    It is in force from `valid_from` until the next version of it is, or `valid_until` has come.
    """

    name: str
    version: int
    jurisdictions: frozenset[str]
    valid_from: datetime
    rows: tuple[GateRow, ...]
    valid_until: datetime | None = None

    @property
    def ruling(self) -> Ruling:
        """How answers name it."""
        return Ruling(self.name, self.version)


@dataclass(frozen=True, slots=True)
class LimitTable:
    """One version of a limit table, in force likewise."""

    name: str
    version: int
    jurisdictions: frozenset[str]
    valid_from: datetime
    rows: tuple[LimitRow, ...]
    valid_until: datetime | None = None

    @property
    def ruling(self) -> Ruling:
        """How answers name it."""
        return Ruling(self.name, self.version)


class _Dated(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def jurisdictions(self) -> frozenset[str]: ...
    @property
    def valid_from(self) -> datetime: ...
    @property
    def valid_until(self) -> datetime | None: ...


_Table = TypeVar("_Table", bound=_Dated)


@dataclass(frozen=True, slots=True)
class GateBook:
    """All versions known. Their order does not matter, and those of the past stay."""

    gates: tuple[GateTable, ...] = ()
    limits: tuple[LimitTable, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether no table has ever been published."""
        return not self.gates and not self.limits

    def gates_for(self, jurisdictions: frozenset[str], at: datetime) -> list[GateTable]:
        """The gate tables that bind these jurisdictions at that date, by name."""
        return _binding(self.gates, jurisdictions, at)

    def limits_for(self, jurisdictions: frozenset[str], at: datetime) -> list[LimitTable]:
        """The limit tables that bind these jurisdictions at that date, by name."""
        return _binding(self.limits, jurisdictions, at)

    def next_change(self, after: datetime) -> datetime | None:
        """When a version next comes into force or ends; None where none does."""
        tables: list[_Dated] = [*self.gates, *self.limits]
        moments = [table.valid_from for table in tables]
        moments += [table.valid_until for table in tables if table.valid_until is not None]
        return min((moment for moment in moments if moment > after), default=None)


def _binding(tables: Iterable[_Table], jurisdictions: frozenset[str], at: datetime) -> list[_Table]:
    newest: dict[str, _Table] = {}
    for table in tables:
        known = newest.get(table.name)
        if table.valid_from <= at and (known is None or _newer(table, known)):
            newest[table.name] = table
    in_force = [newest[name] for name in sorted(newest) if not _over(newest[name], at)]
    own = {place for table in in_force for place in table.jurisdictions}
    asked = {place if place in own else ANYWHERE for place in jurisdictions} or {ANYWHERE}
    return [table for table in in_force if table.jurisdictions & asked]


def _newer(table: _Dated, known: _Dated) -> bool:
    return (table.valid_from, table.version) > (known.valid_from, known.version)


def _over(table: _Dated, at: datetime) -> bool:
    return table.valid_until is not None and table.valid_until <= at
