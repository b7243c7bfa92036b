"""What happened in the installation a tenant came from: shown as it was there, marked as brought."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from tally_contracts.base import Event
from tally_contracts.operations_history import TYPES, FactBrought, HopBrought, MovementBrought
from tally_contracts.registry import BY_TYPE
from tally_messaging import Received
from tally_messaging.envelope import Cause, Envelope
from tally_messaging.records import UnfetchedRecord
from tally_portfolio.domain.books import Movement, flow_of
from tally_portfolio.domain.projection import Hop, Projection
from tally_portfolio.wire.reading import Reader, five_ws


def unwrapped(message: Received[FactBrought]) -> Iterator[Received[Any]]:
    """The fact as it was published there; none of a type that is not told again.

    Raises ValueError for a payload that is no such fact.
    """
    told = message.event
    if told.fact_type not in TYPES:
        return
    envelope = Envelope(
        told.fact_key,
        told.source,
        told.fact_type,
        Cause(told.correlation, told.causation),
        time=told.recorded_at.isoformat(),
    )
    event = BY_TYPE[told.fact_type].model_validate_json(told.fact)
    record = UnfetchedRecord(told.topic, told.fact.encode())
    yield Received(event, envelope, record, message.event_key, message.body_hash)


def _hop(message: Received[HopBrought], _: datetime, projection: Projection) -> None:
    told = message.event
    summary = json.loads(told.summary)
    if not isinstance(summary, dict):
        raise ValueError("the summary of a hop is an object")  # noqa: TRY004 - as of any wrong value
    projection.add_hop(
        Hop(
            told.fact_key,
            told.subject,
            told.correlation,
            told.causation,
            told.fact_type,
            told.topic,
            told.service,
            told.occurred_at,
            told.recorded_at,
            summary,
            told.about,
        )
    )
    projection.mark_brought(told.fact_key)


def _movement(message: Received[MovementBrought], _: datetime, projection: Projection) -> None:
    told = message.event
    projection.add_movement(
        Movement(
            account=told.account,
            at=told.occurred_at,
            log_seq=told.log_seq,
            transfer_id=told.transfer_id,
            kind=told.kind,
            ledger=told.ledger,
            currency=told.currency,
            posted=int(told.posted),
            held=int(told.held),
            flow=flow_of(told.reference),
            counter=told.counter,
            journal=told.journal,
            reference=told.reference,
            code=told.code,
            effective_at=told.effective_at,
            five_ws=five_ws(told),
            event_id=told.fact_key,
            brought=True,
        )
    )


READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {HopBrought: _hop, MovementBrought: _movement}
)
