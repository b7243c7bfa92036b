"""What people ask of money for unknown payees, and of unclaimed money."""

from collections.abc import Sequence

from tally_contracts.funding_claims import IssueClaim, RedeemClaim, Redesignate
from tally_contracts.funding_unclaimed import (
    ConfirmOwner,
    DecideFiling,
    DecideReclaim,
    ProposeFiling,
    ProposeReclaim,
)
from tally_funding.claims import service, unclaimed
from tally_funding.claims.service import Claims, Command
from tally_funding.claims.unclaimed import Deed
from tally_messaging import Received, Router, UnitOfWork


def register(router: Router, claims: Claims) -> None:
    """Let the router carry out commands about unclaimed money."""

    @router.fold(IssueClaim, RedeemClaim, Redesignate)
    async def ordered(uow: UnitOfWork, messages: Sequence[Received[Command]]) -> None:
        await service.order(uow, claims, messages)

    @router.fold(ProposeFiling, DecideFiling, ProposeReclaim, DecideReclaim)
    async def filed(uow: UnitOfWork, messages: Sequence[Received[Deed]]) -> None:
        for message in messages:
            await unclaimed.order(uow, claims.books, message)

    @router.fold(ConfirmOwner)
    async def confirmed(uow: UnitOfWork, messages: Sequence[Received[ConfirmOwner]]) -> None:
        await unclaimed.confirm(uow, messages)
