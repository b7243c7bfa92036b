"""The event that tells operators of a record set aside.

Its shape is `RecordQuarantined` of the contracts, which this library may not import; a contract
test holds the two together.
"""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tally_messaging.quarantine import SetAside

QUARANTINE_TOPIC = "operations.quarantine.v1"
_DETAIL_CHARS = 400


class RecordQuarantined(BaseModel):
    """A consumer set a record aside: its raw bytes are kept, nothing was applied."""

    model_config = ConfigDict(frozen=True)
    TYPE: ClassVar[str] = "operations.record.quarantined.v1"

    consumer: str
    topic: str
    partition: int
    offset: int
    code: str
    detail: str
    occurred_at: datetime

    @classmethod
    def of(cls, consumer: str, item: SetAside, now: datetime) -> "RecordQuarantined":
        """The notice of one record; the detail is cut and freed of control characters."""
        readable = "".join(c if c.isprintable() else "?" for c in item.detail)[:_DETAIL_CHARS]
        return cls(
            consumer=consumer,
            topic=item.record.topic,
            partition=item.record.partition,
            offset=item.record.offset,
            code=item.code,
            detail=readable or item.code,
            occurred_at=now,
        )
