"""From facts as they are published to what is kept of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tally_contracts.base import Event
from tally_contracts.ledger_batches import BatchAnswered
from tally_contracts.operations_history import FactBrought
from tally_messaging import Received
from tally_portfolio.domain.projection import Projection
from tally_portfolio.wire import (
    brought,
    directory,
    movements,
    notices,
    payments,
    programs,
    records,
)
from tally_portfolio.wire.reading import recorded_at

_PARTS = (
    payments.READERS,
    movements.READERS,
    directory.READERS,
    records.READERS,
    programs.READERS,
    notices.READERS,
    brought.READERS,
)

FACTS: tuple[type[Event], ...] = (
    *dict.fromkeys(fact for part in _PARTS for fact in part),
    BatchAnswered,
    FactBrought,
)
"""Every type of fact that is read."""


def project(message: Received[Any], projection: Projection) -> None:
    """Add what a fact says to the projection."""
    for told in _each(message):
        at = recorded_at(told)
        for part in _PARTS:
            read = part.get(type(told.event))
            if read is not None:
                read(told, at, projection)
        if isinstance(message.event, FactBrought):
            projection.mark_brought(told.envelope.id)


def _each(message: Received[Any]) -> Iterator[Received[Any]]:
    """The fact, or each answer of a batch as the fact it would have been alone, with an id of its own.

    A fact that was brought is what it was where it came from.
    """
    if isinstance(message.event, FactBrought):
        yield from brought.unwrapped(message)
        return
    if not isinstance(message.event, BatchAnswered):
        yield message
        return
    for number, fact in enumerate(message.event.facts()):
        envelope = message.envelope
        own = envelope._replace(id=f"{envelope.id}.{number}", type=fact.TYPE)
        yield replace(message, event=fact, envelope=own)
