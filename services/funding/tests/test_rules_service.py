"""Rules by API, on a real Postgres: published, tried, kept for old money, refused with a reason."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import Who
from tally_contracts.funding import PayInReceived
from tally_contracts.funding_rules import (
    LintRule,
    PublishRule,
    RetireRule,
    RuleDryRun,
    RuleLinted,
    RulePublished,
    RuleRefused,
    RuleRetired,
)
from tally_funding.rule_document import bundled_rule, parse_rule
from tally_funding.rules import store
from tally_funding.rules.book import RuleBook
from tally_funding.rules.service import publish
from tally_messaging import UnitOfWork
from tally_postgres import Schema
from tally_testkit import ServiceDatabase

from .rules_bench import (
    COMPANY,
    GROUP,
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


@pytest.fixture
async def desk(
    fresh_database: Callable[[Schema], ServiceDatabase], bench_of: Callable[..., Any]
) -> AsyncIterator[Desk]:
    async with open_desk(fresh_database, bench_of) as desk:
        yield desk


@pytest.fixture
def money(announce: Any) -> Callable[..., dict[str, Any]]:
    """100.00 USD that a company of the tenant owes a payee, just now."""

    def body(external_id: str = "m-1", **changes: Any) -> dict[str, Any]:
        fields = {
            "company": COMPANY,
            "beneficiary": {"party": PAYEE},
            "occurred_at": "2026-09-21T08:00:00Z",
            **changes,
        }
        return dict(announce(external_id, **fields))

    return body


async def test_f22_a_published_rule_divides_the_tenants_money_and_no_others(
    desk: Desk, money: Any
) -> None:
    fact = await desk.publish(document(fee()))
    assert isinstance(fact, RulePublished)
    assert (fact.version, fact.effective_from, fact.effective_until) == (1, START, None)
    theirs, others = await desk.book(money(), money("m-2", company="co_1"))
    assert [leg.amount.amount for leg in theirs.legs] == ["10.00", "90.00"]
    assert theirs.open_accounts[1].owner == TENANT
    assert [leg.amount.amount for leg in others.legs] == ["2.50", "0.30", "97.20"]
    assert await desk.rules() == [f"{rule_id(1)}:1", "standard:1"]


async def test_f22_a_command_sent_again_is_answered_as_before_and_changes_nothing(
    desk: Desk,
) -> None:
    first = await desk.publish(document(fee()))
    desk.bench.clock.advance(timedelta(hours=1))
    again = await desk.publish(document(fee()))
    assert again.model_copy(update={"occurred_at": START}) == first
    other = await desk.publish(document(fee("11")))
    assert (other.code, other.field) == ("version_reused", "/document")
    assert await desk.bench.pool.fetchval("SELECT count(*) FROM outbox") == 3
    retire = RetireRule(rule_id=rule_id(1), tenant=TENANT, reason="It ended", who=OWNER)
    (retired,) = await desk.send(retire)
    desk.bench.clock.advance(timedelta(hours=1))
    (once_more,) = await desk.send(retire)
    assert isinstance(retired, RuleRetired)
    assert once_more.effective_until == retired.effective_until


async def test_f22_a_later_version_takes_over_at_its_time_and_old_money_keeps_its_own(
    desk: Desk, money: Any
) -> None:
    await desk.publish(document(fee()))
    await desk.book(money())
    second = document(fee("20"), version=2, effective_from="2026-09-22T08:00:00Z")
    await desk.publish(second)
    desk.bench.clock.advance(timedelta(days=2))
    late = money("m-2", occurred_at="2026-09-22T07:59:59Z")
    new = money("m-3", occurred_at="2026-09-22T08:00:00Z")
    await desk.book(late, new)
    assert await desk.rules() == [f"{rule_id(1)}:{version}" for version in (1, 1, 2)]


async def test_x8_an_old_pay_in_under_its_version_gives_the_same_lines_for_ever(
    desk: Desk, money: Any
) -> None:
    known = Known()
    members = [party(20), party(21), party(22)]
    await desk.directory(
        *(known.joined(one, n + 1) for n, one in enumerate(members)),
        known.related(party(30), "agent"),
    )
    lines = (
        fee("3.3"),
        {"role": "agent", "to": {"relation": "agent"}, "percent": "1.7"},
        {"role": "crew", "to": {"group": GROUP}, "percent": "10"},
    )
    await desk.publish(document(*lines))
    (journal,) = await desk.book(money(amount={"currency": "USD", "amount": "99.97"}))
    desk.bench.clock.advance(timedelta(hours=1))
    assert isinstance(await desk.publish(document(fee("50"), version=2)), RulePublished)
    await desk.directory(
        known.joined(members[0], 4, member=False),
        known.joined(party(23), 5),
        known.related(party(30), "agent", ended=True),
        known.related(party(31), "agent"),
    )
    run = await desk.dry_run(rule_id=rule_id(1), version=1, pay_ins=(journal.reference,))
    assert isinstance(run, RuleDryRun)
    (result,) = run.results
    assert result.outcome == "allocated"
    assert [(line.account, line.amount.amount) for line in result.lines] == [
        (leg.credit, leg.amount.amount) for leg in journal.legs
    ]
    assert [line.owner for line in result.lines] == [TENANT, party(30), *members, PAYEE]
    now = await desk.dry_run(rule_id=rule_id(1), version=1, samples=(sample(),))
    owners = [line.owner for line in now.results[0].lines]
    assert owners == [TENANT, party(31), *members[1:], party(23), PAYEE]


async def test_f22_a_dry_run_shows_every_line_and_books_nothing(desk: Desk) -> None:
    line = fee("2.5", floor={"USD": "0.50"}, cap={"USD": "5.00"})
    half = fee("0.005", role="half")
    given = document(line, half, match={"amounts": {"USD": {"from": "1.00"}}})
    run = await desk.dry_run(
        document=json.dumps(given),
        samples=(sample(), sample(amount={"currency": "USD", "amount": "0.99"})),
    )
    first, second = run.results
    shown = [
        (one.line, one.share, one.basis.amount, one.amount.amount, one.owner) for one in first.lines
    ]
    assert shown == [
        (0, "2.5 % of the whole, at least 0.50 USD, at most 5.00 USD", "100.00", "2.50", TENANT),
        (1, "0.005 % of the whole", "100.00", "0.00", TENANT),
        (2, "weight 1 of the rest", "97.50", "97.50", PAYEE),
    ]
    assert first.residue == "1/2"
    assert (second.outcome, second.code) == ("no_rule", "amount_differs")
    assert second.passed_over[0].pointer == "/match/amounts"
    assert await desk.bench.value("SELECT count(*) FROM pay_in") == 0


async def test_f22_a_dry_run_says_which_rule_matched_and_why_the_others_did_not(
    desk: Desk,
) -> None:
    later = {"effective_from": "2026-12-01T00:00:00Z", "priority": 1}
    await desk.publish(document(fee(), rule="winter", **later), 1)
    payroll = {"match": {"kinds": ["payroll"]}, "priority": 2}
    await desk.publish(document(fee(), rule="payroll", **payroll), 2)
    await desk.publish(document(fee(), rule="all"), 3)
    run = await desk.dry_run(samples=(sample(), sample(company="co_x"), sample(beneficiary=None)))
    ours, others, unknown = run.results
    assert ours.rule == f"{rule_id(3)}:1"
    assert [(one.rule, one.pointer, one.code) for one in ours.passed_over] == [
        (f"{rule_id(1)}:1", "/effective_from", "not_in_force"),
        (f"{rule_id(2)}:1", "/match/kinds", "kind_differs"),
    ]
    assert (others.rule, others.outcome) == ("standard:1", "allocated")
    assert (unknown.outcome, unknown.code) == ("suspense", "no_beneficiary")


async def test_f19_a_rule_that_targets_a_group_follows_its_membership(
    desk: Desk, money: Any
) -> None:
    known = Known()
    await desk.publish(document(fee("1"), match={"groups": [GROUP]}))
    await desk.book(money())
    await desk.directory(known.joined(PAYEE, 1))
    await desk.book(money("m-2"))
    # Facts of the group that come late do not undo what is newer.
    await desk.directory(known.joined(PAYEE, 3, member=False), known.joined(PAYEE, 2))
    await desk.book(money("m-3"))
    assert await desk.rules() == ["standard:1", f"{rule_id(1)}:1", "standard:1"]


async def test_f19_a_pay_in_keeps_the_version_of_the_group_it_was_divided_by(
    desk: Desk, money: Any
) -> None:
    known, other = Known(), party(20)
    crew = {"group": GROUP, "weights": {PAYEE: 3, "*": 1}}
    await desk.publish(document({"role": "crew", "to": crew, "percent": "4"}))
    await desk.directory(known.joined(PAYEE, 1), known.joined(other, 2))
    await desk.book(money())
    await desk.directory(known.joined(other, 3, member=False))
    await desk.book(money("m-2"))
    rows = await desk.bench.rows("SELECT rule_facts FROM pay_in ORDER BY external_id")
    kept = [row[0] for row in rows]
    assert [facts["group_versions"] for facts in kept] == [{GROUP: 2}, {GROUP: 3}]
    assert [facts["members"][GROUP] for facts in kept] == [sorted([PAYEE, other]), [PAYEE]]
    shares = await desk.bench.rows(
        "SELECT owner, amount FROM allocation WHERE role = 'crew' ORDER BY pay_in_id, owner"
    )
    assert sorted((row[0], row[1]) for row in shares) == sorted(
        [(PAYEE, 300), (other, 100), (PAYEE, 400)]
    )


async def test_f24_a_rule_selects_on_every_condition_at_once(desk: Desk, money: Any) -> None:
    match = {
        "sources": ["cards"],
        "programs": ["supplier-payments"],
        "kinds": ["payroll"],
        "currencies": ["USD"],
        "countries": ["DE"],
        "companies": [COMPANY],
        "amounts": {"USD": {"from": "50.00", "below": "100.01"}},
        "tags": {"site": ["a", "b"]},
    }
    await desk.publish(document(fee(), match=match))
    right = {"kind": "payroll", "references": {"site": "b"}}
    wrong: list[dict[str, Any]] = [
        {"why": {"program": "other", "event": "e", "reason": "r"}},
        {"kind": "benefits"},
        {"amount": {"currency": "EUR", "amount": "100.00"}},
        {"originator": {"reference": "d", "country": "FR"}},
        {"amount": {"currency": "USD", "amount": "100.01"}},
        {"amount": {"currency": "USD", "amount": "49.99"}},
        {"references": {"site": "c"}},
        {"references": {}},
    ]
    await desk.book(
        money("m-0", **right),
        *(money(f"m-{n}", **(right | change)) for n, change in enumerate(wrong, 1)),
    )
    assert await desk.rules() == [f"{rule_id(1)}:1", *["standard:1"] * len(wrong)]


@pytest.mark.parametrize(
    ("given", "changes", "code", "pointer"),
    [
        (document(fee("101")), {}, "rule_invalid", "/lines/0/percent"),
        (document(fee("60"), fee("41")), {}, "rule_invalid", "/lines"),
        (document(fee(), rule="other"), {}, "name_changed", "/rule"),
        (document(fee(), version=3, effective_from="2026-09-21T07:59:59Z"), {}, "effective_in_past", "/effective_from"),
        (document(fee(), version=3, effective_from="2026-09-22T08:00:00Z"), {}, "effective_overlap", "/effective_from"),
        (document(fee(), version=3, effective_from="2026-09-23T08:00:00Z", effective_until="2026-09-22T08:00:00Z"), {}, "rule_invalid", "/effective_until"),
        (document(fee(), version=1), {}, "version_reused", "/version"),
        (document(fee()), {"number": 2}, "name_in_use", "/rule"),
        (document(fee(), rule="twin"), {"number": 2}, "order_ambiguous", "/priority"),
        (document(fee()), {"tenant": "*"}, "not_your_rules", None),
        (document(fee()), {"tenant": OTHER_TENANT}, "not_your_rules", None),
        (document(fee()), {"tenant": OTHER_TENANT, "who": Who(actor="a", principal=OTHER_TENANT)}, "id_reused", None),
    ],
)  # fmt: skip
async def test_f22_what_cannot_be_published_is_refused_with_code_field_and_remedy(
    desk: Desk, given: dict[str, Any], changes: dict[str, Any], code: str, pointer: str | None
) -> None:
    await desk.publish(document(fee("1")))
    second = document(
        fee("2"),
        version=2,
        effective_from="2026-09-21T09:00:00Z",
        effective_until="2026-09-23T08:00:00Z",
    )
    await desk.publish(second)
    before = await dump(desk)
    refused = await desk.publish(given, **changes)
    assert isinstance(refused, RuleRefused)
    assert (refused.code, refused.command_type) == (code, PublishRule.TYPE)
    assert refused.remedy
    assert refused.field in {"/document", "/rule_id", "/who/principal"}
    assert pointer is None or pointer in {fault.pointer for fault in refused.faults}
    assert await dump(desk) == before


async def dump(desk: Desk) -> list[Any]:
    async with desk.bench.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        return [
            await conn.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
            for table in ("allocation_rule", "allocation_rule_version", "rule_stamp")
        ]


async def test_f22_lint_names_every_fault_and_the_digest_owners_sign(desk: Desk) -> None:
    def asked(given: str, number: int) -> LintRule:
        lint_id = f"lint_01m3250v00e0080000000000{number:02d}"
        return LintRule(lint_id=lint_id, tenant=TENANT, document=given, who=OWNER)

    good = json.dumps(document(fee()))
    linted, bad, none = await desk.send(
        asked(good, 1), asked(json.dumps(document(fee("101"), colour="red")), 2), asked("[]", 3)
    )
    assert isinstance(linted, RuleLinted)
    assert linted.faults == ()
    published = await desk.publish(document(fee()))
    assert linted.digest == published.digest
    assert {fault.pointer for fault in bad.faults} == {"/colour"}
    assert [fault.code for fault in none.faults] == ["bad_value"]
    assert none.digest is None
    again, other = await desk.send(asked(good, 1), asked("{}", 1))
    assert again == linted
    assert (other.code, other.field) == ("id_reused", "/lint_id")
    (ambiguous,) = await desk.send(asked(json.dumps(document(fee(), rule="twin")), 4))
    assert [fault.code for fault in ambiguous.faults] == ["order_ambiguous"]


async def test_a_dry_run_sees_no_other_tenants_money_or_rules(desk: Desk, money: Any) -> None:
    (journal,) = await desk.book(money())
    await desk.publish(document(fee()))
    stranger = {"tenant": OTHER_TENANT, "who": Who(actor="a", principal=OTHER_TENANT)}
    run = await desk.dry_run(pay_ins=(journal.reference,), **stranger)
    assert [result.outcome for result in run.results] == ["unknown_pay_in"]
    refused = await desk.dry_run(rule_id=rule_id(1), version=1, samples=(sample(),), **stranger)
    assert (refused.code, refused.field) == ("unknown_rule", "/rule_id")
    company = {"who": Who(actor="user:bob", principal=COMPANY)}
    seen = await desk.dry_run(pay_ins=(journal.reference,), **company)
    assert [result.outcome for result in seen.results] == ["allocated"]
    foreign = await desk.dry_run(samples=(sample(),), who=Who(actor="a", principal=OTHER_TENANT))
    assert foreign.code == "not_your_rules"


async def test_a_run_whose_answer_would_not_fit_a_record_is_refused(desk: Desk) -> None:
    many = document(*(fee("1", role=f"r{n}") for n in range(40)))
    refused = await desk.dry_run(document=json.dumps(many), samples=(sample(),) * 50)
    assert (refused.code, refused.field) == ("run_too_large", "/samples")
    fits = await desk.dry_run(document=json.dumps(many), samples=(sample(),) * 48)
    assert sum(len(result.lines) for result in fits.results) == 48 * 41


async def test_f22_a_publication_waits_for_money_being_booked_and_goes_before_what_comes_after(
    desk: Desk, money: Any
) -> None:
    pool, rules = desk.bench.pool, desk.processors["funding.rules"]
    command = PublishRule(
        rule_id=rule_id(1), tenant=TENANT, document=json.dumps(document(fee())), who=OWNER
    )
    record = desk.bench.record(command.TYPE, command, topic="funding.rules.commands.v1")
    async with pool.acquire() as booking:
        transaction = booking.transaction()
        await transaction.start()
        await store.hold_stamp(booking)
        publishing = asyncio.create_task(rules.process([record]))
        await waiting_for_the_stamp(pool, 1)
        later = asyncio.create_task(desk.bench.process(desk.bench.money(money())))
        await waiting_for_the_stamp(pool, 2)
        await transaction.rollback()
    await asyncio.gather(publishing, later)
    assert await desk.rules() == [f"{rule_id(1)}:1"]


async def waiting_for_the_stamp(pool: Any, number: int) -> None:
    """Until this many sessions wait to read or change the stamp of the rules."""
    query = """SELECT count(*) FROM pg_locks
        WHERE NOT granted AND relation = 'rule_stamp'::regclass"""
    while await pool.fetchval(query) != number:  # noqa: ASYNC110 - another session has no event
        await asyncio.sleep(0.01)


async def test_a_publication_that_was_undone_is_not_remembered(desk: Desk, money: Any) -> None:
    class UndoneError(Exception):
        """Ends the unit."""

    book = RuleBook(parse_rule(bundled_rule()).rule)
    command = PublishRule(
        rule_id=rule_id(1), tenant=TENANT, document=json.dumps(document(fee())), who=OWNER
    )

    async def unit(uow: UnitOfWork) -> None:
        await publish(uow, book, command)
        assert [rule.label for rule in (await book.in_force(uow.conn)).of_scope(TENANT)]
        raise UndoneError

    with pytest.raises(UndoneError):
        await desk.transactor.run(unit)
    await desk.publish(document(fee(), rule="another"), 2)

    async def look(uow: UnitOfWork) -> list[str]:
        return [rule.label for rule in (await book.in_force(uow.conn)).of_scope(TENANT)]

    assert await desk.transactor.run(look) == [f"{rule_id(2)}:1"]
    await desk.book(money())
    assert await desk.rules() == [f"{rule_id(2)}:1"]


async def test_rules_of_the_installation_hold_for_tenants_without_their_own(
    desk: Desk, money: Any
) -> None:
    operator = Who(actor="user:root", principal="operator")
    everywhere = document(
        {"role": "fee", "to": {"party": "house"}, "percent": "1"}, rule="everywhere", priority=0
    )
    await desk.publish(everywhere, 1, tenant="*", who=operator)
    await desk.publish(document(fee(), match={"kinds": ["payroll"]}, priority=900), 2)
    await desk.book(money(), money("m-2", kind="payroll"), money("m-3", company="co_x"))
    rules = [f"{rule_id(1)}:1", f"{rule_id(2)}:1", f"{rule_id(1)}:1"]
    assert await desk.rules() == rules


@pytest.mark.parametrize("size", [2, 200])
async def test_a_batch_asks_the_directory_once_whatever_its_size(
    desk: Desk, money: Any, count_on: Callable[..., Any], size: int
) -> None:
    lines = (
        {"role": "agent", "to": {"relation": "agent"}, "percent": "1"},
        {"role": "crew", "to": {"group": GROUP}, "percent": "1"},
    )
    await desk.directory(Known().joined(party(20), 1), Known().related(party(30), "agent"))
    await desk.publish(document(*lines, match={"groups": [GROUP]}))
    await desk.book(money("warm"))
    sent = await count_on(desk.bench, *(desk.bench.money(money(f"m-{n}")) for n in range(size)))
    assert len(sent) == 12, (
        "inbox, stamp, gate tables, five of the directory, two rows, outbox, its lane"
    )


async def test_every_table_of_tenants_rows_is_closed_to_whoever_names_no_tenant(
    desk: Desk,
) -> None:
    await desk.publish(document(fee()))
    pool = desk.bench.pool
    tables = [row[0] for row in await pool.fetch(_TENANT_TABLES)]
    assert {"allocation_rule", "allocation_rule_version", "owner_key"} <= set(tables)
    open_tables = await pool.fetch(_NOT_FORCED)
    assert [row[0] for row in open_tables if row[0] in tables] == []
    assert await pool.fetchval("SELECT count(*) FROM allocation_rule") == 0
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', $1, true)", OTHER_TENANT)
        assert await conn.fetchval("SELECT count(*) FROM allocation_rule") == 0
        await conn.execute("SELECT set_config('tally.tenant', $1, true)", TENANT)
        assert await conn.fetchval("SELECT count(*) FROM allocation_rule") == 1


_TENANT_TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'funding'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant'
"""
_NOT_FORCED = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'funding'::regnamespace AND c.relkind = 'r'
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity
           AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
"""


async def test_f25_pay_ins_of_a_rule_tell_what_they_always_told(desk: Desk, money: Any) -> None:
    await desk.publish(document(fee()))
    await desk.bench.process(desk.bench.money(money()))
    received, journal = await desk.bench.told()
    assert isinstance(received, PayInReceived)
    await desk.bench.process(desk.bench.posted(journal))
    (allocated,) = await desk.bench.told()
    assert allocated.rule == f"{rule_id(1)}:1"
    assert [share.owner for share in allocated.allocations] == [TENANT, PAYEE]
