"""Exactly-one-effect consumption and gap-free publication. See README.md."""

from tally_messaging.envelope import Cause, Envelope, encode_headers, outgoing_headers
from tally_messaging.errors import (
    MessagingError,
    OversizeEvent,
    QuarantineNotFound,
    ReplayRefused,
    TransientFault,
)
from tally_messaging.records import Received, Refused, Skipped
from tally_messaging.router import Router, Subscription
from tally_messaging.service import (
    MESSAGING_MIGRATIONS,
    Service,
    Worker,
    WorkerContext,
    service_schema,
)
from tally_messaging.settings import MessagingSettings
from tally_messaging.unit_of_work import Transactor, UnitOfWork
from tally_messaging.watch import Watch

__all__ = [
    "MESSAGING_MIGRATIONS",
    "Cause",
    "Envelope",
    "MessagingError",
    "MessagingSettings",
    "OversizeEvent",
    "QuarantineNotFound",
    "Received",
    "Refused",
    "ReplayRefused",
    "Router",
    "Service",
    "Skipped",
    "Subscription",
    "Transactor",
    "TransientFault",
    "UnitOfWork",
    "Watch",
    "Worker",
    "WorkerContext",
    "encode_headers",
    "outgoing_headers",
    "service_schema",
]
