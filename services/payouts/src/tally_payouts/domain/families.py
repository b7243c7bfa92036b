"""Payees that were found to be one: each id, and the one it became."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Families:
    """Of ids that were merged, the one each became, straight to the end; all others are themselves.

    `references` are names that money has for a party, beside its id.
    """

    became: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    _ids: Mapping[str, set[str]] = field(init=False, repr=False, compare=False)
    _names: Mapping[str, set[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {
            one: self.became[id_] for one, id_ in self.references.items() if id_ in self.became
        }
        object.__setattr__(self, "_ids", _by_kept(self.became))
        object.__setattr__(self, "_names", _by_kept({**named, **self.became}))

    def kept(self, owner: str) -> str:
        """The one that an id, or a reference to it, stands for today; itself where nothing was merged."""
        return self.became.get(self.references.get(owner, owner), owner)

    def all_of(self, owners: Collection[str]) -> frozenset[str]:
        """Every id that stands for one of these owners."""
        kept_ones = {self.kept(owner) for owner in owners}
        return frozenset(kept_ones).union(owners, *(self._ids.get(one, ()) for one in kept_ones))

    def names_of(self, owners: Collection[str]) -> frozenset[str]:
        """All of them, and the references that name one that was merged."""
        kept_ones = {self.kept(owner) for owner in owners}
        return frozenset(kept_ones).union(owners, *(self._names.get(one, ()) for one in kept_ones))

    def known_by(self, references: Mapping[str, str]) -> "Families":
        """With what more names of parties there are."""
        return Families(self.became, {**self.references, **references})

    def joined(self, merges: Iterable[tuple[str, str]]) -> "Families":
        """With merges of a former id into another, which are told in any order and more than once."""
        became = dict(self.became)
        for former, kept in merges:
            end = became.get(kept, kept)
            if end == former:
                continue
            became[former] = end
            became |= {one: end for one, before in became.items() if before == former}
        return Families(became, self.references)


def _by_kept(became: Mapping[str, str]) -> Mapping[str, set[str]]:
    members = defaultdict(set)
    for former, kept in became.items():
        members[kept].add(former)
    return members
