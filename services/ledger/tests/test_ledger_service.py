"""The ledger on a real database: what is answered, what is written, what is published."""

from datetime import timedelta

from tally_ledger import wire
from tally_ledger.expiry import expire_all, expire_due
from tally_ledger.store import loading
from tally_messaging import UnitOfWork

from .conftest import LedgerFixture
from .ledger_builders import (
    NOW,
    account,
    capture,
    identify,
    journal,
    leg,
    open_account,
    place,
    release,
)

CLEARING = account("cards", guarded=False)
WALLET = account("ann")
BANK = account("ach", guarded=False)
FUNDING = journal("j0", leg("l0", "cards", "ann", "10.00"), opens=[CLEARING, WALLET, BANK])


async def test_a_funding_journal_opens_the_wallets_it_credits(ledger: LedgerFixture) -> None:
    facts = await ledger.apply(FUNDING)
    assert [fact.type for fact in facts] == [
        "ledger.account.opened.v1",
        "ledger.account.opened.v1",
        "ledger.account.opened.v1",
        "ledger.journal.posted.v1",
    ]
    opened, posted = facts[1], facts[-1]
    assert (opened.topic, opened.key) == ("ledger.accounts.v1", WALLET.id)
    assert opened.body["account"] == WALLET.model_dump()
    assert (posted.topic, posted.key) == ("ledger.journals.v1", FUNDING.reference)
    assert posted.body["log_seq"] == 1
    assert posted.body["legs"] == [leg.model_dump() for leg in FUNDING.legs]
    assert await ledger.balance("ann") == (1000, 1000)
    assert await ledger.balance("cards") == (-1000, -1000)


async def test_a_hold_is_captured_in_parts_and_its_rest_released(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    placed, first, second, rest = await ledger.apply(
        place("h1", "ann", "ach", "8.00"),
        capture("c1", "h1", "3.00"),
        capture("c2", "h1", "1.00"),
        release("r1", "h1"),
    )
    assert placed.body["amount"] == {"currency": "EUR", "amount": "8.00"}
    assert first.body["remaining"]["amount"] == "5.00"
    assert second.body["remaining"]["amount"] == "4.00"
    assert rest.body["amount"]["amount"] == "4.00"
    assert rest.body["expired"] is False
    assert {fact.key for fact in (placed, first, second, rest)} == {identify("po", "h1")}
    assert await ledger.balance("ann") == (600, 600)
    assert await ledger.balance("ach") == (400, 400)
    row = await ledger.pool.fetchrow("SELECT reference, state, remaining FROM hold")
    assert row is not None
    assert tuple(row) == (identify("po", "h1"), "released", 0)


async def test_a_hold_is_resolved_by_a_later_batch(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    await ledger.apply(place("h1", "ann", "ach", "8.00"))
    assert await ledger.balance("ann") == (1000, 200)
    (captured,) = await ledger.apply(capture("c1", "h1", "8.00"))
    assert captured.body["debit"] == WALLET.id
    assert captured.body["credit"] == BANK.id
    assert captured.body["remaining"] == {"currency": "EUR", "amount": "0.00"}
    (rejected,) = await ledger.apply(release("r1", "h1"))
    assert rejected.type == "ledger.hold.rejected.v1"
    assert rejected.code == "hold_not_open"
    assert rejected.body["operation"] == "release"
    assert rejected.body["command_id"] == identify("tr", "r1")


async def test_facts_come_in_the_order_of_the_commands_each_caused_by_its_own(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    commands = [
        ledger.received(command, correlation=f"corr-{n}")
        for n, command in enumerate(
            [
                journal("j1", leg("l1", "ann", "ach", "1.00")),
                journal("j2", leg("l2", "ann", "ach", "99.00")),
                place("h1", "ann", "ach", "2.00"),
                journal("j3", leg("l3", "ann", "ach", "1.00"), ledger="second"),
                capture("c1", "h1", "2.00"),
            ]
        )
    ]
    await ledger.dispatch(commands)
    facts = await ledger.published()
    assert [fact.type for fact in facts] == [
        "ledger.journal.posted.v1",
        "ledger.journal.rejected.v1",
        "ledger.hold.placed.v1",
        "ledger.journal.rejected.v1",
        "ledger.hold.captured.v1",
    ]
    assert [fact.causation_id for fact in facts] == [c.envelope.id for c in commands]
    assert [fact.correlation_id for fact in facts] == [f"corr-{n}" for n in range(5)]


async def test_a_fact_carries_the_five_ws_of_its_command(ledger: LedgerFixture) -> None:
    fact = (await ledger.apply(FUNDING))[-1]
    for name in ("who", "where", "why"):
        assert fact.body[name] == getattr(FUNDING, name).model_dump()
    row = await ledger.pool.fetchrow(
        "SELECT who_actor, who_principal, where_channel, where_country, why_program, why_event,"
        " why_reason, effective_at, recorded_at FROM journal"
    )
    assert row is not None
    assert tuple(row) == (
        "funding",
        "acme",
        "cards",
        "DE",
        "creators",
        "order-17",
        "Sale of order 17",
        NOW,
        NOW,
    )


async def test_replaying_a_batch_publishes_the_same_facts_and_changes_nothing(
    ledger: LedgerFixture,
) -> None:
    batch = [
        FUNDING,
        journal("j1", leg("l1", "ann", "ach", "99.00")),
        place("h1", "ann", "ach", "8.00", expires_at=NOW + timedelta(days=1)),
        capture("c1", "h1", "3.00"),
        capture("c2", "h1", "6.00"),
        release("r1", "h1"),
        release("r2", "h1"),
    ]
    first = await ledger.apply(*batch)
    before = await ledger.dump()
    ledger.clock.advance(timedelta(minutes=5))
    again = await ledger.apply(*batch)
    assert [fact.body for fact in again] == [
        fact.body for fact in first if fact.topic != wire.ACCOUNTS
    ]
    assert await ledger.dump() == before


async def test_a_repeat_within_one_batch_has_one_effect(ledger: LedgerFixture) -> None:
    facts = await ledger.apply(FUNDING, FUNDING)
    assert facts[-1].body == facts[-2].body
    assert await ledger.balance("ann") == (1000, 1000)


async def test_a_sender_may_ask_again_at_a_later_time(ledger: LedgerFixture) -> None:
    (first,) = [f for f in await ledger.apply(FUNDING) if f.topic == wire.JOURNALS]
    later = FUNDING.model_copy(update={"occurred_at": NOW + timedelta(minutes=1)})
    (again,) = await ledger.apply(later)
    assert again.body == first.body


async def test_other_content_under_a_known_id_is_a_conflict_without_effect(
    ledger: LedgerFixture,
) -> None:
    posted = (await ledger.apply(FUNDING))[-1]
    before = await ledger.dump()
    for changes in (
        {"legs": (leg("l0", "cards", "ann", "10.01"),)},
        {"reference": identify("pin", "other")},
        {"effective_at": NOW + timedelta(seconds=1)},
        {"open_accounts": (CLEARING, WALLET)},
        {"why": FUNDING.why.model_copy(update={"reason": "Another reason"})},
    ):
        (conflict,) = await ledger.apply(FUNDING.model_copy(update=changes))
        assert conflict.type == "ledger.journal.rejected.v1"
        assert conflict.code == "id_conflict"
        assert await ledger.dump() == before
    (again,) = await ledger.apply(FUNDING)
    assert again.body == posted.body


async def test_a_refused_command_leaves_all_but_its_rejection_as_it_was(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    before = await ledger.dump()
    opens = [account("new")]
    (rejected,) = await ledger.apply(
        journal("j1", leg("l1", "ann", "new", "1.00"), leg("l2", "ann", "new", "9.01"), opens=opens)
    )
    assert rejected.code == "insufficient_funds"
    after = await ledger.dump()
    assert [row[0] for row in after.pop("rejection")] == [identify("jrn", "j1")]
    before.pop("rejection")
    versions = [
        [row[1] for row in books.pop("shard_state") if row[0] == "main"]
        for books in (before, after)
    ]
    assert versions == [[1], [2]]
    assert after == before


async def test_a_refused_id_is_not_free_again_when_the_reason_is_gone(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    spending = journal("j1", leg("l1", "ann", "ach", "15.00"))
    (first,) = await ledger.apply(spending)
    await ledger.apply(journal("j2", leg("l2", "cards", "ann", "100.00")))
    (again,) = await ledger.apply(spending)
    assert again.body == first.body
    assert again.code == "insufficient_funds"


async def test_each_ledger_has_its_own_books_and_log(ledger: LedgerFixture) -> None:
    other = journal(
        "j1",
        leg("l1", "cards2", "zoe", "7.00"),
        opens=[account("cards2", guarded=False), account("zoe")],
        ledger="second",
    )
    foreign = journal("j2", leg("l2", "zoe", "ann", "1.00"))
    facts = await ledger.apply(other, FUNDING, foreign)
    posted = [fact for fact in facts if fact.topic == wire.JOURNALS]
    assert [fact.body.get("log_seq") for fact in posted] == [1, 1, None]
    assert posted[2].code == "account_unknown"
    rows = await ledger.pool.fetch(
        "SELECT shard, log_seq, transfer_seq FROM shard_state ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [("main", 1, 1), ("second", 1, 1)]


async def test_a_command_to_no_ledger_is_refused_and_remembered(ledger: LedgerFixture) -> None:
    command = FUNDING.model_copy(update={"ledger": "nowhere"})
    (first,) = await ledger.apply(command)
    (again,) = await ledger.apply(command)
    assert first.code == "ledger_unknown"
    assert again.body == first.body
    assert len((await ledger.dump())["rejection"]) == 1


async def test_a_due_hold_expires_as_a_logged_transfer_in_the_name_of_the_ledger(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    due = NOW + timedelta(hours=1)
    message = ledger.received(
        place("h1", "ann", "ach", "8.00", expires_at=due), correlation="corr-h1"
    )
    await ledger.dispatch([message])
    await ledger.apply(
        place("h2", "ann", "ach", "1.00"),
        place("h3", "ann", "ach", "0.50", expires_at=due + timedelta(seconds=1)),
        capture("c1", "h1", "3.00"),
    )
    assert await ledger.expire() == 0
    ledger.clock.advance(timedelta(hours=1))
    assert await ledger.expire() == 1
    (fact,) = await ledger.published()
    assert fact.type == "ledger.hold.released.v1"
    assert fact.key == identify("po", "h1")
    assert fact.body["expired"] is True
    assert fact.body["amount"] == {"currency": "EUR", "amount": "5.00"}
    assert fact.body["who"] == {"actor": "ledger", "principal": "acme"}
    assert fact.body["why"]["program"] == "creators"
    assert (fact.correlation_id, fact.causation_id) == ("corr-h1", message.envelope.id)
    assert await ledger.balance("ann") == (700, 550)
    assert await ledger.expire() == 0
    rows = await ledger.pool.fetch("SELECT kind, amount FROM transfer WHERE kind = 'expire'")
    assert [tuple(row) for row in rows] == [("expire", 500)]


async def test_a_capture_behind_the_expiry_is_refused(ledger: LedgerFixture) -> None:
    await ledger.apply(
        FUNDING, place("h1", "ann", "ach", "8.00", expires_at=NOW + timedelta(hours=1))
    )
    ledger.clock.advance(timedelta(hours=2))
    await ledger.expire()
    await ledger.published()
    (rejected,) = await ledger.apply(capture("c1", "h1", "8.00"))
    assert rejected.code == "hold_not_open"


async def test_expiry_takes_the_longest_overdue_first_and_no_more_than_its_batch(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(
        FUNDING,
        *(
            place(f"h{n}", "ann", "ach", "0.10", expires_at=NOW + timedelta(minutes=9 - n))
            for n in range(5)
        ),
    )
    ledger.clock.advance(timedelta(hours=1))
    await ledger.published()
    done = await ledger.transactor.run(lambda uow: expire_due(uow, "main", 2))
    assert done == 2
    facts = await ledger.published()
    assert [fact.body["hold_id"] for fact in facts] == [
        identify("hld", "h4"),
        identify("hld", "h3"),
    ]


async def test_an_account_is_opened_by_command_and_asking_again_changes_nothing(
    ledger: LedgerFixture,
) -> None:
    (opened,) = await ledger.apply(open_account(WALLET))
    assert (opened.topic, opened.key) == ("ledger.accounts.v1", WALLET.id)
    assert opened.body["account"] == WALLET.model_dump()
    before = await ledger.dump()
    ledger.clock.advance(timedelta(minutes=5))
    (again,) = await ledger.apply(open_account(WALLET))
    assert again.body == opened.body
    assert await ledger.dump() == before


async def test_an_account_that_exists_as_another_or_in_no_ledger_is_refused(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(open_account(WALLET))
    before = await ledger.dump()
    facts = await ledger.apply(
        open_account(account("ann", guarded=False)),
        open_account(WALLET, ledger="second"),
        open_account(account("bob"), ledger="nowhere"),
        open_account(account("bob", currency="XAU")),
    )
    assert {fact.type for fact in facts} == {"ledger.account.rejected.v1"}
    assert [fact.code for fact in facts] == [
        "account_mismatch",
        "account_mismatch",
        "ledger_unknown",
        "currency_unknown",
    ]
    assert await ledger.dump() == before


async def test_a_hold_resolved_while_it_was_looked_up_is_not_expired(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(
        FUNDING, place("h1", "ann", "ach", "8.00", expires_at=NOW + timedelta(hours=1))
    )
    ledger.clock.advance(timedelta(hours=2))
    await ledger.published()

    async def unit(uow: UnitOfWork) -> None:
        due = await loading.due_holds(uow.conn, "main", uow.now, 10)
        await ledger.apply(release("r1", "h1"))
        assert len(due) == 1
        await expire_all(uow, "main", due)

    await ledger.transactor.run(unit)
    assert await ledger.published() == []
    assert (await ledger.dump())["rejection"] == []
    assert await ledger.balance("ann") == (1000, 1000)
