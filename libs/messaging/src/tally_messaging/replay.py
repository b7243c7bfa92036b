"""Letting quarantined records go: applied exactly once after a fix, or dropped with a name on it."""

import uuid
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from tally_messaging import inbox, quarantine
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import CE_ID
from tally_messaging.errors import QuarantineNotFound, ReplayRefused
from tally_messaging.outbox import OutgoingRecord
from tally_messaging.parser import parse
from tally_messaging.quarantine import PARKED, RELAY_CONSUMER, QuarantinedRecord
from tally_messaging.records import Received, Refused
from tally_messaging.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: `applied` counts the record and those parked behind it.

    `passed_over`: parked ones that the consumer, as it is now, has no use for.
    """

    applied: int
    duplicates: int
    passed_over: int = 0


class _Outcome(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    PASSED_OVER = "passed_over"


async def replay(processor: BatchProcessor, record_id: uuid.UUID, actor: str) -> Replayed:
    """Apply a quarantined record, then the ones parked behind it, all in one transaction.

    Raises `QuarantineNotFound`; `ReplayRefused` when it is not open any more, or is still refused;
    whatever the use case raises when it still fails. In every such case nothing changed.
    """

    async def unit(uow: UnitOfWork) -> Replayed:
        record = await _locked_open(uow, record_id)
        if record.code == PARKED:
            raise ReplayRefused(
                f"{record.id} waits behind an earlier record of its key: replay or drop that one"
            )
        if record.consumer == RELAY_CONSUMER:
            uow.outgoing.append(_outgoing(record))
            await quarantine.resolve(uow.conn, record.id, "replayed", uow.now, actor)
            return Replayed(1, 0)
        return await _apply_with_waiting(processor, uow, record, actor, include_record=True)

    return await processor.transactor.run(unit)


async def drop(processor: BatchProcessor, record_id: uuid.UUID, actor: str) -> Replayed:
    """Give a quarantined record up for good; the ones parked behind it are applied."""

    async def unit(uow: UnitOfWork) -> Replayed:
        record = await _locked_open(uow, record_id)
        await quarantine.resolve(uow.conn, record.id, "dropped", uow.now, actor)
        if record.code == PARKED:
            return Replayed(0, 0)
        return await _apply_with_waiting(processor, uow, record, actor, include_record=False)

    return await processor.transactor.run(unit)


async def _locked_open(uow: UnitOfWork, record_id: uuid.UUID) -> QuarantinedRecord:
    record = await quarantine.lock(uow.conn, record_id)
    if record is None:
        raise QuarantineNotFound(str(record_id))
    if record.state != "open":
        raise ReplayRefused(f"{record.id} is {record.state} already: nothing was changed")
    return record


async def _apply_with_waiting(
    processor: BatchProcessor,
    uow: UnitOfWork,
    record: QuarantinedRecord,
    actor: str,
    *,
    include_record: bool,
) -> Replayed:
    done: Counter[_Outcome] = Counter()
    if include_record:
        # A refused record never reached the inbox; one that failed in its use case is in it.
        outcome = await _apply(processor, uow, record, enter=record.event_key is None)
        if outcome is _Outcome.PASSED_OVER:
            raise ReplayRefused(f"{record.consumer} has no use for it any more: drop {record.id}")
        done[outcome] += 1
        await quarantine.resolve(uow.conn, record.id, "replayed", uow.now, actor)
    if record.blocks:
        # What the consumer passes over by now must not hold up those before and behind it.
        for waiting in await quarantine.waiting_behind(uow.conn, record):
            done[await _apply(processor, uow, waiting, enter=False)] += 1
            await quarantine.resolve(uow.conn, waiting.id, "replayed", uow.now, actor)
    return Replayed(done[_Outcome.APPLIED], done[_Outcome.DUPLICATE], done[_Outcome.PASSED_OVER])


async def _apply(
    processor: BatchProcessor, uow: UnitOfWork, record: QuarantinedRecord, *, enter: bool
) -> _Outcome:
    """Apply one record; a duplicate's event was applied before under another record."""
    expected = processor.router.expected().get(record.topic)
    if expected is None:
        raise ReplayRefused(
            f"{record.consumer} does not read {record.topic} any more: drop {record.id}"
        )
    if record.code == "id_conflict":
        raise ReplayRefused(
            f"{record.id} repeats an id with another body: the first stands, so drop this one; "
            "a new fact needs a new id"
        )
    parsed = parse(record, expected)
    if isinstance(parsed, Refused):
        raise ReplayRefused(
            f"{record.id} is still refused: {parsed.code}"
            f"{'' if parsed.field is None else f' ({parsed.field})'}: {parsed.detail}"
        )
    if not isinstance(parsed, Received):
        return _Outcome.PASSED_OVER
    if enter:
        new = await inbox.claim(
            uow.conn, processor.router.consumer, [parsed.event_key], [parsed.body_hash], uow.now
        )
        if not new:
            return _Outcome.DUPLICATE
    await processor.router.dispatch(uow, [parsed])
    return _Outcome.APPLIED


def _outgoing(record: QuarantinedRecord) -> OutgoingRecord:
    """An event that could not be published, for the outbox again under the same id."""
    assert record.key is not None, "outgoing events have keys"
    assert record.value is not None, "outgoing events have bodies"
    headers = {name: value.decode() for name, value in record.headers if value is not None}
    return OutgoingRecord(
        event_id=uuid.UUID(headers[CE_ID]),
        topic=record.topic,
        key=record.key.decode(),
        headers=headers,
        payload=record.value,
    )
