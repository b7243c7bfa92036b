"""Retention: partitions of inbox and outbox made ahead, and dropped when nobody needs them any more."""

import asyncio
import random

from tally_messaging.metrics import MessagingMetrics
from tally_messaging.settings import MessagingSettings
from tally_postgres import Pool, is_transient
from tally_runtime import Clock, get_logger

_LOG = get_logger("tally_messaging.retention")
_KEEP_INBOX = "SELECT keep_inbox($1, $2)"
_KEEP_OUTBOX = "SELECT keep_outbox($1, $2, $3)"


class Retention:
    """Keeps one service's inbox and outbox to what may still be asked for.

    An inbox remembers events for longer than any topic keeps them; an outbox keeps what was published
    long enough to publish a lost tail again. Replicas may all do this: one waits for the other.
    """

    def __init__(
        self, pool: Pool, settings: MessagingSettings, clock: Clock, metrics: MessagingMetrics
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._metrics = metrics

    async def keep(self) -> list[str]:
        """Make the partitions that are due and drop those that are over; names of the dropped ones.

        A table whose lock is not free at once is left for the next time: without a partition in time
        rows go to the table for all others, so nothing waits for this.
        """
        settings = self._settings
        statements = (
            (_KEEP_INBOX, (settings.inbox_days,)),
            (_KEEP_OUTBOX, (settings.outbox_days, settings.outbox_partition_records)),
        )
        dropped: list[str] = []
        late = False
        for statement, limits in statements:
            try:
                # One partition a call, so that locks are held for one drop at a time.
                while name := await self._pool.fetchval(statement, self._clock.now(), *limits):
                    _LOG.info("partition_dropped", partition=name)
                    dropped.append(name)
            except Exception as error:
                if not is_transient(error):
                    raise
                late = True
                _LOG.info("retention_waits", error=repr(error)[:300])
        self._metrics.retention_late().set(int(late))
        return dropped

    async def run(self) -> None:
        """Keep, every so often, until cancelled."""
        while True:
            pause = self._settings.retention_interval_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            await asyncio.sleep(pause)
            await self.keep()
