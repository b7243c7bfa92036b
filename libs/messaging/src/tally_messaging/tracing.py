"""Trace context across the database hop: stored with the outbox row, sent with the record.

One trace follows a payment through every service: a published event's span is a child of the span
of the event that caused it. A batch has a span of its own, linked to every record's.
Span names follow OpenTelemetry's messaging conventions, which are still in development: only this
module knows them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags, Tracer
from pydantic import BaseModel

from tally_messaging.records import Received

_LINKS_MAX = 128


def publishing_traceparent(tracer: Tracer | None, topic: str, inherited: str | None) -> str | None:
    """The `traceparent` to store with an event: of a new child span, or the inherited one when tracing is off."""
    if tracer is None:
        return inherited
    parent = _context(inherited)
    span = tracer.start_span(
        f"send {topic}",
        context=None if parent is None else trace.set_span_in_context(NonRecordingSpan(parent)),
        kind=SpanKind.PRODUCER,
        attributes={"messaging.system": "kafka", "messaging.destination.name": topic},
    )
    recorded = span.is_recording()
    span.end()
    return _text(span.get_span_context()) if recorded else inherited


@contextmanager
def batch_span(
    tracer: Tracer | None, consumer: str, messages: Sequence[Received[BaseModel]]
) -> Iterator[None]:
    """The span of one batch, linked to the spans of its records."""
    if tracer is None:
        yield
        return
    contexts = (_context(message.envelope.cause.traceparent) for message in messages[:_LINKS_MAX])
    links = [Link(context) for context in contexts if context is not None]
    with tracer.start_as_current_span(
        f"process {consumer}",
        kind=SpanKind.CONSUMER,
        links=links,
        attributes={
            "messaging.system": "kafka",
            "messaging.consumer.group.name": consumer,
            "messaging.batch.message_count": len(messages),
        },
    ):
        yield


def _context(traceparent: str | None) -> SpanContext | None:
    if traceparent is None:
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return context if context.is_valid else None


def _text(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
