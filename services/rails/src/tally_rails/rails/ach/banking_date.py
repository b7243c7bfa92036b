"""Which day it is at the bank."""

from datetime import date
from typing import ClassVar
from zoneinfo import ZoneInfo

import httpx

from tally_runtime import Clock

_TIMEOUT_S = 5.0


class BankingDateUnknown(Exception):  # noqa: N818 - named for what it says
    """The sandbox clock gave no date: nothing is settled until it does."""

    code: ClassVar[str] = "banking_date_unknown"
    retryable: ClassVar[bool] = True


class BankingDate:
    """The clock's date in the bank's zone, or with `sandbox_url` the simulator's."""

    def __init__(self, zone: ZoneInfo, sandbox_url: str | None) -> None:
        self._zone = zone
        self._url = sandbox_url

    async def today(self, clock: Clock) -> date:
        """Raises BankingDateUnknown where the sandbox does not answer."""
        if self._url is None:
            return clock.now().astimezone(self._zone).date()
        try:
            # Certificates are loaded only where they are needed: that takes a second.
            async with httpx.AsyncClient(
                timeout=_TIMEOUT_S, verify=self._url.startswith("https:"), trust_env=False
            ) as client:
                answer = await client.get(self._url)
                answer.raise_for_status()
                body = answer.json()
            return date.fromisoformat(body["date"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise BankingDateUnknown(
                f"{self._url} gave no date ({type(error).__name__}); start the simulator or correct "
                "TALLY_RAILS_ACH_SANDBOX_CLOCK_URL"
            ) from error
