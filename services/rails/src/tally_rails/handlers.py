"""What the rails service listens to."""

from collections.abc import Iterable, Sequence
from typing import Any

from tally_contracts.rails import CancelAttempt, RegisterInstrument, SubmitPayout
from tally_messaging import Received, Router, Subscription, UnitOfWork
from tally_rails.service import RailsService


def build_router(service: RailsService, rails: Iterable[str]) -> Router:
    """One fold over the instruments' commands and those of each rail."""
    topics = ("rails.commands.v1", *(f"rails.{rail}.commands.v1" for rail in rails))
    router = Router("rails", [Subscription(topic) for topic in topics])

    @router.fold(RegisterInstrument, SubmitPayout, CancelAttempt)
    async def apply(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await service.apply(uow, messages)

    return router
