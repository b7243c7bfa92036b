"""Whatever the contracts allow, at its limits too, is kept and found."""

import json
from pathlib import Path
from typing import Any

from tally_contracts.catalogue import topic
from tally_messaging.envelope import CE_TIME
from tally_portfolio.document import time_line_document
from tally_portfolio.handlers import TOPICS, build_router
from tally_portfolio.service import find, time_line
from tally_runtime import derived_uuid
from tally_testkit import event_headers


def _examples(project_root: Path) -> list[tuple[str, str, bytes]]:
    return [
        (event_type, page.stem, page.read_bytes())
        for event_type in sorted(build_router().event_types)
        for page in sorted((project_root / "contracts" / "examples" / event_type).glob("*.json"))
    ]


def _record(raw: type[Any], event_type: str, name: str, body: bytes, headers: Any = ()) -> Any:
    event_id = str(derived_uuid(event_type, name))
    name = next(name for name in TOPICS if event_type in topic(name).types)
    return raw(body, (*event_headers(event_id, event_type), *headers), b"key", 0, name)


async def test_every_published_example_is_kept_and_read_back(
    portfolio: Any, notice: Any, story: Any, project_root: Path
) -> None:
    raw = type(notice(1, story("x").at))
    examples = _examples(project_root)
    assert {event_type for event_type, _, _ in examples} == build_router().event_types
    await portfolio.process(*(_record(raw, *example) for example in examples))
    assert await portfolio.pool.fetchval("SELECT count(*) FROM quarantine") == 0
    events = await portfolio.rows(
        "SELECT event_id FROM hop WHERE event_type <> 'ledger.account.opened.v1'"
    )
    assert len(events) > 20
    for (event_id,) in events:
        payments = (await find(portfolio.pool, event_id)).payments
        assert len(payments) == 1
        line = await time_line(portfolio.pool, payments[0].payment_id)
        assert line is not None
        assert event_id in {step.hop.event_id for step in line.steps}
        json.dumps(time_line_document(line), allow_nan=False)


async def test_a_fact_on_a_topic_that_does_not_carry_it_is_not_believed(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").received()
    (record,) = told.records
    forged = type(record)(record.value, record.headers, record.key, 0, "rails.attempts.v1")
    await portfolio.process(forged)
    assert (await find(portfolio.pool, told.pay_in_id)).payments == ()


async def test_an_envelope_without_a_readable_time_leaves_the_events_own(
    portfolio: Any, story: Any
) -> None:
    told = story("ann").received().posted().allocated()
    times = (b"yesterday", b"2026-09-21T08:00:00", None)
    told.records = [
        type(record)(
            record.value,
            tuple(h for h in (*_without_time(record), (CE_TIME, time)) if h[1] is not None),
            record.key,
            record.offset,
            record.topic,
        )
        for record, time in zip(told.records, times, strict=True)
    ]
    await portfolio.tell(told)
    line = await time_line(portfolio.pool, told.pay_in_id)
    assert line is not None
    assert {step.hop.recorded_at for step in line.steps} == {told.at}


def _without_time(record: Any) -> list[tuple[str, bytes]]:
    return [header for header in record.headers if header[0] != CE_TIME]
