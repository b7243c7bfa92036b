"""Which command and which answer of the ledger goes to which use case.

A consumer of its own beside the one that books pay-ins: of the ledger's facts it reads those whose
key says that they are about a return, a settlement or a match, and no others.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from tally_contracts.catalogue import topic
from tally_contracts.funding_sources import ReceiveWebhook, ReturnPayIn, SettleReceivable
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_funding.refunds import service as refunds
from tally_funding.refunds import settlements
from tally_funding.refunds.answers import LedgerAnswer, settle_returns
from tally_funding.service import Funding
from tally_funding.sources.webhooks import take_webhook
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS: Final = "funding.sources.commands.v1"
JOURNALS: Final = "ledger.journals.v1"
_OURS: Final = tuple(prefix.encode() for prefix in (refunds.PREFIX, settlements.PREFIX))


def is_ours(key: bytes | None) -> bool:
    """Whether a journal's reference is of this consumer's."""
    return key is not None and key.startswith(_OURS)


def build_sources_router(funding: Funding) -> Router:
    """The consumer of sources' commands and of the ledger's answers to them."""
    books = funding.books
    router = Router(
        "funding-sources",
        [
            Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types),
            Subscription(JOURNALS, types=topic(JOURNALS).types, wants=is_ours),
        ],
    )

    @router.each(ReceiveWebhook)
    async def webhook(uow: UnitOfWork, message: Received[ReceiveWebhook]) -> None:
        await take_webhook(uow, funding, message)

    @router.each(ReturnPayIn)
    async def to_return(uow: UnitOfWork, message: Received[ReturnPayIn]) -> None:
        await refunds.take_command(uow, books, message)

    @router.each(SettleReceivable)
    async def to_settle(uow: UnitOfWork, message: Received[SettleReceivable]) -> None:
        await settlements.take_command(uow, books, message)

    @router.fold(JournalPosted, JournalReversed, JournalRejected)
    async def answered(uow: UnitOfWork, messages: Sequence[Received[LedgerAnswer]]) -> None:
        ordered = sorted(messages, key=_prefix)
        for prefix, group in groupby(ordered, key=_prefix):
            answers = list(group)
            if prefix == refunds.PREFIX:
                await settle_returns(uow, books, answers)
            else:
                await settlements.settle(uow, answers)

    return router


def _prefix(message: Received[LedgerAnswer]) -> str:
    return message.event.reference.partition("_")[0] + "_"
