"""What the portfolio listens to: every fact, in whatever order it comes."""

from collections.abc import Sequence
from typing import Any

from tally_contracts.catalogue import topic
from tally_messaging import Received, Router, Subscription, UnitOfWork
from tally_portfolio import store
from tally_portfolio.domain.projection import Projection
from tally_portfolio.wire import FACTS, project

TOPICS = (
    "funding.pay_in.v1",
    "ledger.journals.v1",
    "ledger.holds.v1",
    "payouts.payout.v1",
    "rails.attempts.v1",
    "ledger.accounts.v1",
    "operations.quarantine.v1",
    "operations.history.v1",
    "directory.parties.v1",
    "directory.wallets.v1",
    "funding.agreements.v1",
    "funding.claims.v1",
    "funding.rules.v1",
    "funding.sources.v1",
    "programs.programs.v1",
)


def build_router() -> Router:
    """One fold over all facts. No order is asked for: rows are put in order when they are read."""
    router = Router(
        "portfolio",
        [Subscription(name, ordered=False, types=topic(name).types) for name in TOPICS],
    )
    router.fold(*FACTS)(keep)
    return router


async def keep(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
    """Keep what a batch of facts says, with one statement per kind of row."""
    projection = Projection()
    for message in messages:
        project(message, projection)
    await store.save(uow.conn, projection)
