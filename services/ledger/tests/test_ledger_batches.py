"""Many transfers in one record: each item is its journal, alone or among others."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tally_contracts.base import AskedAmount
from tally_contracts.ledger import Leg
from tally_contracts.ledger_batches import ITEMS_MAX, BatchAnswered, BatchItem, PostBatch
from tally_ledger import wire
from tally_ledger.batches import answered, items_of
from tally_ledger.domain import Answer, Books, Done, Rejected
from tally_ledger.handlers import build_router
from tally_ledger.reading import command_of
from tally_ledger.reserved import items_unless_reserved, unless_reserved
from tally_messaging.settings import MessagingSettings
from tally_money import iso_currencies
from tally_postgres import Schema
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .conftest import LedgerFixture, open_ledger
from .ledger_builders import (
    NOW,
    account,
    alone,
    batch,
    identify,
    item,
    journal,
    leg,
    open_account,
    register,
)

CLEARING = account("cards", guarded=False)
FUNDING = journal(
    "j0",
    leg("l0", "cards", "rich", "100.00"),
    opens=[CLEARING, account("rich"), account("ann"), account("bob")],
)
RUN = batch(
    "run",
    item("a", leg("a", "rich", "ann", "10.00")),
    item("b", leg("b", "rich", "bob", "1.001")),
    item("c", leg("c", "rich", "nobody", "1.00")),
    item("d", leg("d", "rich", "ann", "95.00")),
    item("e", leg("e", "rich", "bob", "90.00")),
)

ids = st.sampled_from(["jrn", "tr", "xtr", "exp"])
items = st.builds(
    lambda kinds, names, amount, currency: BatchItem(
        journal_id=derived_id(kinds[0], names[0]),
        reference=derived_id("po", names[0]),
        leg=Leg(
            id=derived_id(kinds[1], names[1]),
            debit=derived_id("acc", "a"),
            credit=derived_id("acc", names[1]),
            amount=AskedAmount(currency=currency, amount=amount),
            code="royalty",
        ),
    ),
    st.tuples(ids, ids),
    st.tuples(st.text("ab", min_size=1, max_size=2), st.text("ab", min_size=1, max_size=2)),
    st.sampled_from(["1", "1.50", "1.5", "0.00", "-2", "1.999", "x", "9" * 60]),
    st.sampled_from(["EUR", "KWD", "JPY", "XYZ"]),
)
batches = st.builds(lambda found: batch("any", *found), st.lists(items, min_size=1, max_size=6))


def test_the_more_items_a_batch_has_the_less_the_next_one_is_waited_for() -> None:
    def of(number: int) -> PostBatch:
        return batch(
            "n", *(item(f"{n}", leg(f"{n}", "rich", "ann", "1.00")) for n in range(number))
        )

    worth = build_router().worth
    assert [worth([of(number)]) for number in (1, 2, 100)] == [1, 1, 50]
    assert worth([FUNDING, of(100), FUNDING]) == 52


@given(batches)
def test_an_item_is_read_as_its_journal_alone_with_the_same_content(asked: PostBatch) -> None:
    units = iso_currencies()
    journals = [alone(asked, one) for one in asked.items]
    read = items_of(asked, units)
    assert read == [command_of(one, units) for one in journals]
    assert items_unless_reserved(asked, read) == [
        unless_reserved(one, command) for one, command in zip(journals, read, strict=True)
    ]


@settings(max_examples=50)
@given(batches, st.data())
def test_an_answer_says_as_much_as_a_fact_for_each_item(asked: PostBatch, data: Any) -> None:
    outcomes = st.sampled_from([Done(7, None), Rejected("account_closed", "credit: is closed")])
    number = len(asked.items)
    answers = [
        Answer(outcome, NOW)
        for outcome in data.draw(st.lists(outcomes, min_size=number, max_size=number))
    ]
    told = BatchAnswered.model_validate_json(answered(asked, answers).model_dump_json())
    assert list(told.facts()) == [
        wire.fact_of(alone(asked, one), answer, Books("main"), iso_currencies())
        for one, answer in zip(asked.items, answers, strict=True)
    ]


def test_the_longest_answer_fits_a_record() -> None:
    longest = "abcdefghijklmnop_" + "7" + "z" * 25
    word = "z" * 64
    one = BatchItem(
        journal_id=longest,
        reference=longest,
        leg=Leg(
            id=longest,
            debit=longest,
            credit=longest,
            amount=AskedAmount(currency="Z" * 12, amount="9" * 128),
            code=word,
        ),
    )
    asked = batch("long", *[one] * ITEMS_MAX)
    refused = Answer(Rejected(word, "x" * 500), NOW)
    size = len(answered(asked, [refused] * ITEMS_MAX).model_dump_json().encode())
    assert size < MessagingSettings.model_fields["payload_bytes_max"].default


async def test_each_item_is_answered_and_a_bad_one_spoils_no_other(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    (fact,) = await ledger.apply(RUN)
    assert (fact.topic, fact.key, fact.type) == (
        "ledger.journals.v1",
        RUN.reference,
        "ledger.batch.answered.v1",
    )
    assert fact.body["items"] == [one.model_dump() for one in RUN.items]
    assert [(told["log_seq"], told["code"]) for told in fact.body["answers"]] == [
        (2, None),
        (None, "too_many_decimals"),
        (None, "account_unknown"),
        (None, "insufficient_funds"),
        (2, None),
    ]
    assert await ledger.balance("rich") == (0, 0)
    assert await ledger.balance("bob") == (9000, 9000)
    known = await ledger.pool.fetch("SELECT id FROM rejection ORDER BY id")
    assert [row[0] for row in known] == sorted(identify("jrn", name) for name in "bcd")


async def test_a_batch_leaves_the_very_log_of_its_items_one_by_one(
    ledger: LedgerFixture, fresh_database: Callable[[Schema], ServiceDatabase]
) -> None:
    """Journals, entries, roots: byte for byte what the same journals leave if they come together."""
    await ledger.apply(FUNDING)
    await ledger.apply(RUN)
    async with open_ledger(fresh_database) as other:
        await other.apply(FUNDING)
        await other.apply(*(alone(RUN, one) for one in RUN.items))
        assert await other.dump() == await ledger.dump()


async def test_a_batch_asked_again_changes_nothing_and_is_answered_the_same(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    (first,) = await ledger.apply(RUN)
    before = await ledger.dump()
    (again,) = await ledger.apply(RUN)
    assert again.body == first.body
    assert await ledger.dump() == before


async def test_an_item_keeps_its_answer_alone_and_in_another_batch(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    await ledger.apply(RUN)
    posted, refused = await ledger.apply(*(alone(RUN, one) for one in RUN.items[:2]))
    assert (posted.type, posted.body["log_seq"]) == ("ledger.journal.posted.v1", 2)
    assert (refused.type, refused.code) == ("ledger.journal.rejected.v1", "too_many_decimals")
    fresh = item("f", leg("f", "ann", "bob", "1.00"))
    (mixed,) = await ledger.apply(batch("other", fresh, RUN.items[0]))
    assert [told["log_seq"] for told in mixed.body["answers"]] == [3, 2]


async def test_an_id_with_other_content_is_refused_and_the_first_stands(
    ledger: LedgerFixture,
) -> None:
    await ledger.apply(FUNDING)
    twice = batch(
        "twice",
        item("a", leg("a", "rich", "ann", "10.00")),
        item("a", leg("a", "rich", "ann", "20.00")),
        item("a", leg("a", "rich", "ann", "10.00")),
    )
    (fact,) = await ledger.apply(twice)
    assert [told["code"] for told in fact.body["answers"]] == [None, "id_conflict", None]
    assert await ledger.balance("ann") == (1000, 1000)


async def test_a_batch_of_no_ledger_is_refused_item_by_item(ledger: LedgerFixture) -> None:
    (fact,) = await ledger.apply(RUN.model_copy(update={"ledger": "nowhere"}))
    assert {told["code"] for told in fact.body["answers"]} == {"ledger_unknown"}


async def test_items_may_be_in_registered_assets(ledger: LedgerFixture) -> None:
    coins = [
        open_account(account(name, guarded=False, currency="BTC")) for name in ("miner", "shop")
    ]
    paid = leg("p", "miner", "shop", "0.00000001", currency="BTC")
    facts = await ledger.apply(register("btc", "BTC", 8), *coins, batch("coins", item("p", paid)))
    assert [told["code"] for told in facts[-1].body["answers"]] == [None]
    assert await ledger.balance("shop") == (1, 1)


async def test_facts_keep_the_order_of_batches_and_single_commands(ledger: LedgerFixture) -> None:
    await ledger.apply(FUNDING)
    facts = await ledger.apply(
        journal("one", leg("one", "rich", "ann", "1.00")),
        RUN,
        journal("two", leg("two", "ann", "bob", "1.00")),
    )
    assert [fact.type.split(".")[1] for fact in facts] == ["journal", "batch", "journal"]
    whole = json.dumps(facts[1].body)
    assert RUN.batch_id in whole
    assert {fact.body.get("log_seq", 2) for fact in facts} == {2}
