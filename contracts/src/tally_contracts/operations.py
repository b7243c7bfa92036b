"""Facts about the platform itself."""

from typing import ClassVar

from tally_contracts.base import Count, Event, Slug, Text, UtcTime


class RecordQuarantined(Event):
    """A consumer set a record aside: its raw bytes are kept, nothing was applied.

    `code` is the reason, e.g. not_json, tombstone, too_many_decimals, id_conflict.
    """

    TYPE: ClassVar[str] = "operations.record.quarantined.v1"

    consumer: Slug
    topic: Text
    partition: Count
    offset: Count
    code: Slug
    detail: Text
    occurred_at: UtcTime
