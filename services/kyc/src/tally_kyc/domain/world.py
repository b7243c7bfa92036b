"""All rows a batch works on: loaded before anything is decided, changed in memory, saved at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from tally_kyc.domain.policy import PartyKind, Standing
from tally_kyc.domain.tables import TableKind, Version
from tally_kyc.domain.tasks import WAITING, Task, TaskKind

K = TypeVar("K")
V = TypeVar("V")

OPERATOR: Final = "operator"
"""The principal of the installation itself."""


class Shelf(Generic[K, V]):
    """Rows of one table by key, and which of them are to be saved."""

    def __init__(self, rows: Mapping[K, V] | None = None) -> None:
        self._rows: dict[K, V] = dict(rows or {})
        self._changed: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        return self._rows.get(key)

    def put(self, key: K, row: V) -> None:
        """Enter or replace a row."""
        if self._rows.get(key) != row:
            self._rows[key] = row
            self._changed[key] = row

    def values(self) -> Iterator[V]:
        return iter(self._rows.values())

    @property
    def changed(self) -> Mapping[K, V]:
        """Rows to save."""
        return self._changed


@dataclass(frozen=True, slots=True)
class Party:
    """`standing` is what was told last, by the fact with number `sequence`; None before the first.

    `is_registered`: the directory has told of the party itself, not only of a merge with it.
    """

    party_id: str
    tenant: str
    kind: PartyKind
    country: str | None
    merged_into: str | None = None
    is_registered: bool = False
    standing: Standing | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether a company may know a party beyond its alias."""

    tenant: str
    is_given: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """`manages`: `from_party` may act for `to_party`, as long as that stands."""

    connection_id: str
    from_party: str
    to_party: str
    tenant: str
    manages: bool


@dataclass(slots=True)
class World:
    """All shelves."""

    parties: Shelf[str, Party] = field(default_factory=Shelf)
    tasks: Shelf[str, Task] = field(default_factory=Shelf)
    consents: Shelf[tuple[str, str], Consent] = field(default_factory=Shelf)
    connections: Shelf[str, Connection] = field(default_factory=Shelf)
    versions: Shelf[tuple[TableKind, str, int], Version] = field(default_factory=Shelf)

    def party(self, party_id: str) -> Party | None:
        """The party of an id; for one that was merged, the one it became."""
        party = self.parties.get(party_id)
        while party is not None and party.merged_into is not None:
            party = self.parties.get(party.merged_into)
        return party

    def became(self, party: Party) -> list[Party]:
        """The parties that were merged into this one, by id."""
        merged = (other for other in self.parties.values() if other.merged_into is not None)
        theirs = (other for other in merged if self._is(other, party))
        return sorted(theirs, key=lambda other: other.party_id)

    def _is(self, merged: Party, party: Party) -> bool:
        went_on_as = self.party(merged.party_id)
        return went_on_as is not None and went_on_as.party_id == party.party_id

    def tasks_of(self, party: Party) -> list[Task]:
        """A party's tasks by id, without those of parties that became it."""
        own = (task for task in self.tasks.values() if task.party_id == party.party_id)
        return sorted(own, key=lambda task: task.task_id)

    def waiting(self, party: Party, kind: TaskKind) -> Task | None:
        """The one task of a kind that somebody has to act on."""
        found = (t for t in self.tasks_of(party) if t.kind is kind and t.state in WAITING)
        return next(found, None)

    def acts_for(self, principal: str, party: Party) -> bool:
        """Whether somebody is the party, or was let manage it by the party."""
        ids = {party.party_id, *(other.party_id for other in self.became(party))}
        return principal in ids or any(
            each.manages and each.from_party == principal and each.to_party in ids
            for each in self.connections.values()
        )


def decides_on(principal: str, party: Party) -> bool:
    """Whether somebody is the operator, or the tenant of a party that is not the tenant itself."""
    return principal == OPERATOR or (principal == party.tenant and principal != party.party_id)
