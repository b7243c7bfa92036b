"""Use cases that change nothing: a document is checked, money is divided for show."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence

from tally_contracts.base import Event
from tally_contracts.directory import OPERATOR
from tally_contracts.funding_rules import (
    DryRunResult,
    DryRunRule,
    LintRule,
    RuleDryRun,
    RuleLinted,
    SamplePayIn,
)
from tally_funding.answers.store import for_every_tenant
from tally_funding.errors import RuleInvalid
from tally_funding.postings import Books
from tally_funding.rules import store
from tally_funding.rules.book import Asked, RuleBook, inform, stored_rule
from tally_funding.rules.choose import Compiled, RuleSet, compile_rule
from tally_funding.rules.lint import canonical_digest, read_document
from tally_funding.rules.match import Facts
from tally_funding.rules.refusals import Refused, company_of, wire_faults
from tally_funding.rules.run import Run, Sample, require_room
from tally_funding.rules.service import order_faults, read_or_refuse
from tally_funding.service import beneficiary_of
from tally_messaging import UnitOfWork


async def lint(uow: UnitOfWork, book: RuleBook, command: LintRule) -> Event:
    """Name every fault of a document, by itself and beside the rules that are published."""
    await for_every_tenant(uow.conn)
    company = await company_of(uow.conn, command)
    await _ask_once(uow, command.lint_id, command)
    data = command.document.encode()
    try:
        read = await asyncio.to_thread(read_document, data, scope=command.tenant, company=company)
        rules = await book.in_force(uow.conn)
        faults = order_faults(read.rule, rules.of_scope(command.tenant, company))
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


async def dry_run(uow: UnitOfWork, book: RuleBook, books: Books, command: DryRunRule) -> Event:
    """Divide past and sample pay-ins by a document, a version, or the rules in force for each.

    A document of a company, or a version of its rules, divides what the rules in force leave to it.
    A past pay-in under the version it was divided by sees the directory as it was then, so that its
    lines come out the same.
    """
    rules = await book.in_force(uow.conn)
    company = await company_of(uow.conn, command)
    await _ask_once(uow, command.run_id, command)
    only = await _only(uow, command, company)
    samples = [*await _past(uow, command), *_made_up(command.samples)]
    needing = rules if only is None else RuleSet.of([*rules.labelled.values(), only], rules.last)
    informed = iter(
        await inform(uow.conn, needing, [s.asked for s in samples if s.asked is not None])
    )
    results: list[DryRunResult] = []
    for sample in samples:
        if sample.asked is None:
            results.append(_unknown(sample))
            continue
        facts = next(informed)
        if command.who.principal != OPERATOR and facts.tenant != command.tenant:
            # A company of another tree is as unknown as one of no tree.
            facts = sample.asked.facts
        run = Run(books, sample, facts, sample.asked.beneficiary, company)
        results.append(run.by(rules, only))
    require_room(sum(len(result.lines) for result in results))
    return RuleDryRun(
        run_id=command.run_id,
        tenant=command.tenant,
        results=tuple(results),
        who=command.who,
        occurred_at=uow.now,
    )


async def _only(uow: UnitOfWork, command: DryRunRule, company: str | None) -> Compiled | None:
    """The one rule that the run is about, if it names one; no other company's."""
    if command.document is not None:
        read = await read_or_refuse(
            command.document, tenant=command.tenant, company=company, rule_id=None
        )
        return compile_rule(read.rule)
    if command.rule_id is None or command.version is None:
        return None
    place = (command.rule_id, command.version)
    edition = await store.edition(uow.conn, *place)
    theirs = edition is not None and (
        command.who.principal == OPERATOR
        or (
            edition.tenant == command.tenant
            and (company is None or edition.company in {None, company})
        )
    )
    if edition is not None and theirs:
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
