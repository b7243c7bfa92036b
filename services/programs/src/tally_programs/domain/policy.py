"""Which endpoints a program's payouts may use, and how many people must approve (F39 to F42)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tally_money import Money
from tally_programs.domain.endpoints import CLASS_OF, EndpointClass
from tally_programs.domain.refusal import Refusal

_OTHER_METHOD = "choose an endpoint the program allows"


@dataclass(frozen=True, slots=True)
class Limit:
    """The least and the most one payout may be; both of one currency."""

    minimum: Money
    maximum: Money | None


@dataclass(frozen=True, slots=True)
class ApprovalLevel:
    """A payment of more than `above` needs `approvals` different people."""

    above: Money
    approvals: int


@dataclass(frozen=True, slots=True)
class Restriction:
    """Forbids classes where every selector that is not empty names the request's value."""

    forbids: frozenset[str]
    countries: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """One version. An empty set allows all; `endpoints` is the class of each rail it knows."""

    version: int
    rails: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    limits: tuple[Limit, ...] = ()
    approvals: tuple[ApprovalLevel, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=lambda: CLASS_OF)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be paid where. `source` and `kind` are unknown for money a payee withdraws."""

    rail: str
    amount: Money
    country: str | None = None
    source: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """One reason why a rail cannot be used, and the policy version that says so."""

    code: str
    policy_version: int
    remedy: str


def evaluate(policy: Policy, request: Request) -> tuple[Closed, ...]:
    """Every reason why the policy closes the request's rail to it; none when the rail is open.

    A country nobody knows is not an allowed one, and not free of restrictions. A source or kind
    nobody knows is not restricted.
    """
    reasons = (
        *_endpoint(policy, request.rail),
        *_place(policy, request.country),
        *_amount(policy, request.amount),
        *_restrictions(policy, request),
    )
    return tuple(Closed(code, policy.version, remedy) for code, remedy in reasons)


def options(policy: Policy, request: Request) -> dict[str, tuple[Closed, ...]]:
    """Every rail the policy knows with the reasons why it is closed; open ones have none (F39)."""
    return {
        rail: evaluate(
            policy, Request(rail, request.amount, request.country, request.source, request.kind)
        )
        for rail in sorted(policy.endpoints)
    }


def approvals_needed(policy: Policy, amount: Money) -> int:
    """How many people must approve a payment of this amount.

    A currency the levels do not name needs as many as the largest amount of any.
    """
    levels = [level for level in policy.approvals if level.above.currency == amount.currency]
    if not levels:
        return max((level.approvals for level in policy.approvals), default=0)
    return max((level.approvals for level in levels if amount > level.above), default=0)


def check_policy(policy: Policy, rails: tuple[str, ...]) -> Refusal | None:
    """What is wrong with a policy as asked for; `rails` in the order of the command."""
    for position, rail in enumerate(rails):
        if rail not in policy.endpoints:
            known = ", ".join(sorted(policy.endpoints))
            return Refusal(
                "rail_unknown",
                f"/policy/rails/{position}",
                f"no rail {rail}",
                f"name one of {known}",
            )
    return _check_classes(policy) or _check_limits(policy)


def _check_classes(policy: Policy) -> Refusal | None:
    known = frozenset(EndpointClass)
    named = [("/policy/classes", policy.classes)]
    named += [
        (f"/policy/restrictions/{position}/forbids", restriction.forbids)
        for position, restriction in enumerate(policy.restrictions)
    ]
    for place, classes in named:
        for unknown in sorted(classes - known):
            remedy = f"name any of {', '.join(sorted(known))}"
            return Refusal("class_unknown", place, f"no endpoint class {unknown}", remedy)
    return None


def _check_limits(policy: Policy) -> Refusal | None:
    seen = set()
    for position, limit in enumerate(policy.limits):
        field = f"/policy/limits/{position}"
        unit = limit.minimum.currency
        if limit.maximum is not None and limit.maximum < limit.minimum:
            return Refusal(
                "limit_empty",
                f"{field}/maximum",
                "no amount is within the limit",
                "give a maximum of at least the minimum",
            )
        if unit in seen:
            return Refusal(
                "limit_twice", field, f"{unit.code} has a limit already", "give one per currency"
            )
        seen.add(unit)
    return None


def _endpoint(policy: Policy, rail: str) -> Iterator[tuple[str, str]]:
    if policy.rails and rail not in policy.rails:
        yield "rail_forbidden_by_program", _OTHER_METHOD
    found = policy.endpoints.get(rail)
    if found is None:
        yield "rail_class_unknown", "publish a policy version that knows the rail"
    elif policy.classes and found not in policy.classes:
        yield "class_forbidden_by_program", f"choose {' or '.join(sorted(policy.classes))}"


def _place(policy: Policy, country: str | None) -> Iterator[tuple[str, str]]:
    if not policy.countries:
        return
    if country is None:
        yield "country_unknown", "say in which country the endpoint is"
    elif country not in policy.countries:
        yield "country_forbidden_by_program", "choose an endpoint in a country the program allows"


def _amount(policy: Policy, amount: Money) -> Iterator[tuple[str, str]]:
    code = amount.currency.code
    if policy.currencies and code not in policy.currencies:
        yield "currency_forbidden_by_program", f"pay in {' or '.join(sorted(policy.currencies))}"
    for limit in policy.limits:
        if limit.minimum.currency != amount.currency:
            continue
        if amount < limit.minimum:
            yield "amount_below_minimum", f"pay at least {limit.minimum}"
        if limit.maximum is not None and amount > limit.maximum:
            yield "amount_above_maximum", f"pay at most {limit.maximum}"


def _restrictions(policy: Policy, request: Request) -> Iterator[tuple[str, str]]:
    found = policy.endpoints.get(request.rail)
    for restriction in policy.restrictions:
        if found not in restriction.forbids or not _applies(restriction, request):
            continue
        others = sorted(frozenset(EndpointClass) - restriction.forbids)
        yield _restricted(restriction), f"choose {' or '.join(others)}" if others else _OTHER_METHOD


def _applies(restriction: Restriction, request: Request) -> bool:
    return (
        (
            not restriction.countries
            or request.country is None
            or request.country in restriction.countries
        )
        and (not restriction.sources or request.source in restriction.sources)
        and (not restriction.kinds or request.kind in restriction.kinds)
    )


def _restricted(restriction: Restriction) -> str:
    if restriction.sources:
        return "class_forbidden_for_source"
    if restriction.kinds:
        return "class_forbidden_for_kind"
    return "class_forbidden_in_country"
