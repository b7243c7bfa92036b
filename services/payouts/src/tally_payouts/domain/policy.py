"""What a program's policy lets a payout use: the version in force when the payout opens (F40)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tally_money import Money
from tally_payouts.domain.opening import NoRoute
from tally_payouts.domain.payout import Route


@dataclass(frozen=True, slots=True)
class Restriction:
    """Forbids endpoint classes where every list that is not empty names the payout's value."""

    forbids: frozenset[str]
    countries: frozenset[str]
    sources: frozenset[str]
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """A version as it was published; an empty set allows all, and `limits` bind their currency."""

    program: str
    version: int
    begins: datetime
    ends: datetime | None
    rails: frozenset[str]
    classes: frozenset[str]
    countries: frozenset[str]
    currencies: frozenset[str]
    limits: tuple[tuple[Money, Money | None], ...]
    restrictions: tuple[Restriction, ...]
    endpoints: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What a payout is to be. `source` is where its money came in, and `kind` its kind of value.

    Neither is known of a withdrawal.
    """

    amount: Money
    country: str | None
    source: str | None
    kind: str | None = None


def in_force(policies: Iterable[Policy], at: datetime) -> Policy | None:
    """Of the versions begun the latest, unless it has ended."""
    begun = [policy for policy in policies if policy.begins <= at]
    if not begun:
        return None
    latest = max(begun, key=lambda policy: policy.version)
    return None if latest.ends is not None and latest.ends <= at else latest


def forbidden_by(policy: Policy | None, request: Request) -> str | None:
    """Why no endpoint may be used for the request; None where some may."""
    if policy is None:
        return None
    amount = request.amount
    if policy.countries and request.country not in policy.countries:
        return "country_unknown" if request.country is None else "country_forbidden_by_program"
    if policy.currencies and amount.currency.code not in policy.currencies:
        return "currency_forbidden_by_program"
    for minimum, maximum in policy.limits:
        if minimum.currency != amount.currency:
            continue
        if amount < minimum:
            return "amount_below_minimum"
        if maximum is not None and amount > maximum:
            return "amount_above_maximum"
    return None


def permitted(policy: Policy | None, request: Request, way: Route | NoRoute) -> Route | NoRoute:
    """The way out, or why the program closes it and another method has to be chosen."""
    if policy is None or isinstance(way, NoRoute):
        return way
    if policy.rails and way.rail not in policy.rails:
        return NoRoute("rail_forbidden_by_program")
    found = policy.endpoints.get(way.rail)
    if found is None:
        return NoRoute("rail_class_unknown")
    reason = _class_forbidden(policy, request, found)
    return way if reason is None else NoRoute(reason, _offer(policy, request))


def _class_forbidden(policy: Policy, request: Request, found: str) -> str | None:
    """Why an endpoint of this class may not be used; None where it may."""
    if policy.classes and found not in policy.classes:
        return "class_forbidden_by_program"
    for restriction in policy.restrictions:
        if found in restriction.forbids and _applies(restriction, request):
            return _restricted(restriction)
    return None


def _offer(policy: Policy, request: Request) -> str:
    """What may be chosen instead: the rails the program leaves open, each with its class."""
    offered = [
        f"{rail} ({found})"
        for rail, found in sorted(policy.endpoints.items())
        if (not policy.rails or rail in policy.rails)
        and _class_forbidden(policy, request, found) is None
    ]
    if not offered:
        return "ask the company: its program leaves no endpoint open to this payout"
    return f"choose a method of {', '.join(offered)}"


def _applies(restriction: Restriction, request: Request) -> bool:
    """A country nobody knows is not free of restrictions; a source or kind nobody knows is."""
    here = request.country is None or request.country in restriction.countries
    return (
        (not restriction.countries or here)
        and (not restriction.sources or request.source in restriction.sources)
        and (not restriction.kinds or request.kind in restriction.kinds)
    )


def _restricted(restriction: Restriction) -> str:
    if restriction.kinds:
        return "class_forbidden_for_kind"
    if restriction.sources:
        return "class_forbidden_for_source"
    return "class_forbidden_in_country"
