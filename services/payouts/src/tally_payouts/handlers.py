"""What the payouts service listens to."""

from collections.abc import Sequence
from typing import Any

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_claims import DesignationMoved
from tally_contracts.kyc import GateTablePublished, LevelChanged, LimitTablePublished
from tally_contracts.ledger import (
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    JournalRejected,
)
from tally_contracts.payouts import CancelPayout, ChooseMethod, RequestPayout
from tally_contracts.programs import ProgramPolicyPublished
from tally_contracts.rails import AttemptChanged, InstrumentRefused, InstrumentRegistered
from tally_messaging import Received, Router, Subscription, UnitOfWork
from tally_payouts.batch import ID_PREFIX
from tally_payouts.service import PayoutService

JOURNALS = "ledger.journals.v1"

TOPICS = (
    "payouts.commands.v1",
    "funding.pay_in.v1",
    JOURNALS,
    "ledger.holds.v1",
    "rails.instruments.v1",
    "rails.attempts.v1",
    "programs.programs.v1",
    "funding.claims.v1",
    "kyc.identity.v1",
    "directory.parties.v1",
)

_OF_PAYOUTS = ID_PREFIX.encode()


def build_router(service: PayoutService) -> Router:
    """One fold over all inputs, so that a batch is one load and one save whatever is in it."""
    router = Router(
        "payouts",
        [
            Subscription(
                name,
                types=topic(name).types,
                wants=_is_of_a_payout if name == JOURNALS else None,
            )
            for name in TOPICS
        ],
    )

    @router.fold(
        PayInAllocated,
        RequestPayout,
        ChooseMethod,
        CancelPayout,
        HoldPlaced,
        HoldCaptured,
        HoldReleased,
        HoldRejected,
        JournalPosted,
        JournalRejected,
        InstrumentRegistered,
        InstrumentRefused,
        AttemptChanged,
        ProgramPolicyPublished,
        DesignationMoved,
        LevelChanged,
        GateTablePublished,
        LimitTablePublished,
        PartiesMerged,
    )
    async def apply(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await service.apply(uow, messages)

    return router


def _is_of_a_payout(key: bytes | None) -> bool:
    """Whether a journal may bring a payout's money back: nearly all are of pay-ins."""
    return key is not None and key.startswith(_OF_PAYOUTS)
