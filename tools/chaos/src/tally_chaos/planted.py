"""Bugs planted on purpose, by name: a fault run that cannot catch them proves nothing.

They replace functions inside a process of this tool's own launcher; no other process can have them.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aiokafka import TopicPartition

from tally_messaging import inbox, outbox
from tally_messaging.consumer import Consumer
from tally_messaging.outbox import StoredRecord
from tally_messaging.records import Record
from tally_postgres import Connection, Pool


def _offsets_before_transaction() -> None:
    """Offsets are committed before the batch is applied: what is killed in between is lost."""
    consume = Consumer._consume  # noqa: SLF001 - the bug is planted inside

    async def committed_first(self: Consumer, records: Sequence[Record]) -> None:
        for record in records:
            self._done[TopicPartition(record.topic, record.partition)] = record.offset + 1
        await self._commit()
        await consume(self, records)

    # FastStream builds a model of the annotations, which it cannot of a sequence of ours.
    committed_first.__annotations__ = dict(consume.__annotations__)
    Consumer._consume = committed_first  # type: ignore[method-assign] # noqa: SLF001


def _no_inbox() -> None:
    """Every event counts as new: what comes twice is applied twice."""
    enter = inbox.claim

    async def claim(
        conn: Connection,
        consumer: str,
        keys: Sequence[uuid.UUID],
        hashes: Sequence[bytes],
        now: datetime,
    ) -> set[uuid.UUID]:
        await enter(conn, consumer, keys, hashes, now)
        return set(keys)

    vars(inbox)["claim"] = claim


def _relay_position_before_send() -> None:
    """The relay moves its position before it publishes: what is killed in between is never told."""
    page = outbox.page

    async def moved_first(pool: Pool, lane: int, after: int, limit: int) -> list[StoredRecord]:
        records = await page(pool, lane, after, limit)
        if records:
            await pool.execute(
                "UPDATE relay SET position = $2 WHERE lane = $1", lane, records[-1].seq
            )
        return records

    vars(outbox)["page"] = moved_first


PLANTED: Mapping[str, Callable[[], None]] = {
    "offsets-before-transaction": _offsets_before_transaction,
    "no-inbox": _no_inbox,
    "relay-position-before-send": _relay_position_before_send,
}
