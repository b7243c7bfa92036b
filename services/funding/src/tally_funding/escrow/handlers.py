"""What escrow listens to."""

from collections.abc import Sequence

from tally_contracts.funding_escrow import (
    ApproveRelease,
    ArbitrateAgreement,
    DisputeAgreement,
    FundAgreement,
    PresentDocument,
    ProposeAgreement,
    RefundAgreement,
    ReleaseAgreement,
)
from tally_funding.escrow import service
from tally_funding.escrow.reading import Command
from tally_funding.postings import Books
from tally_messaging import Received, Router, UnitOfWork


def register(router: Router, books: Books) -> None:
    """Let the router carry out orders."""

    @router.fold(
        ProposeAgreement,
        FundAgreement,
        ApproveRelease,
        PresentDocument,
        ReleaseAgreement,
        RefundAgreement,
        DisputeAgreement,
        ArbitrateAgreement,
    )
    async def ordered(uow: UnitOfWork, messages: Sequence[Received[Command]]) -> None:
        await service.order(uow, books, messages)
