"""Who may do what with which party: the tree of parties, and connections across it.

A party reaches itself and everything below it, with any access but one. It reaches another party
through a connection that was accepted, with the connection's access; what lies below that party stays
closed. Everything else is answered as if it did not exist.

The one: money leaves a wallet by its owner's word alone (F7). To stand above an owner is no mandate; a
connection that the owner accepted with `manage` is. To accept is the owner's own word: neither who stands
above it nor the installation gives it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OPERATOR = "operator"
"""The principal of the installation itself: it is in no tree and reaches every tree."""
INVITED = "to_party"
"""In the data of a connection, the one of its two parties that is asked to accept it."""


class Access(StrEnum):
    """What somebody may do with a party; each includes the ones before it.

    No connection says `debit`: the owner may, and who it lets manage. `own_word` is the party's alone:
    to agree to a connection, to name its signing key, to be merged.
    """

    PAY = "pay"
    VIEW = "view"
    MANAGE = "manage"
    DEBIT = "debit"
    OWN_WORD = "own_word"


ASKED_OF_THE_OWNER = frozenset({Access.DEBIT, Access.OWN_WORD})
"""What no place in the tree gives."""


_RANK: Mapping[str, int] = {
    access: rank for rank, access in enumerate((Access.PAY, Access.VIEW, Access.MANAGE))
}


@dataclass(frozen=True, slots=True)
class Node:
    """A party's place: its tenant (the root of its tree) and its ancestors, root first."""

    party: str
    tenant: str
    kind: str
    path: tuple[str, ...] = ()

    @property
    def line(self) -> tuple[str, ...]:
        """The party and everybody above it, root first."""
        return (*self.path, self.party)


@dataclass(frozen=True, slots=True)
class Connection:
    """An accepted connection: `from_party` may use `to_party` with this access."""

    from_party: str
    to_party: str
    access: str


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with an id of its own, and the parties whose it is; `data` is what commands need."""

    id: str
    tenant: str
    parties: tuple[str, ...]
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """What was loaded to decide: nodes and things by id, and connections that start at principals.

    `coming`: principals, each with the id of a party that it has asked to register.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    things: Mapping[str, Thing] = field(default_factory=dict)
    connections: Iterable[Connection] = ()
    coming: Collection[tuple[str, str]] = ()


def reaches(world: World, principal: str, party: str, needed: Access) -> bool:
    """Whether a principal may do something that needs this access with a party.

    A party that was merged is the one it became; whoever asks as the one it was reaches nothing.
    """
    if principal == OPERATOR:
        return needed not in ASKED_OF_THE_OWNER
    node, own = world.nodes.get(party), world.nodes.get(principal)
    if node is None or (own is not None and own.party != principal):
        return False
    if needed is Access.OWN_WORD:
        return principal == node.party
    if needed is Access.DEBIT:
        return principal == node.party or _connected(world, principal, node, Access.MANAGE)
    return principal in node.line or _connected(world, principal, node, needed)


def _connected(world: World, principal: str, node: Node, needed: Access) -> bool:
    return any(
        connection.from_party == principal
        and connection.to_party == node.party
        and _RANK.get(connection.access, -1) >= _RANK[needed]
        for connection in world.connections
    )


def reaches_thing(world: World, principal: str, thing_id: str, needed: Access) -> bool:
    """Whether a principal reaches one of the parties whose a thing is."""
    thing = world.things.get(thing_id)
    if thing is None:
        return False
    if principal == OPERATOR and needed not in ASKED_OF_THE_OWNER:
        return True
    invited = thing.data.get(INVITED)
    parties = (invited,) if invited and needed is Access.OWN_WORD else thing.parties
    return any(reaches(world, principal, party, needed) for party in parties)
