"""What the library emits by itself has the shape the contracts promise."""

import json
from dataclasses import replace
from typing import Any

from tally_contracts.operations import RecordQuarantined as Contract
from tally_messaging.notices import QUARANTINE_TOPIC, RecordQuarantined


async def test_the_notice_of_a_quarantined_record_parses_by_the_contract(
    toy: Any, step: Any
) -> None:
    strange = replace(step("p", 2), value=b'{"name": "\\u0000", "n": "x\\u0001"}')
    await toy.processor.process([strange])
    row = await toy.pool.fetchrow("SELECT topic, payload FROM outbox")
    assert row["topic"] == QUARANTINE_TOPIC
    event = Contract.model_validate_json(row["payload"])
    assert (event.consumer, event.topic, event.offset) == ("toy", "toy.in", 2)
    assert set(RecordQuarantined.model_fields) == set(Contract.model_fields)
    assert Contract.TYPE == RecordQuarantined.TYPE
    assert json.loads(row["payload"])["occurred_at"].endswith("Z")
