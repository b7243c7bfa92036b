"""Committed records on their way to the relay in memory: a shortcut past reading the outbox back."""

from collections import deque
from collections.abc import Sequence

from tally_messaging.outbox import OutgoingRecord, StoredRecord


class Handover:
    """What this process has just committed, by lane, in the order of the lanes' sequences.

    A shortcut only: what does not join on, or is too much, is forgotten and read from the table.
    `records_max` bounds a lane's records and `bytes_max` their payloads.
    """

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._lanes: dict[int, deque[StoredRecord]] = {}
        self._bytes: dict[int, int] = {}

    def put(self, lane: int, first_seq: int, records: Sequence[OutgoingRecord]) -> None:
        """Hand over what was committed as `first_seq` and following.

        Call it after the commit, never before: what is handed over is published.
        """
        waiting = self._lanes.setdefault(lane, deque())
        if waiting and waiting[-1].seq + 1 != first_seq:
            # Another process, or another unit whose hand-over is yet to come, was in between.
            self._forget(lane)
        size = self._bytes.get(lane, 0) + sum(len(record.payload) for record in records)
        if len(waiting) + len(records) > self._records_max or size > self._bytes_max:
            self._forget(lane)
            return
        self._bytes[lane] = size
        waiting.extend(
            StoredRecord(seq, record.topic, record.key, record.headers, record.payload)
            for seq, record in enumerate(records, first_seq)
        )

    def take(self, lane: int, after: int, limit: int) -> list[StoredRecord]:
        """The records right behind `after`, at most `limit`; none if what is here does not join on."""
        waiting = self._lanes.get(lane)
        if not waiting:
            return []
        while waiting and waiting[0].seq <= after:
            self._bytes[lane] -= len(waiting.popleft().payload)
        if not waiting or waiting[0].seq != after + 1:
            return []
        taken = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
        self._bytes[lane] -= sum(len(record.payload) for record in taken)
        return taken

    def _forget(self, lane: int) -> None:
        self._lanes[lane].clear()
        self._bytes[lane] = 0
