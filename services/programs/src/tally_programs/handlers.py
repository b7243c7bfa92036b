"""What the programs service listens to."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_contracts.payouts import PayoutChanged
from tally_messaging import Received, Router, Subscription, UnitOfWork
from tally_programs.batch import COUNTING_STATES, PAYMENT_PREFIX
from tally_programs.service.apply import COMMANDS, ProgramService

JOURNALS = "ledger.journals.v1"
PAYOUTS = "payouts.payout.v1"
TOPICS = ("programs.commands.v1", "directory.wallets.v1", "funding.pay_in.v1")
_COUNTING: Final = {
    PayoutChanged.TYPE: re.compile(f'"(?:{"|".join(sorted(COUNTING_STATES))})"'.encode())
}
"""A payout that counts names such a state; most are told of others, and need not be read."""


def _is_of_a_payment(key: bytes | None) -> bool:
    """Whether a journal's reference, its record's key, is a payment of a program."""
    return key is not None and key.startswith(PAYMENT_PREFIX.encode())


def _counts(event: BaseModel) -> bool:
    """Whether a payout has come to a state that changes what is paid for a payable."""
    return not isinstance(event, PayoutChanged) or event.state in COUNTING_STATES


def build_router(service: ProgramService) -> Router:
    """One fold over all inputs, so that a batch is one load and one save whatever is in it."""
    router = Router(
        "programs",
        [
            *(Subscription(name, types=topic(name).types) for name in TOPICS),
            Subscription(JOURNALS, types=topic(JOURNALS).types, wants=_is_of_a_payment),
            Subscription(PAYOUTS, types=topic(PAYOUTS).types, glance=_COUNTING, heeds=_counts),
        ],
    )

    @router.fold(
        *COMMANDS, WalletOpened, PayInAllocated, JournalPosted, JournalRejected, PayoutChanged
    )
    async def apply(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await service.apply(uow, messages)

    return router
