"""The second consumer of funding: escrow agreements, and money for unknown payees."""

from collections.abc import Sequence

from tally_contracts.catalogue import topic
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_funding.escrow import handlers as escrow
from tally_funding.escrow import service as escrow_service
from tally_funding.escrow.service import LedgerAnswer
from tally_funding.parties import handlers as parties
from tally_funding.postings import Books
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS = "funding.agreements.commands.v1"
TOPICS = ("ledger.journals.v1", "funding.pay_in.v1", "payouts.payout.v1", parties.PARTIES)


def build_router(books: Books) -> Router:
    """The consumer, over commands, the ledger's answers and the facts that conditions name."""
    router = Router(
        "funding_agreements",
        [
            Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types),
            *(Subscription(name, types=topic(name).types) for name in TOPICS),
        ],
    )
    parties.register(router)
    escrow.register(router, books)

    @router.fold(JournalPosted, JournalRejected)
    async def answered(uow: UnitOfWork, messages: Sequence[Received[LedgerAnswer]]) -> None:
        await escrow_service.settle(uow, books, messages)

    return router
