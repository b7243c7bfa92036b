"""Which command and which answer of the ledger goes to which use case.

A consumer of its own beside the one that books pay-ins: of the ledger's facts it reads those whose
key says that they are about a return, a settlement or a match, and no others.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import FundingDetailsIssued
from tally_contracts.funding_sources import (
    DecideEntry,
    DecideMatch,
    EnterPayIn,
    ExpectPayIn,
    ReceiveWebhook,
    ReturnPayIn,
    SettleReceivable,
)
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_funding.answers.store import for_every_tenant
from tally_funding.matching import expecting
from tally_funding.matching import service as matching
from tally_funding.matching.answers import settle_matches
from tally_funding.refunds import service as refunds
from tally_funding.refunds import settlements
from tally_funding.refunds.answers import LedgerAnswer, settle_returns
from tally_funding.service import Funding
from tally_funding.sources import entries
from tally_funding.sources.webhooks import take_webhook
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS: Final = "funding.sources.commands.v1"
JOURNALS: Final = "ledger.journals.v1"
PARTIES: Final = "directory.parties.v1"
_OURS: Final = tuple(
    prefix.encode() for prefix in (refunds.PREFIX, settlements.PREFIX, matching.PREFIX)
)


def is_ours(key: bytes | None) -> bool:
    """Whether a journal's reference is of this consumer's."""
    return key is not None and key.startswith(_OURS)


def build_sources_router(funding: Funding, account_program: str) -> Router:
    """The consumer of sources' commands and of the ledger's answers to them.

    `account_program` is the program of money that quotes a virtual account.
    """
    books = funding.books
    router = Router(
        "funding.sources",
        [
            Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types),
            Subscription(JOURNALS, types=topic(JOURNALS).types, wants=is_ours),
            Subscription(PARTIES, types=(FundingDetailsIssued.TYPE,)),
        ],
    )

    _take_by_hand(router, funding)
    _take_expectations(router, funding, account_program)

    @router.each(ReceiveWebhook)
    async def webhook(uow: UnitOfWork, message: Received[ReceiveWebhook]) -> None:
        await for_every_tenant(uow.conn)
        await take_webhook(uow, funding, message)

    @router.each(ReturnPayIn)
    async def to_return(uow: UnitOfWork, message: Received[ReturnPayIn]) -> None:
        await for_every_tenant(uow.conn)
        await refunds.take_command(uow, books, message)

    @router.each(SettleReceivable)
    async def to_settle(uow: UnitOfWork, message: Received[SettleReceivable]) -> None:
        await for_every_tenant(uow.conn)
        await settlements.take_command(uow, books, message)

    @router.fold(JournalPosted, JournalReversed, JournalRejected)
    async def answered(uow: UnitOfWork, messages: Sequence[Received[LedgerAnswer]]) -> None:
        await for_every_tenant(uow.conn)
        ordered = sorted(messages, key=_prefix)
        for prefix, group in groupby(ordered, key=_prefix):
            answers = list(group)
            if prefix == refunds.PREFIX:
                await settle_returns(uow, books, answers)
            elif prefix == matching.PREFIX:
                await settle_matches(uow, answers)
            else:
                await settlements.settle(uow, answers)

    return router


def _take_by_hand(router: Router, funding: Funding) -> None:
    @router.each(EnterPayIn)
    async def entered(uow: UnitOfWork, message: Received[EnterPayIn]) -> None:
        await for_every_tenant(uow.conn)
        await entries.propose(uow, message)

    @router.each(DecideEntry)
    async def entry_decided(uow: UnitOfWork, message: Received[DecideEntry]) -> None:
        await for_every_tenant(uow.conn)
        await entries.decide(uow, funding, message)


def _take_expectations(router: Router, funding: Funding, account_program: str) -> None:
    @router.each(ExpectPayIn)
    async def expected(uow: UnitOfWork, message: Received[ExpectPayIn]) -> None:
        await for_every_tenant(uow.conn)
        await expecting.take_expectation(uow, message)

    @router.each(FundingDetailsIssued)
    async def issued(uow: UnitOfWork, message: Received[FundingDetailsIssued]) -> None:
        await for_every_tenant(uow.conn)
        await expecting.take_virtual_account(uow, account_program, message)

    @router.each(DecideMatch)
    async def match_decided(uow: UnitOfWork, message: Received[DecideMatch]) -> None:
        await for_every_tenant(uow.conn)
        await matching.take_decision(uow, funding, message)


def _prefix(message: Received[LedgerAnswer]) -> str:
    return message.event.reference.partition("_")[0] + "_"
