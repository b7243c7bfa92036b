"""Rules of companies below a tenant: they divide what its rules leave to them, exactly, and no more."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_contracts.base import Who
from tally_contracts.funding_rules import LintRule, RetireRule, RulePublished, RuleRetired
from tally_funding.answers.store import for_every_tenant
from tally_funding.domain import Beneficiary, PartOfPayIn, Reason, Suspense
from tally_funding.rule_document import bundled_rule, parse_rule
from tally_funding.rules import store
from tally_funding.rules.choose import Compiled, RuleSet, choose, compile_rule
from tally_funding.rules.decide import decide_allocation
from tally_funding.rules.lint import read_document
from tally_funding.rules.match import Facts
from tally_funding.rules.service import RULES_MAX, VERSIONS_MAX
from tally_messaging import UnitOfWork
from tally_money import Money, currency, iso_currencies
from tally_postgres import Schema
from tally_testkit import ServiceDatabase

from .rules_bench import (
    COMPANY,
    OTHER_TENANT,
    OWNER,
    PAYEE,
    START,
    TENANT,
    Desk,
    Known,
    document,
    fee,
    open_desk,
    party,
    rule_id,
    sample,
)

SIBLING, PARTNER = party(7), party(8)
BOB: dict[str, Any] = {"who": Who(actor="user:bob", principal=COMPANY)}
EVE: dict[str, Any] = {"who": Who(actor="user:eve", principal=SIBLING)}
BENEFICIARY = {"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": True}
PLAIN = Beneficiary("party", PAYEE)
LARGEST = 10**24
LAST = compile_rule(parse_rule(bundled_rule()).rule)


def delegating(percent: str = "10", **changes: Any) -> dict[str, Any]:
    """A rule of the tenant: its fee, and the rest by the company's own rule."""
    return document(**changes) | {"lines": [fee(percent), {**BENEFICIARY, "delegate": True}]}


def own(percent: str = "25", **changes: Any) -> dict[str, Any]:
    """A rule of a company: a partner's part of what is left to it."""
    partner = {"role": "partner", "to": {"party": PARTNER}, "percent": percent}
    return document(partner, **{"rule": "own", **changes})


def compiled(given: Mapping[str, Any], company: str | None = None, label: str = "r") -> Compiled:
    data = json.dumps(given).encode()
    return compile_rule(read_document(data, scope=TENANT, company=company, rule_id=label).rule)


def money_of(code: str, minor: int, **changes: Any) -> Facts:
    return Facts(
        **{
            "source": "cards", "program": "p", "event": "e:1", "kind": "payables",
            "code": code, "minor": minor, "country": "DE", "company": COMPANY, "tags": {},
            "occurred_at": datetime(2026, 9, 21, 8, tzinfo=UTC), "tenant": TENANT, **changes,
        }
    )  # fmt: skip


def divided(rules: RuleSet, facts: Facts) -> tuple[PartOfPayIn, ...]:
    parts = decide_allocation(choose(rules, facts), facts, PLAIN)
    assert not isinstance(parts, Suspense)
    return parts


def rules_of(*published: Compiled) -> RuleSet:
    return RuleSet.of(published, LAST)


PERCENT = st.integers(0, 100 * 10**6).map(lambda rate: f"{rate // 10**6}.{rate % 10**6:06d}")


@settings(max_examples=60)
@given(
    code=st.sampled_from(sorted(iso_currencies())),
    minor=st.integers(1, LARGEST),
    percents=st.tuples(PERCENT, PERCENT),
    rounding=st.sampled_from(["half_even", "half_up", "down"]),
)
def test_f23_two_layers_sum_to_the_minor_unit_and_leave_the_tenants_part_as_it_was(
    code: str, minor: int, percents: tuple[str, str], rounding: str
) -> None:
    above = compiled(delegating(percents[0], rounding=rounding))
    below = compiled(own(percents[1], rounding=rounding), COMPANY, "own")
    facts = money_of(code, minor)
    alone, both = divided(rules_of(above), facts), divided(rules_of(above, below), facts)
    assert sum(part.amount.minor for part in both) == minor
    left = [part for part in alone if part.role == "beneficiary"]
    assert [part for part in both if part.role == "aggregator"] == [
        part for part in alone if part.role == "aggregator"
    ]
    within = [part for part in both if part.role != "aggregator"]
    as_its_own = [
        divided(rules_of(compiled(own(percents[1], rounding=rounding))), money_of(code, one))
        for one in (part.amount.minor for part in left)
    ]
    assert within == [part for parts in as_its_own for part in parts]


@pytest.mark.parametrize(
    "changes",
    [{"company": SIBLING}, {"tenant": party(4)}, {"tenant": None}, {"program": "other"}],
)
def test_f22_only_the_company_whose_money_it_is_divides_it(changes: dict[str, Any]) -> None:
    above = compiled(delegating())
    below = compiled(own(match={"programs": ["p"]}), COMPANY, "own")
    facts = money_of("EUR", 1000, **changes)
    rules = rules_of(above, below)
    assert "partner" not in {part.role for part in divided(rules, facts)}
    assert choose(rules, facts) == choose(rules_of(above), facts)


def test_f22_amounts_that_a_companys_rule_matches_are_of_what_is_left_to_it() -> None:
    below = compiled(own(match={"amounts": {"EUR": {"from": "9.00"}}}), COMPANY, "own")
    rules = rules_of(compiled(delegating()), below)
    met, missed = (divided(rules, money_of("EUR", minor)) for minor in (1000, 999))
    euro = currency("EUR")
    assert [(part.role, part.amount) for part in met] == [
        ("aggregator", Money(100, euro)),
        ("partner", Money(225, euro)),
        ("beneficiary", Money(675, euro)),
    ]
    assert [part.role for part in missed] == ["aggregator", "beneficiary"]


def test_f14_what_a_companys_rule_cannot_divide_goes_to_suspense_whole() -> None:
    agent = {"role": "agent", "to": {"relation": "agent"}, "percent": "1"}
    below = compiled(document(agent, rule="own"), COMPANY, "own")
    facts = money_of("EUR", 1000)
    outcome = decide_allocation(
        choose(rules_of(compiled(delegating()), below), facts), facts, PLAIN
    )
    assert isinstance(outcome, Suspense)
    assert outcome.reason is Reason.RELATION_UNCLEAR
    crowd = [{"role": "part", "to": {"party": f"p-{number}"}, "weight": 1} for number in range(64)]
    wide = compiled({**own(), "lines": crowd}, COMPANY, "own")
    outcome = decide_allocation(choose(rules_of(compiled(delegating()), wide), facts), facts, PLAIN)
    assert isinstance(outcome, Suspense)
    assert outcome.reason is Reason.TOO_MANY_PARTS


@pytest.fixture
async def desk(
    fresh_database: Callable[[Schema], ServiceDatabase], bench_of: Callable[..., Any]
) -> AsyncIterator[Desk]:
    async with open_desk(fresh_database, bench_of) as desk:
        await desk.directory(Known().registered(SIBLING))
        yield desk


@pytest.fixture
def money(announce: Any) -> Callable[..., dict[str, Any]]:
    def body(external_id: str = "m-1", **changes: Any) -> dict[str, Any]:
        fields = {
            "company": COMPANY,
            "beneficiary": {"party": PAYEE},
            "occurred_at": "2026-09-21T08:00:00Z",
            **changes,
        }
        return dict(announce(external_id, **fields))

    return body


def amounts(journal: Any) -> list[str]:
    return [leg.amount.amount for leg in journal.legs]


async def test_f22_old_money_keeps_both_versions_and_comes_out_the_same_again(
    desk: Desk, money: Any
) -> None:
    await desk.publish(delegating())
    fact = await desk.publish(own(), 2, **BOB)
    assert isinstance(fact, RulePublished)
    assert (fact.tenant, fact.company) == (TENANT, COMPANY)
    mine, theirs = await desk.book(money(), money("m-2", company=SIBLING))
    assert (amounts(mine), amounts(theirs)) == (["10.00", "22.50", "67.50"], ["10.00", "90.00"])
    assert await desk.rules() == [f"{rule_id(1)}:1"] * 2
    kept = await desk.bench.rows("SELECT rule_facts FROM pay_in ORDER BY external_id")
    assert [row[0]["company_rule"] for row in kept] == [f"{rule_id(2)}:1", None]

    desk.bench.clock.advance(timedelta(hours=1))
    await desk.publish(delegating("20", version=2))
    await desk.publish(own("50", version=2), 2, **BOB)
    await desk.publish(own("50"), 3, **EVE)
    for asked in ({"rule_id": rule_id(1)}, {"rule_id": rule_id(2), **BOB}):
        run = await desk.dry_run(version=1, pay_ins=(mine.reference,), **asked)
        (again,) = run.results
        assert [(line.account, line.amount.amount) for line in again.lines] == [
            (leg.credit, leg.amount.amount) for leg in mine.legs
        ]
        assert [line.rule for line in again.lines] == [None, *[f"{rule_id(2)}:1"] * 2]
    run = await desk.dry_run(rule_id=rule_id(1), version=1, pay_ins=(theirs.reference,))
    assert [line.amount.amount for line in run.results[0].lines] == ["10.00", "90.00"]
    later = {"occurred_at": "2026-09-21T09:00:00Z"}
    new, old = await desk.book(money("m-3", **later), money("m-4"))
    assert (amounts(new), amounts(old)) == (["20.00", "40.00", "40.00"], amounts(mine))


@pytest.mark.parametrize(
    ("changed", "pointer", "code"),
    [
        ({"match": {"companies": [COMPANY, SIBLING]}}, "/match/companies/1", "foreign_money"),
        ({"lines": [{**BENEFICIARY, "delegate": True}]}, "/lines/0/delegate", "delegates_again"),
        ({"charges": [{"role": "gift", "from": TENANT, "to": {"party": PAYEE}, "percent": "1"}]},
         "/charges", "charges_below"),
    ],
)  # fmt: skip
async def test_f22_a_company_publishes_rules_for_its_own_money_only(
    desk: Desk, changed: dict[str, Any], pointer: str, code: str
) -> None:
    given = own(**changed) if "lines" not in changed else {**own(), **changed}
    refused = await desk.publish(given, **BOB)
    assert (refused.code, refused.field) == ("rule_invalid", "/document")
    assert [(fault.pointer, fault.code) for fault in refused.faults] == [(pointer, code)]
    (linted,) = await desk.send(
        LintRule(lint_id=desk.run_id(), tenant=TENANT, document=json.dumps(given), **BOB)
    )
    assert linted.faults == refused.faults
    assert await desk.bench.value("SELECT count(*) FROM allocation_rule") == 0


@pytest.mark.parametrize(
    ("line", "pointer", "code"),
    [
        ({"to": {"role": "company"}, "percent": "100"}, "/delegate", "delegate_without_remainder"),
        ({"to": {"role": "aggregator"}, "remainder": True}, "/to", "delegate_to_other"),
    ],
)
async def test_f22_only_the_remainder_of_the_company_or_beneficiary_is_delegated(
    desk: Desk, line: dict[str, Any], pointer: str, code: str
) -> None:
    lines = [{"role": "rest", "delegate": True, **line}]
    refused = await desk.publish({**document(), "lines": lines})
    assert [(fault.pointer, fault.code) for fault in refused.faults] == [
        (f"/lines/0{pointer}", code)
    ]


async def test_x2_a_sibling_neither_sees_nor_touches_a_companys_rules(
    desk: Desk, money: Any
) -> None:
    await desk.publish(delegating())
    await desk.publish(own(), 2, **BOB)
    (journal,) = await desk.book(money())
    assert isinstance(await desk.publish(own(), 3, **EVE), RulePublished), "names are apart"
    taken = await desk.publish(own(version=2), 2, **EVE)
    assert (taken.code, taken.field) == ("id_reused", "/rule_id")
    named = await desk.publish(own(), 4, company=COMPANY, **EVE)
    assert (named.code, named.field) == ("not_your_rules", "/company")
    for who in (EVE, {"who": OWNER}):
        retire = RetireRule(rule_id=rule_id(2), tenant=TENANT, reason="Envy", **who)
        (refused,) = await desk.send(retire)
        assert (refused.code, refused.field) == ("unknown_rule", "/rule_id")
    hidden = await desk.dry_run(samples=(sample(),), pay_ins=(journal.reference,), **EVE)
    assert [(one.outcome, one.code, one.lines) for one in hidden.results] == [
        ("not_shown", "foreign_money", ())
    ] * 2
    unknown = await desk.dry_run(rule_id=rule_id(2), version=1, samples=(sample(),), **EVE)
    assert unknown.code == "unknown_rule"
    (retired,) = await desk.send(RetireRule(rule_id=rule_id(2), tenant=TENANT, reason="x", **BOB))
    assert isinstance(retired, RuleRetired)


async def test_x2_a_dry_run_asks_no_rules_of_another_tenant(desk: Desk) -> None:
    other, theirs = Known(tenant=OTHER_TENANT), party(9)
    await desk.directory(other.registered(OTHER_TENANT), other.registered(theirs))
    stranger: dict[str, Any] = {
        "tenant": OTHER_TENANT,
        "who": Who(actor="a", principal=OTHER_TENANT),
    }
    await desk.publish(document(fee()), **stranger)
    asked = {"samples": (sample(company=theirs),)}
    seen, hidden = await desk.dry_run(**asked, **stranger), await desk.dry_run(**asked)
    assert [run.results[0].rule for run in (seen, hidden)] == [f"{rule_id(1)}:1", "standard:1"]
    assert hidden.results[0].passed_over == ()


async def test_f22_a_dry_run_of_a_companys_document_shows_both_layers(desk: Desk) -> None:
    mine = json.dumps(own("10"))
    before = await desk.dry_run(document=mine, samples=(sample(),), **BOB)
    assert [(one.code, one.pointer) for one in before.results[0].passed_over] == [
        ("not_delegated", "/lines")
    ]
    await desk.publish(delegating())
    asked = (sample(), sample(company=SIBLING, program="q"))
    run = await desk.dry_run(document=mine, samples=asked[:1], **BOB)
    shown = [(one.rule, one.line, one.owner, one.amount.amount) for one in run.results[0].lines]
    assert shown == [
        (None, 0, TENANT, "10.00"),
        ("own:1", 0, PARTNER, "9.00"),
        ("own:1", 1, PAYEE, "81.00"),
    ]
    await desk.publish(own("10"), 2, **BOB)
    above = await desk.dry_run(rule_id=rule_id(2), version=1, samples=asked)
    assert [line.amount.amount for line in above.results[0].lines] == ["10.00", "9.00", "81.00"]
    assert [line.amount.amount for line in above.results[1].lines] == ["10.00", "90.00"]
    assert above.results[1].passed_over[0].code == "company_differs"


async def test_f62_the_operator_brings_a_companys_rule(desk: Desk) -> None:
    operator = Who(actor="user:root", principal="operator")
    fact = await desk.publish(own(), company=COMPANY, who=operator)
    assert (fact.company, fact.tenant) == (COMPANY, TENANT)
    foreign = await desk.publish(own(), 2, company=COMPANY)
    assert (foreign.code, foreign.field) == ("not_your_rules", "/company")


async def test_f22_who_is_no_company_has_no_rules_of_its_own(desk: Desk) -> None:
    payee = party(11)
    await desk.directory(Known().registered(payee, kind="payee"))
    refused = await desk.publish(own(), 2, who=Who(actor="user:pat", principal=payee))
    assert (refused.code, refused.field) == ("not_a_company", "/who/principal")
    operator = Who(actor="user:root", principal="operator")
    named = await desk.publish(own(), 2, company=payee, who=operator)
    assert (named.code, named.field) == ("not_a_company", "/company")
    assert isinstance(await desk.publish(own(), 2, **BOB), RulePublished)


@pytest.mark.parametrize(
    ("rules", "versions", "code"),
    [(RULES_MAX, 1, "too_many_rules"), (1, VERSIONS_MAX, "too_many_versions")],
)
async def test_an_owner_publishes_so_many_rules_and_versions_and_others_are_free_to(
    desk: Desk, rules: int, versions: int, code: str
) -> None:
    await entered(desk, rules, versions)
    refused = await desk.publish(own(), 2, **BOB)
    assert refused.code == code
    assert isinstance(await desk.publish(document(fee("1")), 3), RulePublished)


async def entered(desk: Desk, rules: int, versions: int) -> None:
    """So many rules of the company, with so many versions each, that no money was divided by."""
    async with desk.bench.pool.acquire() as conn, conn.transaction():
        await for_every_tenant(conn)
        await conn.execute(
            "INSERT INTO allocation_rule (rule_id, tenant, company, name, last_version)"
            " SELECT 'rul_' || r, $1, $2, 'r' || r, $4 FROM generate_series(1, $3) AS r",
            *(TENANT, COMPANY, rules, versions),
        )
        await conn.execute(
            "INSERT INTO allocation_rule_version (rule_id, version, tenant, company, document,"
            " digest, effective_from, actor, principal, published_at)"
            " SELECT rule_id, v, tenant, company, $1, '', $2, 'a', 'p', $2"
            " FROM allocation_rule, generate_series(1, $3) AS v",
            *(json.dumps(own()), START, versions),
        )


async def test_a_replica_reads_the_versions_that_changed_since_it_read_last(desk: Desk) -> None:
    async def changed(uow: UnitOfWork) -> list[tuple[str, int]]:
        stamp = await store.hold_stamp(uow.conn)
        found = [(one.rule_id, one.version) for one in await store.editions(uow.conn, seen[-1])]
        seen.append(stamp.number)
        return sorted(found)

    seen = [0]
    await desk.publish(delegating())
    await desk.publish(own(), 2, **BOB)
    assert await desk.transactor.run(changed) == [(rule_id(1), 1), (rule_id(2), 1)]
    assert await desk.transactor.run(changed) == []
    later = own(version=2, effective_from="2026-10-01T00:00:00Z")
    await desk.publish(later, 2, **BOB)
    assert await desk.transactor.run(changed) == [(rule_id(2), 1), (rule_id(2), 2)]
    await desk.send(RetireRule(rule_id=rule_id(1), tenant=TENANT, reason="x", who=OWNER))
    assert await desk.transactor.run(changed) == [(rule_id(1), 1)]
