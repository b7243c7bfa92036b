"""How much of what came goes into one transaction, and how long to leave before asking for more."""

from collections.abc import Iterator, Sequence

from tally_messaging.records import Record
from tally_messaging.settings import MessagingSettings

_BACKLOG_SHARE = 0.9
"""A batch as full as this was cut from more that is waiting: the next follows at once."""
_AIM_SHARE = 0.6
"""How full a batch may become while it is waited for: room is left for what comes in a burst."""
_BUNDLED_SHARE = 4
"""What few records bundle is a batch worth its round trips at a quarter of what one may hold."""


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
    settings: MessagingSettings,
    records: Sequence[Record],
    worth: int,
    *,
    gathered_s: float,
    patient: bool = False,
) -> float:
    """The least time from the beginning of this batch to that of the next, in seconds.

    A batch costs about fifteen round trips whatever its size; without a pause two dozen records a
    second keep a core busy. The pause is shorter only where the next batch would grow too full in
    it, as records have come since the batch before, `gathered_s` seconds ago. Whoever cannot keep up
    finds the pause over when a batch ends. Where records bundle work, and are `worth` more of them
    than they are, the pause shrinks with it to nothing: they are few, and others wait behind them. A
    `patient` consumer, which no payment waits for, leaves more time.
    """
    interval_ms = settings.patient_interval_ms if patient else settings.batch_interval_ms
    filled = max(
        len(records) / settings.batch_records_max,
        value_bytes(records) / settings.batch_bytes_max,
    )
    if filled >= _BACKLOG_SHARE:
        return 0.0
    bundled = (worth - len(records)) * _BUNDLED_SHARE / settings.batch_records_max
    return min(interval_ms / 1000, gathered_s * _AIM_SHARE / filled) * max(0.0, 1.0 - bundled)
