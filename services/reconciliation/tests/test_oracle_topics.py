"""Records changed on the topics: the checks that read them must say so and name the record."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tally_reconciliation import Check, Verdict

from .conftest import Day
from .platform_bench import ListBroker, Record

pytestmark = pytest.mark.stack

STATUS = "payouts.status.v1"
CARDS = "funding.inbound.cards.v1"


def statuses_of(day: Day, external_id: str) -> tuple[list[Record], list[int]]:
    """The partition log a payout's statuses are in, and their places in it."""
    for number in range(3):
        log = day.broker.logs[STATUS, number]
        places = [
            place
            for place, record in enumerate(log)
            if json.loads(record.value or b"{}")["external_id"] == external_id
        ]
        if places:
            return log, places
    raise AssertionError(f"no status of {external_id}")


def changed(record: Record, **fields: Any) -> Record:
    assert record.value is not None
    return replace(record, value=json.dumps({**json.loads(record.value), **fields}).encode())


def put(log: list[Record], records: Sequence[Record]) -> None:
    """Replace a partition's content; offsets run on."""
    log[:] = [replace(record, offset=offset) for offset, record in enumerate(records)]


def _appended(day: Day, record: Record) -> None:
    """One more record, consumed by nobody who would mind."""
    log = day.broker.logs[record.topic, record.partition]
    put(log, [*log, record])
    for commits in day.broker.commits.values():
        if (record.topic, record.partition) in commits:
            commits[record.topic, record.partition] = len(log)


async def judged(day: Day, check_id: str) -> tuple[Check, list[str]]:
    check = (await day.judge()).check(check_id)
    return check, [fault.what for fault in check.faults]


Spoil = Callable[[list[Record], list[int]], list[Record]]


def _swapped(log: list[Record], places: list[int]) -> list[Record]:
    spoilt = list(log)
    first, second = places[1:3]
    spoilt[first], spoilt[second] = spoilt[second], spoilt[first]
    return spoilt


def _without_last(log: list[Record], places: list[int]) -> list[Record]:
    return [record for place, record in enumerate(log) if place != places[-1]]


def _with(**fields: Any) -> Spoil:
    def spoil(log: list[Record], places: list[int]) -> list[Record]:
        spoilt = list(log)
        spoilt[places[2]] = changed(log[places[2]], **fields)
        return spoilt

    return spoil


def _again_under_a_new_id(log: list[Record], places: list[int]) -> list[Record]:
    record = log[places[1]]
    headers = tuple((n, b"another" if n == "ce_id" else v) for n, v in record.headers)
    return [*log, replace(record, headers=headers)]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_swapped, "sequence_not_rising"),
        (_without_last, "status_untold"),
        (_again_under_a_new_id, "sequence_not_rising"),
        (_with(state="failed"), "status_differs_from_history"),
        (_with(rank=1), "rank_not_rising"),
        (_with(amount={"currency": "USD", "amount": "1.00"}), "status_amount_differs"),
        (_with(sequence="three"), "status_unreadable"),
        (_with(payout_id="po_unheard_of"), "status_of_no_payout"),
    ],
)
async def test_a_status_that_is_wrong_late_or_missing_is_red(day: Day, spoil: Spoil, says: str):
    log, places = statuses_of(day, "paid")
    put(log, spoil(log, places))
    check, said = await judged(day, "O9")
    assert check.verdict is Verdict.RED
    assert says in said


async def test_a_status_published_again_under_its_own_id_is_no_fault(day: Day):
    log, places = statuses_of(day, "paid")
    put(log, [*log, *(log[place] for place in places)])
    check, _ = await judged(day, "O9")
    assert check.verdict is Verdict.GREEN
    assert check.figures["repeats"] == len(places)


async def test_a_compacted_status_topic_is_judged_by_what_is_left(day: Day):
    for number in range(3):
        log = day.broker.logs[STATUS, number]
        last = {record.key: record.offset for record in log}
        log[:] = [record for record in log if last[record.key] == record.offset]
    broker = CompactedBroker(day.broker.logs, day.broker.firsts, day.broker.commits)
    check, said = await judged(Day(day.conn, broker), "O9")
    assert said == []
    assert check.verdict is Verdict.GREEN


class CompactedBroker(ListBroker):
    """Its logs have holes: a partition ends behind its last record."""

    async def extents(self, topics: Any) -> Any:
        whole = await super().extents(topics)
        return {
            where: replace(extent, end=max([r.offset + 1 for r in self.logs[where]], default=0))
            for where, extent in whole.items()
        }


async def test_a_record_that_was_neither_booked_nor_set_aside_is_lost(day: Day):
    record = next(r for r in day.broker.logs[CARDS, 0] if r.value)
    lost = changed(record, external_id="never-seen")
    headers = tuple((n, b"ce-never-seen" if n == "ce_id" else v) for n, v in record.headers)
    _appended(day, replace(lost, headers=headers))
    report = await day.judge()
    (fault,) = report.check("O3").faults
    assert fault.what == "record_lost"
    assert dict(fault.row) == {
        "topic": CARDS,
        "partition": 0,
        "offset": len(day.broker.logs[CARDS, 0]) - 1,
        "ce_id": "ce-never-seen",
        "external_id": "never-seen",
        "currency": "USD",
        "minor": 10000,
        "set_aside": None,
    }


@pytest.mark.parametrize("value", [None, b"", b"[]", b"\xff", b"[" * 100_000, b'{"a":1}'])
async def test_bytes_nobody_can_read_are_lost_unless_set_aside(day: Day, value: bytes | None):
    record = day.broker.logs[CARDS, 0][0]
    _appended(day, replace(record, value=value, headers=(("ce_id", b"ce-unreadable"),)))
    check, said = await judged(day, "O3")
    assert said == ["record_lost"]
    assert check.figures["lost"] == 1


async def test_a_record_set_aside_and_booked_all_the_same_is_red(day: Day):
    record = next(
        r for number in range(3) for r in day.broker.logs[CARDS, number] if r.key == b"failed"
    )
    await day.spoil(
        "INSERT INTO funding.quarantine SELECT gen_random_uuid(), consumer, topic,"
        f" {record.partition}, {record.offset}, record_key, headers, payload,"
        " fingerprint || '\\x01'::bytea, event_key, 'bad_format', field, detail, trace, blocks, NULL,"
        " 'open', quarantined_at, NULL, NULL FROM funding.quarantine"
        " WHERE code = 'not_json' AND state = 'open'"
    )
    check, said = await judged(day, "O3")
    assert said[0] == "set_aside_and_booked"
    assert check.faults[0].row["external_id"] == "failed"


async def test_copies_of_a_record_that_failed_in_its_use_case_are_not_lost(day: Day):
    record = next(r for r in day.broker.logs[CARDS, 0] if r.value)
    failed = replace(
        changed(record, external_id="fails"),
        headers=tuple((n, b"ce-fails" if n == "ce_id" else v) for n, v in record.headers),
    )
    _appended(day, failed)
    offset = len(day.broker.logs[CARDS, 0]) - 1
    _appended(day, failed)
    assert (await judged(day, "O3"))[1] == ["record_lost", "record_lost"]
    # The platform's answer: one row of quarantine, and the event's key in the inbox.
    await day.spoil(
        f"INSERT INTO funding.quarantine SELECT gen_random_uuid(), consumer, topic, 0, {offset},"
        " record_key, headers, payload, fingerprint || '\\x01'::bytea, gen_random_uuid(),"
        " 'use_case_error', field, detail, trace, blocks, NULL, 'open', quarantined_at, NULL, NULL"
        " FROM funding.quarantine WHERE code = 'not_json' AND state = 'open'"
    )
    check, said = await judged(day, "O3")
    assert said == []
    assert check.figures["quarantined"] == 3
    assert check.figures["copies"] == 3


async def test_one_id_with_two_bodies_must_not_both_be_applied(day: Day):
    await day.spoil("DELETE FROM funding.quarantine WHERE code = 'id_conflict'")
    _, said = await judged(day, "O3")
    assert "record_lost" in said


async def test_records_that_aged_out_of_the_topic_are_not_missed(day: Day):
    for number in range(3):
        log = day.broker.logs[CARDS, number]
        kept = [replace(r, timestamp=r.timestamp + 60_000) for r in log[-1:]]
        log[:] = [*log[: len(log) - len(kept)], *kept]
        day.broker.firsts[CARDS, number] = len(log) - len(kept)
    check, said = await judged(day, "O3")
    assert said == []
    assert check.verdict is Verdict.GREEN


async def test_what_needs_rest_is_skipped_while_records_wait_and_says_what_moves(day: Day):
    commits = day.broker.commits["funding"]
    where = next(w for w in commits if w[0] == CARDS and commits[w])
    commits[where] -= 1
    report = await day.judge()
    assert not report.quiet.is_quiet
    verdicts = {check.id: check.verdict for check in report.checks}
    assert verdicts["O3"] is Verdict.SKIPPED
    assert verdicts["L3"] is Verdict.GREEN
    assert "moving: funding is 1 records behind" in report.check("O3").summary


async def test_what_is_wrong_at_any_time_is_red_even_while_records_wait(day: Day):
    day.broker.commits["ledger"].clear()
    log, places = statuses_of(day, "paid")
    put(log, _swapped(log, places))
    check, said = await judged(day, "O9")
    assert check.verdict is Verdict.RED
    assert "sequence_not_rising" in said


async def test_unpublished_events_are_movement(day: Day):
    await day.spoil("UPDATE payouts.relay SET position = position - 2")
    report = await day.judge()
    assert report.quiet.moving == ("payouts has 2 records to publish",)
