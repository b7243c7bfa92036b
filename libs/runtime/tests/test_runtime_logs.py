import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tally_runtime import configure_logging, configure_tracing, get_logger

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    seen: list[str] = []

    def read() -> list[dict[str, object]]:
        seen.extend(capsys.readouterr().err.splitlines())
        return [json.loads(line) for line in seen]

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # basicConfig closes the handlers it replaces: pytest's own stay out of its reach.
    root.handlers[:] = []
    configure_logging("ledger", "INFO")
    yield read
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_time_level_event_and_keys(lines: Lines) -> None:
    get_logger("tally_ledger.service").info("hold_placed", hold_id="h_1", amount_minor=1250)
    (line,) = lines()
    assert list(line)[:4] == ["time", "level", "event", "service"]
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "level": "info",
        "event": "hold_placed",
        "service": "ledger",
        "logger": "tally_ledger.service",
        "hold_id": "h_1",
        "amount_minor": 1250,
    }


def test_levels_below_the_setting_are_silent(lines: Lines) -> None:
    get_logger("x").debug("seen")
    logging.getLogger("lib").debug("seen")
    assert lines() == []


def test_a_logger_made_before_the_configuration_follows_it(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = get_logger("early")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("later", "INFO")
    log.info("seen")
    assert json.loads(stream.getvalue())["service"] == "later"
    assert lines() == []


def test_library_logs_come_in_the_same_form_and_are_redacted(lines: Lines) -> None:
    logging.getLogger("asyncpg").warning("cannot reach %s", "postgresql://tally:s3cret@db/tally")
    (line,) = lines()
    assert line["event"] == "library_message"
    assert line["logger"] == "asyncpg"
    assert line["message"] == "cannot reach postgresql://tally:[redacted]@db/tally"


def test_sentences_are_no_event_names_and_lose_their_data(lines: Lines) -> None:
    get_logger("x").info("Sent mail to jo@example.com")
    (line,) = lines()
    assert (line["event"], line["message"]) == ("library_message", "Sent mail to [redacted]")


def test_no_canary_reaches_the_log_by_any_way(lines: Lines) -> None:
    canary = "jo.doe@example.com"
    log = get_logger("x")
    with structlog.contextvars.bound_contextvars(note=canary):
        log.info("bound", extra={"deep": [{"email": canary}, (canary,)]}, payee_name=canary)
    try:
        int(canary)
    except ValueError:
        log.exception("failed")
        logging.getLogger("lib").exception("failed for %s", canary)
    text = json.dumps(lines())
    assert len(lines()) == 3
    assert "ValueError" in text
    assert "jo.doe" not in text


def test_a_newline_in_a_value_cannot_forge_a_second_line(lines: Lines) -> None:
    get_logger("x").info("refused", reason='bad\n{"event": "paid"}')
    assert [line["event"] for line in lines()] == ["refused"]


def test_a_line_within_a_span_leads_to_its_trace(lines: Lines) -> None:
    tracing = configure_tracing("ledger", None, InMemorySpanExporter())
    assert tracing.provider is not None
    with tracing.provider.get_tracer("t").start_as_current_span("work") as span:
        get_logger("x").info("inside")
    get_logger("x").info("outside")
    inside, outside = lines()
    assert inside["trace_id"] == format(span.get_span_context().trace_id, "032x")
    assert "trace_id" not in outside


def test_a_terminal_gets_readable_lines_that_are_redacted_too(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("ledger", "INFO", json=False)
    try:
        int("jo@example.com")
    except ValueError:
        get_logger("x").exception("hold_refused", email="jo@example.com")
    assert "hold_refused" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "jo@example.com" not in stream.getvalue()
