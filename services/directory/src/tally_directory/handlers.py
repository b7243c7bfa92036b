"""What the directory listens to."""

from collections.abc import Sequence
from typing import Any

from tally_contracts.catalogue import topic
from tally_contracts.directory import COMMANDS
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import AssetRegistered
from tally_directory.service import Directory
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS_TOPIC = "directory.commands.v1"
PAY_INS = "funding.pay_in.v1"
ACCOUNTS = "ledger.accounts.v1"


def build_router(directory: Directory) -> Router:
    """One fold over all inputs, so that a batch is one load and one save whatever is in it."""
    router = Router(
        "directory",
        [
            # Keyed by tenant: one that cannot be read must not hold up the others of its tenant.
            Subscription(COMMANDS_TOPIC, ordered=False, types=topic(COMMANDS_TOPIC).types),
            Subscription(PAY_INS, types=topic(PAY_INS).types),
            Subscription(ACCOUNTS, types=topic(ACCOUNTS).types),
        ],
    )

    @router.fold(*COMMANDS, PayInAllocated, AssetRegistered)
    async def apply(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await directory.apply(uow, messages)

    return router
