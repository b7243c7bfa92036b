"""When the ledger is asked again for what it refused, where nobody has to order it."""

import zlib
from datetime import datetime, timedelta
from typing import Final

TRY_AGAIN_AFTER: Final = timedelta(hours=1)
"""How long what runs by itself waits at least after the ledger refused it."""
SPREAD: Final = timedelta(minutes=5)
"""How much longer it may wait: what one frozen wallet held up is not asked for all at once."""


def try_again_at(now: datetime, subject: str) -> datetime:
    """When to ask again for `subject`, refused now: the same whoever works it out, and in a replay."""
    return now + TRY_AGAIN_AFTER + SPREAD * zlib.crc32(subject.encode()) / 2**32
