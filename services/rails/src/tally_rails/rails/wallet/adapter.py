"""The wallet rail: the ledger itself moves the money when the hold is captured."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from tally_messaging import Worker
from tally_money import MoneyError, currency
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
from tally_rails.rails.wallet.capabilities import CAPABILITIES

_match_account: Final = re.compile(r"acc_[0-7][0-9a-hjkmnp-tv-z]{25}").fullmatch
_SHOWN: Final = 4


class WalletRail:
    """An order is paid at once: whether the money is there, the ledger has said already."""

    capabilities: Capabilities = CAPABILITIES
    meanings: Mapping[str, Meaning] = {}

    def check(self, details: Mapping[str, str], currency_code: str) -> CheckedInstrument:
        """`account` is the id of a ledger account in the instrument's currency."""
        account = details.get("account", "")
        if _match_account(account) is None:
            raise InstrumentProblem(
                "account_malformed",
                "account",
                "Give the id of a wallet's ledger account: acc_ and 26 characters.",
            )
        try:
            currency(currency_code)
        except MoneyError as error:
            raise InstrumentProblem(
                error.code, "currency", "Give an active ISO 4217 code in capitals."
            ) from error
        return CheckedInstrument(f"wallet …{account[-_SHOWN:]}", account)

    def take(self, order: PayoutOrder) -> Accepted | Rejected:
        """Paid, under the attempt's own id."""
        return Accepted(AttemptState.PAID, order.attempt_id)

    async def submit(self, order: PayoutOrder) -> Accepted | Rejected:
        """The same answer however often it is asked."""
        return self.take(order)

    async def query(self, order: PayoutOrder) -> Accepted | Rejected:
        """What `submit` answered."""
        return self.take(order)

    def due_at(self, now: datetime) -> datetime | None:  # noqa: ARG002 - the port's signature
        """Nothing is left to do outside."""
        return None

    def workers(self, parts: RailParts) -> Sequence[Worker]:  # noqa: ARG002 - the port's signature
        """None: there is no provider."""
        return ()
