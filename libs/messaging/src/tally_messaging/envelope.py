"""The envelope: CloudEvents 1.0 in Kafka's binary mode, plus what Tallystick adds.

Source: CloudEvents Kafka Protocol Binding 1.0.2 (attributes as headers `ce_*`, data as the value)
and W3C Trace Context (`traceparent`).
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

CE_SPECVERSION = "ce_specversion"
CE_ID = "ce_id"
CE_SOURCE = "ce_source"
CE_TYPE = "ce_type"
CE_TIME = "ce_time"
CE_SUBJECT = "ce_subject"
CE_DATASCHEMA = "ce_dataschema"
CONTENT_TYPE_HEADER = "content-type"
TRACEPARENT = "traceparent"
CORRELATION_ID = "tally_correlation_id"
CAUSATION_ID = "tally_causation_id"
TENANT = "tally_tenant"
ACTOR = "tally_actor"

REQUIRED = (CE_SPECVERSION, CE_ID, CE_SOURCE, CE_TYPE)
KNOWN = frozenset(
    (
        *REQUIRED,
        CE_TIME,
        CE_SUBJECT,
        CE_DATASCHEMA,
        CONTENT_TYPE_HEADER,
        TRACEPARENT,
        CORRELATION_ID,
        CAUSATION_ID,
        TENANT,
        ACTOR,
    )
)

Headers = list[tuple[str, bytes]]


class Cause(NamedTuple):
    """What a new event inherits from the one that led to it; kept in rows across a pause."""

    correlation_id: str
    causation_id: str | None = None
    tenant: str = "main"
    actor: str | None = None
    traceparent: str | None = None

    def to_text(self) -> str:
        """A text for a database column; `from_text` reads it back."""
        return json.dumps(
            [self.correlation_id, self.causation_id, self.tenant, self.actor, self.traceparent],
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, text: str) -> "Cause":
        correlation_id, causation_id, tenant, actor, traceparent = json.loads(text)
        return cls(correlation_id, causation_id, tenant, actor, traceparent)


class Envelope(NamedTuple):
    """The headers of one record, read."""

    id: str
    source: str
    type: str
    cause: Cause
    subject: str | None = None
    time: str | None = None


def outgoing_headers(
    *, event_id: str, source: str, event_type: str, at: datetime, subject: str, cause: Cause
) -> dict[str, str]:
    """The headers of a record about to be published; `at` is UTC."""
    headers = {
        CONTENT_TYPE_HEADER: CONTENT_TYPE,
        CE_SPECVERSION: SPEC_VERSION,
        CE_ID: event_id,
        CE_SOURCE: source,
        CE_TYPE: event_type,
        CE_TIME: _time_text(at),
        CE_SUBJECT: subject,
        CE_DATASCHEMA: f"urn:tallystick:schema:{event_type}",
        CORRELATION_ID: cause.correlation_id,
        TENANT: cause.tenant,
    }
    if cause.causation_id is not None:
        headers[CAUSATION_ID] = cause.causation_id
    if cause.actor is not None:
        headers[ACTOR] = cause.actor
    if cause.traceparent is not None:
        headers[TRACEPARENT] = cause.traceparent
    return headers


@lru_cache(maxsize=16)
def _time_text(at: datetime) -> str:
    """All events of a unit of work are of one moment, so its text is kept."""
    return at.isoformat().replace("+00:00", "Z")


def encode_headers(headers: dict[str, str]) -> Headers:
    """Headers as aiokafka sends them."""
    return [(name, value.encode()) for name, value in headers.items()]
