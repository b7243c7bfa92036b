"""Who gets a line's money: from a line's destination and a pay-in to owners of wallets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from tally_contracts.owners import OF_EVENT
from tally_funding.claims.domain.estate import is_claimable
from tally_funding.domain import OWNER_CHARS_MAX, Beneficiary, Reason, Suspense
from tally_funding.rules.match import Facts
from tally_funding.rules.model import EVENT, Destination, Line, Role, To
from tally_money import Money, allocate

PARTS_MAX: Final = 64
"""The most wallets that one pay-in can be divided among."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """Owners with their weights, all above zero."""

    owners: tuple[str, ...]
    weights: tuple[int, ...]


Owners: TypeAlias = "tuple[str, ...] | Weighed"

Named: TypeAlias = "Owners | Suspense"
"""Who gets a line's money, or why nobody can."""

Resolver: TypeAlias = Callable[[Facts, Beneficiary | None], Named]


def shared(owners: Owners, amount: Money) -> Iterator[tuple[str, Money]]:
    """A line's money among its owners, by their weights or equally; the shares sum to it."""
    if isinstance(owners, Weighed):
        among, weights = owners.owners, owners.weights
    else:
        among, weights = owners, (1,) * len(owners)
    return zip(among, allocate(amount, weights), strict=True)


def owners_of(line: Line, facts: Facts, beneficiary: Beneficiary | None) -> Named:
    """Who gets a line's money, or why nobody can."""
    return resolver(line.to)(facts, beneficiary)


def resolver(to: Destination) -> Resolver:
    """From a pay-in to the owners of a line's money; made once for each line."""
    match to.to:
        case To.PARTY:
            fixed = (to.name,)
            return lambda _facts, _beneficiary: fixed
        case To.UNKNOWN:
            return lambda facts, _beneficiary: _fitting(
                f"{OF_EVENT}{facts.event if to.name == EVENT else to.name}"
            )
        case To.GROUP:
            if to.weights is None:
                return lambda facts, _beneficiary: facts.members.get(to.name) or _empty(to.name)
            weights = dict(to.weights)
            return lambda facts, _beneficiary: _weighed(to, weights, facts)
        case To.RELATION:
            return lambda facts, _beneficiary: _related(to.name, facts)
        case To.ROLE:
            return _ROLES[Role(to.name)]


def _empty(group: str) -> Suspense:
    return Suspense(
        Reason.GROUP_EMPTY,
        f"group {group} has no members: add some, or publish a version without it",
    )


def _weighed(to: Destination, weights: Mapping[str, int], facts: Facts) -> Named:
    """A group's members with their weights; those of weight zero get nothing."""
    members = facts.members.get(to.name, ())
    if len(members) > PARTS_MAX:
        # Not all of them are known here, and each changes what the others get.
        return Suspense(
            Reason.TOO_MANY_PARTS,
            f"group {to.name} has more than {PARTS_MAX} members: pay smaller groups",
        )
    found = [(member, weights.get(member, to.others)) for member in members]
    paid = [(member, weight) for member, weight in found if weight]
    if any(weight is None for _, weight in found):
        return Suspense(
            Reason.GROUP_WEIGHT_MISSING,
            f"a member of group {to.name} has no weight: name it in a new version, or give * one",
        )
    if not paid:
        return _empty(to.name)
    return Weighed(tuple(member for member, _ in paid), tuple(weight for _, weight in paid))


def _payee(_facts: Facts, beneficiary: Beneficiary | None) -> Named:
    assert beneficiary is not None, "a rule that needs a beneficiary is not applied without one"
    if beneficiary.kind == "party" and is_claimable(beneficiary.owner):
        # Else two different payees would share one wallet.
        return Suspense(
            Reason.BENEFICIARY_AMBIGUOUS,
            "a party's reference starts with contact:, event: or restricted:, which name others: "
            "use the beneficiary's own field for those",
        )
    return _fitting(beneficiary.owner)


def _fitting(owner: str) -> Named:
    if len(owner) > OWNER_CHARS_MAX:
        return Suspense(
            Reason.BENEFICIARY_TOO_LONG,
            f"the beneficiary's reference, with its kind, is over {OWNER_CHARS_MAX} characters: "
            "give the payee a shorter one",
        )
    return (owner,)


def _company(facts: Facts, _beneficiary: Beneficiary | None) -> Named:
    return (facts.company,)


def _aggregator(facts: Facts, _beneficiary: Beneficiary | None) -> Named:
    if facts.tenant is None:
        return Suspense(
            Reason.TENANT_UNKNOWN,
            f"company {facts.company} is in no known tree: register it with the directory",
        )
    return (facts.tenant,)


def _related(relation: str, facts: Facts) -> Named:
    parties = facts.relations.get(relation, ())
    if len(parties) != 1:
        return Suspense(
            Reason.RELATION_UNCLEAR,
            f"{len(parties)} parties are the {relation} of {facts.company}, one is needed: "
            "correct the relations, or name the party in a new version",
        )
    return parties


_ROLES: dict[Role, Resolver] = {
    Role.BENEFICIARY: _payee,
    Role.COMPANY: _company,
    Role.AGGREGATOR: _aggregator,
}
