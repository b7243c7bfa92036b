"""What the programs service listens to."""

from collections.abc import Sequence
from typing import Any

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_contracts.payouts import PayoutChanged
from tally_messaging import Received, Router, Subscription, UnitOfWork
from tally_programs.service.apply import COMMANDS, ProgramService

TOPICS = (
    "programs.commands.v1",
    "directory.wallets.v1",
    "funding.pay_in.v1",
    "ledger.journals.v1",
    "payouts.payout.v1",
)


def build_router(service: ProgramService) -> Router:
    """One fold over all inputs, so that a batch is one load and one save whatever is in it."""
    router = Router("programs", [Subscription(name, types=topic(name).types) for name in TOPICS])

    @router.fold(
        *COMMANDS, WalletOpened, PayInAllocated, JournalPosted, JournalRejected, PayoutChanged
    )
    async def apply(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await service.apply(uow, messages)

    return router
