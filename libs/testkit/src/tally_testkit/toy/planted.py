"""Bugs planted on purpose, by name: a fault test that cannot catch them proves nothing."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import TopicPartition

from tally_messaging import inbox, outbox
from tally_messaging.consumer import Consumer
from tally_messaging.handover import Handover
from tally_messaging.outbox import StoredRecord
from tally_postgres import Pool


def _no_inbox() -> None:
    """Every event counts as new."""

    async def claim(*call: Any) -> set[uuid.UUID]:
        _, _, keys, _, _ = call
        return set(keys)

    vars(inbox)["claim"] = claim


def _offsets_first() -> None:
    """Offsets are committed before the batch is applied."""
    consume = Consumer._consume  # noqa: SLF001 - the bug is planted inside

    async def committed_first(self: Consumer, records: Any) -> None:
        for record in records:
            self._done[TopicPartition(record.topic, record.partition)] = record.offset + 1
        await self._commit()
        await consume(self, records)

    Consumer._consume = committed_first  # type: ignore[method-assign] # noqa: SLF001


def _position_first() -> None:
    """The relay moves its position before it publishes."""
    page = outbox.page

    async def moved_first(pool: Pool, lane: int, after: int, limit: int) -> Any:
        records = await page(pool, lane, after, limit)
        if records:
            await pool.execute(
                "UPDATE relay SET position = $2 WHERE lane = $1", lane, records[-1].seq
            )
        return records

    def nothing_in_memory(*_: object) -> list[StoredRecord]:
        return []

    vars(outbox)["page"] = moved_first
    Handover.take = nothing_in_memory  # type: ignore[method-assign, assignment]


PLANTED: Mapping[str, Callable[[], None]] = {
    "no_inbox": _no_inbox,
    "offsets_first": _offsets_first,
    "position_first": _position_first,
}
