"""Each command about payouts leads to a fact that names it as its cause, also when it is repeated."""

from typing import Any

import pytest

from tally_contracts.payouts import (
    MethodChosen,
    PayoutChanged,
    PayoutCommandRefused,
    PayoutCommandTaken,
)

FACTS = "payouts.payout.v1"


async def answers(world, *commands) -> list[Any]:
    """Feed each command by itself; the first fact that each of them has led to, or None."""
    found = []
    for number, command in enumerate(commands):
        event_id = f"command-{number}"
        await world.feed(world.raw(command, event_id=event_id))
        led_to = [s.event for s in await world.sent(FACTS) if s.causation == event_id]
        found.append(led_to[0] if led_to else None)
    assert await world.quarantined() == []
    return found


async def test_f39_choice_of_a_registered_instrument_is_told_as_active(world, make):
    await world.feed(make.registered())
    [chosen] = await answers(world, make.choose())
    assert isinstance(chosen, MethodChosen)
    assert (chosen.owner, chosen.currency, chosen.version) == ("ann", "USD", 1)
    assert (chosen.rail, chosen.state, chosen.reason_code) == ("ach", "active", None)
    assert [s.key for s in await world.sent(FACTS)] == ["ann"]


async def test_f39_choice_is_told_before_the_payouts_that_it_sends_off(world, make, ids):
    await world.feed(make.registered(), make.pay_in("one"))
    [chosen] = await answers(world, make.choose())
    assert isinstance(chosen, MethodChosen)
    assert await world.states(ids("one")) == ["claimable", "approved"]


async def test_choice_repeated_is_told_again(world, make):
    await world.feed(make.registered())
    first, again = await answers(world, make.choose(), make.choose())
    assert (first.version, again.version, again.state) == (1, 2, "active")


async def test_choice_that_waits_is_told_and_told_again_once_its_instrument_is_there(world, make):
    [waiting] = await answers(world, make.choose())
    assert (waiting.state, waiting.reason_code) == ("awaiting", "instrument_not_registered")
    assert waiting.who.principal == "acme"
    await world.one_by_one(make.registered(), make.registered(), make.refused())
    told = await world.events(MethodChosen)
    assert [(t.version, t.state, t.reason_code) for t in told] == [
        (1, "awaiting", "instrument_not_registered"),
        (1, "active", None),
        (1, "disabled", "method_disabled"),
    ]
    assert told[-1].who.principal == "ann"


async def test_choice_that_waited_for_an_instrument_of_another_is_told_as_refused(world, make):
    await world.one_by_one(make.choose(), make.registered("bob"))
    last = (await world.events(MethodChosen))[-1]
    assert (last.owner, last.state, last.reason_code) == ("ann", "refused", "instrument_mismatch")


def said(fact) -> dict[str, Any]:
    """What a fact says but when."""
    return fact.model_dump(exclude={"occurred_at"})


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"rail": "paypal"}, "rail_unknown", "/rail"),
        ({"currency": "EUR"}, "instrument_mismatch", "/instrument"),
        ({"owner": "bob"}, "instrument_mismatch", "/instrument"),
    ],
    ids=["rail", "currency", "owner"],
)
async def test_choice_that_can_never_hold_is_refused_to_its_sender(
    world, make, change, code, field
):
    await world.feed(make.registered())
    first, again = await answers(world, make.choose(**change), make.choose(**change))
    assert isinstance(first, PayoutCommandRefused)
    assert said(first) == said(again)
    assert (first.code, first.field, first.command_type) == (code, field, make.choose().TYPE)
    assert first.subject == change.get("owner", "ann")
    assert await world.events(MethodChosen) == []


async def test_cancel_of_a_claimable_payout_is_answered_by_its_end_and_then_as_taken(
    world, make, ids
):
    await world.feed(make.pay_in("one"))
    first, again = await answers(world, make.cancel(ids("one")), make.cancel(ids("one")))
    assert isinstance(first, PayoutChanged)
    assert first.state == "cancelled"
    assert isinstance(again, PayoutCommandTaken)
    assert (again.payout_id, again.state, again.reason_code) == (
        ids("one"), "cancelled", "cancelled_on_request",
    )  # fmt: skip


async def test_cancel_that_waits_for_the_ledger_or_the_rail_is_answered_at_once(world, make, ids):
    await world.with_method()
    payout, other = ids("one"), ids("two")
    await world.feed(make.pay_in("one"), make.pay_in("two"), make.placed(other))
    by_ledger, by_rail, again = await answers(
        world, make.cancel(payout), make.cancel(other), make.cancel(other)
    )
    assert (by_ledger.state, by_ledger.reason_code) == ("approved", "cancelling")
    assert (by_rail.state, by_rail.reason_code, by_rail.must_act) == (
        "submitting", "cancel_requested", "rail",
    )  # fmt: skip
    assert said(again) == said(by_rail)
    assert by_rail.who.principal == "ann"


async def test_cancel_of_a_sent_or_unknown_payout_is_refused_with_a_remedy(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.feed(make.pay_in("one"), make.placed(payout), make.attempt(payout, "submitted"))
    late, unknown, again = await answers(
        world, make.cancel(payout), make.cancel(ids("never")), make.cancel(payout)
    )
    assert (late.code, late.subject, late.field) == ("cancel_too_late", payout, "/payout_id")
    assert (unknown.code, unknown.subject) == ("payout_unknown", ids("never"))
    assert said(late) == said(again)
    assert late.remedy
    assert late.who.principal == "ann"


async def test_request_repeated_is_taken_and_with_other_content_refused(world, make):
    first, again, other = await answers(
        world, make.request(), make.request(), make.request(amount="6.00")
    )
    assert isinstance(first, PayoutChanged)
    assert isinstance(again, PayoutCommandTaken)
    assert (again.payout_id, again.state) == (first.payout_id, first.state)
    assert isinstance(other, PayoutCommandRefused)
    assert (other.code, other.subject) == ("id_conflict", first.payout_id)


async def test_pay_in_told_again_is_not_answered_like_a_command(world, make):
    await world.one_by_one(make.pay_in("one"), make.pay_in("one"))
    assert [s.event.TYPE for s in await world.sent(FACTS)] == [PayoutChanged.TYPE]
