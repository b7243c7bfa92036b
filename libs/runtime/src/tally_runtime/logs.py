"""Structured logs: one JSON line per outcome on stderr, an event name and its keys, redacted."""

import logging
import re
import sys
from typing import TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from tally_runtime.redaction import redact, redact_text

_EVENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")
# Their values are made here, not by callers; they open every line.
_FIRST_KEYS = ("time", "level", "event", "service")


class _CurrentStderr:
    """Whatever standard error is when a line is written: a test or a shell may have replaced it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logging(service: str, level: str = "INFO", *, json: bool = True) -> None:
    """Send structlog and the standard library's logs to stderr, in one form and redacted.

    `json` False writes coloured lines for a person at a terminal.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared = _shared_processors(service, json=json)
    render: Processor = (
        structlog.processors.JSONRenderer(default=_fallback)
        if json
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _CurrentStderr())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast("TextIO", _CurrentStderr()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines carry `logger=name`; made before or after `configure_logging`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(module=name))


def _shared_processors(service: str, *, json: bool) -> list[Processor]:
    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        if "module" in event:  # structlog keeps the word `logger` for itself as an argument
            event["logger"] = event.pop("module")
        return event

    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_trace,
        structlog.processors.format_exc_info,
        name_event,
        redact_event,
    ]
    if not json:
        processors.remove(structlog.processors.format_exc_info)
        processors.insert(5, structlog.processors.ExceptionRenderer())
    return processors


def add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the ids of the current span, so that a log line leads to its trace."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def name_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep `event` a snake_case name: a sentence, as libraries write, moves to `message`."""
    text = str(event.get("event", ""))
    if _EVENT_NAME.fullmatch(text) is None:
        event["event"] = "library_message"
        event["message"] = text
    return event


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Apply `tally_runtime.redaction` to every key a caller gave; the line starts with time and level."""
    clean: EventDict = {key: event.pop(key) for key in _FIRST_KEYS if key in event}
    for key, value in event.items():
        # Private keys belong to structlog's formatter and are removed before rendering.
        clean[key] = value if key.startswith("_") else redact(key, value)
    return clean


def _fallback(value: object) -> str:
    return redact_text(str(value))
