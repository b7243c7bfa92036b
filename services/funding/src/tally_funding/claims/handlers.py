"""What companies and claimants ask of unclaimed money."""

from collections.abc import Sequence

from tally_contracts.funding_claims import IssueClaim, RedeemClaim, Redesignate
from tally_funding.claims import service
from tally_funding.claims.service import Claims, Command
from tally_messaging import Received, Router, UnitOfWork


def register(router: Router, claims: Claims) -> None:
    """Let the router carry out commands about unclaimed money."""

    @router.fold(IssueClaim, RedeemClaim, Redesignate)
    async def ordered(uow: UnitOfWork, messages: Sequence[Received[Command]]) -> None:
        await service.order(uow, claims, messages)
