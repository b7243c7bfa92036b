"""Use cases: a version of a rule is published, a rule is retired."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tally_contracts.base import Event
from tally_contracts.directory import OPERATOR
from tally_contracts.funding_rules import PublishRule, RetireRule, RulePublished, RuleRetired
from tally_funding.answers.store import for_every_tenant
from tally_funding.errors import RuleFault, RuleInvalid
from tally_funding.rules import directory_store, key_store, store
from tally_funding.rules.book import RuleBook
from tally_funding.rules.consents import require_consents
from tally_funding.rules.lint import ReadRule, read_document
from tally_funding.rules.match import inseparable
from tally_funding.rules.model import INSTALLATION, Rule
from tally_funding.rules.refusals import Refused, company_of
from tally_funding.rules.store import Edition, KnownRule, KnownVersion, NewVersion
from tally_messaging import UnitOfWork

COMPANY: Final = "company"
RULES_MAX: Final = 100
VERSIONS_MAX: Final = 2_000
"""How many rules an owner may publish, and versions of all of them together."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a rule about to get a version."""

    rule: KnownRule | None
    versions: Sequence[KnownVersion]


async def publish(uow: UnitOfWork, book: RuleBook, command: PublishRule) -> Event:
    """Make the document the rule's next version; `Refused` names all that stands against it.

    Holding the stamp from the first look on, so that two publications see each other.
    """
    await for_every_tenant(uow.conn)
    company = await _whose(uow, command)
    read = await read_or_refuse(
        command.document, tenant=command.tenant, company=company, rule_id=command.rule_id
    )
    await store.lock_stamp(uow.conn)
    standing = await _standing(uow, command, read.rule)
    known = _published_before(standing, read)
    if known is not None:
        return _published(command, read.rule, known, uow.now)
    _require_next(standing, read.rule)
    await _require_room(uow, command, company, standing)
    begin = _begin(standing, read.rule, uow.now)
    rule = replace(read.rule, effective_from=begin)
    rules = await book.in_force(uow.conn)
    for fault in order_faults(rule, rules.of_scope(command.tenant, company)):
        raise _refused(fault)
    consents = await require_consents(uow, command, rule.payers, read.digest)
    edition = Edition(
        command.rule_id, rule.version, command.tenant, begin, read.rule.effective_until, company
    )
    await store.publish(
        uow.conn, rule.name, NewVersion(edition, read.document, read.digest, command.who), uow.now
    )
    if consents:
        await key_store.add_consents(uow.conn, consents, edition, uow.now)
    await store.raise_stamp(uow.conn)
    version = KnownVersion(rule.version, read.digest, begin, edition.effective_until, command.who)
    return _published(command, rule, version, uow.now)


async def _whose(uow: UnitOfWork, command: PublishRule) -> str | None:
    """The company below the tenant whose rule it is; the operator may name one."""
    company = await company_of(uow.conn, command)
    if company == command.company or command.company is None:
        await _require_company(uow, company, "/who/principal")
        return company
    if command.who.principal == OPERATOR and command.tenant != INSTALLATION:
        await _require_company(uow, command.company, "/company")
        return command.company
    raise Refused(
        "not_your_rules",
        "/company",
        f"{command.who.principal} does not own rules of {command.company}",
        "leave it out",
    )


async def _require_company(uow: UnitOfWork, party: str | None, pointer: str) -> None:
    """Money is a company's: a payee has none to divide by rules."""
    kind = None if party is None else await directory_store.kind(uow.conn, party)
    if kind not in {None, COMPANY}:
        raise Refused(
            "not_a_company",
            pointer,
            f"{party} is a {kind}: no pay-in is divided by rules of its own",
            "let the company whose money it is publish the rule",
        )


async def read_or_refuse(
    document: str, *, tenant: str, company: str | None, rule_id: str | None
) -> ReadRule:
    """The rule of a document; `Refused` with every fault it has."""
    try:
        # The largest documents take a second.
        return await asyncio.to_thread(
            read_document, document.encode(), scope=tenant, company=company, rule_id=rule_id
        )
    except RuleInvalid as invalid:
        number = len(invalid.faults)
        raise Refused(
            "rule_invalid",
            "/document",
            f"the document has {number} fault{'s' if number > 1 else ''}",
            "correct what the faults name",
            invalid.faults,
        ) from None


async def _standing(uow: UnitOfWork, command: PublishRule, read: Rule) -> Standing:
    name = read.name
    found = await store.rules_named(
        uow.conn, rule_id=command.rule_id, tenant=command.tenant, company=read.company, name=name
    )
    rule = next((one for one in found if one.rule_id == command.rule_id), None)
    if rule is not None and (rule.tenant, rule.company) != (command.tenant, read.company):
        raise Refused(
            "id_reused", "/rule_id", "the id names another rule", "make an id for this rule"
        )
    if any(one.rule_id != command.rule_id for one in found):
        raise _fault("/rule", "name_in_use", f"another rule is named {name}: choose another name")
    if rule is None:
        return Standing(None, ())
    if rule.name != name:
        raise _fault("/rule", "name_changed", f"the rule is named {rule.name}: keep the name")
    return Standing(rule, await store.versions(uow.conn, rule.rule_id))


def _published_before(standing: Standing, read: ReadRule) -> KnownVersion | None:
    """The version as it was published, if this is it; another content under its number is refused."""
    for known in standing.versions:
        if known.version == read.rule.version:
            if known.digest != read.digest:
                raise _fault(
                    "/version",
                    "version_reused",
                    f"version {known.version} has another content, which stays: "
                    f"give more than {standing.versions[-1].version}",
                )
            return known
    return None


async def _require_room(
    uow: UnitOfWork, command: PublishRule, company: str | None, standing: Standing
) -> None:
    """Every replica keeps all versions: an owner has so many, retired ones too."""
    rules, versions = await store.held(uow.conn, command.tenant, company)
    if standing.rule is None and rules >= RULES_MAX:
        raise Refused(
            "too_many_rules",
            "/rule_id",
            f"{company or command.tenant} has {rules} rules, the most there can be",
            "publish a version of one of them instead",
        )
    if versions >= VERSIONS_MAX:
        raise Refused(
            "too_many_versions",
            "/document",
            f"the rules of {company or command.tenant} have {versions} versions, the most there can be",
            "let the tenant publish what is needed",
        )


def _require_next(standing: Standing, rule: Rule) -> None:
    known = standing.rule
    if known is None:
        return
    if known.retired_at is not None:
        raise Refused(
            "rule_retired",
            "/rule_id",
            f"the rule was retired at {known.retired_at.isoformat()}",
            "publish a new rule under an id of its own",
        )
    if rule.version < known.last_version:
        raise _fault("/version", "version_not_higher", f"give a version above {known.last_version}")


def _begin(standing: Standing, rule: Rule, now: datetime) -> datetime:
    """When the version begins; `Refused` where that is past, or in the time of another version.

    A version without an end of its own ends where the next begins.
    """
    begin = now if rule.effective_from is None else rule.effective_from
    if begin < now:
        raise _fault(
            "/effective_from",
            "effective_in_past",
            "money was divided by then: leave it out, or give a time to come",
        )
    if rule.effective_until is not None and rule.effective_until <= begin:
        raise _fault("/effective_until", "ends_before_it_begins", "give a later time")
    for known in standing.versions:
        open_ended = known.effective_until is None and known.effective_from < begin
        ended = known.effective_until is not None and known.effective_until <= begin
        if not open_ended and not ended:
            raise _fault(
                "/effective_from",
                "effective_overlap",
                f"version {known.version} holds at that time: begin after it",
            )
    return begin


def order_faults(rule: Rule, published: Sequence[Rule]) -> list[RuleFault]:
    """Rules of the same scope that this one cannot be told apart from; its own versions apart."""
    others = [other for other in published if other.name != rule.name]
    return [
        RuleFault(
            "/priority",
            "order_ambiguous",
            f"rule {other.name} ({other.label}) may match the same money with the same priority "
            "and number of conditions: give another priority, or conditions that set them apart",
        )
        for other in inseparable(rule, others)
    ]


def _fault(pointer: str, code: str, remedy: str) -> Refused:
    return _refused(RuleFault(pointer, code, remedy))


def _refused(fault: RuleFault) -> Refused:
    detail = f"{fault.pointer} keeps the document from being published"
    return Refused(fault.code, "/document", detail, fault.remedy, [fault])


def _published(
    command: PublishRule, rule: Rule, known: KnownVersion, now: datetime
) -> RulePublished:
    return RulePublished(
        rule_id=command.rule_id,
        tenant=command.tenant,
        name=rule.name,
        version=known.version,
        priority=rule.priority,
        effective_from=known.effective_from,
        effective_until=known.effective_until,
        digest=known.digest,
        who=known.who,
        occurred_at=now,
        company=rule.company,
    )


async def retire(uow: UnitOfWork, command: RetireRule) -> Event:
    """End the rule for all that occurs from now on; retiring it again tells when it ended."""
    await for_every_tenant(uow.conn)
    company = await company_of(uow.conn, command)
    await store.lock_stamp(uow.conn)
    found = await store.rules_named(
        uow.conn, rule_id=command.rule_id, tenant="", company=None, name=""
    )
    rule = next((one for one in found if one.tenant == command.tenant), None)
    by_operator = command.who.principal == OPERATOR
    if rule is None or (rule.company != company and not by_operator):
        raise Refused(
            "unknown_rule",
            "/rule_id",
            f"{company or command.tenant} has no rule {command.rule_id}",
            "give the id of a published rule",
        )
    if rule.retired_at is None:
        await store.retire(uow.conn, rule.rule_id, uow.now)
        await store.raise_stamp(uow.conn)
    return RuleRetired(
        rule_id=rule.rule_id,
        tenant=rule.tenant,
        effective_until=rule.retired_at or uow.now,
        reason=command.reason,
        who=command.who,
        occurred_at=uow.now,
    )
