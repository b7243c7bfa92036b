"""One trace follows a payment across the database: producer spans are children of what caused them."""

import json
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tally_messaging.envelope import CAUSATION_ID, CORRELATION_ID, TRACEPARENT
from tally_runtime import configure_tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def _headers(toy: Any) -> dict[str, str]:
    row = await toy.pool.fetchval("SELECT headers FROM outbox WHERE topic = 'toy.out'")
    headers: dict[str, str] = json.loads(row)
    return headers


def _traced(step: Any) -> Any:
    record = step("a", 1)
    more = ((TRACEPARENT, PARENT.encode()), (CORRELATION_ID, b"pay-1"))
    return replace(record, headers=(*record.headers, *more))


async def test_an_event_continues_the_trace_of_its_cause(toy: Any, step: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = configure_tracing("toy", None, exporter).provider
    assert provider is not None
    traced = replace(toy.processor.transactor, tracer=provider.get_tracer("test"))
    await replace(toy.processor, transactor=traced).process([_traced(step)])
    headers = await _headers(toy)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    sent, processed = spans["send toy.out"], spans["process toy"]
    assert headers[TRACEPARENT] == f"00-{TRACE}-{sent.context.span_id:016x}-01"
    assert sent.parent is not None
    assert f"{sent.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert [f"{link.context.trace_id:032x}" for link in processed.links] == [TRACE]
    provider.shutdown()


async def test_without_tracing_the_context_passes_through(toy: Any, step: Any) -> None:
    await toy.processor.process([_traced(step)])
    headers = await _headers(toy)
    assert headers[TRACEPARENT] == PARENT
    assert headers[CORRELATION_ID] == "pay-1"
    assert headers[CAUSATION_ID] == "a-1"
