"""Who gets a line's money: from a line's destination and a pay-in to owners of wallets."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tally_funding.domain import OWNER_CHARS_MAX, Beneficiary, Reason, Suspense
from tally_funding.rules.match import Facts
from tally_funding.rules.model import EVENT, Destination, Line, Role, To

Named: TypeAlias = "tuple[str, ...] | Suspense"
"""Who gets a line's money, or why nobody can."""

Resolver: TypeAlias = Callable[[Facts, Beneficiary | None], Named]


def shared_equally(owners: Sequence[str], minor: int) -> Iterator[tuple[str, int]]:
    """A line's money among its owners: equal shares, the odd units to the first of them."""
    base, odd = divmod(minor, len(owners))
    for position, owner in enumerate(owners):
        yield owner, base + (position < odd)


def owners_of(
    line: Line, facts: Facts, beneficiary: Beneficiary | None
) -> tuple[str, ...] | Suspense:
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
                f"event:{facts.event if to.name == EVENT else to.name}"
            )
        case To.GROUP:
            return lambda facts, _beneficiary: (
                facts.members.get(to.name)
                or Suspense(
                    Reason.GROUP_EMPTY,
                    f"group {to.name} has no members: add some, or publish a version without it",
                )
            )
        case To.RELATION:
            return lambda facts, _beneficiary: _related(to.name, facts)
        case To.ROLE:
            return _ROLES[Role(to.name)]


def _payee(_facts: Facts, beneficiary: Beneficiary | None) -> Named:
    assert beneficiary is not None, "a rule that needs a beneficiary is not applied without one"
    if beneficiary.kind == "party" and beneficiary.owner.startswith(("contact:", "event:")):
        # Else two different payees would share one wallet.
        return Suspense(
            Reason.BENEFICIARY_AMBIGUOUS,
            "a party's reference starts with contact: or event:, which name other payees: "
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
