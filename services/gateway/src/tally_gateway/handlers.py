"""The facts the gateway listens to: all that commands lead to, and all that parties may read."""

from collections.abc import Mapping, Sequence
from typing import Any

from tally_contracts.catalogue import topic
from tally_contracts.operations_history import FactBrought
from tally_contracts.registry import BY_TYPE
from tally_gateway.bell import Bell
from tally_gateway.projection import fold
from tally_gateway.routes.payouts import TRANSFER_PREFIX
from tally_messaging import Received, Router, Subscription, UnitOfWork

JOURNALS = "ledger.journals.v1"
HISTORY = "operations.history.v1"
FACT_TOPICS = (
    "directory.parties.v1",
    "directory.wallets.v1",
    "programs.programs.v1",
    "kyc.identity.v1",
    "funding.pay_in.v1",
    "funding.statements.v1",
    "funding.rules.v1",
    "funding.sources.v1",
    "funding.agreements.v1",
    "funding.claims.v1",
    "payouts.payout.v1",
    "rails.instruments.v1",
    "gateway.step_up.v1",
    HISTORY,
    JOURNALS,
)
JOURNAL_TYPES = ("ledger.journal.posted.v1", "ledger.journal.rejected.v1")
_TYPES: Mapping[str, Sequence[str]] = {JOURNALS: JOURNAL_TYPES, HISTORY: (FactBrought.TYPE,)}


def build_router(bell: Bell) -> Router:
    """One fold over all facts, so that a batch is a constant number of statements."""
    router = Router(
        "gateway",
        [
            Subscription(
                name,
                types=_types(name),
                wants=_is_transfer if name == JOURNALS else None,
            )
            for name in FACT_TOPICS
        ],
    )
    types = {event_type for name in FACT_TOPICS for event_type in _types(name)}

    @router.fold(*(BY_TYPE[event_type] for event_type in sorted(types)))
    async def learn(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await fold(uow, messages, bell.ring)

    return router


def _types(name: str) -> Sequence[str]:
    """What is read of a topic: all it carries, unless it says otherwise above."""
    return _TYPES.get(name, topic(name).types)


def _is_transfer(key: bytes | None) -> bool:
    """Whether a journal is a transfer between wallets that was asked for here, by its reference.

    The journals of pay-ins and payouts are told by those services' own facts.
    """
    return key is not None and key.startswith(TRANSFER_PREFIX.encode() + b"_")
