"""Sending a stored file and asking about it: the rail's `PayoutRail` over SFTP."""

import re
from datetime import timedelta
from typing import Final

from tally_railkit import Accepted, AttemptState, Pending, Result, Unknown
from tally_rails.rails.ach.client import BankError, BankLine, UploadInDoubt
from tally_rails.rails.ach.store import StoredFile

NOT_FOUND: Final = "not_found"


class AchTransmission:
    """The same file, the same name, the same bytes, however often; the bank executes it once."""

    def __init__(self, line: BankLine, retry: timedelta) -> None:
        self._line = line
        self._retry = retry

    async def submit(self, file: StoredFile) -> Result:
        """Hand the file in. `Pending`: nothing left; `Unknown`: it may have."""
        try:
            async with self._line.session() as bank:
                await bank.upload(file.name, file.content)
        except UploadInDoubt as error:
            return Unknown(str(error))
        except BankError as error:
            return Pending(self._retry, f"{error.code}: {error}")
        return Accepted(AttemptState.SUBMITTED, file.name)

    async def query(self, file: StoredFile) -> Result:
        """Look for the file in the bank's folder, then for any acknowledgement of it.

        `Unknown(NOT_FOUND)` proves nothing by itself: the bank may have it in work.
        """
        mark = re.compile(re.escape(file.name) + r"(\.[0-9]+)?\.ack")
        try:
            async with self._line.session() as bank:
                found = file.name in await bank.waiting() or any(
                    mark.fullmatch(item.name) for item in await bank.outbound()
                )
        except BankError as error:
            return Pending(self._retry, f"{error.code}: {error}")
        return Accepted(AttemptState.SUBMITTED, file.name) if found else Unknown(NOT_FOUND)
