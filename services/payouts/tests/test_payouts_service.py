"""The saga over a real database: what is published, in which order, for each way a payout can go."""

import dataclasses
from datetime import timedelta

import pytest

from tally_contracts.funding import Allocation
from tally_contracts.ledger import CaptureHold, PlaceHold, PostJournal, ReleaseHold
from tally_contracts.payouts import (
    MethodChosen,
    PayoutChanged,
    PayoutCommandRefused,
    PayoutCommandTaken,
    PayoutStatus,
)
from tally_contracts.rails import CancelAttempt, SubmitPayout
from tally_contracts.registry import BY_TYPE
from tally_payouts.watch import PayoutMetrics, StandingWatch
from tally_runtime import Metrics, derived_id, party_id_of

PAID = ["approved", "submitting", "paid"]


def wallet_of(owner: str) -> str:
    return derived_id("acc", "main", f"wallet/{owner}/USD")


async def pay(world, payout):
    """Take a payout that was opened to paid."""
    await world.one_by_one(
        world.make.placed(payout), world.make.attempt(payout, "paid"), world.make.captured(payout)
    )


async def test_payout_of_a_pay_in_goes_from_hold_to_paid(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.one_by_one(
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "submitted"),
        make.attempt(payout, "in_transit"),
        make.attempt(payout, "paid"),
        make.captured(payout),
    )
    assert await world.quarantined() == []
    states = ["approved", "submitting", "submitted", "in_transit", "paid"]
    assert await world.states(payout) == states
    statuses = await world.events(PayoutStatus)
    assert [s.sequence for s in statuses] == [1, 2, 3, 4, 5]
    assert [s.rank for s in statuses] == sorted({s.rank for s in statuses})
    assert statuses[-1].external_id == "ext-one"
    assert [c.previous for c in await world.events(PayoutChanged)] == [None, *states[:-1]]
    [hold], [submit], [capture] = [
        await world.events(kind) for kind in (PlaceHold, SubmitPayout, CaptureHold)
    ]
    assert hold.hold_id == capture.hold_id
    assert hold.open_accounts[0].path == "clearing/ach/USD"
    assert hold.credit == hold.open_accounts[0].id
    assert submit.amount.amount == "25.00"
    assert {s.key for s in await world.sent("ledger.commands.v1")} == {"main"}
    assert {s.key for s in await world.sent("rails.ach.commands.v1")} == {payout}


async def test_batch_that_takes_a_payout_through_every_state_tells_each_in_order(world, make, ids):
    payout = ids("one")
    await world.feed(
        make.registered(),
        make.choose(),
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "submitted"),
        make.attempt(payout, "paid"),
        make.captured(payout),
        make.returned(payout),
        make.posted(payout),
    )
    states = ["approved", "submitting", "submitted", "paid", "returned"]
    assert await world.states(payout) == states
    assert [c.state for c in await world.events(PayoutChanged)] == states
    history = await world.pool.fetch(
        "SELECT sequence, state, previous FROM payout_history ORDER BY sequence"
    )
    previous = [None, *states[:-1]]
    assert [tuple(row) for row in history] == list(zip(range(1, 6), states, previous, strict=True))


async def test_every_emitted_event_reads_back_under_its_contract(world, make, ids):
    await world.with_method()
    payout, other = ids("one"), ids("two")
    await world.feed(make.pay_in("one"), make.pay_in("two"), make.pay_in("three", "bob"))
    await pay(world, payout)
    await world.feed(make.returned(payout), make.placed(other), make.cancel(other))
    await world.feed(make.attempt(other, "cancelled"), make.request(owner="eve"))
    await world.feed(make.cancel(ids("never")))
    kinds = set()
    for item in await world.sent():
        model = BY_TYPE[item.event.TYPE]
        assert model.model_validate_json(item.event.model_dump_json()) == item.event
        kinds.add(model)
    assert kinds == {
        PayoutChanged, PayoutStatus, PlaceHold, CaptureHold, ReleaseHold, PostJournal,
        SubmitPayout, CancelAttempt, MethodChosen, PayoutCommandTaken, PayoutCommandRefused,
    }  # fmt: skip


async def test_record_delivered_twice_changes_nothing(world, make, ids):
    payout = ids("one")
    records = [
        world.raw(event)
        for event in (
            make.registered(),
            make.choose(),
            make.pay_in("one"),
            make.placed(payout),
            make.attempt(payout, "paid"),
            make.captured(payout),
        )
    ]
    await world.feed(*records)
    before = await world.dump()
    await world.feed(*records)
    assert await world.dump() == before


async def test_fact_told_again_under_a_new_id_changes_nothing(world, make, ids):
    payout = ids("one")
    facts = (
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "paid"),
        make.captured(payout),
        make.returned(payout),
        make.posted(payout),
    )
    await world.with_method()
    await world.feed(*facts)
    before = await world.dump()
    await world.one_by_one(*reversed(facts))
    assert await world.dump() == before


async def test_payee_without_method_is_asked_and_the_choice_sends_the_payouts_off(world, make, ids):
    await world.feed(make.pay_in("one"), make.pay_in("two"), make.pay_in("other", "bob"))
    assert await world.events(PlaceHold) == []
    [status, *_] = await world.events(PayoutStatus)
    assert (status.state, status.must_act, status.reason_code) == (
        "claimable",
        "payee",
        "no_method",
    )
    await world.feed(make.choose())
    row = await world.row(ids("one"))
    assert (row["state"], row["reason_code"]) == ("claimable", "instrument_not_registered")
    await world.feed(make.registered())
    for name in ("one", "two"):
        assert await world.states(ids(name)) == ["claimable", "approved"]
    assert await world.states(ids("other", "bob")) == ["claimable"]
    assert len(await world.events(PlaceHold)) == 2


async def test_choice_in_one_currency_leaves_others_waiting(world, make, ids):
    await world.feed(make.pay_in("one", currency="EUR"))
    await world.with_method()
    assert await world.states(ids("one", currency="EUR")) == ["claimable"]


async def test_payout_keeps_the_method_it_set_off_with(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    await world.feed(
        make.registered(rail="wallet", instrument="purse", settlement=wallet_of("bob")),
        make.choose(rail="wallet", instrument="purse"),
    )
    await world.feed(make.pay_in("two"), make.placed(ids("one")))
    [submit] = await world.events(SubmitPayout)
    assert submit.rail == "ach"
    rows = [await world.row(ids(name)) for name in ("one", "two")]
    assert [(r["rail"], r["method_version"]) for r in rows] == [("ach", 1), ("wallet", 2)]


async def test_wallet_rail_reserves_in_favour_of_the_instruments_own_account(world, make, ids):
    await world.feed(
        make.registered(rail="wallet", settlement=wallet_of("bob")), make.choose(rail="wallet")
    )
    await world.feed(make.pay_in("one"))
    [hold] = await world.events(PlaceHold)
    assert (hold.debit, hold.credit) == (wallet_of("ann"), wallet_of("bob"))
    assert hold.open_accounts == ()


async def test_dead_instrument_disables_the_method_and_leaves_claimable_payouts_with_the_reason(
    world, make, ids
):
    await world.with_method()
    await world.feed(make.refused())
    await world.feed(make.pay_in("one"), make.registered(instrument="new"))
    row = await world.row(ids("one"))
    assert (row["state"], row["reason_code"], row["must_act"]) == (
        "claimable",
        "method_disabled",
        "payee",
    )
    await world.feed(make.choose(instrument="new"))
    assert await world.states(ids("one")) == ["claimable", "approved"]


async def test_other_details_turned_away_under_a_used_id_leave_the_method_in_force(
    world, make, ids
):
    await world.with_method()
    await world.feed(make.refused(code="id_conflict"), make.pay_in("one"))
    assert (await world.row(ids("one")))["state"] == "approved"


async def test_foreign_instrument_is_never_paid_to(world, make, ids):
    await world.feed(make.registered("eve", instrument="hers"), make.choose(instrument="hers"))
    await world.feed(make.pay_in("one"))
    row = await world.row(ids("one"))
    assert (row["state"], row["reason_code"]) == ("claimable", "instrument_mismatch")


async def test_pay_in_opens_one_payout_per_wallet_to_pay_out_and_none_for_the_rest(
    world, make, ids
):
    def share(owner, amount, *, pay_out=True):
        return Allocation(
            account=wallet_of(owner),
            owner=owner,
            role="beneficiary",
            amount={"currency": "USD", "amount": amount},
            pay_out=pay_out,
        )

    shares = (
        share("ann", "10.00"),
        share("ann", "5.25"),
        share("bob", "0.00"),
        share("acme", "9.75", pay_out=False),
    )
    await world.feed(make.pay_in("one", allocations=shares))
    [status] = await world.events(PayoutStatus)
    assert (status.payout_id, status.amount.amount) == (ids("one"), "15.25")


async def test_withdrawal_takes_the_same_path(world, make):
    await world.with_method()
    request = make.request()
    await world.feed(request)
    payout = request.payout_id
    await world.one_by_one(
        make.placed(payout, "5.00"),
        make.attempt(payout, "paid", "5.00"),
        make.captured(payout, "5.00"),
    )
    assert await world.states(payout) == PAID
    status = (await world.events(PayoutStatus))[-1]
    assert (status.pay_in_id, status.external_id) == (None, None)


async def test_f7_nobody_withdraws_from_anothers_wallet(world, make):
    await world.with_method("eve", instrument="hers")
    await world.feed(make.pay_in("one", pay_out=False))
    await world.feed(make.request(owner="eve", account=wallet_of("ann")))
    [status] = await world.events(PayoutStatus)
    assert (status.state, status.reason_code) == ("rejected", "account_not_owned")
    assert await world.events(PlaceHold) == []


async def test_payee_withdraws_what_it_was_paid_under_a_reference(world, make, settings):
    party = party_id_of("user-42", settings.tenant)
    await world.with_method(party)
    await world.feed(make.pay_in("one", "user-42", pay_out=False))
    request = make.request(owner=party, account=wallet_of("user-42"))
    await world.feed(request)
    assert await world.states(request.payout_id) == ["approved"]
    [placed] = await world.events(PlaceHold)
    assert placed.debit == wallet_of("user-42")


@pytest.mark.parametrize("owner", ["restricted:{}", "restricted:user-42", "user-43"])
async def test_nobody_withdraws_what_is_restricted_or_of_another_reference(
    world, make, settings, owner
):
    party = party_id_of("user-42", settings.tenant)
    owner = owner.format(party)
    await world.with_method(party)
    await world.feed(make.pay_in("one", owner, pay_out=False))
    await world.feed(make.request(owner=party, account=wallet_of(owner)))
    [status] = await world.events(PayoutStatus)
    assert (status.state, status.reason_code) == ("rejected", "account_not_owned")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ledger": "other"}, "ledger_unknown"),
        ({"account": "acc_01h2xcejqtf2nbrexx3vqjhp41"}, "account_unknown"),
        ({"account": wallet_of("bob")}, "account_unknown"),
        ({"currency": "EUR"}, "currency_mismatch"),
        ({"payout_id": "pin_01h2xcejqtf2nbrexx3vqjhp41"}, "payout_id_malformed"),
    ],
    ids=["ledger", "account", "unseen-foreign-wallet", "currency", "id"],
)
async def test_request_that_cannot_be_right_is_rejected_with_its_reason(
    world, make, change, reason
):
    await world.feed(make.pay_in("one", pay_out=False))
    await world.feed(make.request(**change))
    [status] = await world.events(PayoutStatus)
    assert (status.state, status.reason_code, status.final) == ("rejected", reason, True)
    assert await world.events(PlaceHold) == []


async def test_request_repeated_is_one_payout_and_with_other_content_a_case(world, make):
    await world.feed(make.request())
    before = await world.dump()
    await world.feed(make.request())
    assert await world.dump() == before | {"outbox": (await world.dump())["outbox"]}
    await world.feed(make.request(amount="6.00"))
    assert await world.cases() == ["id_conflict"]
    assert len(await world.events(PayoutStatus)) == 1


async def test_cancel_of_a_claimable_payout_frees_it(world, make, ids):
    await world.feed(make.pay_in("one"))
    await world.feed(make.cancel(ids("one")))
    await world.with_method()
    assert await world.states(ids("one")) == ["claimable", "cancelled"]
    assert await world.sent("ledger.commands.v1") == []


async def test_cancel_while_the_rail_waits_for_its_window_goes_through_the_rail(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.one_by_one(
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "scheduled"),
        make.cancel(payout),
    )
    [cancel] = await world.events(CancelAttempt)
    assert (cancel.payout_id, cancel.who.principal) == (payout, "ann")
    assert [s.key for s in await world.sent("rails.ach.commands.v1")] == [payout, payout]
    await world.one_by_one(make.attempt(payout, "cancelled"), make.released(payout))
    assert await world.states(payout) == ["approved", "submitting", "cancelled"]
    assert len(await world.events(ReleaseHold)) == 1


async def test_cancel_of_a_sent_or_unknown_payout_changes_nothing(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.one_by_one(
        make.pay_in("one"), make.placed(payout), make.attempt(payout, "submitted")
    )
    before = await world.dump()
    await world.feed(make.cancel(payout), make.cancel(ids("never")))
    assert await world.dump() == before | {"outbox": (await world.dump())["outbox"]}
    assert len(await world.events(PayoutCommandRefused)) == 2


async def test_return_is_one_journal_from_the_clearing_account_to_the_wallet(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.feed(make.pay_in("one"))
    await pay(world, payout)
    await world.feed(make.returned(payout), make.returned(payout))
    [journal] = await world.events(PostJournal)
    [leg] = journal.legs
    [hold] = await world.events(PlaceHold)
    assert (leg.debit, leg.credit, leg.amount.amount) == (hold.credit, hold.debit, "25.00")
    assert journal.reference == payout
    seen = await world.pool.fetch("SELECT attempt_id, return_reference, payout_id FROM return_seen")
    assert [row[1:] for row in map(tuple, seen)] == [("ret-1", payout)]
    await world.feed(make.posted(payout))
    last = (await world.events(PayoutStatus))[-1]
    assert (last.state, last.reason_code, last.must_act) == ("returned", "r03", "payee")
    assert last.final


async def test_return_that_overtakes_the_capture_is_applied_after_it(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.one_by_one(
        make.pay_in("one"),
        make.placed(payout),
        make.attempt(payout, "paid"),
        make.returned(payout),
    )
    assert await world.events(PostJournal) == []
    await world.one_by_one(make.captured(payout), make.posted(payout))
    assert await world.states(payout) == [*PAID, "returned"]


async def test_contradiction_of_the_rail_is_one_case_however_often_it_is_told(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.feed(make.pay_in("one"))
    await pay(world, payout)
    told = make.attempt(payout, "failed")
    await world.one_by_one(told, told)
    wrong = make.attempt(payout, "returned", "24.00")
    await world.one_by_one(wrong, wrong)
    assert await world.cases() == ["failed_after_paid", "attempt_amount_differs"]
    assert await world.states(payout) == PAID


async def test_facts_of_other_services_on_shared_topics_are_let_be(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"))
    before = await world.dump()
    await world.feed(
        make.placed("rf_01h2xcejqtf2nbrexx3vqjhp41"),
        make.placed(ids("one")).model_copy(update={"hold_id": "hld_01h2xcejqtf2nbrexx3vqjhp41"}),
        make.posted("pin_01h2xcejqtf2nbrexx3vqjhp41"),
        make.posted(ids("one")),
        make.attempt(ids("never"), "paid"),
    )
    assert await world.dump() == before
    assert await world.quarantined() == []


async def test_fact_on_a_topic_that_does_not_carry_it_is_not_believed(world, make, ids):
    await world.with_method()
    payout = ids("one")
    await world.one_by_one(make.pay_in("one"), make.placed(payout), make.attempt(payout, "paid"))
    forged = dataclasses.replace(world.raw(make.captured(payout)), topic="rails.attempts.v1")
    before = await world.dump()
    await world.feed(forged)
    assert await world.dump() == before


async def test_gauges_tell_how_many_payouts_stand_where_and_since_when(world, make, ids):
    await world.with_method()
    await world.feed(make.pay_in("one"), make.pay_in("two"), make.pay_in("three", "bob"))
    await world.feed(make.placed(ids("one")), make.attempt(ids("one"), "unknown"))
    wrong = make.attempt(ids("one"), "paid", "1.00")
    await world.feed(wrong)
    metrics = Metrics("payouts")
    watch = StandingWatch(PayoutMetrics.of(metrics))
    changed = await world.pool.fetchval(
        "SELECT min(changed_at) FROM payout WHERE state = 'unknown'"
    )
    await watch.measure(world.pool, changed + timedelta(minutes=20))

    def value(name, **labels):
        return metrics.registry.get_sample_value(f"tally_{name}", {"service": "payouts", **labels})

    standing = {s: value("payouts_standing", state=s) for s in ("approved", "claimable", "unknown")}
    assert standing == {"approved": 1, "claimable": 1, "unknown": 1}
    assert value("payouts_standing", state="in_transit") == 0
    assert value("payouts_standing_age_seconds", state="unknown") == 1200
    assert value("payouts_must_act", must_act="payee") == 1
    assert value("payouts_cases", code="attempt_amount_differs") == 1
    await pay(world, ids("two"))
    await watch.measure(world.pool, changed)
    assert value("payouts_standing", state="approved") == 0


async def test_events_stay_with_the_payment_they_are_part_of(world, make, ids):
    await world.feed(world.raw(make.pay_in("one"), correlation="payment-7"))
    await world.feed(
        world.raw(make.registered(), correlation="profile-1"),
        world.raw(make.choose(), correlation="profile-2"),
    )
    await world.feed(world.raw(make.placed(ids("one")), correlation="payment-7"))
    answers = [s.correlation for s in await world.sent() if isinstance(s.event, MethodChosen)]
    assert answers == ["profile-2"]
    sent = [s for s in await world.sent() if not isinstance(s.event, MethodChosen)]
    assert len(sent) == 8
    assert {item.correlation for item in sent} == {"payment-7"}


async def test_withdrawal_ahead_of_the_allocation_that_names_the_wallet_is_taken(world, make):
    await world.with_method()
    await world.feed(make.request())
    assert [s.state for s in await world.events(PayoutStatus)] == ["approved"]
