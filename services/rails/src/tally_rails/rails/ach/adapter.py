"""The ACH rail as the service sees it."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tally_bankfiles import is_banking_day
from tally_messaging import Worker
from tally_railkit import (
    Accepted,
    AttemptState,
    Capabilities,
    CheckedInstrument,
    InstrumentProblem,
    Meaning,
    PayoutOrder,
    Rejected,
)
from tally_rails.port import RailParts
from tally_rails.rails.ach.banking_date import BankingDate
from tally_rails.rails.ach.capabilities import capabilities
from tally_rails.rails.ach.changes import Corrections
from tally_rails.rails.ach.client import BankLine
from tally_rails.rails.ach.config import AchSettings
from tally_rails.rails.ach.cutting import Cutter
from tally_rails.rails.ach.details import AchDetails
from tally_rails.rails.ach.incoming import Incoming
from tally_rails.rails.ach.mapping import MEANINGS
from tally_rails.rails.ach.sending import Sender
from tally_rails.rails.ach.transmission import AchTransmission
from tally_rails.rails.ach.watching import Watcher
from tally_rails.rails.ach.worker import TurnWorker
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AchRail:
    """Orders wait for the end of their window; workers cut, send and watch."""

    def __init__(self, config: AchSettings) -> None:
        self._config = config
        self._capabilities = capabilities(timedelta(seconds=config.not_found_after_s))

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def meanings(self) -> Mapping[str, Meaning]:
        return MEANINGS

    def check(self, details: Mapping[str, str], currency: str) -> CheckedInstrument:
        """`routing_number`, `account_number`, `account_type`, `holder_name`; US dollars only."""
        if currency not in self._capabilities.currencies:
            raise InstrumentProblem(
                "currency_not_supported", "currency", "ACH pays US dollars: give USD."
            )
        return AchDetails.parse(details).checked()

    def take(self, order: PayoutOrder) -> Accepted | Rejected:  # noqa: ARG002 - the port's signature
        """It waits for its window, under no reference yet."""
        return Accepted(AttemptState.SCHEDULED)

    def due_at(self, now: datetime) -> datetime | None:
        """The end of the window `now` is in."""
        window = timedelta(seconds=self._config.window_s)
        return now + window - (now - _EPOCH) % window

    def sender(self, parts: RailParts, line: BankLine) -> Sender:
        """What cuts and hands in, over this line."""
        config = self._config
        return Sender(
            config,
            parts.desks,
            Cutter(config, parts.keys, parts.desks),
            AchTransmission(line, timedelta(milliseconds=config.retry_ms)),
            self._banking_date(),
            parts.step,
        )

    def watcher(self, parts: RailParts, line: BankLine) -> Watcher:
        """What takes and settles, over this line."""
        incoming = Incoming(parts.desks, Corrections(parts.keys))
        return Watcher(self._config, parts.desks, line, incoming, self._banking_date())

    def workers(self, parts: RailParts) -> Sequence[Worker]:
        """One loop each way; none without a bank, and then payouts wait as scheduled."""
        config = self._config
        if config.host is None:
            _LOG.warning("ach_not_connected", remedy="set TALLY_RAILS_ACH_HOST")
            return ()
        for library in ("asyncssh", "httpx"):
            # A line for each call they make would be many a second.
            logging.getLogger(library).setLevel(logging.WARNING)
        # The calendar is loaded at its first use: half a second, better now than between heartbeats.
        is_banking_day(_EPOCH.date())
        out, back = BankLine(config), BankLine(config)
        return (
            TurnWorker("ach_sender", self.sender(parts, out), out, config, parts.alarms),
            TurnWorker("ach_watcher", self.watcher(parts, back), back, config, parts.alarms),
        )

    def _banking_date(self) -> BankingDate:
        return BankingDate(self._config.time_zone(), self._config.sandbox_clock_url)
