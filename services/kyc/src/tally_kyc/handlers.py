"""What the service listens to."""

from collections.abc import Sequence
from typing import Any

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import (
    ConnectionChanged,
    ConsentGiven,
    ConsentWithdrawn,
    PartiesMerged,
    PartyRegistered,
)
from tally_contracts.kyc import COMMANDS
from tally_kyc.commands.following import heeds
from tally_kyc.service import Identity
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS_TOPIC = "kyc.commands.v1"
PARTIES = "directory.parties.v1"
FACTS = (PartyRegistered, PartiesMerged, ConsentGiven, ConsentWithdrawn, ConnectionChanged)


def build_router(identity: Identity) -> Router:
    """One fold over both inputs, so that a batch is one load and one save whatever is in it."""
    router = Router(
        "kyc",
        [
            # Keyed by tenant: one that cannot be read must not hold up the others of its tenant.
            Subscription(COMMANDS_TOPIC, ordered=False, types=topic(COMMANDS_TOPIC).types),
            Subscription(PARTIES, types=topic(PARTIES).types, heeds=heeds),
        ],
    )

    @router.fold(*COMMANDS, *FACTS)
    async def apply(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await identity.apply(uow, messages)

    return router
