"""A batch on a real Postgres: one effect per record, or set aside once with its bytes."""

import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from tally_messaging import (
    QuarantineNotFound,
    ReplayRefused,
    Router,
    Subscription,
    TransientFault,
)
from tally_messaging.batch import BatchProcessor
from tally_messaging.replay import Replayed, drop, replay
from tally_testkit.toy import StepAdded, UnfixedError


async def test_a_batch_is_applied_in_order_and_told_of_in_order(toy: Any, step: Any) -> None:
    await toy.processor.process([step("a", 1), step("b", 2), step("a", 3)])
    assert await toy.applied() == {"a": [1, 3], "b": [2]}
    assert [(e["name"], e["n"]) for e in await toy.published()] == [("a", 1), ("b", 2), ("a", 3)]


async def test_the_same_batch_again_changes_nothing(toy: Any, step: Any) -> None:
    batch = [step("a", n) for n in range(5)]
    await toy.processor.process(batch)
    await toy.processor.process(batch)
    assert await toy.applied() == {"a": [0, 1, 2, 3, 4]}
    assert len(await toy.published()) == 5


async def test_a_duplicate_inside_one_batch_is_applied_once(toy: Any, step: Any) -> None:
    await toy.processor.process([step("a", 1), step("a", 1, offset=9)])
    assert await toy.applied() == {"a": [1]}
    assert await toy.set_aside() == []


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_id_with_another_body_is_quarantined_and_the_first_stands(
    toy: Any, step: Any, together: bool
) -> None:
    first, second = step("a", 1, event_id="x"), step("a", 2, event_id="x", offset=9)
    if together:
        await toy.processor.process([first, second])
    else:
        await toy.processor.process([first])
        await toy.processor.process([second])
    assert await toy.applied() == {"a": [1]}
    assert await toy.set_aside() == [("id_conflict", "open", 9)]


async def test_poison_amid_a_batch_is_set_aside_once_and_the_rest_is_applied(
    toy: Any, step: Any
) -> None:
    poison = replace(step("p", 2), value=b"{\x00", key=b"p")
    batch = [step("a", 1), poison, step("a", 3)]
    await toy.processor.process(batch)
    await toy.processor.process(batch)
    assert await toy.applied() == {"a": [1, 3]}
    assert await toy.set_aside() == [("not_json", "open", 2)]
    row = await toy.pool.fetchrow("SELECT payload, record_key FROM quarantine")
    assert (row[0], row[1]) == (b"{\x00", b"p")


async def test_copies_of_a_poison_record_count_as_copies(toy: Any, step: Any) -> None:
    poison = replace(step("p", 2), value=None, key=None)
    await toy.processor.process([poison, replace(poison, offset=5)])
    await toy.processor.process([replace(poison, offset=6)])
    assert [(code, state) for code, state, _ in await toy.set_aside()] == [
        ("tombstone", "open"),
        ("tombstone", "duplicate"),
        ("tombstone", "duplicate"),
    ]


async def test_a_quarantined_record_is_told_of_to_operators(toy: Any, step: Any) -> None:
    await toy.processor.process([replace(step("p", 2), value=b"{")])
    rows = await toy.pool.fetch(
        "SELECT payload FROM outbox WHERE topic = 'operations.quarantine.v1'"
    )
    assert [json.loads(row[0])["code"] for row in rows] == ["not_json"]


async def test_text_postgres_cannot_hold_is_quarantined_not_retried_for_ever(
    toy: Any, step: Any
) -> None:
    await toy.processor.process([step("a\x00b", 1, event_id="x"), step("c", 2)])
    assert await toy.applied() == {"c": [2]}
    assert [code for code, _, _ in await toy.set_aside()] == ["use_case_error"]


async def test_a_failing_record_is_quarantined_with_its_traceback_and_later_ones_of_its_key_wait(
    toy: Any, step: Any
) -> None:
    batch = [step("a", 1), step("bad", 2, fails=True), step("bad", 3), step("a", 4)]
    await toy.processor.process(batch)
    await toy.processor.process([step("bad", 5), step("c", 6)])
    assert await toy.applied() == {"a": [1, 4], "c": [6]}
    assert await toy.set_aside() == [
        ("use_case_error", "open", 2),
        ("parked", "open", 3),
        ("parked", "open", 5),
    ]
    trace = await toy.pool.fetchval("SELECT trace FROM quarantine WHERE code = 'use_case_error'")
    assert "UnfixedError" in trace


async def test_replay_after_the_fix_applies_the_record_and_those_behind_it_once_in_order(
    toy: Any, step: Any
) -> None:
    batch = [step("bad", 2, fails=True), step("bad", 3), step("bad", 4)]
    await toy.processor.process(batch)
    blocked = await toy.pool.fetchval("SELECT id FROM quarantine WHERE code = 'use_case_error'")
    with pytest.raises(UnfixedError):
        await replay(toy.processor, blocked, "operator")
    assert await toy.applied() == {}
    await toy.pool.execute("INSERT INTO fix VALUES (true)")
    outcome = await replay(toy.processor, blocked, "operator")
    assert outcome.applied == 3
    assert await toy.applied() == {"bad": [2, 3, 4]}
    with pytest.raises(ReplayRefused, match="replayed already"):
        await replay(toy.processor, blocked, "operator")
    await toy.processor.process([*batch, step("bad", 5)])
    assert await toy.applied() == {"bad": [2, 3, 4, 5]}


async def test_dropping_a_record_lets_the_ones_behind_it_through(toy: Any, step: Any) -> None:
    await toy.processor.process([step("bad", 2, fails=True), step("bad", 3)])
    blocked = await toy.pool.fetchval("SELECT id FROM quarantine WHERE code = 'use_case_error'")
    parked = await toy.pool.fetchval("SELECT id FROM quarantine WHERE code = 'parked'")
    with pytest.raises(ReplayRefused, match="waits behind"):
        await replay(toy.processor, parked, "operator")
    await drop(toy.processor, blocked, "operator")
    assert await toy.applied() == {"bad": [3]}


async def test_replaying_what_is_still_refused_changes_nothing_and_says_why(
    toy: Any, step: Any
) -> None:
    await toy.processor.process([replace(step("p", 2), value=b"{")])
    refused = await toy.pool.fetchval("SELECT id FROM quarantine")
    with pytest.raises(ReplayRefused, match="still refused: not_json"):
        await replay(toy.processor, refused, "operator")
    assert await toy.set_aside() == [("not_json", "open", 2)]


async def test_replaying_an_unknown_record_is_not_found(toy: Any) -> None:
    with pytest.raises(QuarantineNotFound):
        await replay(toy.processor, toy.processor.transactor.ids.uuid7(), "operator")


async def test_a_database_that_is_away_is_transient_and_quarantines_nothing(
    toy: Any, step: Any
) -> None:
    await toy.pool.close()
    with pytest.raises(TransientFault):
        await toy.processor.process([step("a", 1)])


async def test_statements_do_not_grow_with_the_batch(
    toy: Any, step: Any, count_statements: Callable[..., Coroutine[Any, Any, int]]
) -> None:
    await toy.processor.process([step("warm", 0)])
    small = await count_statements(toy.processor.process, [step("a", 1)])
    large = await count_statements(
        toy.processor.process, [step(f"k{n % 7}", n) for n in range(10, 500)]
    )
    assert small == large
    assert large == 4, "inbox, blocked keys, the use case, outbox"


async def test_the_outbox_is_gap_free_whatever_rolls_back(toy: Any, step: Any) -> None:
    for n in range(6):
        await toy.processor.process([step("a", n), step("bad", 100 + n, fails=n % 2 == 0)])
    sequence = [row[0] for row in await toy.pool.fetch("SELECT seq FROM outbox ORDER BY seq")]
    assert sequence == list(range(1, len(sequence) + 1))


def is_even(event: BaseModel) -> bool:
    return isinstance(event, StepAdded) and event.n % 2 == 0


def reading(toy: Any, **subscribed: Any) -> BatchProcessor:
    """The toy's consumer as a later release has it, with another subscription."""
    router = Router("toy", [Subscription("toy.in", **subscribed)])
    router.fold(StepAdded)(toy.processor.router.dispatch)
    return replace(toy.processor, router=router)


@pytest.mark.parametrize(("act", "applied"), [(replay, [2, 4]), (drop, [4])])
async def test_parked_records_that_are_passed_over_by_now_hold_up_nobody(
    toy: Any, step: Any, act: Callable[..., Awaitable[Replayed]], applied: list[int]
) -> None:
    await toy.processor.process([step("bad", 2, fails=True), step("bad", 3), step("bad", 4)])
    blocked = await toy.pool.fetchval("SELECT id FROM quarantine WHERE code = 'use_case_error'")
    await toy.pool.execute("INSERT INTO fix VALUES (true)")
    outcome = await act(reading(toy, heeds=is_even), blocked, "operator")
    assert outcome == Replayed(len(applied), 0, passed_over=1)
    assert await toy.applied() == {"bad": applied}
    assert "open" not in {state for _, state, _ in await toy.set_aside()}


async def test_a_blocked_record_that_is_passed_over_by_now_is_to_be_dropped(
    toy: Any, step: Any
) -> None:
    await toy.processor.process([step("bad", 2, fails=True), step("bad", 3)])
    blocked = await toy.pool.fetchval("SELECT id FROM quarantine WHERE code = 'use_case_error'")
    elsewhere = reading(toy, wants=lambda _: False)
    with pytest.raises(ReplayRefused, match=f"drop {blocked}"):
        await replay(elsewhere, blocked, "operator")
    assert await drop(elsewhere, blocked, "operator") == Replayed(0, 0, passed_over=1)


async def test_a_batch_of_nothing_heeded_sends_the_database_nothing(
    toy: Any, step: Any, count_statements: Callable[..., Coroutine[Any, Any, int]]
) -> None:
    process = reading(toy, heeds=is_even).process
    assert await count_statements(process, [step("a", 1), step("b", 3)]) == 0
    await process([step("a", 1), step("a", 2)])
    assert await toy.applied() == {"a": [2]}
