"""Runs a turn again and again, with pauses that grow while the bank or the database is down."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Protocol

from tally_messaging import TransientFault, WorkerContext
from tally_postgres import is_transient
from tally_rails.alarms import Alarms
from tally_rails.rails.ach.banking_date import BankingDateUnknown
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.client import BankError, BankLine
from tally_rails.rails.ach.config import AchSettings
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")


class Turning(Protocol):
    """One round of work; True where there may be more at once."""

    async def turn(self, context: WorkerContext) -> bool: ...


@dataclass(frozen=True, slots=True)
class TurnWorker:
    """A loop of turns; `line` is closed when it ends."""

    name: str
    turning: Turning
    line: BankLine
    config: AchSettings
    alarms: Alarms

    @property
    def within_s(self) -> float:
        """A turn is many bounded calls; each file marks none, so the bound is generous."""
        config = self.config
        longest = 10 * (config.transfer_timeout_s + config.call_timeout_s)
        return max(longest, config.retry_max_s) + config.poll_ms / 1000

    async def run(self, context: WorkerContext) -> None:
        failures = 0
        try:
            while not context.stopping.is_set():
                more = False
                pause_s = self.config.poll_ms / 1000
                try:
                    more = await self.turning.turn(context)
                    failures = 0
                except (BankError, BankingDateUnknown) as error:
                    failures += 1
                    pause_s = self.config.pause(failures).total_seconds()
                    self._failed(failures, error)
                except Exception as error:
                    if not (isinstance(error, TransientFault) or is_transient(error)):
                        raise
                    failures += 1
                    pause_s = self.config.pause(failures).total_seconds()
                    _LOG.warning("worker_backs_off", worker=self.name, error=type(error).__name__)
                context.health.progress(self.name)
                if not more:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(context.stopping.wait(), pause_s)
        finally:
            self.line.close()

    def _failed(self, failures: int, error: BankError | BankingDateUnknown) -> None:
        if failures == self.config.tries_before_case or not error.retryable:
            self.alarms.ring(NAME, error.code, worker=self.name, detail=str(error))
        else:
            _LOG.warning("worker_backs_off", worker=self.name, error=str(error))
