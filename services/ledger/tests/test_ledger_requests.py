"""Reversals, account changes, assets and bad input on a real database: answered and remembered."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tally_ledger import store, wire

from .conftest import LedgerFixture
from .ledger_builders import (
    NOW,
    Event,
    account,
    back,
    capture,
    close,
    freeze,
    identify,
    journal,
    leg,
    open_account,
    place,
    register,
    release,
    reverse,
    unfreeze,
)

CLEARING = account("cards", guarded=False)
BANK = account("ach", guarded=False)
FUNDING = journal("j0", leg("l0", "cards", "ann", "10.00"), opens=[CLEARING, account("ann"), BANK])


async def refused(ledger: LedgerFixture, command: Event) -> str:
    """The code of a refusal that is remembered and changes nothing but `rejection`."""
    before = await ledger.dump()
    (fact,) = await ledger.apply(command)
    after = await ledger.dump()
    assert len(after["rejection"]) == len(before["rejection"]) + 1
    for books in (before, after):
        del books["rejection"]
        # A refusal is written under the shard's compare-and-set as well.
        books["shard_state"] = [row[:1] + row[2:5] for row in books["shard_state"]]
    assert after == before
    (again,) = await ledger.apply(command)
    assert again.body == fact.body
    return fact.code


def euro(text: str) -> Any:
    return {"currency": "EUR", "amount": text}


async def test_a_reversal_moves_money_back_and_says_which(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    command = reverse("r1", "j0", back("b1", "l0", "4.00"))
    (fact,) = await ledger.apply(command)
    assert (fact.topic, fact.key) == (wire.JOURNALS, command.reference)
    assert fact.type == "ledger.journal.reversed.v1"
    assert fact.body["reverses"] == FUNDING.journal_id
    assert fact.body["legs"] == [
        {
            "id": identify("tr", "b1"),
            "reverses": identify("tr", "l0"),
            "amount": euro("4.00"),
            "code": "chargeback",
            "debit": identify("acc", "ann"),
            "credit": identify("acc", "cards"),
        }
    ]
    assert await ledger.balance("ann") == (600, 600)
    (again,) = await ledger.apply(command)
    assert again.body == fact.body
    code = await refused(ledger, reverse("r2", "j0", back("b2", "l0", "6.01")))
    assert code == "reversal_exceeds_target"
    await ledger.apply(reverse("r3", "j0", back("b3", "l0", "6.00")))
    assert await ledger.balance("ann") == (0, 0)


async def test_captures_are_reversed_and_holds_are_not(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING, place("h1", "ann", "ach", "5.00"), capture("c1", "h1", "5.00"))
    done = reverse("r1", "c1", back("b1", "c1", "2.00"), reverses=identify("tr", "c1"))
    (fact,) = await ledger.apply(done)
    assert fact.type == "ledger.journal.reversed.v1"
    hold = {"reverses": identify("hld", "h1")}
    refused_leg = back("b2", "x", "1.00").model_copy(update=hold)
    code = await refused(ledger, reverse("r2", "h1", refused_leg, **hold))
    assert code == "not_reversible"
    assert await refused(ledger, reverse("r3", "none", back("b3", "l0", "1"))) == "journal_unknown"


async def test_an_account_is_frozen_unfrozen_and_closed_with_its_history(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    command = freeze("c1", "ann", "out")
    (frozen,) = await ledger.apply(command)
    assert (frozen.topic, frozen.key) == (wire.ACCOUNTS, identify("acc", "ann"))
    assert frozen.type == "ledger.account.changed.v1"
    flags = {name: frozen.body[name] for name in ("operation", "frozen_in", "frozen_out", "closed")}
    assert flags == {
        "operation": "freeze", "frozen_in": False, "frozen_out": True, "closed": False
    }  # fmt: skip
    assert await refused(ledger, journal("j1", leg("l1", "ann", "ach", "1"))) == "account_frozen"
    assert await refused(ledger, close("c2", "ann")) == "account_not_settled"
    await ledger.apply(unfreeze("c3", "ann"), journal("j2", leg("l2", "ann", "ach", "10")))
    (again,) = await ledger.apply(command)
    assert again.body == frozen.body, "an old answer tells how the account stood then"
    (closed,) = await ledger.apply(close("c4", "ann"))
    assert closed.body["closed"] is True
    assert await refused(ledger, journal("j3", leg("l3", "cards", "ann", "1"))) == "account_closed"
    assert await refused(ledger, unfreeze("c5", "ann")) == "account_closed"
    rows = await ledger.pool.fetch(
        "SELECT operation, frozen_out, closed, who_actor, why_reason FROM account_change"
        " ORDER BY operation"
    )
    assert [tuple(row) for row in rows] == [
        ("close", False, True, "funding", "Sale of order 17"),
        ("freeze", True, False, "funding", "Sale of order 17"),
        ("unfreeze", False, False, "funding", "Sale of order 17"),
    ]


async def test_an_account_is_opened_paid_out_and_closed_in_one_batch(
    ledger: LedgerFixture,
) -> None:
    facts = await ledger.apply(
        FUNDING, journal("j1", leg("l1", "ann", "ach", "10.00")), close("c1", "ann")
    )
    assert facts[-1].type == "ledger.account.changed.v1"


async def test_nobody_opens_a_closed_account_again(ledger: LedgerFixture) -> None:
    await ledger.apply(open_account(account("ann")), close("c1", "ann"))
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="account_stays_closed"):
        await ledger.pool.execute("UPDATE account SET closed = false")


async def test_the_id_of_a_change_is_no_journals(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    await ledger.apply(freeze("c1", "ann"))
    taken = journal("x", leg("l1", "cards", "ach", "1"), journal_id=identify("chg", "c1"))
    (fact,) = await ledger.apply(taken)
    assert fact.code == "id_conflict"
    (fact,) = await ledger.apply(unfreeze("c1", "ann"))
    assert fact.code == "id_conflict"


async def test_the_database_keeps_limits_on_both_sides(ledger: LedgerFixture) -> None:
    await ledger.apply(
        open_account(account("pocket", balance_limit="1.00")),
        open_account(account("loan", guarded=False, no_credit_overdraft=True)),
    )
    for name, change in (("pocket", "credits_pending = 101"), ("loan", "credits_posted = 1")):
        with pytest.raises(asyncpg.CheckViolationError, match="account_limits"):
            await ledger.pool.execute(
                f"UPDATE account SET {change} WHERE id = $1", identify("acc", name)
            )
    with pytest.raises(asyncpg.CheckViolationError, match="account_closed_is_settled"):
        await ledger.pool.execute("UPDATE account SET closed = true, debits_posted = 1")


async def test_an_aggregated_account_has_one_entry_for_the_log_row(ledger: LedgerFixture) -> None:
    fees = account("fees", guarded=False, aggregated=True)
    (*_, posted) = await ledger.apply(
        FUNDING,
        journal("j1", leg("l1", "ann", "fees", "1.00"), leg("l2", "ann", "fees", "2.00"),
                opens=[fees]),
        journal("j2", leg("l3", "fees", "ann", "0.50")),
    )  # fmt: skip
    rows = await ledger.pool.fetch(
        "SELECT seq, transfer_id, log_seq, amount, posted_after FROM entry WHERE account = $1",
        fees.id,
    )
    assert [tuple(row) for row in rows] == [(1, None, posted.body["log_seq"], 250, 250)]
    async with ledger.pool.acquire() as conn:
        page = await store.statement(conn, fees.id, NOW, NOW + timedelta(days=1))
        (line,) = page.lines
        assert (line.transfer_id, line.amount) == (None, 250)
        assert line.log_seq is not None
        parts = await store.parts_of(conn, fees.id, line.log_seq)
        assert [(part.transfer_id, part.amount) for part in parts] == [
            (identify("tr", "l1"), 100),
            (identify("tr", "l2"), 200),
            (identify("tr", "l3"), 50),
        ]
        rest = await store.parts_of(conn, fees.id, line.log_seq, after=parts[1].seq)
        assert rest == parts[2:]
    await ledger.apply(journal("j3", leg("l4", "fees", "ann", "2.50")))
    row = await ledger.pool.fetchrow("SELECT seq FROM account WHERE id = $1", fees.id)
    assert row is not None
    assert row[0] == 2


async def test_an_asset_of_18_decimals_is_registered_and_used_in_one_batch(
    ledger: LedgerFixture,
) -> None:
    registration = register("g1", "ETH", 18)
    vault = account("vault", guarded=False, currency="ETH")
    purse = account("purse", currency="ETH", balance_limit="5.000000000000000001")
    whole = "1.000000000000000001"
    first, opened, _, posted, placed = await ledger.apply(
        registration,
        journal("j1", leg("l1", "vault", "purse", whole, "ETH"), opens=[purse, vault]),
        place("h1", "purse", "vault", "x").model_copy(
            update={"amount": leg("x", "a", "b", "0.000000000000000001", "ETH").amount}
        ),
    )
    assert (first.topic, first.key, first.type) == (
        wire.ACCOUNTS, "ETH", "ledger.asset.registered.v1",
    )  # fmt: skip
    assert opened.body["account"]["balance_limit"] == "5.000000000000000001"
    assert posted.body["legs"][0]["amount"] == {"currency": "ETH", "amount": whole}
    assert placed.type == "ledger.hold.placed.v1"
    assert await ledger.balance("purse") == (10**18 + 1, 10**18)
    (released,) = await ledger.apply(release("v1", "h1"))
    assert released.body["amount"]["amount"] == "0.000000000000000001"
    ledger.clock.advance(timedelta(minutes=1))
    (again,) = await ledger.apply(registration)
    assert again.body == first.body
    (same,) = await ledger.apply(register("g2", "ETH", 18))
    assert same.type == "ledger.asset.registered.v1"
    for other in (register("g3", "ETH", 8), register("g4", "EUR", 3, "fiat")):
        (fact,) = await ledger.apply(other)
        assert fact.code == "asset_mismatch"
        assert (await ledger.apply(other))[0].body == fact.body
    (conflict,) = await ledger.apply(register("g1", "BTC", 8))
    assert conflict.code == "id_conflict"


async def test_an_answer_stays_when_an_asset_is_registered_behind_it(
    ledger: LedgerFixture,
) -> None:
    opens = [account("purse", currency="ETH"), account("vault", guarded=False, currency="ETH")]
    early = journal("j1", leg("l1", "vault", "purse", "1.5", "ETH"), opens=opens)
    assert await refused(ledger, early) == "currency_unknown"
    await ledger.apply(register("g1", "ETH", 18))
    (fact,) = await ledger.apply(early)
    assert fact.code == "currency_unknown"


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("0", "amount_not_positive"),
        ("0.00", "amount_not_positive"),
        ("-5.00", "amount_not_positive"),
        ("9" * 39, "amount_too_large"),
        ("1.001", "too_many_decimals"),
        ("1e3", "amount_format"),
        ("-", "amount_format"),
    ],
)
async def test_a_wrong_amount_is_answered_and_remembered(
    ledger: LedgerFixture, amount: str, code: str
) -> None:
    await ledger.apply(FUNDING, place("h1", "ann", "ach", "1.00"))
    for command in (
        journal("j1", leg("l1", "ann", "ach", amount)),
        place("h2", "ann", "ach", amount),
        capture("c1", "h1", amount),
        reverse("r1", "j0", back("b1", "l0", amount)),
    ):
        assert await refused(ledger, command) == code


async def test_other_bad_input_is_answered_and_remembered(ledger: LedgerFixture) -> None:
    await ledger.apply(
        FUNDING, place("h1", "ann", "ach", "1.00"), capture("c1", "h1", "1.00"),
        open_account(account("usd", currency="USD")), open_account(account("old")),
        close("x1", "old"),
    )  # fmt: skip
    for command, code in (
        (journal("j1", leg("l1", "ann", "usd", "1")), "currency_mismatch"),
        (journal("j2", leg("l1", "ann", "ach", "1", "QQQ")), "currency_unknown"),
        (journal("j3", leg("l1", "ann", "nobody", "1")), "account_unknown"),
        (journal("j4", leg("l1", "cards", "old", "1")), "account_closed"),
        (capture("c2", "h1", "1.00"), "hold_not_open"),
        (journal("j5", leg("l1", "ann", "ach", "1"), effective_at=NOW + timedelta(days=2)),
         "effective_in_future"),
        (journal("j6", leg("l1", "ann", "ach", "1"), effective_at=NOW - timedelta(days=3700)),
         "effective_too_old"),
        (freeze("x2", "ann", "sideways"), "direction_unknown"),
        (freeze("x3", "nobody"), "account_unknown"),
    ):  # fmt: skip
        assert await refused(ledger, command) == code


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"balance_limit": "1.001"}, "too_many_decimals"),
        ({"no_credit_overdraft": True}, "account_flags"),
        ({"currency": "QQQ"}, "currency_unknown"),
    ],
)
async def test_an_account_that_cannot_be_is_refused(
    ledger: LedgerFixture, spec: dict[str, Any], code: str
) -> None:
    (fact,) = await ledger.apply(open_account(account("ann", **spec)))
    assert (fact.type, fact.code) == ("ledger.account.rejected.v1", code)
