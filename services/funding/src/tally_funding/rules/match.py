"""Which rule divides a pay-in: conditions, the order of rules, and rules that could not be told apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from tally_funding.rules.model import Match, Rule, Span


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules look at. `minor` units of `code`; `country` is the payer's, `tags` its references.

    From the directory: `tenant` of the company, the `groups` its beneficiary is in, `members` of
    groups that rules pay (each group in this one of `group_versions`), and `relations`: the parties
    that stand in a relation to the company.
    """

    source: str
    program: str
    event: str
    kind: str
    code: str
    minor: int
    country: str | None
    company: str
    tags: Mapping[str, str]
    occurred_at: datetime
    tenant: str | None = None
    groups: frozenset[str] = frozenset()
    members: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    group_versions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing a rule asks of a pay-in; `code` names it where it does not hold."""

    pointer: str
    code: str
    holds: Callable[[Facts], bool]


def conditions(rule: Rule) -> tuple[Condition, ...]:
    """All that a rule asks, in the order of its document; the last is the currencies it can divide."""
    match = rule.match
    asked: list[Condition] = []
    if (sources := match.sources) is not None:
        asked.append(_one("sources", "source_differs", lambda f: f.source in sources))
    if (programs := match.programs) is not None:
        asked.append(_one("programs", "program_differs", lambda f: f.program in programs))
    if (kinds := match.kinds) is not None:
        asked.append(_one("kinds", "kind_differs", lambda f: f.kind in kinds))
    if (countries := match.countries) is not None:
        asked.append(_one("countries", "country_differs", lambda f: f.country in countries))
    if (companies := match.companies) is not None:
        asked.append(_one("companies", "company_differs", lambda f: f.company in companies))
    if (spans := match.amounts) is not None:
        asked.append(_one("amounts", "amount_differs", lambda f: _in_span(spans, f)))
    asked.extend(_tag(key, allowed) for key, allowed in match.tags.items())
    if (groups := match.groups) is not None:
        asked.append(_one("groups", "not_a_member", lambda f: not groups.isdisjoint(f.groups)))
    if (codes := rule.currencies) is not None:
        asked.append(_one("currencies", "currency_differs", lambda f: f.code in codes))
    return tuple(asked)


def _one(name: str, code: str, holds: Callable[[Facts], bool]) -> Condition:
    return Condition(f"/match/{name}", code, holds)


def _tag(key: str, allowed: frozenset[str]) -> Condition:
    return Condition(f"/match/tags/{key}", "tag_differs", lambda f: f.tags.get(key) in allowed)


def _in_span(spans: Mapping[str, Span], facts: Facts) -> bool:
    span = spans.get(facts.code)
    return span is not None and span.holds(facts.minor)


def first_failing(asked: Sequence[Condition], facts: Facts) -> Condition | None:
    """The first condition that does not hold; None where all do."""
    for condition in asked:
        if not condition.holds(facts):
            return condition
    return None


def inseparable(rule: Rule, others: Sequence[Rule]) -> Iterator[Rule]:
    """Rules of the same scope, priority and specificity that some pay-in surely meets as well.

    Whether two groups share members, only the directory can say: rules that name different groups
    are taken as apart, and their names decide.
    """
    for other in others:
        same_rank = rule.order[:3] == other.order[:3] and rule.scope == other.scope
        if same_rank and _times_meet(rule, other) and _matches_meet(rule.match, other.match):
            yield other


def _times_meet(one: Rule, other: Rule) -> bool:
    return all(
        first.effective_until is None
        or second.effective_from is None
        or second.effective_from < first.effective_until
        for first, second in ((one, other), (other, one))
    )


def _matches_meet(one: Match, other: Match) -> bool:
    pairs = [
        (one.sources, other.sources),
        (one.programs, other.programs),
        (one.kinds, other.kinds),
        (one.currencies, other.currencies),
        (one.countries, other.countries),
        (one.companies, other.companies),
        (one.groups, other.groups),
        *((one.tags[key], other.tags[key]) for key in one.tags.keys() & other.tags.keys()),
    ]
    if any(a is not None and b is not None and a.isdisjoint(b) for a, b in pairs):
        return False
    spans, others = one.amounts, other.amounts
    if spans is None or others is None:
        return True
    return any(spans[code].meets(others[code]) for code in spans.keys() & others.keys())
