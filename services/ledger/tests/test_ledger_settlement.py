"""Settling what is in transit between two databases: both sides book it or neither does, and it is told."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from tally_contracts.base import AssetAmount
from tally_contracts.ledger import FreezeAccount, UnfreezeAccount
from tally_contracts.ledger_transfers import TransitSettled, TransitStarted
from tally_ledger.transfers import plan
from tally_ledger.transfers.facts import TRANSFERS
from tally_postgres import Schema
from tally_testkit import ServiceDatabase

from .ledger_builders import NOW, WHERE, WHO, WHY, identify
from .ledger_shards import Pair, open_pair, settle, transfer

ZERO = {"EUR": (0, 0)}
FIVE_WS = {"who": WHO, "where": WHERE, "why": WHY, "occurred_at": NOW}


@pytest.fixture
async def pair(fresh_database: Callable[[Schema], ServiceDatabase]) -> AsyncIterator[Pair]:
    """20.00 in transit from main to us."""
    both = await open_pair(fresh_database)
    both.send(transfer("t1", "main", "30.00"), transfer("t2", "us", "10.00"))
    await both.run()
    yield both
    await both.close()


async def told(pair: Pair, name: str = "s1") -> list[tuple[str, str]]:
    """Facts about a settlement in any order: kind, and amount or code."""
    facts = (await pair.facts()).get(identify("stl", name), [])
    return sorted((kind, body.get("code") or body["amount"]["amount"]) for kind, body in facts)


async def in_transit(pair: Pair) -> list[dict[str, tuple[int, int]]]:
    return [await shard.in_transit() for shard in pair.shards.values()]


async def owed(pair: Pair) -> list[dict[str, int]]:
    return [await shard.owed() for shard in pair.shards.values()]


def freeze(ledger: str, other: str) -> FreezeAccount:
    return FreezeAccount(
        change_id=identify("chg", "freeze"),
        ledger=ledger,
        account=plan.in_transit(ledger, other, "EUR").id,
        direction="both",
        **FIVE_WS,
    )


async def test_settling_brings_both_accounts_in_transit_to_zero_once(pair: Pair) -> None:
    assert await in_transit(pair) == [{"EUR": (2000, 0)}, {"EUR": (-2000, 0)}]
    for _ in range(2):
        pair.send(settle("s1", "us"))
        await pair.run()
    assert await in_transit(pair) == [ZERO, ZERO]
    assert await owed(pair) == [{"EUR": 2000}, {"EUR": -2000}]
    assert await told(pair) == [
        ("mirrored", "20.00"), ("settled", "20.00"), ("settled", "20.00"), ("started", "20.00"),
    ]  # fmt: skip


async def test_until_the_other_side_has_booked_the_money_is_reserved_and_the_ask_says_so(
    pair: Pair,
) -> None:
    for _ in range(2):
        await pair.deliver([pair.record(settle("s1", "main"))])
    assert await in_transit(pair) == [{"EUR": (2000, 2000)}, {"EUR": (-2000, 0)}]
    assert await told(pair) == [("started", "20.00")] * 2
    await pair.run()
    assert await in_transit(pair) == [ZERO, ZERO]


async def test_what_the_other_ledger_refuses_is_given_back_and_told_with_its_reason(
    pair: Pair,
) -> None:
    pair.send(freeze("us", "main"))
    await pair.run()
    before = await in_transit(pair)
    for _ in range(2):
        pair.send(settle("s1", "main"))
        await pair.run()
    assert await told(pair) == [
        ("declined", "account_frozen"), ("refused", "account_frozen"),
        ("refused", "account_frozen"), ("started", "20.00"),
    ]  # fmt: skip
    facts = (await pair.facts())[identify("stl", "s1")]
    assert [body["side"] for kind, body in facts if kind == "refused"] == ["destination"] * 2
    assert await in_transit(pair) == before
    thaw = freeze("us", "main").model_dump(exclude={"change_id"})
    pair.send(UnfreezeAccount(change_id=identify("chg", "thaw"), **thaw))
    await pair.run()
    # What was refused once stays refused; a new settlement goes through.
    pair.send(settle("s1", "main"), settle("s2", "main"))
    await pair.run()
    assert await in_transit(pair) == [ZERO, ZERO]
    assert ("settled", "20.00") in await told(pair, "s2")


async def test_what_the_asked_ledger_refuses_never_reaches_the_other(pair: Pair) -> None:
    pair.send(freeze("main", "us"))
    await pair.run()
    pair.send(settle("s1", "main"))
    await pair.run()
    assert await told(pair) == [("refused", "account_frozen")]
    facts = (await pair.facts())[identify("stl", "s1")]
    assert [body["side"] for _, body in facts] == ["source"]


async def test_a_second_settlement_of_a_pair_waits_for_the_first(pair: Pair) -> None:
    await pair.deliver([pair.record(settle("s1", "main")), pair.record(settle("s2", "main"))])
    assert await told(pair, "s2") == [("refused", "settlement_open")]
    await pair.run()
    assert await in_transit(pair) == [ZERO, ZERO]


async def test_both_sides_may_begin_at_once_and_stay_each_others_mirror(pair: Pair) -> None:
    pair.send(settle("s1", "main"), settle("s2", "us"))
    await pair.run()
    await pair.mirrored()
    pair.send(settle("s3", "us"))
    await pair.run()
    assert await in_transit(pair) == [ZERO, ZERO]
    assert [sum(side.values()) for side in await owed(pair)] == [2000, -2000]


async def test_the_same_id_for_another_settlement_is_refused_and_changes_nothing(
    pair: Pair,
) -> None:
    pair.send(settle("s1", "main"), settle("s1", "main", currency="USD"))
    await pair.run()
    assert ("refused", "id_conflict") in await told(pair)
    assert ("settled", "20.00") in await told(pair)
    assert await in_transit(pair) == [ZERO, ZERO]


async def test_an_answer_that_is_lost_is_asked_for_again_and_moves_nothing_twice(
    pair: Pair,
) -> None:
    await pair.deliver([pair.record(settle("s1", "main"))])
    (lost,) = pair.bus
    pair.bus = []
    assert await pair.ask_again("main") == 0, "not overdue yet"
    pair.clock.advance(timedelta(minutes=2))
    assert await pair.ask_again("main") == 1
    (again,) = pair.bus
    assert (again.value, again.key) == (lost.value, lost.key)
    assert await pair.ask_again("main") == 0, "not before it is overdue again"
    await pair.deliver([again, lost])
    pair.bus = []
    pair.clock.advance(timedelta(minutes=2))
    assert await pair.ask_again("main") == 1, "the answer is lost too"
    await pair.run()
    assert await in_transit(pair) == [ZERO, ZERO]
    assert await owed(pair) == [{"EUR": 2000}, {"EUR": -2000}]
    pair.clock.advance(timedelta(minutes=2))
    assert await pair.ask_again("main") == 0


async def test_a_death_between_any_two_steps_and_repeats_book_each_side_once(pair: Pair) -> None:
    await pair.deliver_dying([pair.record(settle("s1", "us"))])
    steps = 0
    while pair.bus:
        batch, pair.bus = pair.bus, []
        await pair.deliver_dying(batch)
        steps += 1
    assert steps == 3, "booked there, captured here, and nobody acts upon the end"
    assert await in_transit(pair) == [ZERO, ZERO]
    assert await owed(pair) == [{"EUR": 2000}, {"EUR": -2000}]


async def test_a_contradiction_moves_nothing(pair: Pair) -> None:
    await pair.deliver([pair.record(settle("s1", "main"))])
    await pair.run()
    mirrored = [r for r in pair.shards["us"].published if b"ledger.transit.mirrored" in _type(r)]
    forged = mirrored[0].headers
    declined = [(n, b"ledger.transit.declined.v1" if n == "ce_type" else v) for n, v in forged]
    value = mirrored[0].value[:-1] + b',"code":"no","detail":"no"}'
    before = await in_transit(pair)
    await pair.deliver([type(mirrored[0])(TRANSFERS, mirrored[0].key, value, declined)])
    assert await in_transit(pair) == before == [ZERO, ZERO]
    states = await pair.shards["main"].pool.fetch("SELECT state FROM transit_settlement")
    assert [row["state"] for row in states] == ["completed"]


def _type(record: object) -> bytes:
    return dict(record.headers)["ce_type"]  # type: ignore[attr-defined,no-any-return]


async def test_a_fact_of_a_release_without_answers_is_mirrored_once(pair: Pair) -> None:
    settled = TransitSettled(
        settlement_id=identify("stl", "old"),
        ledger="main",
        other="us",
        amount=AssetAmount(currency="EUR", amount="20.00"),
        owed_by="main",
        **FIVE_WS,
    )
    for _ in range(2):
        await pair.deliver([pair.record(settled, TRANSFERS)])
    assert await pair.shards["us"].in_transit() == ZERO
    assert await told(pair, "old") == [("mirrored", "20.00")]


def started(ledger: str, amount: str) -> TransitStarted:
    """A settlement s1 as a ledger asked for it whose books these are not, or are no more."""
    return TransitStarted(
        settlement_id=identify("stl", "s1"),
        ledger=ledger,
        other="us",
        amount=AssetAmount(currency="EUR", amount=amount),
        owed_by=ledger,
        **FIVE_WS,
    )


async def test_a_restored_ledger_captures_only_what_the_other_one_booked(pair: Pair) -> None:
    """20.00 were mirrored; main lost that, sends 5.00 more, and asks under the same id."""
    us = pair.shards["us"]
    await us.take([pair.record(started("main", "20.00"), TRANSFERS)])
    lost = await us.publish()
    pair.send(transfer("t3", "main", "5.00"))
    await pair.run()
    await pair.deliver([pair.record(settle("s1", "main"))])
    asked, pair.bus = pair.bus, []
    # The answer of then comes again too: it is about something else.
    await pair.deliver([record for record in lost if record.topic == TRANSFERS])
    assert await pair.shards["main"].in_transit() == {"EUR": (2500, 2500)}
    pair.bus = asked
    await pair.run()
    assert ("declined", "id_conflict") in await told(pair)
    assert ("refused", "id_conflict") in await told(pair)
    assert await pair.shards["main"].in_transit() == {"EUR": (2500, 0)}
    assert await us.in_transit() == {"EUR": (-500, 0)}, (
        "the lost one is an operator's to post again"
    )


async def test_an_id_that_two_ledgers_took_settles_the_first_alone(pair: Pair) -> None:
    pair.send(settle("s1", "main"))
    await pair.run()
    us = pair.shards["us"]
    before = await us.in_transit()
    for _ in range(2):
        await us.take([pair.record(started("eu", "20.00"), TRANSFERS)])
    answers = await us.publish()
    assert [dict(one.headers)["ce_type"] for one in answers] == [b"ledger.transit.declined.v1"] * 2
    assert await us.in_transit() == before == ZERO
    # To the one that asked first it answers as it did.
    await us.take([pair.record(started("main", "20.00"), TRANSFERS)])
    (answer,) = await us.publish()
    assert _type(answer) == b"ledger.transit.mirrored.v1"


@pytest.mark.parametrize("declined", [False, True])
async def test_a_settlement_under_a_transfers_id_ends_as_any_other(
    pair: Pair, declined: bool
) -> None:
    nobody = {"credit": identify("acc", "nobody")} if declined else {}
    if declined:
        pair.send(freeze("us", "main"))
    both = transfer("t9", "main", "1.00", **nobody)
    pair.send(both, settle("s9", "main", settlement_id=both.transfer_id))
    await pair.run()
    facts = (await pair.facts())[both.transfer_id]
    ends = sorted(kind for kind, _ in facts if kind in {"completed", "settled", "refused"})
    assert ends == (["refused", "refused"] if declined else ["completed", "settled"])
    holds = await pair.shards["main"].pool.fetch("SELECT state FROM hold WHERE state = 'open'")
    assert holds == []


async def test_settling_nothing_says_so_and_moves_nothing(pair: Pair) -> None:
    pair.send(settle("s0", "main"))
    await pair.run()
    pair.send(settle("s1", "main"), settle("s2", "main", currency="XYZ"))
    pair.send(settle("s3", "main", other="main"))
    await pair.run()
    assert await told(pair, "s1") == [("settled", "0.00")]
    assert await told(pair, "s2") == [("refused", "currency_unknown")]
    assert await told(pair, "s3") == [("refused", "same_ledger")]
    assert await in_transit(pair) == [ZERO, ZERO]


async def test_an_ended_settlement_cannot_be_changed_or_removed(pair: Pair) -> None:
    pair.send(settle("s1", "main"))
    await pair.run()
    shard = pair.shards["main"]
    with pytest.raises(Exception, match="is completed already"):
        await shard.pool.execute("UPDATE transit_settlement SET asked_again = 1")
    for statement in (
        "DELETE FROM transit_settlement",
        "UPDATE transit_settlement SET amount = '1'",
    ):
        with pytest.raises(Exception, match="permission denied"):
            await shard.pool.execute(statement)
