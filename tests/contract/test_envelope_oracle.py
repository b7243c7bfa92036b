"""Our envelope as the reference implementation of CloudEvents reads and writes it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent
from pydantic import BaseModel

from tally_contracts.generate.asyncapi import envelope_schema
from tally_contracts.generate.schemas import schema_id
from tally_contracts.operations import RecordQuarantined
from tally_messaging import Cause, envelope, notices
from tally_messaging.parser import Expected, parse
from tally_messaging.quarantine import SetAside
from tally_messaging.records import Received

AT = datetime(2026, 9, 21, 13, 46, 40, 250_000, tzinfo=UTC)
ID = str(UUID(int=1))
TYPE = RecordQuarantined.TYPE
CAUSE = Cause(
    correlation_id="corr-1",
    causation_id="cause-1",
    tenant="main",
    actor="svc:funding",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
EVENT = RecordQuarantined(
    consumer="funding",
    topic="funding.inbound.bank-feed.v1",
    partition=2,
    offset=40117,
    code="not_json",
    detail="the value is not JSON",
    occurred_at=AT,
)


@dataclass(frozen=True)
class ConsumedRecord:
    """A record as a consumer hands it over."""

    topic: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    offset: int = 7
    key: bytes | None = None


def _ours() -> dict[str, str]:
    return envelope.outgoing_headers(
        event_id=ID, source="/tallystick/main/funding", event_type=TYPE, at=AT, subject="funding",
        cause=CAUSE,
    )  # fmt: skip


def test_reference_implementation_reads_every_attribute_of_our_records() -> None:
    headers = dict(envelope.encode_headers(_ours()))
    value = EVENT.model_dump_json().encode()
    read = from_binary_event(KafkaMessage(headers=headers, key=b"funding", value=value))
    assert read.get_specversion() == "1.0"
    assert read.get_id() == ID
    assert read.get_source() == "/tallystick/main/funding"
    assert read.get_type() == TYPE
    assert read.get_time() == AT
    assert read.get_subject() == "funding"
    assert read.get_dataschema() == schema_id(TYPE)
    assert read.get_datacontenttype() == "application/json"
    assert read.get_data() == json.loads(value)


def test_reference_implementation_names_and_writes_headers_as_we_do() -> None:
    event = CloudEvent(
        {
            "specversion": "1.0", "id": ID, "source": "/tallystick/main/funding", "type": TYPE,
            "time": AT, "subject": "funding", "dataschema": schema_id(TYPE),
            "datacontenttype": "application/json",
        },
        {},
    )  # fmt: skip
    theirs = to_binary_event(event).headers
    ours = dict(envelope.encode_headers(_ours()))
    assert {name: ours.get(name) for name in theirs} == theirs
    extra = ours.keys() - theirs.keys()
    assert {name for name in extra if not name.startswith("tally_")} == {"traceparent"}


def test_our_parser_reads_what_the_reference_implementation_wrote() -> None:
    event = CloudEvent(
        {"id": ID, "source": "/elsewhere", "type": TYPE, "datacontenttype": "application/json"},
        EVENT.model_dump(mode="json"),
    )
    message = to_binary_event(event)
    record = ConsumedRecord(
        "operations.quarantine.v1", message.value, tuple(message.headers.items())
    )
    read = parse(record, Expected({TYPE: RecordQuarantined}))
    assert isinstance(read, Received)
    assert read.event == EVENT
    assert (read.envelope.id, read.envelope.source) == (ID, "/elsewhere")


def test_documented_headers_are_those_we_send_and_read() -> None:
    documented = envelope_schema()
    assert documented["properties"].keys() == envelope.KNOWN == _ours().keys()
    assert tuple(documented["required"]) == envelope.REQUIRED


def test_messaging_library_announces_quarantine_in_the_shape_of_the_contract() -> None:
    item = SetAside(
        record=ConsumedRecord("funding.inbound.bank-feed.v1", b"{"),
        code="not_json",
        field=None,
        detail="line\x00 two\n" * 100,
        blocks=False,
    )
    notice = notices.RecordQuarantined.of("funding", item, AT)
    assert isinstance(notice, BaseModel)
    assert notices.RecordQuarantined.TYPE == TYPE
    assert notices.RecordQuarantined.model_fields.keys() == RecordQuarantined.model_fields.keys()
    read = RecordQuarantined.model_validate_json(notice.model_dump_json())
    assert (read.consumer, read.code, read.occurred_at) == ("funding", "not_json", AT)
