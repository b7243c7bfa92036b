"""Which event goes to which use case."""

from collections.abc import Iterable, Sequence

from tally_contracts.catalogue import topic
from tally_contracts.funding import FundingReceived, ImportStatement
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_funding import service
from tally_funding.answers.store import for_every_tenant
from tally_funding.service import Announcement, Answer, Funding
from tally_funding.statements.service import import_statement
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS = "funding.commands.v1"
JOURNALS = "ledger.journals.v1"


def build_router(funding: Funding, sources: Iterable[str], reference_program: str | None) -> Router:
    """The one consumer of this service, over every topic it reads."""
    family = topic("funding.inbound.{source}.v1")
    by_topic = {family.named(source): source for source in sources}
    router = Router(
        "funding",
        [
            # A publisher may write to its own topic only: the ledger's facts on it would be forged.
            *(
                Subscription(name, ordered=False, untrusted=True, types=family.types)
                for name in by_topic
            ),
            Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types),
            Subscription(JOURNALS, types=topic(JOURNALS).types),
        ],
    )

    @router.fold(FundingReceived)
    async def received(uow: UnitOfWork, messages: Sequence[Received[FundingReceived]]) -> None:
        tenant = funding.books.tenant
        await service.book(
            uow,
            funding,
            [
                # The topic says whose money it is: a publisher's own tenant header does not.
                Announcement(by_topic[m.topic], m.event, m.cause._replace(tenant=tenant))
                for m in messages
            ],
        )

    @router.each(ImportStatement)
    async def imported(uow: UnitOfWork, message: Received[ImportStatement]) -> None:
        await for_every_tenant(uow.conn)
        await import_statement(uow, funding, message, reference_program)

    @router.fold(JournalPosted, JournalRejected)
    async def answered(uow: UnitOfWork, messages: Sequence[Received[Answer]]) -> None:
        await service.settle(uow, funding, messages)

    return router
