"""Which method of a payee is in force, whatever order choices and registrations come in."""

from dataclasses import replace

import pytest

from tally_payouts.domain.methods import (
    Instrument,
    InstrumentState,
    Methods,
    MethodState,
    decide_choice,
    decide_instrument,
    way_out,
)
from tally_payouts.domain.opening import NoRoute
from tally_payouts.domain.payout import Route

RAILS = frozenset({"ach", "wallet"})
NOBODY = Methods("ann", "USD")
EXPECTED = Instrument("ins_1")
BANK = Instrument("ins_1", InstrumentState.REGISTERED, "ach", "ann", "USD")
OTHER_BANK = replace(BANK, id="ins_2")
DEAD = replace(BANK, state=InstrumentState.REFUSED)


def choose(methods: Methods, instrument: Instrument, rail: str = "ach") -> Methods:
    return decide_choice(methods, rail, instrument, RAILS)


def test_payee_without_choice_has_no_way_out():
    assert way_out(NOBODY) == NoRoute("no_method")


def test_choice_of_a_registered_instrument_is_in_force_at_once():
    assert way_out(choose(NOBODY, BANK)) == Route(1, "ach", "ins_1", None)


def test_choice_before_the_registration_takes_effect_with_it():
    waiting = choose(NOBODY, EXPECTED)
    assert way_out(waiting) == NoRoute("instrument_not_registered")
    assert way_out(decide_instrument(waiting, BANK)) == Route(1, "ach", "ins_1", None)


def test_wallet_instrument_brings_its_settlement_account():
    wallet = replace(BANK, rail="wallet", settlement_account="acc_9")
    assert way_out(choose(NOBODY, wallet, "wallet")) == Route(1, "wallet", "ins_1", "acc_9")


@pytest.mark.parametrize(
    "change", [{"owner": "bob"}, {"rail": "wallet"}, {"currency": "EUR"}], ids=str
)
def test_instrument_of_another_owner_rail_or_currency_is_never_used(change):
    other = replace(OTHER_BANK, **change)
    for after in (
        choose(choose(NOBODY, BANK), other),
        decide_instrument(choose(choose(NOBODY, BANK), replace(EXPECTED, id="ins_2")), other),
    ):
        assert way_out(after) == Route(1, "ach", "ins_1", None)
        assert after.choices[-1].state is MethodState.REFUSED
    assert way_out(choose(NOBODY, replace(BANK, **change))) == NoRoute("instrument_mismatch")


def test_choice_of_an_unknown_rail_leaves_the_method_in_force():
    after = choose(choose(NOBODY, BANK), OTHER_BANK, "paypal")
    assert way_out(after) == Route(1, "ach", "ins_1", None)
    assert way_out(choose(NOBODY, BANK, "paypal")) == NoRoute("rail_unknown")


def test_later_choice_replaces_the_method():
    assert way_out(choose(choose(NOBODY, BANK), OTHER_BANK)) == Route(2, "ach", "ins_2", None)


def test_method_in_force_stays_until_the_new_choice_can_be_used():
    waiting = choose(choose(NOBODY, OTHER_BANK), EXPECTED)
    assert way_out(waiting) == Route(1, "ach", "ins_2", None)
    assert way_out(decide_instrument(waiting, BANK)) == Route(2, "ach", "ins_1", None)


def test_given_up_choice_does_not_take_effect_when_its_registration_comes_late():
    changed_mind = choose(choose(NOBODY, EXPECTED), OTHER_BANK)
    assert way_out(decide_instrument(changed_mind, BANK)) == Route(2, "ach", "ins_2", None)
    still_waiting = choose(choose(NOBODY, EXPECTED), replace(EXPECTED, id="ins_3"))
    assert way_out(decide_instrument(still_waiting, BANK)) == NoRoute("instrument_not_registered")


def test_refused_choice_does_not_stop_one_that_still_waits():
    foreign = replace(OTHER_BANK, owner="bob")
    waiting = choose(choose(NOBODY, EXPECTED), foreign)
    assert way_out(decide_instrument(waiting, BANK)) == Route(1, "ach", "ins_1", None)


def test_dead_method_is_disabled_until_the_payee_chooses_again():
    dead = decide_instrument(choose(NOBODY, BANK), DEAD)
    assert way_out(dead) == NoRoute("method_disabled")
    assert way_out(decide_instrument(dead, BANK)) == NoRoute("method_disabled")
    assert way_out(choose(dead, BANK)) == Route(2, "ach", "ins_1", None)


def test_dead_method_does_not_bring_an_older_one_back():
    dead = decide_instrument(choose(choose(NOBODY, OTHER_BANK), BANK), DEAD)
    assert way_out(dead) == NoRoute("method_disabled")


def test_refused_details_wait_for_details_that_are_right():
    waiting = choose(NOBODY, DEAD)
    assert way_out(waiting) == NoRoute("instrument_refused")
    assert way_out(decide_instrument(waiting, BANK)) == Route(1, "ach", "ins_1", None)


def test_word_about_another_instrument_changes_nothing():
    chosen = choose(NOBODY, BANK)
    assert decide_instrument(chosen, replace(DEAD, id="ins_2")) == chosen


def test_every_choice_gets_the_next_version():
    methods = choose(choose(choose(NOBODY, BANK), OTHER_BANK, "paypal"), OTHER_BANK)
    assert [c.version for c in methods.choices] == [1, 2, 3]
    assert methods.versions == 3
    assert [c.superseded for c in methods.choices] == [True, True, False]
