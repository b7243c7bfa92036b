"""From an announcement to the ledger and back, on a real Postgres."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import Amount
from tally_contracts.funding import PayInAllocated, PayInReceived, PayInSuspended
from tally_contracts.ledger import PostJournal
from tally_funding.app import remember_rule
from tally_funding.errors import RuleReused
from tally_funding.rule_document import bundled_rule, parse_rule
from tally_funding.watch import FundingMetrics, SuspenseWatch
from tally_runtime import Metrics


async def test_f13_money_announced_is_allocated_exactly_once_the_ledger_holds_it(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce()))
    received, journal = await funding.told()
    assert isinstance(received, PayInReceived)
    assert isinstance(journal, PostJournal)
    assert journal.reference == received.pay_in_id
    assert [leg.amount.amount for leg in journal.legs] == ["2.50", "0.30", "97.20"]
    assert {leg.debit for leg in journal.legs} == {journal.open_accounts[0].id}
    assert [(a.path, a.guarded) for a in journal.open_accounts] == [
        ("clearing/cards/USD", False),
        ("wallet/aggregator/USD", True),
        ("wallet/co_1/USD", True),
        ("wallet/pty_1/USD", True),
    ]
    assert await funding.states() == {"m-1": "allocating"}

    await funding.process(funding.posted(journal))
    (allocated,) = await funding.told()
    assert isinstance(allocated, PayInAllocated)
    assert (allocated.rule, allocated.kind) == ("standard:1", "payables")
    assert [(a.owner, a.role, a.amount.amount, a.pay_out) for a in allocated.allocations] == [
        ("aggregator", "aggregator", "2.50", False),
        ("co_1", "company", "0.30", False),
        ("pty_1", "beneficiary", "97.20", True),
    ]
    assert [a.account for a in allocated.allocations] == [leg.credit for leg in journal.legs]
    assert await funding.states() == {"m-1": "allocated"}


async def test_f14_unmatched_money_stands_in_suspense_with_a_case(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce(beneficiary=None)))
    _, journal = await funding.told()
    assert [a.path for a in journal.open_accounts] == ["clearing/cards/USD", "suspense/cards/USD"]
    assert [leg.amount.amount for leg in journal.legs] == ["100.00"]
    await funding.process(funding.posted(journal))
    (suspended,) = await funding.told()
    assert isinstance(suspended, PayInSuspended)
    assert (suspended.reason_code, suspended.journal_id) == ("no_beneficiary", journal.journal_id)
    assert await funding.states() == {"m-1": "suspense"}
    assert await funding.cases() == [("m-1", "no_beneficiary")]


async def test_f25_all_events_of_a_pay_in_carry_the_correlation_of_its_announcement(
    funding: Any, announce: Any
) -> None:
    headers = [("tally_correlation_id", b"trip-1"), ("tally_tenant", b"another")]
    await funding.process(funding.money(announce(), event_id="ce-1", headers=headers))
    _, journal = await funding.told()
    await funding.process(funding.posted(journal, headers=headers[:1]))
    rows = await funding.pool.fetch("SELECT headers::jsonb FROM outbox ORDER BY seq")
    assert [row[0]["tally_correlation_id"] for row in rows] == ["trip-1"] * 3
    assert [row[0]["tally_causation_id"] for row in rows[:2]] == ["ce-1"] * 2
    assert {row[0]["tally_tenant"] for row in rows[:2]} == {"main"}, "the topic says whose money"
    assert await funding.value("SELECT correlation_id FROM pay_in") == "trip-1"


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_money_under_another_event_id_is_counted_and_not_booked(
    funding: Any, announce: Any, together: bool
) -> None:
    # Another teller, time and way of writing the amount: the same money all the same.
    retold = announce(
        amount={"currency": "USD", "amount": "100"},
        occurred_at="2026-09-21T08:30:00Z",
        where={"channel": "file"},
    )
    records = [funding.money(announce()), funding.money(retold), funding.money(announce())]
    if together:
        await funding.process(*records)
    else:
        for record in records:
            await funding.process(record)
    assert len(await funding.told()) == 2
    (row,) = await funding.rows("SELECT same, conflicting FROM repeated_announcement")
    assert (row[0], row[1]) == (2, 0)
    assert await funding.cases() == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {"amount": {"currency": "USD", "amount": "100.01"}},
        {"amount": {"currency": "EUR", "amount": "100.00"}},
        {"beneficiary": {"party": "pty_2"}},
        {"company": "co_2"},
        {"references": {"invoice": "8"}},
    ],
)
async def test_other_content_under_a_known_external_id_is_a_case_and_the_first_stands(
    funding: Any, announce: Any, change: dict[str, Any], together: bool
) -> None:
    records = [funding.money(announce()), funding.money(announce(**change))]
    records.append(funding.money(announce(**change)))
    if together:
        await funding.process(*records)
    else:
        for record in records:
            await funding.process(record)
    received, journal = await funding.told()
    assert (received.amount.amount, received.company) == ("100.00", "co_1")
    assert await funding.cases() == [("m-1", "pay_in_conflict")], "one case, however often it comes"
    (row,) = await funding.rows("SELECT same, conflicting FROM repeated_announcement")
    assert (row[0], row[1]) == (0, 2)
    await funding.process(funding.posted(journal))
    assert await funding.states() == {"m-1": "allocated"}


async def test_the_same_external_id_of_two_sources_is_two_pay_ins(
    funding: Any, announce: Any
) -> None:
    await funding.process(
        funding.money(announce()), funding.money(announce(), source="bank", event_id="x")
    )
    assert await funding.value("SELECT count(*) FROM pay_in") == 2
    received = [e for e in await funding.told() if isinstance(e, PayInReceived)]
    assert {event.source for event in received} == {"cards", "bank"}


async def test_poison_amid_good_money_is_set_aside_and_the_rest_booked_once(
    funding: Any, announce: Any
) -> None:
    poison = [
        announce("p-1", amount={"currency": "USD", "amount": "1e3"}),
        announce("p-2", amount={"currency": "USD", "amount": "-1.00"}),
        announce("p-3", amount={"currency": "JPY", "amount": "1.5"}),
        announce("p-4", amount={"currency": "XXX", "amount": "1"}),
        announce("p-5", amount={"currency": "USD", "amount": "0.00"}),
        announce("p-6", why=None),
        announce("p-7", why={"program": "p", "event": "e", "reason": "a\u0000b"}),
        announce("p-8", beneficiary={"party": "a", "contact": "b"}),
        announce("p-9", references={"note": "\ud800"}),
        b"{",
        b"\xff\xfe",
    ]
    good = [announce(f"m-{n}") for n in range(20)]
    records = [funding.money(body) for pair in zip(good, poison, strict=False) for body in pair]
    records += [funding.money(body) for body in good[len(poison) :]]
    records += [funding.money(good[0]), funding.money(announce("m-1", company="co_2"))]
    await funding.process(*records)
    await funding.process(*records)
    assert set(await funding.states()) == {f"m-{n}" for n in range(20)}
    assert len(await funding.set_aside()) == len(poison)
    assert await funding.cases() == [("m-1", "pay_in_conflict")]
    journals = [e for e in await funding.told() if isinstance(e, PostJournal)]
    assert len({journal.journal_id for journal in journals}) == len(journals) == 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": {"currency": "USD", "amount": "0.30"}}, "rule_exceeds_amount"),
        ({"amount": {"currency": "CLF", "amount": "5"}}, "currency_not_covered"),
        ({"beneficiary": {"event_reference": "e" * 128}}, "beneficiary_too_long"),
        ({"beneficiary": {"party": "event:raffle"}}, "beneficiary_ambiguous"),
    ],
)
async def test_f14_money_no_wallet_can_take_is_kept_with_its_reason(
    funding: Any, announce: Any, change: dict[str, Any], reason: str
) -> None:
    await funding.process(funding.money(announce(**change)))
    _, journal = await funding.told()
    await funding.process(funding.posted(journal))
    (suspended,) = await funding.told()
    assert (suspended.reason_code, bool(suspended.remedy)) == (reason, True)
    assert await funding.cases() == [("m-1", reason)]


@pytest.mark.parametrize(
    "change",
    [
        {"value_date": "9999-12-31"},
        {"value_date": "0001-01-01", "occurred_at": "0001-01-01T00:00:00Z"},
        {"amount": {"currency": "USD", "amount": "9" * 36 + ".99"}},
        {"beneficiary": {"contact": "c" * 120}, "company": "~" * 128},
    ],
)
async def test_extreme_but_valid_money_is_booked(
    funding: Any, announce: Any, change: dict[str, Any]
) -> None:
    await funding.process(funding.money(announce("!" * 128, **change)))
    _, journal = await funding.told()
    await funding.process(funding.posted(journal))
    (allocated,) = await funding.told()
    assert allocated.amount == journal_total(journal)
    assert await funding.set_aside() == []


def journal_total(journal: PostJournal) -> Amount:
    moneys = [leg.amount.money() for leg in journal.legs]
    return Amount.of(sum(moneys[1:], start=moneys[0]))


async def test_f14_money_the_ledger_refuses_goes_to_suspense_by_another_journal(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce()))
    _, journal = await funding.told()
    await funding.process(funding.rejected(journal))
    (second,) = await funding.told()
    assert isinstance(second, PostJournal)
    assert second.journal_id != journal.journal_id
    assert second.reference == journal.reference
    assert journal_total(second).amount == "100.00"
    # The first refusal again, and a late yes to the first journal, change nothing.
    await funding.process(funding.rejected(journal), funding.posted(journal))
    assert await funding.told() == []
    assert await funding.states() == {"m-1": "suspending"}
    await funding.process(funding.posted(second))
    (suspended,) = await funding.told()
    assert suspended.reason_code == "ledger_rejected"
    assert suspended.journal_id == second.journal_id
    assert await funding.states() == {"m-1": "suspense"}


async def test_money_refused_even_by_suspense_stays_visible_as_a_case(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce()))
    _, journal = await funding.told()
    await funding.process(funding.rejected(journal))
    (second,) = await funding.told()
    await funding.process(funding.rejected(second, "account_closed"))
    await funding.process(funding.rejected(second, "account_closed"))
    assert await funding.told() == []
    assert await funding.states() == {"m-1": "suspending"}
    assert await funding.cases() == [("m-1", "ledger_rejected"), ("m-1", "suspense_rejected")]


async def test_answers_again_late_or_of_others_change_nothing(funding: Any, announce: Any) -> None:
    await funding.process(funding.money(announce()))
    _, journal = await funding.told()
    foreign = journal.model_copy(update={"reference": "po_01m3250v00e008000000000002"})
    unknown = journal.model_copy(update={"reference": "pin_01m3250v00e008000000000002"})
    other = journal.model_copy(update={"journal_id": "jrn_01m3250v00e008000000000002"})
    await funding.process(*(funding.posted(one) for one in (foreign, unknown, other)))
    assert await funding.told() == []
    assert await funding.states() == {"m-1": "allocating"}
    await funding.process(funding.posted(journal), funding.posted(journal))
    await funding.process(funding.posted(journal), funding.rejected(journal))
    assert len(await funding.told()) == 1
    assert await funding.states() == {"m-1": "allocated"}


async def test_a_publisher_cannot_forge_the_ledgers_word_on_its_own_topic(
    funding: Any, announce: Any
) -> None:
    await funding.process(funding.money(announce()))
    _, journal = await funding.told()
    forged = funding.posted(journal, topic="funding.inbound.cards.v1")
    await funding.process(funding.money(announce("m-2")), forged, funding.money(announce("m-3")))
    assert await funding.states() == dict.fromkeys(("m-1", "m-2", "m-3"), "allocating")
    assert await funding.set_aside() == ["unknown_type"]
    await funding.process(funding.posted(journal))
    assert (await funding.states())["m-1"] == "allocated"


@pytest.mark.parametrize("kind", ["new", "mixed", "answers"])
async def test_a_batch_sends_the_same_statements_whatever_its_size(
    funding: Any, announce: Any, count_statements: Any, kind: str
) -> None:
    def batch(size: int, start: int) -> list[Any]:
        names = [f"m-{n}" for n in range(start, start + size)]
        money = [funding.money(announce(name)) for name in names]
        if kind == "mixed":
            money += [funding.money(announce(name)) for name in names]
            money += [funding.money(announce(name, company="x")) for name in names]
            money += [funding.money(announce(f"u-{name}", beneficiary=None)) for name in names]
        return money

    sent: list[list[str]] = []
    # The first batch of a session also asks the server about types.
    for size, start in ((2, 5000), (2, 0), (200, 1000)):
        records = batch(size, start)
        if kind == "answers":
            await funding.process(*records)
            journals = [e for e in await funding.told() if isinstance(e, PostJournal)]
            records = [
                (funding.posted if n % 2 else funding.rejected)(journal)
                for n, journal in enumerate(journals)
            ]
        sent.append(await count_statements(*records))
    assert sent[1] == sent[2]
    assert len(sent[2]) <= 10, (
        "inbox, stamp of the rules, gate tables, tenants, at most five of the service, outbox"
    )


async def test_old_money_keeps_its_rule_and_a_version_is_never_reused(funding: Any) -> None:
    loaded = parse_rule(bundled_rule())
    await remember_rule(funding.transactor, loaded)
    await remember_rule(funding.transactor, loaded)
    changed = parse_rule(bundled_rule().replace(b'"2.5"', b'"2.6"'))
    with pytest.raises(RuleReused, match="TALLY_FUNDING_RULE"):
        await remember_rule(funding.transactor, changed)
    rows = await funding.pool.fetch("SELECT rule, version, document FROM rule_version")
    assert [(row[0], row[1], row[2]["rounding"]) for row in rows] == [("standard", 1, "half_even")]


async def test_two_consumers_with_the_same_money_at_once_book_it_once(
    funding: Any, announce: Any
) -> None:
    batches = [
        [funding.money(announce(f"m-{n}")) for n in order]
        for order in (range(40), range(39, -1, -1))
    ]
    await asyncio.gather(*(funding.process(*batch) for batch in batches))
    journals = [e for e in await funding.told() if isinstance(e, PostJournal)]
    assert len({journal.reference for journal in journals}) == len(journals) == 40
    assert await funding.value("SELECT sum(same) FROM repeated_announcement") == 40


async def test_f14_waiting_money_shows_in_the_gauges_with_its_age(
    funding: Any, announce: Any
) -> None:
    metrics = Metrics("funding")
    watch = SuspenseWatch(FundingMetrics.of(metrics))
    await funding.process(
        funding.money(announce()), funding.money(announce("m-2", beneficiary=None))
    )
    funding.clock.advance(timedelta(hours=1))
    await watch.measure(funding.pool, funding.clock.now())

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"tally_{name}", {"service": "funding", **labels})

    assert value("funding_waiting_pay_ins") == 2
    assert value("funding_waiting_age_seconds") == 3600
    assert value("funding_cases", reason="no_beneficiary") == 1
    assert value("funding_case_age_seconds", reason="no_beneficiary") == 3600
    for journal in [e for e in await funding.told() if isinstance(e, PostJournal)]:
        await funding.process(funding.posted(journal))
    await watch.measure(funding.pool, funding.clock.now())
    assert value("funding_waiting_pay_ins") == 0
    assert value("funding_waiting_age_seconds") == 0
