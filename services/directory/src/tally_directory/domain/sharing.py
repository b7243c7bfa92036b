"""Who sees a party's contacts, and how much of them (F26)."""

from dataclasses import dataclass
from enum import StrEnum

from tally_directory.domain.access import Act, Power, has_power, is_above, is_connected
from tally_directory.domain.rows import Access, Party
from tally_directory.domain.world import World


class Basis(StrEnum):
    """By what a viewer looks; `ALIAS` shows the alias and the tokens, the others the values."""

    OWN = "own"
    CONSENT = "consent"
    GRANT = "grant"
    ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the party itself has opened to the viewer: by its consent, by a grant that says contacts.

    By the ids under which contacts were entered, the party's own and those of whom was merged into it: what
    one of these had opened opens its contacts, and no others of the party.
    """

    consent: frozenset[str] = frozenset()
    grant: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a viewer sees of a party's contacts, by the ids they were entered under; None is all.

    `tokens` are listed, of those `values` in clear.
    """

    basis: Basis
    values: frozenset[str] | None
    tokens: frozenset[str] | None

    def lists(self, entered_under: str) -> bool:
        """Whether a contact is listed at all."""
        return self.tokens is None or entered_under in self.tokens

    def opens(self, entered_under: str) -> bool:
        """Whether a contact is shown in clear."""
        return self.values is None or entered_under in self.values


def sight_of(world: World, act: Act, party: Party, opened: Opened) -> Sight | None:
    """How the principal may look at the party's contacts; None if it may not know of them.

    The values are the party's own to show: to stand above it, or to run the installation, is not
    enough. A person needs a role that may manage. Whoever asks as a party that was merged sees nothing.
    """
    nothing = frozenset[str]()
    if act.by_operator:
        return Sight(Basis.ALIAS, nothing, None)
    principal = world.find_party(act.principal)
    if principal is None or principal.party_id != act.principal:
        return None
    by = None
    if principal.party_id == party.party_id:
        by = Basis.OWN
    elif opened.consent:
        by = Basis.CONSENT
    elif opened.grant:
        by = Basis.GRANT
    place = by is Basis.OWN or _knows(world, principal, party)
    named = opened.consent | opened.grant
    tokens = None if place else named
    if by is not None and has_power(world, act, principal, Power.MANAGE):
        return Sight(by, None if by is Basis.OWN else named, tokens)
    return Sight(Basis.ALIAS, nothing, tokens) if by is not None or place else None


def _knows(world: World, principal: Party, party: Party) -> bool:
    """Whether the principal knows of the party, and by which tokens it is reached, by its place alone."""
    return is_above(world, principal, party) or is_connected(world, principal, party, Access.VIEW)
