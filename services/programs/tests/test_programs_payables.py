"""Payables over a real database: open, part-paid, paid and over-paid told apart (F65)."""

import asyncio
import dataclasses

import pytest

from tally_contracts.programs import (
    BroughtPayable,
    BroughtSettlement,
    PayableChanged,
    ProgramCommandRefused,
)


async def told(world, field="state"):
    return [getattr(p, field) for p in await world.facts(PayableChanged)]


@pytest.fixture
async def invoice(world, make, ids):
    await world.feed(make.create(), make.payable("inv", "100.00"))
    return ids("pbl", "inv")


async def test_f65_payouts_take_a_payable_from_open_to_over_paid_and_returns_take_it_back(
    world, make, invoice
):
    await world.feed(make.payout("a", invoice, "60.00"))
    await world.feed(make.payout("b", "no-inv", "40.00"))
    await world.feed(make.payout("c", invoice, "0.01"))
    await world.feed(make.payout("b", invoice, "40.00", state="returned", sequence=5))
    await world.feed(make.payout("a", invoice, "60.00", state="returned", sequence=5))
    await world.feed(make.payout("c", invoice, "0.01", state="returned", sequence=5))
    assert await told(world) == [
        "open", "part_paid", "paid", "over_paid", "part_paid", "part_paid", "open",
    ]  # fmt: skip
    paid = [p.paid.amount for p in await world.facts(PayableChanged)]
    assert paid == ["0.00", "60.00", "100.00", "100.01", "60.01", "0.01", "0.00"]
    assert await told(world, "sequence") == [1, 2, 3, 4, 5, 6, 7]


async def test_f65_a_bill_counts_payouts_alone_and_a_receivable_pay_ins_alone(
    world, make, ids, invoice
):
    await world.feed(make.payable("owed", settled_by="pay_in"))
    await world.feed(
        make.pay_in("x", invoice, company=ids("party", "company")),
        make.payout("y", ids("pbl", "owed"), company=ids("party", "payee")),
    )
    assert await told(world) == ["open", "open"]
    await world.feed(make.pay_in("z", ids("pbl", "owed"), "30.00"))
    assert (await told(world))[2:] == ["part_paid"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"company": "someone-else"},
        {"program": "another"},
        {"currency": "EUR"},
        {"state": "in_transit"},
    ],
)
async def test_money_of_another_company_program_or_currency_does_not_count(
    world, make, invoice, wrong
):
    await world.feed(make.payout("a", invoice, **wrong))
    assert await told(world) == ["open"]


async def test_word_about_a_payout_that_is_stale_or_repeated_counts_once(world, make, invoice):
    await world.feed(make.payout("a", invoice, state="returned", sequence=5))
    await world.feed(make.payout("a", invoice, "60.00", sequence=6))
    await world.feed(make.payout("a", invoice, "60.00", state="returned", sequence=5))
    await world.feed(make.payout("a", invoice, "60.00", sequence=6))
    assert await told(world) == ["open", "part_paid"]


async def test_money_told_of_before_its_payable_counts_once_that_is_registered(world, make, ids):
    await world.feed(make.create())
    payable = ids("pbl", "inv")
    await world.feed(make.payout("a", payable, "60.00"), make.payout("b", payable, "10.00"))
    await world.feed(make.payout("b", payable, "10.00", state="returned", sequence=5))
    await world.feed(make.payout("c", payable, "9.00", company="someone-else"))
    await world.feed(make.payable("inv", "100.00"))
    await world.feed(make.payout("d", payable, "40.00"))
    assert await told(world) == ["part_paid", "paid"]
    assert await told(world, "sequence") == [1, 2]


@pytest.mark.parametrize("money_first", [True, False])
async def test_money_and_its_payable_at_the_same_time_both_count(world, make, ids, money_first):
    await world.feed(make.create())
    money, payable = [make.payout("a", ids("pbl", "inv"), "60.00")], [make.payable("inv")]
    first, second = (money, payable) if money_first else (payable, money)
    applied, go_on = asyncio.Event(), asyncio.Event()

    async def step(point: str) -> None:
        if point == "applied":
            applied.set()
            await go_on.wait()

    slow = dataclasses.replace(world, processor=dataclasses.replace(world.processor, step=step))
    async with asyncio.TaskGroup() as group:
        group.create_task(slow.feed(*first))
        await applied.wait()
        waiting = group.create_task(world.feed(*second))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        go_on.set()
    assert (await told(world))[-1] == "part_paid"


async def test_payable_is_cancelled_only_while_nothing_was_paid(world, make, invoice):
    await world.feed(make.payout("a", invoice, "60.00"))
    assert await world.refusal(make.cancel()) == "payable_has_payments"
    await world.feed(make.payout("a", invoice, "60.00", state="returned", sequence=5))
    await world.ask(make.cancel())
    await world.feed(make.payout("b", invoice, "1.00"))
    assert (await told(world))[-2:] == ["cancelled", "over_paid"]


async def test_payable_that_cannot_be_right_is_refused(world, make, ids, invoice):
    stranger = make.by("user:eve", ids("party", "stranger"))
    assert await world.refusal(stranger.payable("x")) == "not_permitted"
    assert await world.refusal(stranger.cancel()) == "not_permitted"
    assert await world.refusal(make.payable("x", document="postcard")) == "value_unknown"
    assert await world.refusal(make.payable("x", settled_by="magic")) == "value_unknown"
    assert await world.refusal(make.payable("x", number="no-inv")) == "number_taken"
    assert await world.refusal(make.payable("inv", "1.00")) == "id_conflict"
    assert await world.refusal(make.cancel("x")) == "payable_unknown"


async def test_f62_the_operator_alone_brings_a_payable_with_what_was_paid_elsewhere(
    world, make, ids
):
    await world.feed(make.create())
    settled = BroughtSettlement(
        reference=ids("po", "a"), amount={"currency": "USD", "amount": "60.00"}, sequence=5
    )
    brought = BroughtPayable(settled=(settled,), cancelled=False)
    await world.feed(make.payable("inv", "100.00", brought=brought))
    (refused,) = await world.facts(ProgramCommandRefused)
    assert (refused.code, refused.field) == ("not_permitted", "/brought")
    assert await told(world) == []

    bring = make.by("cli", "operator")
    await world.feed(bring.payable("inv", "100.00", brought=brought))
    dropped = BroughtPayable(settled=(), cancelled=True)
    await world.feed(bring.payable("off", "10.00", brought=dropped))
    # What an older fact says of the same payout is known; a newer one counts.
    await world.feed(make.payout("a", ids("pbl", "inv"), "60.00", sequence=5))
    await world.feed(make.payout("a", ids("pbl", "inv"), "60.00", state="returned", sequence=6))
    assert await told(world) == ["part_paid", "cancelled", "open"]


async def test_f62_what_would_count_twice_for_a_payable_that_is_brought_is_refused(
    world, make, ids
):
    def settled(name, currency="USD"):
        amount = {"currency": currency, "amount": "60.00"}
        return BroughtSettlement(reference=ids("po", name), amount=amount, sequence=5)

    async def refused(*settlements):
        brought = BroughtPayable(settled=settlements, cancelled=False)
        await world.feed(bring.payable("inv", "100.00", brought=brought))
        (*_, last) = await world.facts(ProgramCommandRefused)
        assert last.remedy
        return last.code, last.field

    bring = make.by("cli", "operator")
    await world.feed(make.create())
    await world.feed(make.payout("a", ids("pbl", "inv"), "60.00", sequence=5))
    place = "/brought/settled/1"
    twice = await refused(settled("b"), settled("b"))
    assert twice == ("settlement_known", f"{place}/reference")
    assert await refused(settled("b"), settled("a")) == ("settlement_known", f"{place}/reference")
    euros = await refused(settled("b"), settled("c", "EUR"))
    assert euros == ("currency_mismatch", f"{place}/amount/currency")
    assert await told(world) == []
    brought = BroughtPayable(settled=(settled("b"),), cancelled=False)
    await world.feed(bring.payable("inv", "120.00", brought=brought))
    assert await told(world) == ["paid"]
