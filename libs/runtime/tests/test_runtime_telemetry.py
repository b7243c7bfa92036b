import subprocess
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tally_runtime import configure_tracing


def test_without_an_endpoint_spans_are_no_ops_and_no_exporter_is_loaded() -> None:
    code = (
        "import sys; from tally_runtime import configure_tracing;"
        "from opentelemetry import trace;"
        "tracing = configure_tracing('ledger', None);"
        "assert tracing.provider is None; tracing.shutdown();"
        "assert not trace.get_tracer('x').start_span('y').is_recording();"
        "assert not any(name.startswith('opentelemetry.exporter') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_spans_name_their_service() -> None:
    exporter = InMemorySpanExporter()
    tracing = configure_tracing("ledger", None, exporter)
    assert tracing.provider is not None
    with tracing.provider.get_tracer("t").start_as_current_span("work"):
        assert trace.get_current_span().is_recording()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.resource.attributes["service.name"]) == ("work", "ledger")
    tracing.shutdown()


def test_spans_reach_a_collector_over_otlp_http() -> None:
    code = """
import http.server, threading
from opentelemetry import trace
from tally_runtime import configure_tracing

seen = []

class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen.append((self.path, self.headers["Content-Type"], len(body) > 0))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        return

server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
tracing = configure_tracing("ledger", f"http://127.0.0.1:{server.server_port}")
with trace.get_tracer("t").start_as_current_span("work"):
    assert trace.get_current_span().is_recording()
tracing.shutdown()
assert seen == [("/v1/traces", "application/x-protobuf", True)], seen
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
