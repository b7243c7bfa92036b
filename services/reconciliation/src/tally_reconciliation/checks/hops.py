"""Of O14: the hop that the portfolio shows of an event says what the event says."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tally_postgres import Record
from tally_reconciliation.findings import Findings

_ALWAYS_SHOWN = frozenset(
    {
        "funding.pay_in.received.v1",
        "funding.pay_in.allocated.v1",
        "funding.pay_in.suspended.v1",
        "ledger.account.opened.v1",
        "ledger.journal.posted.v1",
        "ledger.journal.reversed.v1",
        "ledger.hold.placed.v1",
        "ledger.hold.captured.v1",
        "ledger.hold.released.v1",
        "payouts.payout.changed.v1",
        "rails.attempt.changed.v1",
    }
)
_PARTS: Mapping[str, tuple[str, ...]] = {
    "who": ("actor", "principal"),
    "where": ("channel", "country"),
    "why": ("program", "event", "reason"),
}


def judge_hop(found: Findings, schema: str, row: Record) -> None:
    """Compare an event of a service's outbox with the hop of the same id, where it has one."""
    headers, body = _object(row["headers"]), _object(row["payload"])
    where = {"service": schema, "event": row["event_id"], "table": "portfolio.hop"}
    if row["hop"] is None:
        if row["portfolio"] is not None and headers.get("ce_type") in _ALWAYS_SHOWN:
            found.wrong("hop_missing", **where)
        return
    said = {
        "event_type": (row["hop_type"], headers.get("ce_type")),
        "topic": (row["hop_topic"], row["topic"]),
        "service": (row["hop_service"], str(headers.get("ce_source", "")).rpartition("/")[2]),
        "correlation_id": (row["hop_correlation"], headers.get("tally_correlation_id")),
        "causation_id": (row["hop_causation"], headers.get("tally_causation_id")),
        "occurred_at": (row["hop_occurred"], _time(body.get("occurred_at"))),
        "recorded_at": (row["hop_recorded"], _time(headers.get("ce_time"))),
    }
    differing = [name for name, (shown, told) in said.items() if shown != told]
    differing += _summary(row["hop_summary"], body)
    if differing:
        found.wrong("hop_differs_from_event", **where, columns=" ".join(differing))


def _summary(summary: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    """Parts of a summary that are in the event under the same name and say something else."""
    differing = []
    for name, shown in summary.items():
        told = body.get(name)
        if name in _PARTS and isinstance(told, dict):
            told = [told.get(part) for part in _PARTS[name]]
        elif isinstance(told, dict) and name == "amount":
            told = told.get("amount")
        elif name not in body or isinstance(told, list | dict):
            continue
        if shown != told:
            differing.append(f"summary.{name}")
    return differing


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _object(raw: str | bytes) -> Mapping[str, Any]:
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
