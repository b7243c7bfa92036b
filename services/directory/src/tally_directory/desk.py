"""What a command is worked on with: what is known, who asks, and what will be told."""

from dataclasses import dataclass, field
from typing import Any

from tally_contracts.base import Event, Who
from tally_directory.books import Books
from tally_directory.domain.access import Act
from tally_directory.domain.world import World
from tally_directory.vault import Vault

PARTIES = "directory.parties.v1"
WALLETS = "directory.wallets.v1"
LEDGER = "ledger.commands.v1"


@dataclass(frozen=True, slots=True)
class Told:
    """An event to publish."""

    topic: str
    key: str
    event: Event


@dataclass(slots=True)
class Desk:
    """One command's. The first fact told is the command's answer."""

    world: World
    act: Act
    who: Who
    reason: str
    books: Books
    vault: Vault
    told: list[Told] = field(default_factory=list)

    def said(self, tenant: str) -> dict[str, Any]:
        """What every fact of this command says beside its own fields."""
        return {
            "tenant": tenant,
            "who": self.who,
            "reason": self.reason,
            "occurred_at": self.act.now,
        }

    def tell(self, topic: str, key: str, event: Event) -> None:
        """Publish an event once the batch is committed."""
        self.told.append(Told(topic, key, event))
