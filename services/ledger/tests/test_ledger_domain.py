"""Rules of the books, by example; the universal ones are in test_ledger_model.py."""

from datetime import timedelta

import pytest

from tally_ledger.domain import (
    Account,
    Balance,
    Books,
    Done,
    Entry,
    HoldState,
    Movement,
    Open,
    Opened,
    Posted,
    Rejected,
    TransferKind,
    decide,
    fold,
)
from tally_money import MAX_MINOR

from .ledger_commands import (
    NOW,
    SOON,
    books,
    capture,
    clearing,
    expire,
    leg,
    place,
    post,
    release,
    wallet,
)


def after(state: Books, *commands: Movement) -> Books:
    """The books after commands that must all be accepted."""
    batch = fold(state, commands, NOW)
    assert batch.rejected == []
    return batch.after


def accepted(state: Books, command: Movement) -> Posted:
    decision = decide(state, command, NOW)
    assert isinstance(decision, Posted), decision
    return decision


def refused(state: Books, command: Movement) -> Rejected:
    decision = decide(state, command, NOW)
    assert isinstance(decision, Rejected), decision
    return decision


@pytest.fixture
def funded() -> Books:
    """Ann has 100, Bob nothing."""
    return after(
        books(clearing("cards"), clearing("ach"), wallet("ann"), wallet("bob")),
        post("j0", leg("l0", "cards", "ann", 100)),
    )


def test_a_journal_enters_both_sides_with_the_balances_after(funded: Books) -> None:
    posted = accepted(funded, post("j1", leg("l1", "ann", "bob", 30)))
    assert posted.entries == (
        Entry("ann", 2, "l1", -30, 0, 70, 0),
        Entry("bob", 1, "l1", 30, 0, 30, 0),
    )
    assert posted.balances == {
        "ann": Balance(30, 100, 0, 0, 2),
        "bob": Balance(0, 30, 0, 0, 1),
    }


def test_legs_are_decided_in_order_each_on_what_the_one_before_left(funded: Books) -> None:
    through = (leg("l1", "ann", "bob", 40), leg("l2", "bob", "ach", 40))
    assert len(accepted(funded, post("j1", *through)).transfers) == 2
    backwards = refused(funded, post("j1", *reversed(through)))
    assert backwards.code == "insufficient_funds"
    assert backwards.detail.startswith("legs.0.debit: account bob has 0 minor units")


def test_a_journal_may_span_currencies_but_no_leg_does(funded: Books) -> None:
    dollars = (clearing("position-usd", "USD"), wallet("bob-usd", "USD"))
    exchange = post(
        "fx1",
        leg("l1", "ann", "cards", 50),
        leg("l2", "position-usd", "bob-usd", 54, "USD"),
        opens=dollars,
    )
    assert len(accepted(funded, exchange).transfers) == 2
    mixed = post("fx2", leg("l3", "ann", "bob-usd", 50), opens=dollars)
    assert refused(funded, mixed).code == "currency_mismatch"
    assert refused(funded, mixed).detail.startswith("legs.0.credit: account bob-usd is in USD")


def test_a_journal_with_one_bad_leg_posts_none(funded: Books) -> None:
    batch = fold(
        funded,
        [post("j1", leg("l1", "ann", "bob", 10), leg("l2", "ann", "nobody", 10))],
        NOW,
    )
    assert batch.posted == []
    assert batch.after.balances == funded.balances


def test_an_account_is_opened_by_the_first_journal_and_only_confirmed_by_later_ones(
    funded: Books,
) -> None:
    carol = wallet("carol")
    first = accepted(funded, post("j1", leg("l1", "cards", "carol", 5), opens=(carol,)))
    assert first.opened == (carol._replace(opened_at=NOW),)
    state = after(funded, post("j1", leg("l1", "cards", "carol", 5), opens=(carol,)))
    again = accepted(state, post("j2", leg("l2", "cards", "carol", 5), opens=(carol,)))
    assert again.opened == ()


@pytest.mark.parametrize(
    "other",
    [
        Account("ann", "USD", "owner-ann", "wallet", "wallet/ann", True),
        Account("ann", "EUR", "somebody", "wallet", "wallet/ann", True),
        Account("ann", "EUR", "owner-ann", "fee", "wallet/ann", True),
        Account("ann", "EUR", "owner-ann", "wallet", "wallet/elsewhere", True),
        Account("ann", "EUR", "owner-ann", "wallet", "wallet/ann", False),
    ],
)
def test_an_account_cannot_be_opened_again_as_another(funded: Books, other: Account) -> None:
    rejected = refused(funded, post("j1", leg("l1", "cards", "ann", 5), opens=(other,)))
    assert rejected.code == "account_mismatch"
    assert rejected.detail.startswith("open_accounts.0: account ann")


def test_an_account_of_another_ledger_can_be_neither_opened_nor_used(funded: Books) -> None:
    funded.elsewhere = frozenset({"zoe"})
    opening = post("j1", leg("l1", "cards", "zoe", 5), opens=(wallet("zoe"),))
    assert refused(funded, opening).code == "account_mismatch"
    assert refused(funded, post("j2", leg("l2", "cards", "zoe", 5))).code == "account_unknown"


def test_no_money_moves_in_a_ledger_that_is_not_open() -> None:
    state = Books("nowhere", is_open=False)
    opens = (clearing("cards"), wallet("ann"))
    command = post("j1", leg("l1", "cards", "ann", 5), opens=opens)
    assert refused(state, command).code == "ledger_unknown"


@pytest.mark.parametrize(
    ("account", "as_debit", "as_credit"),
    [
        (clearing("x", frozen_out=True), "account_frozen", None),
        (clearing("x", frozen_in=True), None, "account_frozen"),
        (clearing("x", closed=True), "account_closed", "account_closed"),
    ],
)
def test_a_frozen_account_is_stopped_this_way_and_a_closed_one_both(
    account: Account, as_debit: str | None, as_credit: str | None
) -> None:
    state = books(account, clearing("cards"))
    for command, code in (
        (post("j1", leg("l1", "x", "cards", 5)), as_debit),
        (place("h1", "x", "cards", 5), as_debit),
        (post("j2", leg("l2", "cards", "x", 5)), as_credit),
        (place("h2", "cards", "x", 5), as_credit),
    ):
        decision = decide(state, command, NOW)
        assert (decision.code if isinstance(decision, Rejected) else None) == code


def test_a_hold_counts_against_what_is_available(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70))
    rejected = refused(state, post("j1", leg("l1", "ann", "bob", 31)))
    assert rejected.code == "insufficient_funds"
    assert "has 30 minor units of EUR available, 31 are asked for" in rejected.detail
    assert refused(state, place("h2", "ann", "ach", 31)).code == "insufficient_funds"
    assert isinstance(decide(state, post("j1", leg("l1", "ann", "bob", 30)), NOW), Posted)


def test_money_promised_by_a_hold_cannot_be_spent_before_capture(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "bob", 70))
    assert refused(state, post("j1", leg("l1", "bob", "ach", 1))).code == "insufficient_funds"


def test_a_hold_is_captured_in_parts_up_to_its_amount(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70), capture("c1", "h1", 30))
    assert state.holds["h1"].remaining == 40
    rejected = refused(state, capture("c2", "h1", 41))
    assert rejected.code == "capture_exceeds_hold"
    assert "reserves 40 minor units" in rejected.detail
    state = after(state, capture("c2", "h1", 40))
    assert state.holds["h1"].state is HoldState.CAPTURED
    assert state.balances["ann"] == Balance(70, 100, 0, 0, 4)
    assert refused(state, capture("c3", "h1", 1)).code == "hold_not_open"
    assert refused(state, release("r1", "h1")).code == "hold_not_open"


def test_a_release_returns_what_captures_left(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70), capture("c1", "h1", 30))
    posted = accepted(state, release("r1", "h1"))
    (transfer,) = posted.transfers
    assert (transfer.kind, transfer.amount, transfer.remaining) == (TransferKind.VOID, 40, 0)
    assert posted.hold is not None
    assert posted.hold.state is HoldState.RELEASED
    assert posted.balances["ann"].available == 70


def test_a_capture_goes_through_though_the_account_was_frozen_since(
    funded: Books,
) -> None:
    state = after(funded, place("h1", "ann", "ach", 70))
    state.accounts["ann"] = wallet("ann", frozen_out=True, frozen_in=True)
    assert isinstance(decide(state, capture("c1", "h1", 70), NOW), Posted)
    assert isinstance(decide(state, release("r1", "h1"), NOW), Posted)


def test_a_capture_in_another_currency_is_refused(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70))
    assert refused(state, capture("c1", "h1", 70, "USD")).code == "currency_mismatch"


def test_a_hold_that_was_never_placed_is_unknown(funded: Books) -> None:
    assert refused(funded, capture("c1", "h9", 1)).code == "hold_unknown"
    assert refused(funded, release("r1", "h9")).code == "hold_unknown"


def test_a_hold_expires_only_once_its_time_is_over_and_as_a_transfer(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70, expires_at=SOON), capture("c1", "h1", 30))
    early = decide(state, expire("x1", "h1"), SOON - timedelta(microseconds=1))
    assert isinstance(early, Rejected)
    assert early.code == "not_due"
    due = decide(state, expire("x1", "h1"), SOON)
    assert isinstance(due, Posted)
    assert (due.transfers[0].kind, due.transfers[0].amount) == (TransferKind.EXPIRE, 40)
    assert due.hold is not None
    assert (due.hold.state, due.hold.expires_at) == (HoldState.EXPIRED, None)
    assert due.balances == {"ann": Balance(30, 100, 0, 0, 4), "ach": Balance(0, 30, 0, 0, 3)}


def test_a_hold_can_be_captured_until_its_expiry_is_in_the_books(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70, expires_at=SOON))
    late = decide(state, capture("c1", "h1", 70), SOON + timedelta(hours=1))
    assert isinstance(late, Posted)


def test_a_hold_without_a_time_never_expires(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70))
    decision = decide(state, expire("x1", "h1"), NOW + timedelta(days=9999))
    assert isinstance(decision, Rejected)
    assert decision.code == "not_due"


def test_a_hold_that_is_expired_already_is_not_placed(funded: Books) -> None:
    assert refused(funded, place("h1", "ann", "ach", 1, expires_at=NOW)).code == "already_expired"


@pytest.mark.parametrize(("debit", "credit"), [("cards", "other"), ("other", "ach")])
def test_no_counter_of_either_side_passes_38_digits(debit: str, credit: str) -> None:
    state = after(
        books(clearing("cards"), clearing("ach"), clearing("other")),
        post("j0", leg("l0", "cards", "ach", MAX_MINOR)),
    )
    assert refused(state, post("j1", leg("l1", debit, credit, 1))).code == "amount_too_large"
    assert refused(state, place("h1", debit, credit, 1)).code == "amount_too_large"


def test_what_is_held_counts_towards_the_38_digits() -> None:
    state = after(
        books(clearing("cards"), clearing("ach"), clearing("other")),
        place("h0", "cards", "ach", MAX_MINOR),
    )
    for debit, credit in (("cards", "other"), ("other", "ach")):
        assert refused(state, post("j1", leg("l1", debit, credit, 1))).code == "amount_too_large"


def test_a_leg_from_an_account_to_itself_is_refused(funded: Books) -> None:
    assert refused(funded, post("j1", leg("l1", "ann", "ann", 1))).code == "same_account"


def test_a_leg_id_twice_in_one_journal_is_refused(funded: Books) -> None:
    twice = post("j1", leg("l1", "ann", "bob", 1), leg("l1", "ann", "bob", 1))
    assert refused(funded, twice).code == "duplicate_leg"


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (post("j1", leg("l0", "ann", "bob", 1)), "legs.0.id"),
        (post("j1", leg("l1", "ann", "bob", 1), leg("l0", "ann", "bob", 1)), "legs.1.id"),
        (place("l0", "ann", "ach", 1), "hold_id"),
        (capture("l0", "h1", 1), "transfer_id"),
        (release("l0", "h1"), "transfer_id"),
        (expire("l0", "h1"), "transfer_id"),
    ],
)
def test_a_transfer_id_is_never_used_twice(funded: Books, command: Movement, field: str) -> None:
    state = after(funded, place("h1", "ann", "ach", 10, expires_at=SOON))
    rejected = refused(state, command)
    assert rejected.code == "id_conflict"
    assert rejected.detail.startswith(f"{field}: a transfer with id l0 exists")


def test_asked_again_the_same_request_gets_the_answer_it_had(funded: Books) -> None:
    good, bad = (
        post("j1", leg("l1", "ann", "bob", 90)),
        post("j2", leg("l2", "ann", "bob", 90)),
    )
    first = fold(funded, [good, bad], NOW)
    # Ann has money again: the refused request is answered from memory all the same.
    state = after(first.after, post("j3", leg("l3", "cards", "ann", 500)))
    again = fold(state, [good, bad], SOON)
    assert again.answers == first.answers
    assert again.posted == []
    assert again.rejected == []


def test_another_request_under_the_same_id_is_a_conflict_and_the_first_stands(
    funded: Books,
) -> None:
    first = fold(funded, [post("j1", leg("l1", "ann", "bob", 10))], NOW)
    second = fold(first.after, [post("j1", leg("l1", "ann", "bob", 11))], NOW)
    (answer,) = second.answers
    assert isinstance(answer.outcome, Rejected)
    assert answer.outcome.code == "id_conflict"
    assert second.rejected == [], "the answer of the first request is not overwritten"
    third = fold(second.after, [post("j1", leg("l1", "ann", "bob", 10))], NOW)
    assert third.answers == first.answers


def test_all_that_a_batch_posts_shares_the_next_place_in_the_log(funded: Books) -> None:
    batch = fold(
        funded,
        [
            post("j1", leg("l1", "ann", "bob", 10)),
            post("j2", leg("l2", "ann", "bob", 1000)),
            post("j3", leg("l3", "ann", "bob", 10)),
        ],
        NOW,
    )
    outcomes = [answer.outcome for answer in batch.answers]
    assert [o.log_seq for o in outcomes if isinstance(o, Done)] == [2, 2]
    assert batch.after.log_seq == 2


def test_a_batch_that_posts_nothing_takes_no_place_in_the_log(funded: Books) -> None:
    assert fold(funded, [post("j1", leg("l1", "ann", "bob", 1000))], NOW).after.log_seq == 1


def test_an_account_is_opened_before_any_money_needs_it(funded: Books) -> None:
    carol = wallet("carol")
    batch = fold(funded, [Open(carol), post("j1", leg("l1", "cards", "carol", 5))], NOW)
    assert batch.opened == [carol._replace(opened_at=NOW)]
    assert batch.after.balances["carol"].credits_posted == 5
    (answer, _) = batch.answers
    assert isinstance(answer.outcome, Opened)
    assert answer.outcome.account.opened_at == NOW


def test_an_account_opened_again_tells_when_it_was_opened(funded: Books) -> None:
    carol = wallet("carol")
    state = fold(funded, [Open(carol)], NOW).after
    again = fold(state, [Open(carol)], SOON)
    assert again.changes_nothing
    (answer,) = again.answers
    assert isinstance(answer.outcome, Opened)
    assert answer.outcome.account.opened_at == NOW


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (Open(clearing("ann")), "account_mismatch", "open_accounts.0: account ann exists"),
        (Open(wallet("x", no_credit_overdraft=True)), "account_flags", "open_accounts.0: x "),
        (Open(wallet("x"), ("too_many_decimals", "account.balance_limit: …")), "too_many_decimals",
         "account.balance_limit"),
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_opened_is_refused_and_may_be_asked_for_again(
    funded: Books, command: Open, code: str, field: str
) -> None:
    batch = fold(funded, [command], NOW)
    (answer,) = batch.answers
    assert isinstance(answer.outcome, Rejected)
    assert answer.outcome.code == code
    assert answer.outcome.detail.startswith(field)
    assert batch.changes_nothing


def test_no_account_is_opened_in_a_ledger_that_is_not_open() -> None:
    (answer,) = fold(Books("nowhere", is_open=False), [Open(wallet("ann"))], NOW).answers
    assert isinstance(answer.outcome, Rejected)
    assert answer.outcome.code == "ledger_unknown"


def test_an_expiry_that_came_too_late_leaves_no_refusal_behind(funded: Books) -> None:
    state = after(funded, place("h1", "ann", "ach", 70, expires_at=SOON), release("r1", "h1"))
    batch = fold(state, [expire("x1", "h1")], SOON)
    assert batch.changes_nothing
