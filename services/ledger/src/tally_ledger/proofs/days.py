"""The root of a day: one hash for all that a shard recorded on it, chained to the day before.

root = the RFC 6962 tree over the roots of the day's batches (`log.root`), in the order of `log.seq`.
A day without batches has the root of no leaves; its last_log is first_log - 1.

record = one record (canonical.py) `D`, 1, shard, day as YYYY-MM-DD, first_log, last_log, root, head,
         previous, signed_at, key_id

head is `log.root` of last_log: that of the last batch before, for a day without batches. previous is
the SHA-256 of the record of the day before, 32 zero bytes for a shard's first day. The signature is
Ed25519 over the record.
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from tally_ledger.canonical import record, time_text

FIRST = bytes(32)
_FORM = "1"


class DayRoot(NamedTuple):
    """What is signed of a day."""

    shard: str
    day: date
    first_log: int
    last_log: int
    root: bytes
    head: bytes
    previous: bytes
    signed_at: datetime
    key_id: str

    @property
    def record(self) -> bytes:
        """The bytes that are signed."""
        return record(
            "D",
            _FORM,
            self.shard,
            self.day.isoformat(),
            str(self.first_log),
            str(self.last_log),
            self.root.hex(),
            self.head.hex(),
            self.previous.hex(),
            time_text(self.signed_at),
            self.key_id,
        )

    @property
    def record_hash(self) -> bytes:
        """What the next day names as its previous."""
        return hashlib.sha256(self.record).digest()


def end_of(day: date) -> datetime:
    """The first moment after a day."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)
