"""How much of what came goes into one transaction, and how long to leave before asking for more."""

from collections.abc import Iterator, Sequence

from tally_messaging.records import Record
from tally_messaging.settings import MessagingSettings

_FULL_SHARE = 4
"""A batch of a quarter of what one may hold is worth its round trips: the next follows at once."""


def value_bytes(records: Sequence[Record]) -> int:
    """How large the records are together, headers aside."""
    return sum(len(record.value or b"") for record in records)


def parts(records: Sequence[Record], bytes_max: int) -> Iterator[Sequence[Record]]:
    """The records in order, cut before one that would make a part larger than that; none is split."""
    start, size = 0, 0
    for place, record in enumerate(records):
        length = len(record.value or b"")
        if place > start and size + length > bytes_max:
            yield records[start:place]
            start, size = place, 0
        size += length
    yield records[start:]


def interval_s(
    settings: MessagingSettings, records: Sequence[Record], worth: int, *, patient: bool = False
) -> float:
    """The least time from the beginning of this batch to that of the next, in seconds.

    A batch costs about fifteen round trips whatever its size; without a pause two dozen records a
    second keep a core busy. The larger a batch, the shorter the pause: under load there is none.
    Large is what has many records, or few that are `worth` as many, or many bytes.
    A `patient` consumer, which no payment waits for, leaves more time.
    """
    interval_ms = settings.patient_interval_ms if patient else settings.batch_interval_ms
    filled = max(
        worth * _FULL_SHARE / settings.batch_records_max,
        value_bytes(records) * _FULL_SHARE / settings.batch_bytes_max,
    )
    return max(0.0, 1.0 - filled) * interval_ms / 1000
