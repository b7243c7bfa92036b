"""Use cases that change nothing: a document is checked, money is divided for show."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tally_contracts.base import Amount, Event
from tally_contracts.directory import OPERATOR
from tally_contracts.funding_rules import (
    DryRunLine,
    DryRunResult,
    DryRunRule,
    LintRule,
    RuleDryRun,
    RuleLinted,
    RulePassedOver,
    SamplePayIn,
)
from tally_funding.domain import Beneficiary, Suspense
from tally_funding.errors import RuleInvalid
from tally_funding.postings import Books
from tally_funding.rules import store
from tally_funding.rules.book import Asked, RuleBook, inform, stored_rule, with_kept
from tally_funding.rules.choose import Chosen, Compiled, RuleSet, choose, compile_rule
from tally_funding.rules.decide import decide_allocation, exceeds
from tally_funding.rules.describe import describe
from tally_funding.rules.divide import compile_claim
from tally_funding.rules.lint import canonical_digest, read_document
from tally_funding.rules.match import Facts, first_failing
from tally_funding.rules.model import Line, Weight
from tally_funding.rules.owners import owners_of, shared
from tally_funding.rules.reference import Shared, divide_by_the_book
from tally_funding.rules.refusals import Refused, require_member_of, wire_faults
from tally_funding.rules.service import order_faults, read_or_refuse
from tally_funding.rules.store import PastPayIn
from tally_funding.service import beneficiary_of
from tally_funding.statements.credits import printable
from tally_messaging import UnitOfWork
from tally_money import Money, currency

LINES_MAX: Final = 2000
"""The most lines that the results of one run hold together: the fact has to fit a record."""
_PASSED_OVER_MAX: Final = 20


async def lint(uow: UnitOfWork, book: RuleBook, command: LintRule) -> Event:
    """Name every fault of a document, by itself and beside the rules that are published."""
    await store.show_every_tenant(uow.conn)
    await require_member_of(uow.conn, command)
    await _ask_once(uow, command.lint_id, command)
    data = command.document.encode()
    try:
        read = await asyncio.to_thread(read_document, data, scope=command.tenant)
        rules = await book.in_force(uow.conn)
        faults = order_faults(read.rule, rules.of_scope(command.tenant))
    except RuleInvalid as invalid:
        faults = list(invalid.faults)
    return RuleLinted(
        lint_id=command.lint_id,
        tenant=command.tenant,
        digest=canonical_digest(data),
        faults=wire_faults(faults),
        who=command.who,
        occurred_at=uow.now,
    )


async def _ask_once(uow: UnitOfWork, question_id: str, command: LintRule | DryRunRule) -> None:
    digest = hashlib.blake2b(command.model_dump_json().encode(), digest_size=16).digest()
    if await store.ask(uow.conn, question_id, command.tenant, digest, uow.now) != digest:
        raise Refused(
            "id_reused",
            "/lint_id" if isinstance(command, LintRule) else "/run_id",
            "the id asked something else before",
            "make an id for each question",
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """One pay-in of a run. `past` None: made up; `asked` None: there is no such pay-in."""

    name: str
    asked: Asked | None
    past: PastPayIn | None


async def dry_run(uow: UnitOfWork, book: RuleBook, books: Books, command: DryRunRule) -> Event:
    """Divide past and sample pay-ins by a document, a version, or the rules in force for each.

    A past pay-in under the version it was divided by sees the directory as it was then, so that its
    lines come out the same.
    """
    rules = await book.in_force(uow.conn)
    await require_member_of(uow.conn, command)
    await _ask_once(uow, command.run_id, command)
    only = await _only(uow, command)
    samples = [*await _past(uow, command), *_made_up(command.samples)]
    if only is not None:
        rules = RuleSet.of((), only)
    informed = iter(
        await inform(uow.conn, rules, [s.asked for s in samples if s.asked is not None])
    )
    results: list[DryRunResult] = []
    for sample in samples:
        if sample.asked is None:
            results.append(_unknown(sample))
            continue
        run = _Run(books, sample, next(informed), sample.asked.beneficiary)
        results.append(run.by(rules, only))
    _require_room(sum(len(result.lines) for result in results))
    return RuleDryRun(
        run_id=command.run_id,
        tenant=command.tenant,
        results=tuple(results),
        who=command.who,
        occurred_at=uow.now,
    )


def _require_room(lines: int) -> None:
    if lines > LINES_MAX:
        raise Refused(
            "run_too_large",
            "/samples",
            f"the results have {lines} lines, at most {LINES_MAX} fit one answer",
            "give fewer pay-ins, or a rule that pays fewer",
        )


async def _only(uow: UnitOfWork, command: DryRunRule) -> Compiled | None:
    """The one rule that the run is about, if it names one."""
    if command.document is not None:
        read = await read_or_refuse(command.document, tenant=command.tenant, rule_id=None)
        return compile_rule(read.rule)
    if command.rule_id is None or command.version is None:
        return None
    place = (command.rule_id, command.version)
    for edition in await store.editions(uow.conn):
        theirs = command.who.principal == OPERATOR or edition.tenant == command.tenant
        if (edition.rule_id, edition.version) == place and theirs:
            documents = await store.documents(uow.conn, [place])
            return compile_rule(stored_rule(edition, documents[place]))
    raise Refused(
        "unknown_rule",
        "/rule_id",
        f"{command.tenant} has no version {command.version} of rule {command.rule_id}",
        "give a published version",
    )


async def _past(uow: UnitOfWork, command: DryRunRule) -> Sequence[Sample]:
    if not command.pay_ins:
        return ()
    known = await store.past_pay_ins(uow.conn, command.pay_ins)

    def sample(pay_in_id: str) -> Sample:
        past = known.get(pay_in_id)
        theirs = past is not None and (
            command.who.principal == OPERATOR or past.facts.tenant == command.tenant
        )
        if past is None or not theirs:
            return Sample(pay_in_id, None, None)
        return Sample(pay_in_id, Asked(past.facts, past.beneficiary), past)

    return [sample(pay_in_id) for pay_in_id in command.pay_ins]


def _made_up(samples: Sequence[SamplePayIn]) -> Iterator[Sample]:
    for number, given in enumerate(samples):
        amount = given.amount.money()
        facts = Facts(
            source=given.source,
            program=given.program,
            event=given.event,
            kind=given.kind,
            code=amount.currency.code,
            minor=amount.minor,
            country=given.originator_country,
            company=given.company,
            tags=given.references,
            occurred_at=given.occurred_at,
        )
        asked = Asked(facts, beneficiary_of(given.beneficiary))
        yield Sample(f"/samples/{number}", asked, None)


@dataclass(frozen=True, slots=True)
class _Run:
    """One pay-in of a run, with all that is known of it."""

    books: Books
    sample: Sample
    facts: Facts
    beneficiary: Beneficiary | None

    def by(self, rules: RuleSet, only: Compiled | None) -> DryRunResult:
        """What becomes of it."""
        past = self.sample.past
        if only is not None and past is not None and past.rule == only.rule.label:
            facts = with_kept(self.facts, past.rule_facts)
            return self._divided(only, facts, ())
        if only is not None:
            passed = tuple(_passed_over([only], self.facts))
            if passed:
                return self._without_rule(passed)
            return self._divided(only, self.facts, ())
        chosen = choose(rules, self.facts)
        passed = tuple(_passed_over(rules.asked(self.facts), self.facts))
        outcome = decide_allocation(chosen, self.facts, self.beneficiary)
        if isinstance(outcome, Suspense):
            return self._suspended(chosen.compiled.rule.label, outcome, passed)
        return self._divided(chosen.compiled, self.facts, passed)

    def _divided(
        self, compiled: Compiled, facts: Facts, passed: tuple[RulePassedOver, ...]
    ) -> DryRunResult:
        rule = compiled.rule
        outcome = decide_allocation(Chosen(compiled, is_last=False), facts, self.beneficiary)
        if isinstance(outcome, Suspense):
            return self._suspended(rule.label, outcome, passed)
        shares = divide_by_the_book(
            rule.lines, rule.rounding, rule.shortfall, facts.code, facts.minor
        )
        if shares is None:
            return self._suspended(rule.label, exceeds(rule, facts), passed)
        lines = (*self._lines(compiled, facts, shares), *self._charges(compiled, facts))
        _require_room(len(lines))
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
        self, compiled: Compiled, facts: Facts, shares: Sequence[Shared]
    ) -> Iterator[DryRunLine]:
        """Every line with what it comes to, those of nothing too; a group's members one by one."""
        unit = currency(facts.code)
        for number, (line, share) in enumerate(zip(compiled.rule.lines, shares, strict=True)):
            owners = owners_of(line, facts, self.beneficiary)
            if isinstance(owners, Suspense):
                # Of nothing: a share of something would have put the pay-in in suspense.
                continue
            for owner, minor in shared(owners, share.minor):
                yield self._line(number, line, owner, Money(share.basis, unit), Money(minor, unit))

    def _charges(self, compiled: Compiled, facts: Facts) -> Iterator[DryRunLine]:
        """What would be taken from others' wallets, where somebody can be paid by it."""
        rule, unit = compiled.rule, currency(facts.code)
        for number, charge in enumerate(rule.charges):
            owners = owners_of(charge.line, facts, self.beneficiary)
            if isinstance(owners, Suspense):
                continue
            asked = compile_claim(charge.line, rule.rounding, facts.code)(facts.minor)
            for owner, minor in shared(owners, asked):
                line = self._line(
                    number, charge.line, owner, Money(facts.minor, unit), Money(minor, unit)
                )
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


def _unknown(sample: Sample) -> DryRunResult:
    return DryRunResult(
        sample=sample.name,
        outcome="unknown_pay_in",
        rule=None,
        lines=(),
        residue=None,
        code="unknown_pay_in",
        remedy="give the id of a pay-in of this tenant",
        passed_over=(),
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
