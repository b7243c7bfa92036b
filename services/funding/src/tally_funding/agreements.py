"""The second consumer of funding: escrow agreements, money for unknown payees, unclaimed money."""

import re
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_contracts.payouts import MethodChosen, PayoutChanged
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import filings, following, owners, reclaims
from tally_funding.claims import handlers as claims_handlers
from tally_funding.claims.service import Claims
from tally_funding.claims.topics import LedgerFact
from tally_funding.escrow import handlers as escrow_handlers
from tally_funding.escrow import service as escrow
from tally_funding.parties import handlers as parties
from tally_funding.receipts import learning
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS = ("funding.agreements.commands.v1", "funding.unclaimed.commands.v1")
JOURNALS = "ledger.journals.v1"
PAYOUTS = "payouts.payout.v1"
TOPICS = ("funding.pay_in.v1", parties.PARTIES, "directory.wallets.v1")
_OF_PAY_INS = tuple(prefix.encode() for prefix in following.BY_PAY_INS)
_PAID_OR_OF_NO_PAY_IN: Final = {
    PayoutChanged.TYPE: re.compile(rf'"{escrow.PAID}"|"pay_in_id"\s*:\s*null'.encode())
}
"""What is paid says so, and what was asked for is of no pay-in; other payouts need not be read."""


def _may_concern(key: bytes | None) -> bool:
    """Whether a journal may move what is kept here: those of pay-ins, nearly all, funding tells itself."""
    return key is None or not key.startswith(_OF_PAY_INS)


def _is_paid_or_asked_for(event: BaseModel) -> bool:
    """Whether a payout has come to the state that conditions and balances go by, or was asked for."""
    if not isinstance(event, PayoutChanged):
        return True
    return event.state == escrow.PAID or owners.is_asked_for(event)


def build_router(claims: Claims) -> Router:
    """The consumer, over commands, the ledger's answers and the facts that conditions name."""
    router = Router(
        "funding.agreements",
        [
            *(Subscription(name, ordered=False, types=topic(name).types) for name in COMMANDS),
            *(Subscription(name, types=topic(name).types) for name in TOPICS),
            Subscription(JOURNALS, types=topic(JOURNALS).types, wants=_may_concern),
            learning.SUBSCRIPTION,
            Subscription(
                PAYOUTS,
                types=topic(PAYOUTS).types,
                glance=_PAID_OR_OF_NO_PAY_IN,
                heeds=_is_paid_or_asked_for,
            ),
        ],
    )
    parties.register(router)
    learning.register(router)
    escrow_handlers.register(router, claims.books)
    claims_handlers.register(router, claims)

    @router.fold(JournalPosted, JournalReversed, JournalRejected)
    async def posted(uow: UnitOfWork, messages: Sequence[Received[LedgerFact]]) -> None:
        brought = await escrow.settle(uow, claims.books, messages)
        filed = await filings.find_answered(uow, messages)
        returned = await reclaims.find_answered(uow, messages)
        brought = [*brought, *reclaims.brought(claims.books, returned, messages)]
        touched = await following.find_touched(uow, messages, brought)
        await following.lock(uow, touched, {kept.reclaim.line.account for kept in returned})
        await filings.answer(uow, filed, messages)
        await reclaims.answer(uow, returned, messages)
        await following.follow(uow, claims.books, touched)

    @router.fold(PayInAllocated)
    async def allocated(uow: UnitOfWork, messages: Sequence[Received[PayInAllocated]]) -> None:
        await escrow.see(uow, claims.books, messages)
        await for_every_tenant(uow.conn)
        await following.lock_allocated(uow, messages)
        await following.designate(uow, claims.books, messages)
        await owners.brought(uow, messages)

    @router.fold(PayoutChanged)
    async def paid(uow: UnitOfWork, messages: Sequence[Received[PayoutChanged]]) -> None:
        await escrow.see(uow, claims.books, messages)
        await owners.paid(uow, claims.books, messages)

    @router.fold(MethodChosen)
    async def chosen(uow: UnitOfWork, messages: Sequence[Received[MethodChosen]]) -> None:
        await owners.chosen(uow, claims.books, messages)

    @router.fold(WalletOpened)
    async def opened(uow: UnitOfWork, messages: Sequence[Received[WalletOpened]]) -> None:
        await owners.opened(uow, claims.books, messages)

    return router
