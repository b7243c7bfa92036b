"""Facts of the installation a tenant came from, for its parties' logs: each once, however often told."""

import uuid
from collections.abc import Sequence
from typing import Any

from tally_contracts.operations_history import TYPES, FactBrought
from tally_contracts.registry import BY_TYPE
from tally_gateway.store import log
from tally_messaging import Received
from tally_messaging.envelope import Cause, Envelope
from tally_messaging.records import UnfetchedRecord
from tally_postgres import Connection


async def told_first(
    conn: Connection, facts: Sequence[Received[Any]]
) -> list[tuple[Received[Any], str]]:
    """Those of the facts that were brought, as they were published there, unless logs have them.

    Each with the tenant it was brought for: an import has no say in any other's logs. Raises
    ValueError for what is no such fact.
    """
    told = {
        uuid.UUID(fact.event.fact_key): fact
        for fact in facts
        if isinstance(fact.event, FactBrought) and fact.event.fact_type in TYPES
    }
    if not told:
        return []
    known = await log.known(conn, {key: fact.event.tenant for key, fact in told.items()})
    return [
        (_as_it_was(fact, key), fact.event.tenant) for key, fact in told.items() if key not in known
    ]


def _as_it_was(fact: Received[FactBrought], key: uuid.UUID) -> Received[Any]:
    told = fact.event
    envelope = Envelope(
        told.fact_key, told.source, told.fact_type, Cause(told.correlation, told.causation)
    )
    event = BY_TYPE[told.fact_type].model_validate_json(told.fact)
    record = UnfetchedRecord(told.topic, told.fact.encode())
    return Received(event, envelope, record, key, fact.body_hash)
