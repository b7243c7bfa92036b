"""What the ledger does under its own ids: commands from outside neither take them nor act upon them."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tally_contracts.ledger import ReversalLeg
from tally_ledger.transfers import plan
from tally_postgres import Schema
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .conftest import TABLES, LedgerFixture
from .ledger_builders import (
    back,
    capture,
    close,
    freeze,
    identify,
    journal,
    leg,
    place,
    release,
    reverse,
)
from .ledger_shards import Pair, Shard, open_pair, transfer

XFR = identify("xfr", "t1")
HOLD = plan.hold_id(XFR)


@pytest.fixture
async def pair(fresh_database: Callable[[Schema], ServiceDatabase]) -> AsyncIterator[Pair]:
    both = await open_pair(fresh_database)
    yield both
    for shard in both.shards.values():
        await shard.pool.close()


async def dump(shard: Shard) -> dict[str, list[str]]:
    """Every row of the books but the refusals remembered; each makes a new version of the head."""
    tables = (*(t for t in TABLES if t != "rejection"), "cross_transfer", "cross_credit")
    return {
        table: [
            row[0]
            for row in await shard.pool.fetch(
                f"SELECT (to_jsonb(t) - 'version')::text FROM {table} t ORDER BY 1"
            )
        ]
        for table in tables
    }


async def refusals(shard: Shard, *commands: Any) -> list[tuple[str, str]]:
    """Hand commands over one by one as from outside: what is answered, code and detail."""
    told = []
    for command in commands:
        before = len(shard.published)
        await shard.take([command])
        await shard.publish()
        (answer,) = shard.published[before:]
        body = json.loads(answer.value)
        assert dict(answer.headers)["ce_type"].endswith(b"rejected.v1")
        told.append((body["code"], body["detail"]))
    return told


@pytest.mark.parametrize(
    "command",
    [
        capture("mine", "x", "1.00", hold_id=HOLD),
        release("mine", "x", hold_id=HOLD),
        capture("mine", "x", "0.10", hold_id=HOLD, transfer_id=plan.capture_id(XFR)),
        release("mine", "x", hold_id=HOLD, transfer_id=plan.release_id(XFR)),
    ],
    ids=["capture", "release", "capture_by_its_id", "release_by_its_id"],
)
async def test_a_transfers_hold_cannot_be_ended_from_outside(pair: Pair, command: Any) -> None:
    main = pair.shards["main"]
    await pair.deliver([pair.record(transfer("t1", "main", "1.00"))])
    before = await dump(main)
    for _ in range(2):
        ((code, detail),) = await refusals(main, pair.record(command))
        assert code == "id_reserved"
        assert detail.startswith(("hold_id: ids that", "transfer_id: ids that"))
    assert await dump(main) == before
    await pair.run()
    assert await main.balance("main-rich") == (99900, 0)
    assert await pair.shards["us"].balance("us-poor") == (100, 0)


async def test_ids_taken_in_advance_do_not_stop_a_transfer(pair: Pair) -> None:
    """Were a refusal remembered under such an id, the ledger could not use it any more."""
    main, us = pair.shards["main"], pair.shards["us"]
    at_main = [
        place("x", "main-rich", "main-poor", "1.00", hold_id=HOLD),
        capture("x", "x", "1.00", transfer_id=plan.capture_id(XFR)),
        release("x", "x", transfer_id=plan.release_id(XFR)),
        freeze("x", "main-rich").model_copy(update={"change_id": plan.capture_id(XFR)}),
        close("x", "main-poor").model_copy(update={"change_id": HOLD}),
    ]
    moves = leg("x", "us-rich", "us-poor", "1.00").model_copy(
        update={"id": derived_id("xtr", XFR, "credit")}
    )
    at_us = [
        journal("x", moves, ledger="us", journal_id=plan.credit_id(XFR)),
        journal("x", moves, ledger="us"),
    ]
    codes = await refusals(main, *map(pair.record, at_main))
    codes += await refusals(us, *map(pair.record, at_us))
    assert {code for code, _ in codes} == {"id_reserved"}
    pair.send(transfer("t1", "main", "1.00"))
    await pair.run()
    assert [kind for kind, _ in (await pair.facts())[XFR]].count("completed") == 1
    assert await main.balance("main-rich") == (99900, 0)
    assert await us.balance("us-poor") == (100, 0)


async def test_what_a_transfer_moved_is_not_reversed_from_outside(pair: Pair) -> None:
    main, us = pair.shards["main"], pair.shards["us"]
    pair.send(transfer("t1", "main", "1.00"))
    await pair.run()
    credited = ReversalLeg(
        id=identify("tr", "b"),
        reverses=derived_id("xtr", XFR, "credit"),
        amount=back("b", "b", "1.00").amount,
        code="chargeback",
    )
    captured = credited.model_copy(update={"reverses": plan.capture_id(XFR)})
    before = await dump(main), await dump(us)
    told = await refusals(
        us, pair.record(reverse("r", "x", credited, ledger="us", reverses=plan.credit_id(XFR)))
    )
    told += await refusals(
        main, pair.record(reverse("r", "x", captured, reverses=plan.capture_id(XFR)))
    )
    assert [(code, detail.partition(":")[0]) for code, detail in told] == [
        ("id_reserved", "reverses")
    ] * 2
    assert (await dump(main), await dump(us)) == before


async def test_a_refusal_for_anothers_id_is_remembered_under_the_commands_own(
    ledger: LedgerFixture,
) -> None:
    asked = capture("mine", "x", "1.00", hold_id=HOLD)
    (first,) = await ledger.apply(asked)
    (again,) = await ledger.apply(asked)
    (other,) = await ledger.apply(capture("mine", "y", "1.00"))
    assert (first.code, again.body) == ("id_reserved", first.body)
    assert other.code == "id_conflict"


async def test_nobody_takes_the_id_an_expiry_will_have(ledger: LedgerFixture) -> None:
    hold = identify("hld", "h1")
    (refused,) = await ledger.apply(
        journal("x", leg("x", "a", "b", "1.00"), journal_id=derived_id("exp", hold))
    )
    assert refused.code == "id_reserved"
    assert await ledger.pool.fetchval("SELECT count(*) FROM rejection") == 0
