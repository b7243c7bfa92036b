"""Published rules compiled, in their order, and the one among them for a pay-in."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tally_funding.rules.divide import Program, compile_lines
from tally_funding.rules.match import Condition, Facts, conditions, first_failing
from tally_funding.rules.model import INSTALLATION, Destination, Role, Rule, To
from tally_funding.rules.owners import Resolver, resolver


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule ready for use. `owners`: by line, a party known beforehand or how to find who it is.

    `programs` grows by one for each currency met. `delegating`: the line whose money a rule of the
    company divides, if there is one.
    """

    rule: Rule
    conditions: tuple[Condition, ...]
    owners: tuple[str | Resolver, ...]
    programs: dict[str, Program] = field(default_factory=dict)
    delegating: int | None = None

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
    owners = tuple(
        line.to.name if line.to.to is To.PARTY else resolver(line.to) for line in rule.lines
    )
    delegating = next((n for n, line in enumerate(rule.lines) if line.delegates), None)
    return Compiled(rule, conditions(rule), owners, delegating=delegating)


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
class Scope:
    """The published rules of a tenant, of the installation, or of a company, in their order.

    `by_program` holds, for each program that some rule names, the rules it may meet; money of any
    other program may meet `without_program`.
    """

    rules: tuple[Compiled, ...]
    by_program: Mapping[str, tuple[Compiled, ...]]
    without_program: tuple[Compiled, ...]

    @classmethod
    def of(cls, rules: Sequence[Compiled]) -> "Scope":
        """`rules` are in order."""
        named: dict[str, list[Compiled]] = {
            program: [] for one in rules for program in one.rule.match.programs or ()
        }
        without: list[Compiled] = []
        for one in rules:
            programs = one.rule.match.programs
            for program in named if programs is None else programs:
                named[program].append(one)
            if programs is None:
                without.append(one)
        return cls(
            tuple(rules),
            {program: tuple(rules) for program, rules in named.items()},
            tuple(without),
        )

    def met_by(self, facts: Facts) -> tuple[Compiled, ...]:
        """The rules whose condition on programs holds."""
        return self.by_program.get(facts.program, self.without_program)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The published rules, by scope and by label, and the last resort for what none matches.

    `scopes`: by tenant, or `*`, and by the company below it whose rules they are, if one's.
    """

    scopes: Mapping[tuple[str, str | None], Scope]
    labelled: Mapping[str, Compiled]
    last: Compiled
    needs: Needs

    @classmethod
    def of(cls, published: Iterable[Compiled], last: Compiled) -> "RuleSet":
        """`last` divides what no published rule matches."""
        ordered = sorted(published, key=lambda one: one.rule.order)
        by_scope: dict[tuple[str, str | None], list[Compiled]] = {}
        for compiled in ordered:
            whose = (compiled.rule.scope, compiled.rule.company)
            by_scope.setdefault(whose, []).append(compiled)
        return cls(
            {scope: Scope.of(rules) for scope, rules in by_scope.items()},
            {compiled.rule.label: compiled for compiled in ordered},
            last,
            Needs.of([one.rule for one in (*ordered, last)]),
        )

    def of_scope(self, scope: str, company: str | None = None) -> Sequence[Rule]:
        """The published rules of a tenant, of the installation, or of a company of the tenant."""
        known = self.scopes.get((scope, company))
        return [] if known is None else [compiled.rule for compiled in known.rules]

    def asked(self, facts: Facts) -> Iterator[Compiled]:
        """The published rules that come into question, in the order they are asked."""
        for scope in self._scopes_of(facts):
            yield from scope.rules

    def met_by(self, facts: Facts) -> Iterator[Compiled]:
        """Those of `asked` whose condition on programs holds; found without asking the others."""
        for scope in self._scopes_of(facts):
            yield from scope.met_by(facts)

    def of_company(self, part: Facts) -> Compiled | None:
        """The company's own rule for this part of a pay-in, in the order of any scope's rules."""
        scope = None if part.tenant is None else self.scopes.get((part.tenant, part.company))
        return None if scope is None else _first(scope.met_by(part), part)

    def _scopes_of(self, facts: Facts) -> Iterator[Scope]:
        for name in (facts.tenant, INSTALLATION):
            scope = None if name is None else self.scopes.get((name, None))
            if scope is not None:
                yield scope


Find: TypeAlias = Callable[[Facts], Compiled | None]
"""From a part of a pay-in to the company's rule for it, None for none."""


@dataclass(frozen=True, slots=True)
class Below:
    """The money of one line, at `position`, as facts of its own, and the company's rule for it."""

    position: int
    facts: Facts
    compiled: Compiled


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rule for a pay-in, and whether it is the last resort, whose conditions may not hold.

    `below`: what a rule of the company divides of it.
    """

    compiled: Compiled
    is_last: bool
    below: Below | None = None


def choose(rules: RuleSet, facts: Facts, find: Find | None = None) -> Chosen:
    """The first rule in force when the money occurred whose conditions all hold.

    `find` knows the company's rule for what that one delegates, if not those in force do.
    """
    known = rules.of_company if find is None else find
    compiled = _first(rules.met_by(facts), facts)
    if compiled is not None:
        return Chosen(compiled, is_last=False, below=below(compiled, facts, known))
    last = rules.last
    holds = last.delegating is not None and first_failing(last.conditions, facts) is None
    return Chosen(last, is_last=True, below=below(last, facts, known) if holds else None)


def below(compiled: Compiled, facts: Facts, find: Find) -> Below | None:
    """What a rule leaves to the company, and the company's rule that `find` knows for that much."""
    position = compiled.delegating
    if position is None:
        return None
    amounts = compiled.program(facts.code).divide(facts.minor)
    if amounts is None or amounts[position] == 0:
        return None
    part = replace(facts, minor=amounts[position])
    found = find(part)
    return None if found is None else Below(position, part, found)


def _first(asked: Iterable[Compiled], facts: Facts) -> Compiled | None:
    for compiled in asked:
        in_force = compiled.rule.effective_at(facts.occurred_at)
        if in_force and first_failing(compiled.conditions, facts) is None:
            return compiled
    return None
