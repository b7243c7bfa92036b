"""Traces over OTLP, or none at all."""

from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter

_TRACES_PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Tracing:
    """What `configure_tracing` set up; without a provider, spans are no-ops."""

    provider: TracerProvider | None

    def shutdown(self) -> None:
        """Send what is still held, then stop."""
        if self.provider is not None:
            self.provider.shutdown()


def configure_tracing(
    service: str, endpoint: str | None, exporter: SpanExporter | None = None
) -> Tracing:
    """Send spans to an OTLP/HTTP collector such as http://collector:4318; None turns traces off.

    An `exporter` is used instead of the endpoint, span by span, and is not made the process's
    default: a test hands the provider on.
    """
    if endpoint is None and exporter is None:
        return Tracing(None)
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}), shutdown_on_exit=False
    )
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Tracing(provider)
    # Imported here: it brings an HTTP client that an untraced process need not load.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    assert endpoint is not None
    base = endpoint.rstrip("/")
    url = base if base.endswith(_TRACES_PATH) else base + _TRACES_PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    trace.set_tracer_provider(provider)
    return Tracing(provider)
