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

    def kept(self, owner: str) -> str:
        """The one that an id, or a reference to it, stands for today; itself where nothing was merged."""
        return self.became.get(self.references.get(owner, owner), owner)

    def all_of(self, owners: Collection[str]) -> frozenset[str]:
        """Every id that stands for one of these owners."""
        members = defaultdict(set)
        for former, kept in self.became.items():
            members[kept].add(former)
        kept_ones = {self.kept(owner) for owner in owners}
        return frozenset(kept_ones).union(owners, *(members[one] for one in kept_ones))

    def names_of(self, owners: Collection[str]) -> frozenset[str]:
        """All of them, and the references that name one that was merged."""
        kept_ones = {self.kept(owner) for owner in owners}
        named = {one for one in self.references if self.kept(one) in kept_ones}
        return self.all_of(kept_ones).union(owners, named)

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
