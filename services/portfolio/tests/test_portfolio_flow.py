import random
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tally_money import Money
from tally_portfolio.service import find, slowest, time_line


async def _line(portfolio: Any, payment_id: str) -> Any:
    line = await time_line(portfolio.pool, payment_id)
    assert line is not None
    return line


async def test_f52_any_id_of_a_payment_finds_it_and_no_other(portfolio: Any, story: Any) -> None:
    told, other = story("ann").whole(), story("bob").whole()
    await portfolio.tell(told, other)
    for id_ in told.ids():
        found = await find(portfolio.pool, id_)
        assert [p.payment_id for p in found.payments] == [told.pay_in_id], id_
        assert not found.more


async def test_f52_the_whole_process_reads_from_pay_in_to_endpoint_with_times(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").whole()
    await portfolio.tell(told)
    line = await _line(portfolio, told.pay_in_id)
    assert [step.hop.event_id for step in line.steps] == list(told.events.values())
    assert [step.since_first for step in line.steps] == [timedelta(seconds=n) for n in range(12)]
    assert [step.hop.service for step in line.steps[:6]] == [
        "funding", "ledger", "ledger", "funding", "payouts", "ledger"
    ]  # fmt: skip
    allocated = line.steps[3]
    assert allocated.cause == told.events["posted"]
    assert allocated.hop.summary["who"] == ["svc:feed", "co_1"]
    assert allocated.hop.summary["where"] == ["api", "DE"]
    assert allocated.hop.summary["why"] == ["rebates", "order:ann", "Rebate"]
    assert allocated.hop.summary["allocations"] == [
        [told.wallet, "ann", "beneficiary", "100.00", True]
    ]
    assert line.accounts[told.wallet].path == "wallet/ann/USD"
    assert not line.truncated


async def test_a_paid_payment_is_complete_and_its_money_is_out(portfolio: Any, story: Any) -> None:
    told = story("ann").whole()
    await portfolio.tell(told)
    payment = (await _line(portfolio, told.pay_in_id)).payment
    assert (payment.allocated, payment.payouts_ended, payment.complete) == (True, True, True)
    assert payment.waiting() == ()
    (flow,) = payment.flows()
    hundred, nothing = Money.parse("100.00", "USD"), Money.parse("0.00", "USD")
    assert (flow.received, flow.paid_out, flow.under_way, flow.resting) == (
        hundred, hundred, nothing, nothing
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_hops_out_of_order_and_repeated_give_the_same_time_line(
    portfolio: Any, story: Any, seed: int
) -> None:
    shuffled, straight = story("ann").whole(), story("ann").whole()
    order = random.Random(seed)
    shuffled.records = shuffled.records * 2
    order.shuffle(shuffled.records)
    while shuffled.records:
        batch = [
            shuffled.records.pop() for _ in range(min(order.randint(1, 7), len(shuffled.records)))
        ]
        await portfolio.process(*batch)
    mixed = await _line(portfolio, straight.pay_in_id)
    with psycopg.connect(portfolio.admin_dsn, autocommit=True) as administrator:
        for table in ("inbox", "hop", "payment_key", "pay_in", "payout", "account"):
            administrator.execute(f"DELETE FROM portfolio.{table}".encode())
    await portfolio.tell(straight)
    assert await _line(portfolio, straight.pay_in_id) == mixed


async def test_the_newest_sequence_wins_across_batches_and_within_one(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").received().allocated()
    told.payout(1, "approved", "allocated").payout(2, "submitting", "placed")
    told.payout(3, "failed", "captured", reason_code="account_closed")
    approved, submitting, failed = told.records[2:]
    await portfolio.process(failed, approved)
    await portfolio.process(submitting)
    (row,) = await portfolio.rows("SELECT sequence, state, reason_code FROM payout")
    assert tuple(row) == (3, "failed", "account_closed")


async def test_a_pay_in_keeps_its_furthest_state_whichever_fact_comes_last(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").received().suspended().allocated(pay_out=False)
    for record in reversed(told.records):
        await portfolio.process(record)
    (row,) = await portfolio.rows(
        "SELECT state, reason_code, owner, company, payouts_expected, received_at FROM pay_in"
    )
    assert tuple(row) == ("allocated", None, "ann", "co_1", 0, told.at)


async def test_the_number_of_statements_does_not_grow_with_the_batch(
    portfolio: Any, story: Any, notice: Any, statements_of: Any
) -> None:
    # The driver looks types up once per session.
    await portfolio.process(*story("warm").whole().records, notice(0, story("x").at))
    small = await statements_of([*story("first").whole().records, notice(1, story("x").at)])
    many = [record for n in range(40) for record in story(f"s{n}").whole().records]
    large = await statements_of([*many, *(notice(n, story("x").at) for n in range(2, 20))])
    assert large == small
    assert sum("INSERT" in statement for statement in small) == 10, (
        "the inbox, six tables of payments, the books, whose things are and who sees them"
    )


async def test_who_sees_a_payment_is_worked_out_where_it_is_news(
    portfolio: Any, story: Any, statements_of: Any
) -> None:
    told = story("ann").whole()
    await portfolio.process(*told.records, *story("warm").whole().records)
    going_on = told.payout(9, "in_transit", "approved", must_act="rail").records[-1:]
    calling = told.payout(10, "unknown", "approved", must_act="rail").records[-1:]

    async def spreads(records: Any) -> int:
        return sum("INTO sight" in statement for statement in await statements_of(records))

    assert await spreads(going_on) == 0, "whose it is was told, and it calls for nobody"
    assert await spreads(calling) == 1, "it calls for somebody now"
    assert await spreads(story("new").received().records) == 1, "it is somebody's now"


async def test_a_shared_correlation_keeps_its_payments_apart(portfolio: Any, story: Any) -> None:
    stories = [story(f"s{n}", correlation="statement-7").whole() for n in range(3)]
    await portfolio.tell(*stories)
    found = await find(portfolio.pool, "statement-7")
    assert {p.payment_id for p in found.payments} == {s.pay_in_id for s in stories}
    assert len((await _line(portfolio, stories[1].pay_in_id)).steps) == 12
    alone = await find(portfolio.pool, stories[1].events["received"])
    assert [p.payment_id for p in alone.payments] == [stories[1].pay_in_id]


async def test_a_wallet_lists_its_newest_payments_and_says_when_there_are_more(
    portfolio: Any, story: Any
) -> None:
    stories = [
        story(f"s{n}", at=story("x").at + timedelta(minutes=n)).received().allocated()
        for n in range(5)
    ]
    wallet = stories[0].wallet
    for told in stories[1:]:
        told.records = [_swapped(record, told.wallet, wallet) for record in told.records]
    await portfolio.tell(*stories)
    found = await find(portfolio.pool, wallet, limit=3)
    assert [p.payment_id for p in found.payments] == [s.pay_in_id for s in stories[:1:-1]]
    assert found.more
    assert len((await find(portfolio.pool, wallet)).payments) == 5


def _swapped(record: Any, old: str, new: str) -> Any:
    return type(record)(
        record.value.replace(old.encode(), new.encode()),
        record.headers,
        record.key,
        record.offset,
        record.topic,
    )


async def test_a_source_cannot_hide_a_payment_behind_its_own_ids(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").whole()
    squatter = story("eve", correlation=told.pay_in_id).received()
    squatter.records = [_swapped(squatter.records[0], "ext-eve", told.id("jrn"))]
    await portfolio.tell(told, squatter)
    for id_ in (told.pay_in_id, told.id("jrn")):
        found = {p.payment_id for p in (await find(portfolio.pool, id_)).payments}
        assert found == {told.pay_in_id, squatter.pay_in_id}


async def test_a_withdrawal_is_a_payment_of_its_own(portfolio: Any, story: Any) -> None:
    told = story("ann").payout(1, "approved", "request", withdrawal=True, must_act="platform")
    told.hold_placed()
    await portfolio.tell(told)
    for id_ in (told.payout_id, told.id("hld"), told.wallet, told.correlation):
        (payment,) = (await find(portfolio.pool, id_)).payments
        assert payment.payment_id == told.payout_id
    line = await _line(portfolio, told.payout_id)
    assert len(line.steps) == 2
    assert not line.payment.complete
    (flow,) = line.payment.flows()
    assert flow.resting is None
    assert flow.under_way == Money.parse("100.00", "USD")


async def test_facts_that_come_before_their_payment_are_found_and_called_unfinished(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").posted()
    await portfolio.tell(told)
    (payment,) = (await find(portfolio.pool, told.id("jrn"))).payments
    line = await _line(portfolio, payment.payment_id)
    assert len(line.steps) == 1
    assert not line.payment.complete
    (waiting,) = line.payment.waiting()
    assert (waiting.reason_code, waiting.must_act) == ("not_described_yet", "platform")


async def test_an_opening_is_shown_only_with_the_payment_that_opened_the_account(
    portfolio: Any, story: Any
) -> None:
    first, second = story("ann").whole(), story("bob").whole()
    second.records = [_swapped(r, second.wallet, first.wallet) for r in second.records]
    del second.records[1]
    await portfolio.tell(first, second)
    types = [s.hop.event_type for s in (await _line(portfolio, second.pay_in_id)).steps]
    assert "ledger.account.opened.v1" not in types
    assert len(types) == 11


async def test_records_set_aside_are_shown_while_the_platform_must_act(
    portfolio: Any, story: Any, notice: Any
) -> None:
    stuck = story("ann").received().posted()
    claimable = story("bob").received().posted().allocated()
    claimable.payout(1, "claimable", "allocated", reason_code="no_method", must_act="payee")
    await portfolio.tell(stuck, claimable)
    await portfolio.process(
        notice(1, stuck.at - timedelta(days=1)), notice(2, stuck.at + timedelta(seconds=5))
    )
    shown = (await _line(portfolio, stuck.pay_in_id)).set_aside
    assert [(record.consumer, record.offset) for record in shown] == [("ledger", 2)]
    assert (await _line(portfolio, claimable.pay_in_id)).set_aside == ()


async def test_slowest_ranks_by_the_time_from_receipt_to_the_last_change(
    portfolio: Any, story: Any
) -> None:
    at = story("x").at
    quick = story("quick", at=at).received().allocated(pay_out=False)
    slow = story("slow", at=at).whole()
    later = story("later", at=at + timedelta(hours=1)).whole()
    await portfolio.tell(quick, slow, later)
    ranked = await slowest(portfolio.pool, 5, since=at, until=at + timedelta(minutes=1))
    assert [(s.payment.payment_id, s.took) for s in ranked] == [
        (slow.pay_in_id, timedelta(seconds=11)),
        (quick.pay_in_id, timedelta(seconds=1)),
    ]
    (only,) = await slowest(portfolio.pool, 1, since=at, until=at + timedelta(hours=2))
    assert only.payment.payment_id in {slow.pay_in_id, later.pay_in_id}


async def test_nothing_is_found_of_an_unknown_id(portfolio: Any, story: Any) -> None:
    await portfolio.tell(story("ann").whole())
    for id_ in ("pin_00000000000000000000000000", "x" * 3000, "", "\x00 é", "\udc80"):
        assert (await find(portfolio.pool, id_)).payments == ()
        assert await time_line(portfolio.pool, id_) is None
