"""The rules in force, kept compiled; and what the directory must be asked for them, once per batch."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tally_funding.domain import Beneficiary, PartOfPayIn, Suspense
from tally_funding.rules import directory_store, store
from tally_funding.rules.choose import Chosen, Compiled, RuleSet, choose, compile_rule
from tally_funding.rules.decide import decide_allocation
from tally_funding.rules.document import RuleDocument
from tally_funding.rules.match import Facts
from tally_funding.rules.model import Destination, Role, Rule, To
from tally_funding.rules.owners import PARTS_MAX
from tally_funding.rules.translate import rule as translated
from tally_postgres import Connection

_COMPANY_RULE: Final = "company_rule"
_NOTHING_READ: Final = -1
# Between two chunks other tasks get their turn.
_CHUNK = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A pay-in to decide on; what the directory says is not in its facts yet."""

    facts: Facts
    beneficiary: Beneficiary | None


@dataclass(frozen=True, slots=True)
class Decided:
    """By which rule, with what outcome. `kept`: the directory's word that the outcome rests on."""

    rule: str
    outcome: tuple[PartOfPayIn, ...] | Suspense
    kept: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class _Read:
    """The rules as of a stamp, by id and version."""

    stamp: int
    compiled: Mapping[tuple[str, int], Compiled]
    rules: RuleSet


class RuleBook:
    """Every replica's copy of the published rules; `last` is the installation's own rule.

    Who books holds the stamp of the rules until the transaction ends, and whoever changes a rule
    waits for that: money booked after a publication knows it, whichever replica books it.
    """

    def __init__(self, last: Rule) -> None:
        self._last = compile_rule(last)
        self._current = _Read(_NOTHING_READ, {}, RuleSet.of((), self._last))

    async def decide(self, conn: Connection, money: Sequence[Asked]) -> Sequence[Decided]:
        """Decide on money about to be booked, by the rules in force."""
        rules = await self.in_force(conn)
        return [
            _decide(rules, facts, asked.beneficiary)
            for asked, facts in zip(money, await inform(conn, rules, money), strict=True)
        ]

    async def in_force(self, conn: Connection) -> RuleSet:
        """The rules as this transaction may rely on them until it ends."""
        stamp = await store.hold_stamp(conn)
        if self._current.stamp == stamp.number:
            return self._current.rules
        read = await self._read(conn, stamp.number)
        if not stamp.raised_here:
            self._current = read
        return read.rules

    async def _read(self, conn: Connection, stamp: int) -> _Read:
        """What has changed since the rules were read; all of them the first time."""
        known = self._current
        changed = await store.editions(conn, known.stamp)
        documents = await store.documents(conn, [(one.rule_id, one.version) for one in changed])
        compiled = dict(known.compiled)
        for number, edition in enumerate(changed):
            place = (edition.rule_id, edition.version)
            compiled[place] = compile_rule(stored_rule(edition, documents[place]))
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        return _Read(stamp, compiled, RuleSet.of(compiled.values(), self._last))


def stored_rule(edition: store.Edition, document: str) -> Rule:
    """A published document as a rule; it was checked when it was published."""
    rule = translated(
        RuleDocument.model_validate_json(document),
        label=f"{edition.rule_id}:{edition.version}",
        scope=edition.tenant,
        company=edition.company,
    )
    return replace(
        rule, effective_from=edition.effective_from, effective_until=edition.effective_until
    )


def _decide(rules: RuleSet, facts: Facts, beneficiary: Beneficiary | None) -> Decided:
    chosen = choose(rules, facts)
    rule = chosen.compiled.rule
    outcome = decide_allocation(chosen, facts, beneficiary)
    return Decided(rule.label, outcome, kept_facts(chosen, facts))


async def inform(conn: Connection, rules: RuleSet, money: Sequence[Asked]) -> Sequence[Facts]:
    """Add to each pay-in's facts what rules need of the directory; at most four statements.

    A group or relation of another tenant than the company's is none.
    """
    needs = rules.needs
    if not needs.anything:
        return [asked.facts for asked in money]
    companies = {asked.facts.company for asked in money}
    tenants = await directory_store.tenants(conn, companies)
    owners = {asked.beneficiary.owner for asked in money if asked.beneficiary is not None}
    joined = await directory_store.groups_of(conn, owners, needs.groups) if needs.groups else ()
    paid = (
        await directory_store.members(conn, needs.paid_groups, PARTS_MAX + 1)
        if needs.paid_groups
        else ()
    )
    related = (
        await directory_store.relations(conn, companies, needs.relations) if needs.relations else ()
    )
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for party, group, tenant in joined:
        groups[tenant, party].add(group)
    members: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    versions: dict[str, dict[str, int]] = defaultdict(dict)
    for group, party, tenant, version in paid:
        versions[tenant][group] = version
        members[tenant][group] = (*members[tenant].get(group, ()), party)
    relations: dict[tuple[str, str], dict[str, tuple[str, ...]]] = defaultdict(dict)
    for other, relation, party, tenant in related:
        known = relations[tenant, other]
        known[relation] = (*known.get(relation, ()), party)

    def informed(asked: Asked) -> Facts:
        facts = asked.facts
        tenant = tenants.get(facts.company)
        if tenant is None:
            return facts
        owner = "" if asked.beneficiary is None else asked.beneficiary.owner
        return replace(
            facts,
            tenant=tenant,
            groups=frozenset(groups.get((tenant, owner), ())),
            members=members.get(tenant, {}),
            group_versions=versions.get(tenant, {}),
            relations=relations.get((tenant, facts.company), {}),
        )

    return [informed(asked) for asked in money]


def kept_facts(chosen: Chosen, facts: Facts) -> Mapping[str, object] | None:
    """What of the directory's word the lines use; with it, they come out the same again.

    Of a rule that delegates also by which of the company's rules, None for by none.
    """
    destinations = chosen.compiled.rule.destinations
    kept: dict[str, object] = {}
    if chosen.compiled.delegating is not None:
        kept[_COMPANY_RULE] = None if chosen.below is None else chosen.below.compiled.rule.label
    if chosen.below is not None:
        destinations |= chosen.below.compiled.rule.destinations
    names: dict[To, set[str]] = defaultdict(set)
    for to in destinations:
        names[to.to].add(to.name)
    if Destination(To.ROLE, Role.AGGREGATOR) in destinations:
        kept["tenant"] = facts.tenant
    if names[To.GROUP]:
        kept["members"] = _of(facts.members, names[To.GROUP])
        kept["group_versions"] = {
            name: facts.group_versions[name]
            for name in sorted(names[To.GROUP])
            if name in facts.group_versions
        }
    if names[To.RELATION]:
        kept["relations"] = _of(facts.relations, names[To.RELATION])
    return kept or None


def _of(known: Mapping[str, tuple[str, ...]], names: Collection[str]) -> dict[str, list[str]]:
    return {name: list(known.get(name, ())) for name in sorted(names)}


def kept_company_rule(kept: Mapping[str, object] | None) -> str | None:
    """The company's rule that divided a part of a pay-in; None where none did."""
    return None if kept is None else _text(kept.get(_COMPANY_RULE))


def with_kept(facts: Facts, kept: Mapping[str, object] | None) -> Facts:
    """Facts as they were when `kept_facts` were taken of them."""
    if kept is None:
        return facts
    return replace(
        facts,
        tenant=_text(kept.get("tenant", facts.tenant)),
        members=_lists(kept.get("members", {})),
        relations=_lists(kept.get("relations", {})),
    )


def _text(value: object) -> str | None:
    assert value is None or isinstance(value, str)
    return value


def _lists(value: object) -> Mapping[str, tuple[str, ...]]:
    assert isinstance(value, dict)
    return {name: tuple(parties) for name, parties in value.items()}
