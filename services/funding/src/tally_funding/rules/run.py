"""One pay-in of a dry run: by which rules it would be divided, and every line it would come to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from tally_contracts.base import Amount
from tally_contracts.funding_rules import DryRunLine, DryRunResult, RulePassedOver
from tally_funding.domain import Beneficiary, Suspense
from tally_funding.postings import Books
from tally_funding.rules.book import Asked, kept_company_rule, with_kept
from tally_funding.rules.choose import Below, Chosen, Compiled, RuleSet, below, choose
from tally_funding.rules.decide import decide_allocation, exceeds
from tally_funding.rules.describe import describe
from tally_funding.rules.divide import compile_claim
from tally_funding.rules.match import Facts, first_failing
from tally_funding.rules.model import Line, Weight
from tally_funding.rules.owners import owners_of, shared
from tally_funding.rules.reference import Shared, divide_by_the_book
from tally_funding.rules.refusals import Refused
from tally_funding.rules.store import PastPayIn
from tally_funding.statements.credits import printable
from tally_money import Money, currency

LINES_MAX: Final = 2000
"""The most lines that the results of one run hold together: the fact has to fit a record."""
_PASSED_OVER_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One pay-in of a run. `past` None: made up; `asked` None: there is no such pay-in."""

    name: str
    asked: Asked | None
    past: PastPayIn | None


def require_room(lines: int) -> None:
    """`Refused` where the results would not fit one answer."""
    if lines > LINES_MAX:
        raise Refused(
            "run_too_large",
            "/samples",
            f"the results have {lines} lines, at most {LINES_MAX} fit one answer",
            "give fewer pay-ins, or a rule that pays fewer",
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One pay-in of a run, with all that is known of it.

    `company`: which one below the tenant asks, if it is not the tenant or the operator.
    """

    books: Books
    sample: Sample
    facts: Facts
    beneficiary: Beneficiary | None
    company: str | None

    def by(self, rules: RuleSet, only: Compiled | None) -> DryRunResult:
        """What becomes of it; what rules of a company divide, only that company and those above see."""
        chosen, facts, passed = self._chosen(rules, only)
        if chosen is None:
            return self._without_rule(passed)
        rule = chosen.compiled.rule
        if chosen.compiled.delegating is not None and self.company not in {None, facts.company}:
            remedy = f"part of it is divided by rules of {facts.company}: ask as that company"
            return self._without_lines("not_shown", rule.label, "foreign_money", remedy, passed)
        outcome = decide_allocation(chosen, facts, self.beneficiary)
        if isinstance(outcome, Suspense):
            return self._suspended(rule.label, outcome, passed)
        return self._divided(chosen, facts, passed)

    def _chosen(
        self, rules: RuleSet, only: Compiled | None
    ) -> tuple[Chosen | None, Facts, tuple[RulePassedOver, ...]]:
        """By which rules it is divided, None if by none, on which facts, and which did not match."""
        if only is None:
            passed = tuple(_passed_over(rules.asked(self.facts), self.facts))
            return choose(rules, self.facts), self.facts, passed
        past = self.sample.past
        then = None if past is None else kept_company_rule(past.rule_facts)
        if past is not None and only.rule.label in {past.rule, then}:
            facts = with_kept(self.facts, past.rule_facts)
            whole = only if only.rule.label == past.rule else rules.labelled.get(past.rule)
            part = None if then is None else rules.labelled[then]
            if whole is not None:
                return (
                    Chosen(whole, is_last=False, below=below(whole, facts, lambda _: part)),
                    facts,
                    (),
                )
        if only.rule.company is not None:
            return self._chosen_above(rules, only)
        passed = tuple(_passed_over([only], self.facts))
        if passed:
            return None, self.facts, passed
        found = below(only, self.facts, rules.of_company)
        return Chosen(only, is_last=False, below=found), self.facts, ()

    def _chosen_above(
        self, rules: RuleSet, only: Compiled
    ) -> tuple[Chosen, Facts, tuple[RulePassedOver, ...]]:
        """The rule in force, with the company's rule below it where it delegates and that matches."""
        chosen = choose(rules, self.facts, lambda _: only)
        left = chosen.below
        if left is None:
            remark = RulePassedOver(rule=only.rule.label, pointer="/lines", code="not_delegated")
            return chosen, self.facts, (remark,)
        passed = tuple(_passed_over([only], left.facts))
        if left.facts.company != only.rule.company:
            remark = RulePassedOver(
                rule=only.rule.label, pointer="/match/companies", code="company_differs"
            )
            passed = (remark,)
        return replace(chosen, below=None if passed else left), self.facts, passed

    def _divided(
        self, chosen: Chosen, facts: Facts, passed: tuple[RulePassedOver, ...]
    ) -> DryRunResult:
        compiled = chosen.compiled
        rule = compiled.rule
        shares = divide_by_the_book(
            rule.lines, rule.rounding, rule.shortfall, facts.code, facts.minor
        )
        if shares is None:
            return self._suspended(rule.label, exceeds(rule, facts), passed)
        lines = (*self._lines(chosen, facts, shares), *self._charges(compiled, facts))
        require_room(len(lines))
        booked = sum(line.amount.money().minor for line in lines if line.payer is None)
        assert booked == facts.minor, "the lines shown sum to the pay-in"
        return DryRunResult(
            sample=self.sample.name,
            outcome="allocated",
            rule=rule.label,
            lines=lines,
            residue=_residue(compiled, shares),
            code=None,
            remedy=None,
            passed_over=passed[:_PASSED_OVER_MAX],
        )

    def _lines(
        self, chosen: Chosen, facts: Facts, shares: Sequence[Shared]
    ) -> Iterator[DryRunLine]:
        """Every line with what it comes to, those of nothing too; a group's members one by one.

        In the place of what a rule of the company divides, that rule's lines.
        """
        unit, left = currency(facts.code), chosen.below
        for number, (line, share) in enumerate(
            zip(chosen.compiled.rule.lines, shares, strict=True)
        ):
            if left is not None and number == left.position:
                yield from self._lines_below(left)
                continue
            owners = owners_of(line, facts, self.beneficiary)
            if isinstance(owners, Suspense):
                # Of nothing: a share of something would have put the pay-in in suspense.
                continue
            for owner, part in shared(owners, Money(share.minor, unit)):
                yield self._line(number, line, owner, Money(share.basis, unit), part)

    def _lines_below(self, left: Below) -> Iterator[DryRunLine]:
        rule, part = left.compiled.rule, left.facts
        shares = divide_by_the_book(
            rule.lines, rule.rounding, rule.shortfall, part.code, part.minor
        )
        assert shares is not None, "the decision has shown that the lines do not ask for more"
        for line in self._lines(Chosen(left.compiled, is_last=False), part, shares):
            yield line.model_copy(update={"rule": rule.label})

    def _charges(self, compiled: Compiled, facts: Facts) -> Iterator[DryRunLine]:
        """What would be taken from others' wallets, where somebody can be paid by it."""
        rule, unit = compiled.rule, currency(facts.code)
        for number, charge in enumerate(rule.charges):
            owners = owners_of(charge.line, facts, self.beneficiary)
            if isinstance(owners, Suspense):
                continue
            asked = compile_claim(charge.line, rule.rounding, facts.code)(facts.minor)
            for owner, part in shared(owners, Money(asked, unit)):
                line = self._line(number, charge.line, owner, Money(facts.minor, unit), part)
                yield line.model_copy(update={"payer": charge.payer})

    def _line(self, number: int, line: Line, owner: str, basis: Money, amount: Money) -> DryRunLine:
        return DryRunLine(
            line=number,
            role=line.role,
            share=describe(line, amount.currency),
            basis=Amount.of(basis),
            amount=Amount.of(amount),
            owner=owner,
            account=self.books.wallet(owner, amount.currency.code).id,
            pay_out=line.pay_out,
        )

    def _suspended(
        self, label: str, suspense: Suspense, passed: tuple[RulePassedOver, ...]
    ) -> DryRunResult:
        return self._without_lines(
            "suspense", label, suspense.reason.value, suspense.remedy, passed
        )

    def _without_rule(self, passed: tuple[RulePassedOver, ...]) -> DryRunResult:
        remedy = "change the conditions, or try a pay-in that meets them"
        return self._without_lines("no_rule", None, passed[0].code, remedy, passed)

    def _without_lines(
        self,
        outcome: str,
        label: str | None,
        code: str,
        remedy: str,
        passed: tuple[RulePassedOver, ...],
    ) -> DryRunResult:
        return DryRunResult(
            sample=self.sample.name,
            outcome=outcome,
            rule=label,
            lines=(),
            residue=None,
            code=code,
            remedy=printable(remedy),
            passed_over=passed[:_PASSED_OVER_MAX],
        )


def _passed_over(
    asked: Iterator[Compiled] | list[Compiled], facts: Facts
) -> Iterator[RulePassedOver]:
    """Rules asked before the one that matched: the first thing of each that does not hold."""
    for compiled in asked:
        rule = compiled.rule
        if not rule.effective_at(facts.occurred_at):
            yield RulePassedOver(rule=rule.label, pointer="/effective_from", code="not_in_force")
            continue
        failing = first_failing(compiled.conditions, facts)
        if failing is None:
            return
        yield RulePassedOver(rule=rule.label, pointer=printable(failing.pointer), code=failing.code)


def _residue(compiled: Compiled, shares: Sequence[Shared]) -> str | None:
    """What rounding left to the lines that take the rest; None where lines were served in part."""
    asking = [
        (line, share)
        for line, share in zip(compiled.rule.lines, shares, strict=True)
        if not isinstance(line.share, Weight)
    ]
    if any(abs(share.exact - share.minor) >= len(shares) + 1 for _, share in asking):
        return None
    return str(sum((share.exact - share.minor for _, share in asking), Fraction(0)))
