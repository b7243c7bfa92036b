"""What a rule makes of a pay-in: parts that sum to it exactly, or the reason for suspense."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tally_funding.domain import (
    OWNER_CHARS_MAX,
    Beneficiary,
    PartOfPayIn,
    Reason,
    Suspense,
)
from tally_funding.rules.divide import Program, compile_lines
from tally_funding.rules.match import Condition, Facts, conditions, first_failing
from tally_funding.rules.model import EVENT, INSTALLATION, Destination, Line, Role, Rule, To
from tally_money import Money, currency

PARTS_MAX: Final = 64
"""The most wallets that one pay-in can be divided among."""

Named: TypeAlias = "tuple[str, ...] | Suspense"
"""Who gets a line's money, or why nobody can."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule ready for use. `programs` grows by one for each currency met."""

    rule: Rule
    conditions: tuple[Condition, ...]
    owners: tuple[Callable[[Facts, Beneficiary | None], Named], ...]
    programs: dict[str, Program] = field(default_factory=dict)

    def program(self, code: str) -> Program:
        """How money of this currency is divided."""
        known = self.programs.get(code)
        if known is None:
            rule = self.rule
            known = compile_lines(rule.lines, rule.rounding, rule.shortfall, code)
            self.programs[code] = known
        return known


def compile_rule(rule: Rule) -> Compiled:
    """Compile a rule once for all the money it will divide."""
    return Compiled(rule, conditions(rule), tuple(_resolver(line.to) for line in rule.lines))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a set of rules must know of the directory.

    `scopes`: a tenant has rules of its own, or a line pays the root of the tree. `groups` are those
    that match, `paid_groups` those that are paid, `relations` those whose parties are paid.
    """

    scopes: bool
    groups: frozenset[str]
    paid_groups: frozenset[str]
    relations: frozenset[str]

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> "Needs":
        paid = {to for rule in rules for to in rule.destinations}
        aggregator = Destination(To.ROLE, Role.AGGREGATOR)
        return cls(
            scopes=aggregator in paid or any(rule.scope != INSTALLATION for rule in rules),
            groups=frozenset(name for rule in rules for name in rule.match.groups or ()),
            paid_groups=frozenset(to.name for to in paid if to.to is To.GROUP),
            relations=frozenset(to.name for to in paid if to.to is To.RELATION),
        )

    @property
    def anything(self) -> bool:
        return self.scopes or bool(self.groups or self.paid_groups or self.relations)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in force, those of tenants and of the installation in their order, and the last resort."""

    by_scope: Mapping[str, tuple[Compiled, ...]]
    last: Compiled
    needs: Needs

    @classmethod
    def of(cls, published: Iterable[Compiled], last: Compiled) -> "RuleSet":
        """`last` divides what no published rule matches."""
        ordered = sorted(published, key=lambda one: one.rule.order)
        by_scope: dict[str, list[Compiled]] = {}
        for compiled in ordered:
            by_scope.setdefault(compiled.rule.scope, []).append(compiled)
        return cls(
            {scope: tuple(rules) for scope, rules in by_scope.items()},
            last,
            Needs.of([one.rule for one in (*ordered, last)]),
        )

    def of_scope(self, scope: str) -> Sequence[Rule]:
        """The published rules of a tenant, or of the installation."""
        return [compiled.rule for compiled in self.by_scope.get(scope, ())]

    def asked(self, facts: Facts) -> Iterator[Compiled]:
        """The published rules that come into question, in the order they are asked."""
        if facts.tenant is not None:
            yield from self.by_scope.get(facts.tenant, ())
        yield from self.by_scope.get(INSTALLATION, ())


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rule for a pay-in, and whether it is the last resort, whose conditions may not hold."""

    compiled: Compiled
    is_last: bool


def choose(rules: RuleSet, facts: Facts) -> Chosen:
    """The first rule in force when the money occurred whose conditions all hold."""
    for compiled in rules.asked(facts):
        in_force = compiled.rule.effective_at(facts.occurred_at)
        if in_force and first_failing(compiled.conditions, facts) is None:
            return Chosen(compiled, is_last=False)
    return Chosen(rules.last, is_last=True)


def decide_allocation(
    chosen: Chosen, facts: Facts, beneficiary: Beneficiary | None
) -> tuple[PartOfPayIn, ...] | Suspense:
    """Divide a pay-in by its rule; the parts sum to it exactly (F13, F23).

    Parts of zero are left out: the ledger moves amounts above zero only. What cannot be divided
    goes to suspense whole, never in part (F14).
    """
    rule = chosen.compiled.rule
    if rule.needs_beneficiary and beneficiary is None:
        return Suspense(
            Reason.NO_BENEFICIARY, "name the party, contact or event the money is for, or return it"
        )
    failing = first_failing(chosen.compiled.conditions, facts) if chosen.is_last else None
    if failing is not None:
        return _unmatched(rule, failing, facts)
    return apply(chosen.compiled, facts, beneficiary)


def apply(
    compiled: Compiled, facts: Facts, beneficiary: Beneficiary | None
) -> tuple[PartOfPayIn, ...] | Suspense:
    """Divide a pay-in by a rule whose conditions hold or do not matter (a past pay-in's)."""
    amounts = compiled.program(facts.code).divide(facts.minor)
    if amounts is None:
        return exceeds(compiled.rule, facts)
    unit = currency(facts.code)
    parts: list[PartOfPayIn] = []
    lines = compiled.rule.lines
    for line, minor, resolve in zip(lines, amounts, compiled.owners, strict=True):
        if minor == 0:
            continue
        owners = resolve(facts, beneficiary)
        if isinstance(owners, Suspense):
            return owners
        parts.extend(
            PartOfPayIn(line.role, owner, Money(part, unit), line.pay_out)
            for owner, part in shared_equally(owners, minor)
            if part
        )
    if len(parts) > PARTS_MAX:
        return Suspense(
            Reason.TOO_MANY_PARTS,
            f"rule {compiled.rule.label} divides this among {len(parts)} wallets, at most "
            f"{PARTS_MAX} are possible: pay smaller groups",
        )
    assert sum(part.amount.minor for part in parts) == facts.minor, "parts sum to the pay-in"
    return tuple(parts)


def shared_equally(owners: Sequence[str], minor: int) -> Iterator[tuple[str, int]]:
    """A line's money among its owners: equal shares, the odd units to the first of them."""
    base, odd = divmod(minor, len(owners))
    for position, owner in enumerate(owners):
        yield owner, base + (position < odd)


def owners_of(
    line: Line, facts: Facts, beneficiary: Beneficiary | None
) -> tuple[str, ...] | Suspense:
    """Who gets a line's money, or why nobody can."""
    return _resolver(line.to)(facts, beneficiary)


def exceeds(rule: Rule, facts: Facts) -> Suspense:
    """The lines ask for more than the pay-in."""
    amount = Money(facts.minor, currency(facts.code))
    return Suspense(
        Reason.RULE_EXCEEDS_AMOUNT,
        f"rule {rule.label} takes more than {amount}: "
        "lower its fixed shares in a new version, or return the money",
    )


def _unmatched(rule: Rule, failing: Condition, facts: Facts) -> Suspense:
    if failing.code == "program_differs":
        return Suspense(
            Reason.UNKNOWN_PROGRAM,
            f"rule {rule.label} has no program {facts.program}: add it in a new version, "
            "or name a program the rule has",
        )
    if failing.code == "currency_differs":
        return Suspense(
            Reason.CURRENCY_NOT_COVERED,
            f"rule {rule.label} has no amounts in {facts.code}: "
            "add the currency in a new version, or return the money",
        )
    return Suspense(
        Reason.NO_RULE,
        f"no rule matches, and {rule.label} fails at {failing.pointer}: publish a rule for it, "
        "or return the money",
    )


def _resolver(to: Destination) -> Callable[[Facts, Beneficiary | None], Named]:
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


_ROLES: dict[Role, Callable[[Facts, Beneficiary | None], Named]] = {
    Role.BENEFICIARY: _payee,
    Role.COMPANY: _company,
    Role.AGGREGATOR: _aggregator,
}
