"""Of O14: a batch of transfers that was answered says what a fact for each of its items would say."""

from collections.abc import Iterator, Mapping
from typing import Any

ANSWERED = "ledger.batch.answered.v1"
POSTED, REJECTED = "ledger.journal.posted.v1", "ledger.journal.rejected.v1"
Told = tuple[str, Mapping[str, Any]]


def facts_of(kind: str, body: Mapping[str, Any]) -> Iterator[Told]:
    """The types and bodies of the facts an event stands for: itself, or one for each item."""
    if kind != ANSWERED:
        yield kind, body
        return
    for item, answer in zip(_objects(body, "items"), _objects(body, "answers"), strict=False):
        own = {"journal_id": item.get("journal_id"), "reference": item.get("reference")}
        yield (
            POSTED if answer.get("code") is None else REJECTED,
            {**body, **own, **answer, "occurred_at": answer.get("recorded_at")},
        )


def unanswered(kind: str, body: Mapping[str, Any]) -> bool:
    """Whether a batch has not one answer for each item."""
    return kind == ANSWERED and len(_objects(body, "items")) != len(_objects(body, "answers"))


def _objects(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = body.get(name)
    if not isinstance(found, list):
        return []
    return [one if isinstance(one, dict) else {} for one in found]
