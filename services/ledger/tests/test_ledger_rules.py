"""Reversals, limits on both sides, aggregated and closed accounts, wrong amounts: by example."""

from datetime import timedelta

import pytest

from tally_ledger.domain import (
    Account,
    Balance,
    BatchEntry,
    Books,
    Changed,
    Done,
    Open,
    Opened,
    Posted,
    Rejected,
    Request,
    TransferKind,
    decide,
    fold,
)
from tally_ledger.domain.assets import Register, decide_asset
from tally_ledger.domain.books import Asset, Registered

from .ledger_commands import (
    NOW,
    SOON,
    back,
    books,
    capture,
    change,
    clearing,
    expire,
    leg,
    malformed,
    place,
    post,
    release,
    reverse,
    wallet,
)

DAY = timedelta(days=1)


def after(state: Books, *commands: Request) -> Books:
    batch = fold(state, commands, NOW)
    assert batch.rejected == []
    return batch.after


def code(state: Books, command: Request) -> str | None:
    decision = decide(state, command, NOW)
    return decision.code if isinstance(decision, Rejected) else None


def detail(state: Books, command: Request) -> str:
    decision = decide(state, command, NOW)
    assert isinstance(decision, Rejected)
    return decision.detail


@pytest.fixture
def funded() -> Books:
    """Ann has 100, Bob 50."""
    return after(
        books(clearing("cards"), clearing("ach"), wallet("ann"), wallet("bob")),
        post("j0", leg("l0", "cards", "ann", 100), leg("l1", "cards", "bob", 50)),
    )


def test_a_reversal_moves_back_and_names_what_it_reverses(funded: Books) -> None:
    posted = decide(funded, reverse("r1", "j0", back("b1", "l0", 40)), NOW)
    assert isinstance(posted, Posted)
    (transfer,) = posted.transfers
    assert transfer[:7] == ("b1", TransferKind.REVERSE, "l0", "ann", "cards", "EUR", 40)
    assert (transfer.code, transfer.remaining, transfer.expires_at) == ("chargeback", None, None)
    assert posted.balances["ann"] == Balance(40, 100, 0, 0, 2)
    assert posted.balances["cards"] == Balance(150, 40, 0, 0, 3)


def test_reversals_of_a_transfer_never_exceed_it_together(funded: Books) -> None:
    state = after(funded, reverse("r1", "j0", back("b1", "l0", 60)))
    assert state.reversed == {"l0": 60}
    refused = reverse("r2", "j0", back("b2", "l1", 1), back("b3", "l0", 41))
    assert code(state, refused) == "reversal_exceeds_target"
    assert detail(state, refused).startswith(
        "legs.1.amount: 40 of the 100 minor units of l0 are not reversed yet, 41 are asked for"
    )
    twice = reverse("r2", "j0", back("b2", "l0", 20), back("b3", "l0", 21))
    assert code(state, twice) == "reversal_exceeds_target"
    state = after(state, reverse("r2", "j0", back("b2", "l0", 20), back("b3", "l0", 20)))
    assert state.reversed == {"l0": 100}
    assert code(state, reverse("r3", "j0", back("b4", "l0", 1))) == "reversal_exceeds_target"


def test_a_transfer_is_reversed_whole_at_once(funded: Books) -> None:
    state = after(funded, reverse("r1", "j0", back("b1", "l0", 100), back("b2", "l1", 50)))
    assert state.balances["cards"][:2] == (150, 150)


@pytest.mark.parametrize(("closed", "side"), [("ann", "legs.0.debit"), ("ach", "legs.0.credit")])
def test_a_refusal_names_the_side_that_is_closed(closed: str, side: str) -> None:
    state = books(wallet("ann"), clearing("ach"))
    state.accounts[closed] = state.accounts[closed]._replace(closed=True)
    message = detail(state, post("j1", leg("x", "ann", "ach", 1)))
    assert message == f"{side}: account {closed} is closed"


def test_a_reversal_in_a_later_batch_knows_what_was_reversed_before(funded: Books) -> None:
    state = after(funded, reverse("r1", "j0", back("b1", "l0", 60)))
    assert state.copy().reversed == {"l0": 60}
    assert code(state.copy(), reverse("r2", "j0", back("b2", "l0", 41))) is not None


def test_money_that_is_gone_is_not_moved_back(funded: Books) -> None:
    state = after(funded, post("j1", leg("l2", "ann", "bob", 90)))
    assert code(state, reverse("r1", "j0", back("b1", "l0", 11))) == "insufficient_funds"
    assert code(state, reverse("r1", "j0", back("b1", "l0", 10))) is None


def test_a_capture_is_reversed_and_neither_a_hold_nor_a_reversal_is(funded: Books) -> None:
    state = after(
        funded,
        place("h1", "ann", "ach", 70, expires_at=SOON),
        capture("c1", "h1", 30),
        release("v1", "h1"),
        reverse("r1", "c1", back("b1", "c1", 10)),
    )
    assert state.balances["ann"].available == 80
    for target, transfer in (("h1", "h1"), ("v1", "v1"), ("r1", "b1"), ("j0", "c1")):
        refused = reverse("r2", target, back("b2", transfer, 1))
        assert code(state, refused) == "not_reversible"
        assert detail(state, refused).startswith(f"legs.0.reverses: {transfer} is no posted")
    assert code(state, reverse("r2", "nothing", back("b2", "l0", 1))) == "journal_unknown"
    assert code(state, reverse("r2", "j0", back("b2", "l0", 1, "USD"))) == "currency_mismatch"
    assert code(state, reverse("r2", "j0", back("l1", "l0", 1))) == "id_conflict"
    assert code(state, reverse("r2", "j0", back("b2", "l0", 0))) == "amount_not_positive"


def test_a_reversal_asked_again_has_no_second_effect(funded: Books) -> None:
    command = reverse("r1", "j0", back("b1", "l0", 40))
    first = fold(funded, [command, command], NOW)
    assert len(first.posted) == 1
    assert first.answers[0] == first.answers[1]
    assert first.answers[0].outcome == Done(2, None)


def test_the_answer_about_a_hold_carries_its_transfer(funded: Books) -> None:
    batch = fold(
        funded, [place("h1", "ann", "ach", 70), post("j1", leg("x", "ann", "bob", 1))], NOW
    )
    held, journal = (answer.outcome for answer in batch.answers)
    assert isinstance(held, Done)
    assert held.transfer is not None
    assert held.transfer.id == "h1"
    assert journal == Done(2, None)


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_that_is_not_above_zero_moves_nothing(funded: Books, amount: int) -> None:
    state = after(funded, place("h1", "ann", "ach", 10))
    for command in (
        post("j1", leg("l9", "ann", "bob", amount)),
        place("h2", "ann", "ach", amount),
        capture("c1", "h1", amount),
    ):
        assert code(state, command) == "amount_not_positive"
        assert f"amount: {amount} minor units" in detail(state, command)
    assert code(state, capture("c1", "h1", 1)) is None
    assert code(state, post("j1", leg("l9", "ann", "bob", 1))) is None


def test_an_account_that_owes_is_credited_up_to_what_it_owes_counting_holds() -> None:
    state = after(
        books(clearing("cards"), clearing("loan", no_credit_overdraft=True)),
        post("j0", leg("l0", "loan", "cards", 100)),
        place("h1", "cards", "loan", 30),
    )
    refused = post("j1", leg("l1", "cards", "loan", 71))
    assert code(state, refused) == "credit_overdraft"
    assert "loan owes 70 minor units" in detail(state, refused)
    assert code(state, place("h2", "cards", "loan", 71)) == "credit_overdraft"
    assert code(state, post("j1", leg("l1", "cards", "loan", 70))) is None


def test_no_account_comes_to_more_than_its_limit_counting_holds() -> None:
    state = after(
        books(clearing("cards"), wallet("pocket", max_balance=100)),
        post("j0", leg("l0", "cards", "pocket", 60)),
        place("h1", "cards", "pocket", 30),
        place("h2", "pocket", "cards", 50),
    )
    refused = post("j1", leg("l1", "cards", "pocket", 11))
    assert code(state, refused) == "balance_limit_exceeded"
    assert "may hold 100 minor units of EUR and would come to 101" in detail(state, refused)
    assert code(state, place("h3", "cards", "pocket", 11)) == "balance_limit_exceeded"
    assert code(state, post("j1", leg("l1", "cards", "pocket", 10))) is None
    spent = after(state, capture("c1", "h2", 50))
    assert code(spent, post("j1", leg("l1", "cards", "pocket", 60))) is None
    nothing = books(clearing("cards"), wallet("shut", max_balance=0))
    assert code(nothing, post("j1", leg("l1", "cards", "shut", 1))) == "balance_limit_exceeded"


@pytest.mark.parametrize(
    "other", [{"no_credit_overdraft": True}, {"aggregated": True}, {"max_balance": 7}]
)
def test_an_account_cannot_be_opened_again_with_other_limits(
    other: dict[str, int | bool],
) -> None:
    state = books(clearing("x"), clearing("cards"))
    changed = clearing("x", **other)
    assert code(state, post("j", leg("l", "cards", "x", 1), opens=(changed,))) == "account_mismatch"
    frozen = fold(state, [change("freeze", "c1", "x")], NOW).after
    batch = fold(frozen, [Open(clearing("x"))], NOW)
    assert isinstance(batch.answers[0].outcome, Opened)


@pytest.mark.parametrize(
    ("direction", "as_debit", "as_credit"),
    [("in", None, "account_frozen"), ("out", "account_frozen", None),
     ("both", "account_frozen", "account_frozen")],
)  # fmt: skip
def test_a_freeze_stops_one_way_or_both_until_it_is_undone(
    funded: Books, direction: str, as_debit: str | None, as_credit: str | None
) -> None:
    state = after(funded, change("freeze", "f1", "ann", direction))
    assert code(state, post("j1", leg("x", "ann", "bob", 1))) == as_debit
    assert code(state, post("j1", leg("x", "bob", "ann", 1))) == as_credit
    state = after(state, change("unfreeze", "f2", "ann", direction))
    assert code(state, post("j1", leg("x", "ann", "bob", 1), leg("y", "bob", "ann", 1))) is None


def test_freezing_one_way_leaves_the_other_as_it_was(funded: Books) -> None:
    state = after(funded, change("freeze", "f1", "ann", "in"), change("freeze", "f2", "ann", "out"))
    assert (state.accounts["ann"].frozen_in, state.accounts["ann"].frozen_out) == (True, True)
    state = after(state, change("unfreeze", "f3", "ann", "in"))
    assert (state.accounts["ann"].frozen_in, state.accounts["ann"].frozen_out) == (False, True)


def test_only_a_settled_account_is_closed_and_for_ever(funded: Books) -> None:
    assert code(funded, change("close", "c1", "ann")) == "account_not_settled"
    assert "ann is at 100 minor units with 0 and 0 pending" in detail(
        funded, change("close", "c1", "ann")
    )
    held = after(funded, place("h1", "ann", "ach", 100))
    for account in ("ann", "ach"):
        assert code(held, change("close", "c1", account)) == "account_not_settled"
    spent = after(funded, post("j1", leg("x", "ann", "bob", 100)))
    batch = fold(spent, [change("close", "c1", "ann")], NOW)
    assert batch.answers[0].outcome == Changed("ann", False, False, True)
    assert batch.changed[0][1] == Changed("ann", False, False, True)
    assert not batch.changes_nothing
    for command in (
        change("close", "c2", "ann"),
        change("freeze", "c2", "ann"),
        change("unfreeze", "c2", "ann"),
        post("j2", leg("y", "bob", "ann", 1)),
        place("h1", "bob", "ann", 1),
    ):
        assert code(batch.after, command) == "account_closed"


def test_an_account_nobody_used_is_closed_and_an_unknown_one_is_not(funded: Books) -> None:
    assert code(funded, change("close", "c1", "ach")) is None
    assert code(funded, change("close", "c1", "nobody")) == "account_unknown"


def test_a_change_has_one_answer_and_its_id_is_used_once(funded: Books) -> None:
    freeze = change("freeze", "c1", "ann")
    batch = fold(funded, [freeze, freeze, change("unfreeze", "c1", "ann")], NOW)
    assert batch.answers[0] == batch.answers[1]
    conflict = batch.answers[2].outcome
    assert isinstance(conflict, Rejected)
    assert conflict.code == "id_conflict"
    assert conflict.detail.startswith("unfreeze: id c1 was used")
    assert len(batch.changed) == 1
    assert batch.after.accounts["ann"].frozen_out


def test_an_aggregated_account_has_one_entry_per_batch_and_counts_it_once() -> None:
    state = books(clearing("fees", aggregated=True), clearing("cards"), wallet("ann"))
    batch = fold(
        state,
        [
            post("j0", leg("l0", "cards", "ann", 100)),
            post("j1", leg("l1", "ann", "fees", 5), leg("l2", "ann", "fees", 6)),
            place("h1", "fees", "cards", 3),
        ],
        NOW,
    )
    assert batch.grouped == [BatchEntry("fees", 1, 1, 11, -3, 11, -3)]
    assert [entry.account for entry in batch.entries] == ["cards", "ann", "ann", "ann", "cards"]
    assert batch.after.balances["fees"] == Balance(0, 11, 3, 0, 1)
    second = fold(batch.after, [post("j2", leg("l3", "fees", "cards", 11))], NOW)
    assert second.grouped == [BatchEntry("fees", 2, 2, -11, 0, 0, -3)]
    alone = fold(second.after, [post("j3", leg("l4", "cards", "ann", 1))], NOW)
    assert alone.grouped == []
    assert alone.after.balances["fees"].seq == 2


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        (-DAY, None),
        (-DAY - timedelta(microseconds=1), "effective_in_future"),
        (timedelta(days=3653), None),
        (timedelta(days=3653, microseconds=1), "effective_too_old"),
    ],
)
def test_effective_time_lies_at_most_a_day_ahead_and_ten_years_back(
    funded: Books, lag: timedelta, expected: str | None
) -> None:
    back_then = reverse("r1", "j0", back("b1", "l0", 1), effective_at=NOW - lag)
    assert code(funded, back_then) == expected
    journal = post("j1", leg("x", "ann", "bob", 1))
    moved = type(journal)(
        journal.id, journal.reference, (), journal.legs, NOW - lag, journal.context,
        journal.request_hash,
    )  # fmt: skip
    assert code(funded, moved) == expected


def test_what_cannot_be_read_is_refused_and_remembered(funded: Books) -> None:
    batch = fold(funded, [malformed("m1"), malformed("m1")], NOW)
    assert [outcome for _, outcome in batch.rejected] == [
        Rejected("too_many_decimals", "legs.0.amount: …")
    ]
    assert batch.answers[0] == batch.answers[1]
    taken = fold(batch.after, [post("m1", leg("x", "ann", "bob", 1))], NOW)
    assert isinstance(taken.answers[0].outcome, Rejected)
    assert taken.answers[0].outcome.code == "id_conflict"


@pytest.mark.parametrize(
    "command", [malformed("m"), change("close", "c", "ann"), reverse("r", "j", back("b", "l", 1)),
                place("h", "a", "b", 1), capture("c", "h", 1), release("v", "h"), expire("e", "h")],
)  # fmt: skip
def test_nothing_is_done_in_a_ledger_that_is_not_open(command: Request) -> None:
    assert code(Books("nowhere", is_open=False), command) == "ledger_unknown"


def test_two_guards_would_never_let_an_account_move() -> None:
    both = Account("x", "EUR", "o", "wallet", "p", guarded=True, no_credit_overdraft=True)
    state = books(clearing("cards"))
    assert code(state, post("j", leg("l", "cards", "x", 1), opens=(both,))) == "account_flags"


ETHER = Asset("ETH", 18, "crypto", NOW)


@pytest.mark.parametrize(
    ("there", "command", "expected"),
    [
        (None, Register("ETH", 18, "crypto"), Registered(ETHER, is_new=True)),
        (None, Register("PTS", 0, "closed_loop"),
         Registered(Asset("PTS", 0, "closed_loop", NOW), is_new=True)),
        (ETHER, Register("ETH", 18, "crypto"), Registered(ETHER, is_new=False)),
        (ETHER, Register("ETH", 17, "crypto"), "asset_mismatch"),
        (ETHER, Register("ETH", 18, "closed_loop"), "asset_mismatch"),
        (None, Register("ETH", 19, "crypto"), "scale_out_of_range"),
        (None, Register("ETH", 18, "coin"), "kind_unknown"),
    ],
)  # fmt: skip
def test_an_asset_is_entered_once_and_never_with_another_scale(
    there: Asset | None, command: Register, expected: Registered | str
) -> None:
    decision = decide_asset(there, command, NOW)
    assert expected == (decision.code if isinstance(decision, Rejected) else decision)
