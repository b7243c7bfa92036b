"""Facts of the ledger as movements: each leg once for each of its two accounts."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from tally_contracts.base import Event
from tally_contracts.ledger import (
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    JournalPosted,
    JournalReversed,
)
from tally_contracts.operations_history import TOLD_APART
from tally_messaging import Received
from tally_portfolio.domain.books import Movement, flow_of, minor_of
from tally_portfolio.domain.projection import Projection
from tally_portfolio.wire.reading import Reader, five_ws

_IMPORTED = "import"
_Side = tuple[str, int, int]


def _add(
    projection: Projection, event_id: str, event: Any, *, sides: tuple[_Side, ...], **leg: Any
) -> None:
    """One movement for each side: its account, and what is posted and held on it."""
    accounts = [account for account, _, _ in sides]
    for (account, posted, held), counter in zip(sides, reversed(accounts), strict=True):
        projection.add_movement(
            Movement(
                account=account,
                at=event.occurred_at,
                log_seq=event.log_seq,
                ledger=event.ledger,
                posted=posted,
                held=held,
                flow=flow_of(event.reference),
                counter=None if counter == account else counter,
                reference=event.reference,
                five_ws=five_ws(event),
                event_id=event_id,
                **leg,
            )
        )


def _legs(message: Received[Any], _: datetime, projection: Projection) -> None:
    event: JournalPosted | JournalReversed = message.event
    if event.where.channel == _IMPORTED and event.reference.startswith(f"{TOLD_APART}_"):
        return
    for leg in event.legs:
        amount = minor_of(leg.amount.amount, leg.amount.currency)
        _add(
            projection,
            message.envelope.id,
            event,
            sides=((leg.debit, -amount, 0), (leg.credit, amount, 0)),
            transfer_id=leg.id,
            kind="reversal" if isinstance(event, JournalReversed) else "journal",
            currency=leg.amount.currency,
            journal=event.journal_id,
            code=leg.code,
            effective_at=event.effective_at,
        )


def _placed(message: Received[HoldPlaced], _: datetime, projection: Projection) -> None:
    event = message.event
    amount = minor_of(event.amount.amount, event.amount.currency)
    sides = ((event.debit, 0, amount), (event.credit, 0, 0))
    _hold(projection, message, "hold", transfer_id=event.hold_id, sides=sides)


def _captured(message: Received[HoldCaptured], _: datetime, projection: Projection) -> None:
    event = message.event
    amount = minor_of(event.amount.amount, event.amount.currency)
    sides = ((event.debit, -amount, -amount), (event.credit, amount, 0))
    _hold(projection, message, "capture", transfer_id=event.transfer_id, sides=sides)


def _released(message: Received[HoldReleased], _: datetime, projection: Projection) -> None:
    event = message.event
    amount = minor_of(event.amount.amount, event.amount.currency)
    sides = ((event.debit, 0, -amount),)
    _hold(projection, message, "release", transfer_id=event.transfer_id, sides=sides)


def _hold(
    projection: Projection,
    message: Received[Any],
    kind: str,
    *,
    transfer_id: str,
    sides: tuple[_Side, ...],
) -> None:
    """A hold's step; on the account in whose favour it is, nothing moves until it is captured."""
    event = message.event
    _add(
        projection,
        message.envelope.id,
        event,
        sides=sides if kind == "capture" else sides[:1],
        transfer_id=transfer_id,
        kind=kind,
        currency=event.amount.currency,
        journal=event.hold_id,
        code=kind,
        effective_at=event.occurred_at,
    )


READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {
        JournalPosted: _legs,
        JournalReversed: _legs,
        HoldPlaced: _placed,
        HoldCaptured: _captured,
        HoldReleased: _released,
    }
)
