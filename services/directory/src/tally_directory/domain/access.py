"""Who may ask for what: the tree first, connections where they reach, roles of persons always."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import Access, ConnectionState, Party, Role
from tally_directory.domain.world import World

OPERATOR = "operator"
PERSON = "person_"


@dataclass(frozen=True, slots=True)
class Act:
    """Who asks, for whom, in which tenant's tree, and when."""

    tenant: str
    actor: str
    principal: str
    now: datetime

    @property
    def by_operator(self) -> bool:
        """Whether the installation itself asks."""
        return self.principal == OPERATOR


class Power(StrEnum):
    """What a role lets a person do."""

    MANAGE = "manage"
    APPROVE = "approve"
    STAFF = "staff"
    """Give and take the roles of approvers and viewers."""
    OWN = "own"
    """Give and take any role."""


POWERS: Mapping[Role, frozenset[Power]] = {
    Role.OWNER: frozenset(Power),
    Role.ADMIN: frozenset({Power.MANAGE, Power.APPROVE, Power.STAFF}),
    Role.APPROVER: frozenset({Power.APPROVE}),
    Role.VIEWER: frozenset(),
}


def need_own(world: World, act: Act, target: Party, at: str, power: Power = Power.MANAGE) -> None:
    """Refuse unless the principal is the target or above it, and its actor has the power."""
    if act.by_operator:
        return
    principal = _principal(world, act)
    if not is_above(world, principal, target):
        _refuse_foreign(principal, target, at)
    _need_power(world, act, principal, power)


def reaches(world: World, act: Act, target: Party) -> bool:
    """Whether the principal is the target or above it, or the installation itself."""
    return act.by_operator or is_above(world, _principal(world, act), target)


def need_access(
    world: World, act: Act, target: Party, at: str, access: Access = Access.MANAGE
) -> None:
    """As `need_own`, or the principal holds an accepted connection that allows as much."""
    if act.by_operator:
        return
    principal = _principal(world, act)
    if not is_above(world, principal, target) and not is_connected(
        world, principal, target, access
    ):
        _refuse_foreign(principal, target, at)
    _need_power(world, act, principal, Power.MANAGE)


def is_self(world: World, act: Act, target: Party) -> bool:
    """Whether it is the party itself that asks: not its parents, nor the installation."""
    return not act.by_operator and _principal(world, act).party_id == target.party_id


def need_self(world: World, act: Act, target: Party, at: str) -> None:
    """Refuse unless it is the party itself that asks."""
    if not is_self(world, act, target):
        refuse(
            "only_the_party",
            at,
            f"only {target.party_id} itself can say so",
            "ask with credentials of the party itself",
        )
    _need_power(world, act, target, Power.MANAGE)


def need_operator(act: Act, what: str) -> None:
    """Refuse everyone but the installation."""
    if not act.by_operator:
        refuse(
            "operator_only",
            "/who/principal",
            f"only the operator of the installation can {what}",
            "ask the operator",
        )


def _principal(world: World, act: Act) -> Party:
    principal = world.party(act.principal, "/who/principal")
    if principal.tenant != act.tenant:
        refuse(
            "other_tenant",
            "/tenant",
            f"{act.principal} does not belong to tenant {act.tenant}",
            "name the tenant of the principal",
        )
    return principal


def is_above(world: World, principal: Party, target: Party) -> bool:
    """Whether the principal is the target or above it."""
    return principal.party_id == target.party_id or principal.party_id in world.path(target)


def is_connected(world: World, principal: Party, target: Party, access: Access) -> bool:
    """Whether the target accepted a connection that allows the principal as much."""
    return any(
        connection.state is ConnectionState.ACCEPTED and connection.access >= access
        for connection in world.between(principal.party_id, target.party_id)
    )


def _refuse_foreign(principal: Party, target: Party, at: str) -> None:
    refuse(
        "not_your_subtree",
        at,
        f"{target.party_id} is neither {principal.party_id} nor below it",
        "name a party of your own tree, or ask it for a connection",
    )


def has_power(world: World, act: Act, principal: Party, power: Power) -> bool:
    """Whether the roles of a person at the principal or above it allow this; a key has scopes instead."""
    if not act.actor.startswith(PERSON):
        return True
    for party_id in (principal.party_id, *world.path(principal)):
        for role in Role:
            holding = world.roles.get((party_id, act.actor, role))
            if holding is not None and holding.held and power in POWERS[role]:
                return True
    return False


def _need_power(world: World, act: Act, principal: Party, power: Power) -> None:
    if has_power(world, act, principal, power):
        return
    refuse(
        "role_too_low",
        "/who/actor",
        f"{act.actor} has no role at {principal.party_id} that may {power}",
        "ask an owner or administrator of the party",
    )
