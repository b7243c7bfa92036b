"""The second consumer of funding: escrow agreements, and money for unknown payees."""

from collections.abc import Sequence

from pydantic import BaseModel

from tally_contracts.catalogue import topic
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_contracts.payouts import PayoutChanged
from tally_funding.claims import following
from tally_funding.claims import handlers as claims_handlers
from tally_funding.claims.following import LedgerFact
from tally_funding.claims.service import Claims
from tally_funding.escrow import handlers as escrow_handlers
from tally_funding.escrow import service as escrow
from tally_funding.escrow.service import Fact
from tally_funding.parties import handlers as parties
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS = "funding.agreements.commands.v1"
JOURNALS = "ledger.journals.v1"
PAYOUTS = "payouts.payout.v1"
TOPICS = ("funding.pay_in.v1", parties.PARTIES)
_OF_PAY_INS = tuple(prefix.encode() for prefix in following.BY_PAY_INS)


def _may_concern(key: bytes | None) -> bool:
    """Whether a journal may move what is kept here: those of pay-ins, nearly all, funding tells itself."""
    return key is None or not key.startswith(_OF_PAY_INS)


def _is_paid(event: BaseModel) -> bool:
    """Whether a payout has come to the one state that a condition can name."""
    return not isinstance(event, PayoutChanged) or event.state == escrow.PAID


def build_router(claims: Claims) -> Router:
    """The consumer, over commands, the ledger's answers and the facts that conditions name."""
    router = Router(
        "funding.agreements",
        [
            Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types),
            *(Subscription(name, types=topic(name).types) for name in TOPICS),
            Subscription(JOURNALS, types=topic(JOURNALS).types, wants=_may_concern),
            Subscription(PAYOUTS, types=topic(PAYOUTS).types, heeds=_is_paid),
        ],
    )
    parties.register(router)
    escrow_handlers.register(router, claims.books)
    claims_handlers.register(router, claims)

    @router.fold(JournalPosted, JournalReversed, JournalRejected)
    async def posted(uow: UnitOfWork, messages: Sequence[Received[LedgerFact]]) -> None:
        await escrow.settle(uow, claims.books, messages)
        await following.follow(uow, claims.books, messages)

    @router.fold(PayInAllocated, PayoutChanged)
    async def told(uow: UnitOfWork, messages: Sequence[Received[Fact]]) -> None:
        await escrow.see(uow, claims.books, messages)
        await following.designate(uow, claims.books, messages)

    return router
