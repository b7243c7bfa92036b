"""What all readers of facts share."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tally_contracts.base import MoneyEvent
from tally_messaging import Received
from tally_portfolio.domain.projection import Hop, Projection

Summary = dict[str, object]
Reader = Callable[[Received[Any], datetime, Projection], None]


def recorded_at(message: Received[Any]) -> datetime:
    """When the service wrote the fact down; its own time where the envelope has none."""
    written = message.envelope.time
    if written is not None:
        try:
            at = datetime.fromisoformat(written)
        except ValueError:
            pass  # a time nobody can read is as good as none
        else:
            if at.tzinfo is not None:
                return at
    occurred_at: datetime = message.event.occurred_at
    return occurred_at


def five_ws(event: MoneyEvent) -> Summary:
    """Who, where and why; what and when are the event's own fields."""
    return {
        "who": [event.who.actor, event.who.principal],
        "where": [event.where.channel, event.where.country],
        "why": [event.why.program, event.why.event, event.why.reason],
    }


def add_hop(
    projection: Projection,
    message: Received[Any],
    subject: str,
    recorded_at: datetime,
    summary: Mapping[str, object],
    *,
    about: str | None = None,
) -> None:
    """Keep a fact as a hop, `about` another thing than its subject too; no value, no field."""
    envelope = message.envelope
    projection.add_hop(
        Hop(
            envelope.id,
            subject,
            envelope.cause.correlation_id,
            envelope.cause.causation_id,
            envelope.type,
            message.record.topic,
            envelope.source.rpartition("/")[2] or envelope.source,
            message.event.occurred_at,
            recorded_at,
            {name: value for name, value in summary.items() if value is not None},
            about,
        )
    )
