"""Gates and limits at the exit: held, never refused, and let go by what held it alone (F27, F30, X4)."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from tally_contracts.kyc import Ceiling, GateRow, LimitRow
from tally_contracts.payouts import PayoutChanged, PayoutHoldsChanged
from tally_gates import (
    Act,
    Closed,
    EndpointClass,
    Level,
    PartyKind,
    Question,
    ask,
    book_of,
)
from tally_money import Money
from tally_payouts.app import build_app
from tally_payouts.exit_worker import ExitWorker, warn_without_tables
from tally_payouts.service import PayoutService
from tally_payouts.store.exits import load_tables
from tally_payouts.turn import Installation
from tally_runtime import FixedClock, derived_id, party_id_of

from .conftest import payout_id_of, tid
from .test_payouts_store import MIGRATIONS, Counting, overlapping

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
ANN = tid("party", "ann")


@pytest.fixture
def clock():
    return FixedClock(NOON)


@pytest.fixture
def app(settings, clock):
    return build_app(settings, clock=clock)


@pytest.fixture
def saga(settings):
    rails = frozenset({"ach", "wallet"})
    return PayoutService(Installation(settings.tenant, settings.ledger_name, rails))


@pytest.fixture
def ask_again(world, saga):
    async def turn():
        assert not await ExitWorker(saga).turn(world.processor.transactor)

    return turn


def gate(level="none", answer="closed", found="any", **more):
    said = {"code": "verify_first", "remedy": "finish the tasks", "who_must_act": "payee"}
    return GateRow(
        party_kind="person", level=level, act="exit", endpoint_class=found, answer=answer,
        **{**({} if answer == "open" else said), **more},
    )  # fmt: skip


def limit(window, amount, level="none", currency="USD", found="any"):
    most = Ceiling(currency=currency, amount=amount)
    return LimitRow(level=level, act="exit", endpoint_class=found, window=window, limit=most)


FROM_BASIC = (gate(), gate("basic", "open"))


def of(name):
    return payout_id_of(name, ANN)


async def told(world, name):
    changed = [one for one in await world.events(PayoutChanged) if one.payout_id == of(name)]
    return changed[-1]


async def holds(world, name):
    """Source and code of what holds a payout, as it stands in its row."""
    row = await world.row(of(name))
    return row["state"], [(hold["source"], hold["code"]) for hold in row["holds"]]


async def reserved(world, *names, amount="25.00"):
    """Payouts of Ann's, whose money has just been reserved."""
    await world.with_method(ANN)
    await world.feed(*(world.make.pay_in(name, ANN, amount) for name in names))
    await world.feed(*(world.make.placed(of(name), amount) for name in names))


async def test_without_any_table_payouts_leave_and_the_service_says_so_once(world, logged):
    await reserved(world, "one")
    assert (await told(world, "one")).state == "submitting"
    await warn_without_tables(world.pool)
    await world.feed(world.make.gates(*FROM_BASIC))
    await warn_without_tables(world.pool)
    assert [line["event"] for line in logged].count("no_gate_table_published") == 1


async def test_f27_payout_of_a_party_nobody_told_of_is_held_and_says_what_to_do(world, make):
    await world.feed(make.gates(*FROM_BASIC))
    await reserved(world, "one")
    held = await told(world, "one")
    assert (held.state, held.reason_code, held.must_act) == ("held", "verify_first", "payee")
    assert held.remedy == "finish the tasks"
    [hold] = held.holds
    assert (hold.source, hold.table, hold.version) == ("kyc", "default", 1)
    assert await world.sent("rails.ach.commands.v1") == []


async def test_x4_level_reached_sends_what_was_held_by_itself_and_once(world, make, ask_again):
    await world.feed(make.gates(*FROM_BASIC))
    await reserved(world, "one", "two")
    raised = world.raw(make.level(ANN, "basic"))
    await world.feed(raised)
    await ask_again()
    await world.feed(raised)
    await ask_again()
    for name in ("one", "two"):
        assert await world.states(of(name)) == ["approved", "held", "submitting"]
        assert (await told(world, name)).holds == ()
    sent = await world.sent("rails.ach.commands.v1")
    assert sorted(item.key for item in sent) == sorted([of("one"), of("two")])
    assert {item.correlation for item in sent} == {"payment-1"}


async def test_f30_level_of_the_party_that_a_reference_names_opens_its_exits(
    world, make, ask_again, settings
):
    party = derived_id("party", settings.tenant, "user-42")
    await world.feed(make.gates(*FROM_BASIC))
    await world.with_method("user-42")
    early, late = payout_id_of("early", "user-42"), payout_id_of("late", "user-42")
    await world.feed(make.pay_in("early", "user-42"), make.pay_in("late", "user-42"))
    await world.feed(make.placed(early))
    assert await world.states(early) == ["approved", "held"]
    await world.feed(make.level(party, "basic"))
    await ask_again()
    assert await world.states(early) == ["approved", "held", "submitting"]
    await world.feed(make.placed(late))
    assert await world.states(late) == ["approved", "submitting"]


async def test_limits_are_a_partys_by_whatever_reference_its_money_names_it(
    world, make, ask_again, settings
):
    party = derived_id("party", settings.tenant, "user-42")
    await world.feed(make.limits(limit("day", "40.00")))
    await world.with_method("user-42")
    await world.with_method(party, "other")
    first, second = payout_id_of("one", "user-42"), payout_id_of("two", party)
    await world.feed(make.pay_in("one", "user-42"), make.pay_in("two", party))
    await world.feed(make.placed(first))
    await world.feed(make.placed(second))
    assert await world.states(second) == ["approved", "held"]
    await world.feed(make.attempt(first, "failed", code="R03"), make.released(first))
    await ask_again()
    assert await world.states(second) == ["approved", "held", "submitting"]


async def paid_before_any_limit(world, make, settings):
    """A reference is paid 25.00 while there is no table; another payout of its party, that is placed."""
    party = party_id_of("user-42", settings.tenant)
    await world.with_method("user-42")
    await world.with_method(party, "other")
    await world.feed(make.pay_in("one", "user-42"))
    await world.feed(make.placed(payout_id_of("one", "user-42")))
    return party, payout_id_of("two", party)


async def test_limit_counts_what_a_reference_was_paid_before_there_was_any_table(
    world, make, settings
):
    party, second = await paid_before_any_limit(world, make, settings)
    await world.feed(make.limits(limit("lifetime", "40.00")), make.pay_in("two", party))
    await world.feed(make.placed(second))
    assert await world.states(second) == ["approved", "held"]


async def test_limit_counts_what_a_reference_was_paid_before_its_party_was_kept(
    world, make, settings, ask_again
):
    party, second = await paid_before_any_limit(world, make, settings)
    await world.pool.execute("DELETE FROM party_owner")
    await world.pool.execute((MIGRATIONS / "0011_owners_paid_before.sql").read_text())
    await world.pool.execute("UPDATE exit_due SET at = $1", NOON)
    await ask_again()
    await world.feed(make.limits(limit("lifetime", "40.00")), make.pay_in("two", party))
    await world.feed(make.placed(second))
    assert await world.states(second) == ["approved", "held"]


async def test_downgrade_between_choice_and_exit_holds(world, make):
    await world.feed(make.gates(*FROM_BASIC), make.level(ANN, "basic"))
    await world.with_method(ANN)
    await world.feed(make.pay_in("one", ANN))
    await world.feed(make.level(ANN, "none"), make.placed(of("one")))
    assert await holds(world, "one") == ("held", [("kyc", "verify_first")])


async def test_level_that_is_valid_no_more_counts_as_none(world, make, clock):
    until = NOON + timedelta(hours=1)
    await world.feed(make.gates(*FROM_BASIC), make.level(ANN, "basic", valid_until=until))
    await reserved(world, "one")
    clock.advance(timedelta(hours=1))
    await reserved(world, "two")
    assert [(await told(world, name)).state for name in ("one", "two")] == ["submitting", "held"]


async def test_facts_in_any_order_and_an_older_word_lead_to_the_same(world, make, ask_again):
    down, up = make.level(ANN, "none"), make.level(ANN, "basic")
    await reserved_before_tables(world, make)
    await world.feed(up)
    await world.feed(make.placed(of("one")), make.gates(*FROM_BASIC))
    await world.feed(down)
    await ask_again()
    assert (await told(world, "one")).state == "submitting"


async def reserved_before_tables(world, make):
    await world.with_method(ANN)
    await world.feed(make.pay_in("one", ANN))


async def test_next_version_of_a_table_frees_and_its_date_is_waited_for(
    world, make, ask_again, clock
):
    tomorrow = NOON + timedelta(days=1)
    await world.feed(make.gates(*FROM_BASIC))
    await reserved(world, "one")
    await world.feed(make.gates(gate(answer="open"), version=2, valid_from=tomorrow))
    await ask_again()
    assert (await holds(world, "one"))[0] == "held"
    clock.advance(timedelta(days=1))
    await ask_again()
    assert (await told(world, "one")).state == "submitting"


async def test_each_source_clears_what_is_its_own_alone(world, make, ask_again):
    await world.feed(make.gates(*FROM_BASIC), make.limits(limit("item", "20.00")))
    await reserved(world, "one")
    both = [("kyc", "verify_first"), ("limit", "limit_item_exceeded")]
    assert await holds(world, "one") == ("held", both)
    await world.feed(make.level(ANN, "basic"))
    await ask_again()
    [changed] = await world.events(PayoutHoldsChanged)
    assert (changed.reason_code, len(changed.holds)) == ("limit_item_exceeded", 1)
    freeze = (
        """'{"source": "sanctions", "code": "match", "remedy": "wait", "must_act": "operator"}'"""
    )
    await world.pool.execute(f"UPDATE payout SET holds = holds || {freeze}::jsonb")
    await world.feed(make.limits(limit("item", "25.00"), version=2))
    await ask_again()
    assert await holds(world, "one") == ("held", [("sanctions", "match")])
    standing = await world.row(of("one"))
    assert (standing["reason_code"], standing["must_act"]) == ("match", "operator")
    assert await world.sent("rails.ach.commands.v1") == []


async def test_payouts_reserved_at_once_share_one_limit(world, make, ask_again, clock):
    await world.feed(make.limits(limit("day", "60.00")))
    await reserved(world, "one", "two", "three")
    states = {name: (await told(world, name)).state for name in ("one", "two", "three")}
    assert sorted(states.values()) == ["held", "submitting", "submitting"]
    [held] = [name for name, state in states.items() if state == "held"]
    assert await holds(world, held) == ("held", [("limit", "limit_day_exceeded")])
    clock.advance(timedelta(hours=11))
    await ask_again()
    assert (await told(world, held)).state == "held"
    clock.advance(timedelta(hours=1))
    await ask_again()
    assert (await told(world, held)).state == "submitting"


async def test_two_replicas_never_pass_one_limit_together(world, make):
    await world.feed(make.limits(limit("lifetime", "40.00")))
    await world.with_method(ANN)
    await world.feed(make.pay_in("one", ANN), make.pay_in("two", ANN))
    await overlapping(world, [make.placed(of("one"))], [make.placed(of("two"))])
    assert await holds(world, "two") == ("held", [("limit", "limit_lifetime_exceeded")])
    assert [item.key for item in await world.sent("rails.ach.commands.v1")] == [of("one")]


@pytest.mark.parametrize("first", ["hold", "word"])
@pytest.mark.parametrize("word", ["level", "table"])
async def test_exit_and_a_word_about_it_at_the_same_time_both_count(
    world, make, ask_again, word, first
):
    await world.feed(make.gates(*FROM_BASIC))
    await world.with_method(ANN)
    await world.feed(make.pay_in("one", ANN))
    placed = [make.placed(of("one"))]
    raised, opened = make.level(ANN, "basic"), make.gates(gate(answer="open"), version=2)
    opens = [raised if word == "level" else opened]
    await overlapping(world, *((placed, opens) if first == "hold" else (opens, placed)))
    await ask_again()
    assert (await told(world, "one")).state == "submitting"


@pytest.mark.parametrize("end", ["failed", "cancelled", "returned"])
async def test_what_comes_back_gives_its_room_back(world, make, ask_again, end):
    await world.feed(make.limits(limit("month", "25.00")))
    await reserved(world, "one")
    await reserved(world, "two")
    assert (await told(world, "two")).state == "held"
    one = of("one")
    if end == "returned":
        await world.one_by_one(
            make.attempt(one, "paid"), make.captured(one), make.returned(one), make.posted(one)
        )
    else:
        await world.one_by_one(make.attempt(one, end), make.released(one))
    assert (await told(world, "one")).state == end
    await ask_again()
    assert (await told(world, "two")).state == "submitting"


async def test_limit_of_this_very_batch_counts_what_left_before(world, make):
    await reserved(world, "one")
    await world.with_method(ANN)
    await world.feed(make.pay_in("two", ANN))
    await world.feed(make.limits(limit("day", "30.00")), make.placed(of("two")))
    assert await holds(world, "two") == ("held", [("limit", "limit_day_exceeded")])


async def test_limit_in_another_currency_is_never_guessed_at(world, make):
    await world.feed(make.limits(limit("day", "1000000.00", currency="EUR")))
    await reserved(world, "one")
    held = await told(world, "one")
    assert (held.reason_code, held.must_act) == ("currency_not_convertible", "operator")


async def test_words_nobody_knows_yet_close_rather_than_open(world, make):
    strange = gate(answer="ask_somebody", limit=None), gate("platinum", "open")
    await world.feed(make.gates(*strange), make.limits(limit("decade", "5.00")))
    await reserved(world, "one")
    found = [("kyc", "verify_first"), ("limit", "limit_lifetime_exceeded")]
    assert await holds(world, "one") == ("held", found)


async def test_company_that_is_paid_itself_is_the_payee_who_must_act(world, make):
    stated = {"code": "verify_first", "remedy": "finish the tasks", "who_must_act": "company"}
    row = GateRow(
        party_kind="company", level="none", act="exit", endpoint_class="any", answer="closed", **stated
    )  # fmt: skip
    most = make.limits(limit("day", "5.00"))
    await world.feed(make.gates(row), most, make.level(ANN, "none", party_kind="company"))
    await reserved(world, "one")
    found = (await told(world, "one")).holds
    assert [(one.code, one.must_act) for one in found] == [
        ("verify_first", "payee"),
        ("limit_day_exceeded", "payee"),
    ]


async def test_x4_strictest_of_residence_and_place_decides(world, make, ask_again):
    eea = make.gates(gate(code="verify_in_france"), table="eea", jurisdictions=("FR", "DE"))
    await world.feed(make.gates(gate(answer="open")), eea, make.level(ANN, "none", country="FR"))
    await reserved(world, "one")
    held = await told(world, "one")
    assert (held.reason_code, held.holds[0].table) == ("verify_in_france", "eea")
    await world.feed(make.level(ANN, "none", country="BR"))
    await ask_again()
    assert (await told(world, "one")).state == "submitting"


async def options(world, name):
    """Answer, source, code, table and version by rail, as last told."""
    return {
        one.rail: (one.answer, one.source, one.code, one.table, one.version)
        for one in (await told(world, name)).options
    }


async def test_f39_x7_options_say_what_closes_each_by_which_version(world, make):
    capped = gate(answer="open_to", limit=Ceiling(currency="USD", amount="30.00"), code="small")
    await world.feed(make.gates(gate(found="cash"), capped), make.policy(2, rails=("wallet",)))
    await world.feed(make.pay_in("one", ANN), make.pay_in("two", ANN, "31.00"))
    assert await options(world, "one") == {
        "ach": ("closed", "program", "rail_forbidden_by_program", "rebates", 2),
        "wallet": ("open_to", "kyc", "small", "default", 1),
    }
    assert (await options(world, "two"))["wallet"] == ("closed", "limit", "small", "default", 1)
    elsewhere = make.pay_in("three", ANN)
    why = elsewhere.why.model_copy(update={"program": "another"})
    await world.feed(elsewhere.model_copy(update={"why": why}))
    assert (await options(world, "three"))["ach"] == (
        "closed", "kyc", "verify_first", "default", 1)  # fmt: skip
    for one in (await told(world, "two")).options:
        assert one.remedy
        assert one.must_act == "payee"


async def test_x7_options_count_what_limits_have_been_used_of_and_the_level_told(world, make):
    await world.feed(make.limits(limit("day", "30.00"), limit("day", "90.00", "basic")))
    await reserved(world, "one")
    await world.feed(make.refused(ANN))
    await world.feed(make.pay_in("two", ANN))
    assert (await options(world, "two"))["wallet"][:3] == ("closed", "limit", "limit_day_exceeded")
    await world.feed(make.level(ANN, "basic"), make.pay_in("three", ANN))
    assert (await options(world, "three"))["wallet"] == ("open", None, None, None, None)


async def test_x7_options_of_a_payout_that_follows_its_money_are_those_of_who_has_it_now(
    world, make
):
    await world.feed(make.gates(*FROM_BASIC), make.level(ANN, "basic"))
    await world.feed(make.designated("event:party", ANN, "25.00"))
    await world.feed(make.pay_in("one", "event:party"))
    followed = (await world.events(PayoutChanged))[-1]
    assert (followed.owner, followed.state) == (ANN, "claimable")
    assert {one.rail: one.answer for one in followed.options} == {"ach": "open", "wallet": "open"}


async def test_x7_without_tables_and_policy_every_rail_is_open_and_no_table_named(world, make):
    await world.feed(make.pay_in("one", ANN))
    nothing = ("open", None, None, None, None)
    assert await options(world, "one") == {"ach": nothing, "wallet": nothing}


async def test_held_payout_is_called_off_and_its_money_given_back(world, make, ask_again):
    await world.feed(make.gates(*FROM_BASIC))
    await reserved(world, "one")
    await world.feed(make.cancel(of("one")))
    await world.feed(make.level(ANN, "basic"))
    await ask_again()
    await world.feed(make.released(of("one")))
    assert await world.states(of("one")) == ["approved", "held", "cancelled"]
    assert await world.sent("rails.ach.commands.v1") == []


async def test_held_payout_whose_reservation_the_ledger_ends_fails_and_is_not_sent(
    world, make, ask_again
):
    await world.feed(make.gates(*FROM_BASIC))
    await reserved(world, "one")
    await world.feed(make.released(of("one"), expired=True), make.level(ANN, "basic"))
    await ask_again()
    assert await world.states(of("one")) == ["approved", "held", "failed"]
    assert (await told(world, "one")).reason_code == "hold_lost"


async def test_x8_what_was_decided_is_decided_the_same_by_its_date(world, make, clock):
    await world.feed(make.gates(*FROM_BASIC), make.level(ANN, "none", country="FR"))
    await reserved(world, "one")
    clock.advance(timedelta(days=9))
    await world.feed(make.gates(gate(answer="open"), version=2, valid_from=clock.now()))
    row = await world.row(of("one"))
    asked = row["asked_of"]
    question = Question(
        frozenset(asked["jurisdictions"]),
        PartyKind(asked["party_kind"]),
        Level(asked["level"]),
        Act.EXIT,
        EndpointClass(row["asked_class"]),
        Money(int(row["amount"]), Money.parse("1.00", row["currency"]).currency),
        row["asked_at"],
    )
    assert question.jurisdictions == {"FR", "US"}
    async with world.pool.acquire() as conn:
        then = book_of(await load_tables(conn, row["asked_at"]))
    answer = ask(then, question)
    assert isinstance(answer, Closed)
    assert answer.code == row["holds"][0]["code"]


async def test_asking_needs_the_same_number_of_statements_whatever_is_held(world, make, saga):
    await world.feed(make.gates(*FROM_BASIC), make.limits(limit("day", "1000000.00")))
    owners = [tid("party", f"o{n}") for n in range(30)]
    for owner in owners:
        await world.with_method(owner, owner)
    await world.feed(*(make.pay_in(owner, owner) for owner in owners))
    await world.feed(*(make.placed(payout_id_of(owner, owner)) for owner in owners))
    counted = []
    for group in (owners[:1], owners[1:]):
        await world.feed(*(make.level(owner, "basic") for owner in group))
        counted.append(await statements_to_ask(world, saga))
    assert counted[0] == counted[1] <= 11
    assert len(await world.sent("rails.ach.commands.v1")) == 30


async def statements_to_ask(world, saga):
    counting = []

    async def work(uow):
        counting.append(Counting(uow.conn))
        await saga.ask_again(dataclasses.replace(uow, conn=counting[-1]), 200)

    await world.processor.transactor.run(work)
    return len(counting[-1].statements)
