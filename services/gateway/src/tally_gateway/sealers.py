"""What the gateway seals before it goes on: contacts for the directory, bank details for the rails."""

from collections.abc import Mapping
from dataclasses import dataclass

from tally_contracts.directory import SealPlace
from tally_railkit.sealing import seal as seal_details
from tally_security.sealing import Place, SealingKey, seal


@dataclass(frozen=True, slots=True)
class Sealers:
    """The current keys of those who read what is sealed here. The gateway itself opens nothing."""

    directory: SealingKey
    rails: SealingKey

    def for_directory(self, text: str, place: SealPlace, *, tenant: str, row: str) -> str:
        """A text for one row of the directory."""
        table, column = place
        return seal(text, self.directory, Place(tenant, table, column, row))

    def for_rails(self, details: Mapping[str, str], *, instrument_id: str, rail: str) -> str:
        """Details of one instrument of one rail."""
        return seal_details(details, self.rails, instrument_id=instrument_id, rail=rail)
