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
    """What the party itself has opened to the viewer: by its consent, by a grant that says contacts."""

    consent: bool
    grant: bool


def basis_of(world: World, act: Act, party: Party, opened: Opened) -> Basis | None:
    """By what the principal may look at the party's contacts; None if it may not know of them.

    The values are the party's own to show: to stand above it, or to run the installation, is not
    enough. A person needs a role that may manage. Whoever asks as a party that was merged sees nothing.
    """
    if act.by_operator:
        return Basis.ALIAS
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
    if by is not None and has_power(world, act, principal, Power.MANAGE):
        return by
    reached = is_above(world, principal, party) or is_connected(
        world, principal, party, Access.VIEW
    )
    return Basis.ALIAS if reached or by is not None else None
