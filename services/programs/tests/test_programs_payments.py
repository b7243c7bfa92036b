"""Payments over a real database: policy, fee, budget, approvals, and the journal that moves money."""

from dataclasses import replace

import pytest

from tally_contracts.ledger import PostJournal
from tally_contracts.programs import (
    ApprovalLevel,
    BudgetChanged,
    BudgetClaimChanged,
    PayableChanged,
    PaymentChanged,
    Restriction,
)
from tally_programs.watch import ProgramMetrics, StandingWatch
from tally_runtime import Metrics, derived_id

SMALL = derived_id("prog", "small")


async def states(world, field="state"):
    return [getattr(p, field) for p in await world.facts(PaymentChanged)]


async def top(world):
    return (await world.facts(BudgetChanged))[-1]


async def test_payment_nobody_must_approve_asks_the_ledger_at_once_and_uses_the_budget(
    world, make, ids
):
    await world.begin()
    await world.feed(make.propose())
    [journal] = await world.facts(PostJournal)
    [leg] = journal.legs
    assert (leg.debit, leg.credit, leg.amount.amount) == (
        derived_id("acc", "main", f"wallet/{ids('party', 'company')}/USD"),
        derived_id("acc", "main", f"wallet/{ids('party', 'payee')}/USD"),
        "25.00",
    )
    assert (await top(world)).reserved.amount == "25.00"
    await world.feed(make.posted())
    assert await states(world) == ["approved", "paid"]
    assert await states(world, "sequence") == [1, 2]
    used = await top(world)
    assert (used.reserved.amount, used.used.amount) == ("0.00", "25.00")
    before = await world.dump()
    await world.feed(make.posted(), make.rejected())
    assert await world.dump() == before


async def test_payment_the_ledger_refuses_fails_and_its_budget_is_free_again(world, make):
    await world.begin()
    await world.feed(make.propose())
    await world.feed(make.rejected())
    assert (await states(world))[-1] == "failed"
    assert (await states(world, "reason_code"))[-1] == "insufficient_funds"
    free = await top(world)
    assert (free.reserved.amount, free.used.amount) == ("0.00", "0.00")


async def test_payment_is_approved_by_as_many_different_people_as_its_amount_needs(
    world, make, ids
):
    company = ids("party", "company")
    levels = (
        ApprovalLevel(currency="USD", above="0.00", approvals=1),
        ApprovalLevel(currency="USD", above="20.00", approvals=2),
    )
    await world.feed(make.create(), make.policy(approvals=levels), make.order(), make.budget("top"))
    await world.ask(make.propose("small", "20.00"), make.propose("large", "20.01"))
    assert await states(world, "approvals_needed") == [1, 2]
    assert await world.refusal(make.approve("large")) == "same_person"
    otto, uma = make.by("user:otto", company), make.by("user:uma", company)
    await world.ask(otto.approve("small"), otto.approve("large"))
    assert await world.facts(PostJournal) != []
    assert (await states(world))[2:] == ["approved", "proposed"]
    [again] = await world.ask(otto.approve("large"))
    assert (again.state, again.approved_by) == ("proposed", ("user:otto",))
    await world.ask(uma.approve("large"))
    assert (await states(world))[-1] == "approved"
    assert len(await world.facts(PostJournal)) == 2
    third = make.by("user:lars", company)
    assert await world.refusal(third.approve("large")) == "payment_not_proposed"
    assert await world.refusal(third.reject("large")) == "payment_not_proposed"


async def test_payment_rejected_gives_its_budget_back_and_moves_no_money(world, make, ids):
    await world.begin(approvals=1)
    await world.ask(make.propose(), make.by("user:otto", ids("party", "tenant")).reject())
    assert await states(world) == ["proposed", "rejected"]
    assert (await top(world)).reserved.amount == "0.00"
    assert await world.facts(PostJournal) == []


async def test_f40_payment_keeps_the_policy_it_was_proposed_under(world, make, ids, later):
    await world.begin(approvals=1)
    await world.ask(make.propose("before"))
    later(1)
    stricter = ApprovalLevel(currency="USD", above="0.00", approvals=3)
    await world.ask(make.policy(2, rails=("giftcard",), approvals=(stricter,)))
    assert await world.refusal(make.propose("after")) == "rail_forbidden_by_program"
    await world.ask(make.by("user:otto", ids("party", "company")).approve("before"))
    [*_, approved] = await world.facts(PaymentChanged)
    assert (approved.state, approved.policy_version, approved.approvals_needed) == (
        "approved",
        1,
        1,
    )
    proposed, *_ = await world.ask(make.propose("gift", rail="giftcard"))
    assert (proposed.policy_version, proposed.approvals_needed) == (2, 3)


async def test_f42_cash_is_refused_where_the_market_forbids_it_and_other_endpoints_stay_open(
    world, make
):
    await world.begin(restrictions=(Restriction(forbids=("cash",), countries=("US",)),))
    [refused] = await world.ask(make.propose())
    assert (refused.code, refused.field) == ("class_forbidden_in_country", "/rail")
    assert refused.remedy == (
        "choose cash_like or closed_loop; "
        "open to it: crypto, giftcard, prepaid, store_credit, wallet"
    )
    await world.ask(make.propose("gift", rail="giftcard"))
    assert await states(world) == ["approved"]


async def test_payment_out_of_more_budgets_than_one_journal_holds_is_refused(world, make):
    few = make.create(program="small", program_id=SMALL)
    other = replace(make, program_id=SMALL)
    why = {"program": "small", "event": "order-8", "reason": "a rebate"}
    await world.feed(few, other.policy(), other.order())
    await world.feed(*(other.budget(f"s{n}", "1.00", why=why) for n in range(65)))
    assert await world.refusal(other.propose("all", "65.00", why=why)) == "too_many_draws"
    await world.ask(other.propose("all", "64.00", why=why))
    assert len((await world.facts(PaymentChanged))[-1].draws) == 64


async def test_payment_without_policy_is_refused(world, make):
    await world.feed(make.create(), make.order(), make.budget("top"))
    assert await world.refusal(make.propose()) == "policy_missing"


async def test_f60_wallets_are_used_in_the_programs_order_and_only_in_the_payments_currency(
    world, make, ids
):
    campaign, company = ids("acc", "campaign"), ids("party", "company")
    main = derived_id("acc", "main", f"wallet/{company}/USD")
    euro = derived_id("acc", "main", f"wallet/{company}/EUR")
    await world.feed(make.create(), make.policy(), make.wallet_opened(campaign))
    await world.feed(
        make.order(1, (euro, "EUR"), (campaign, "USD"), (main, "USD")),
        make.budget("euro", "500.00", currency="EUR"),
        make.budget("main", "100.00"),
        make.budget("campaign", "10.00", wallet=campaign),
    )
    await world.ask(make.propose("one", "25.00"))
    [payment] = await world.facts(PaymentChanged)
    assert [(d.wallet, d.amount.amount) for d in payment.draws] == [
        (campaign, "10.00"),
        (main, "15.00"),
    ]
    assert await world.refusal(make.propose("two", "85.01")) == "budget_exceeded"
    await world.ask(make.order(2, (main, "USD"), (euro, "EUR")))
    await world.ask(make.propose("euro", "85.00", currency="EUR"))
    assert (await world.facts(PaymentChanged))[-1].draws[0].wallet == euro


async def test_fee_is_drawn_from_who_bears_it_and_the_legs_add_up(world, make, ids):
    await world.begin()
    line = {"fixed": "1.00", "percent": "2", "bearer": "shared", "payer_percent": "50"}
    await world.ask(make.fees(1, line))
    await world.ask(make.propose("one", "50.00"))
    [payment] = await world.facts(PaymentChanged)
    assert (payment.fee.total.amount, payment.fee.payer.amount, payment.fee.payee.amount) == (
        "2.00",
        "1.00",
        "1.00",
    )
    assert [draw.amount.amount for draw in payment.draws] == ["51.00"]
    assert payment.fees_version == 1
    [journal] = await world.facts(PostJournal)
    payee = derived_id("acc", "main", f"wallet/{ids('party', 'payee')}/USD")
    fees = derived_id("acc", "main", f"fee/{ids('party', 'tenant')}/USD")
    assert {leg.credit: leg.amount.amount for leg in journal.legs} == {
        payee: "49.00",
        fees: "2.00",
    }
    assert {account.id for account in journal.open_accounts} == {payee, fees}
    await world.ask(make.fees(2, {"fixed": "30.00", "bearer": "payee"}))
    assert await world.refusal(make.propose("two", "30.00")) == "fee_exceeds_amount"


async def test_f65_payment_settles_its_payable_once_the_ledger_has_moved_the_money(
    world, make, ids
):
    await world.begin()
    bill = ids("pbl", "inv")
    await world.feed(make.payable("inv", "40.00", settled_by="payment"))
    await world.ask(make.propose("one", "25.00", payable_id=bill))
    assert len(await world.facts(PayableChanged)) == 1
    await world.feed(make.posted("one"))
    [*_, paid] = await world.facts(PayableChanged)
    assert (paid.state, paid.paid.amount, paid.reference) == (
        "part_paid",
        "25.00",
        ids("pmt", "one"),
    )
    other = make.propose("two", payable_id=bill, payee=ids("party", "stranger"))
    assert await world.refusal(other) == "payee_mismatch"
    unknown = make.propose("two", payable_id=ids("pbl", "none"))
    assert await world.refusal(unknown) == "payable_unknown"


async def test_nobody_uses_or_frees_what_a_payment_or_a_claim_has_set_aside(world, make, ids):
    await world.begin(approvals=1)
    await world.ask(make.propose(), make.claim("c", "top", "1.00"))
    [payment] = await world.facts(PaymentChanged)
    [claim] = await world.facts(BudgetClaimChanged)
    for reservation in (payment.draws[0].reservation_id, claim.reservation_id):
        theirs = {"reservation_id": reservation}
        release = make.release("l", "top", "x").model_copy(update=theirs)
        use = make.use("u", "top", "x", "1.00").model_copy(update=theirs)
        assert await world.refusal(release) == "reservation_bound"
        assert await world.refusal(use) == "reservation_bound"
    otto = make.by("user:otto", ids("party", "company"))
    await world.ask(otto.decide("c"))
    granted = {"reservation_id": claim.reservation_id}
    await world.ask(make.use("u", "top", "x", "1.00").model_copy(update=granted))
    assert (await top(world)).used.amount == "1.00"


async def test_reservation_made_under_the_id_of_a_payment_or_claim_to_come_stops_that_one_alone(
    world, make, ids
):
    await world.begin()
    for what, reservation in (
        (make.propose(), derived_id("res", ids("pmt", "one"), ids("bud", "top"))),
        (make.claim("c", "top", "1.00"), derived_id("res", ids("clm", "c"))),
    ):
        first = make.reserve(reservation, "top", "1.00")
        await world.ask(first.model_copy(update={"reservation_id": reservation}))
        assert await world.refusal(what) == "id_conflict"
    await world.ask(make.propose("two"))
    assert await states(world) == ["approved"]


async def test_gauges_say_what_waits_and_for_how_long(world, make, ids, later):
    metrics = Metrics("programs")
    watch = StandingWatch(ProgramMetrics.of(metrics))

    def gauges() -> dict[str, tuple[float | None, float | None]]:
        def value(name, what):
            labels = {"service": "programs", "what": what}
            return metrics.registry.get_sample_value(f"tally_programs_{name}", labels)

        return {
            what: (value("standing", what), value("standing_age_seconds", what))
            for what in ("payment_proposed", "payment_approved", "claim_submitted")
        }

    await world.begin(approvals=1)
    await world.ask(make.propose("one"), make.propose("two"), make.claim("c", "top", "1.00"))
    await world.ask(make.by("user:otto", ids("party", "company")).approve("two"))
    await watch.measure(world.pool, later(2))
    assert gauges() == {
        "payment_proposed": (1, 7200),
        "payment_approved": (1, 7200),
        "claim_submitted": (1, 7200),
    }
    await world.feed(make.posted("two"))
    await watch.measure(world.pool, later(1))
    assert gauges()["payment_approved"] == (0, 0)


@pytest.mark.parametrize("act", ["approve", "reject"])
async def test_nobody_else_decides_on_a_payment(world, make, ids, act):
    await world.begin(approvals=1)
    await world.ask(make.propose())
    stranger = make.by("user:eve", ids("party", "stranger"))
    assert await world.refusal(getattr(stranger, act)()) == "not_permitted"
    theirs = make.of(ids("party", "other")).by("user:eve", ids("party", "other"))
    assert await world.refusal(getattr(theirs, act)()) == "program_unknown"
    assert await world.refusal(getattr(make, act)("none")) == "payment_unknown"
