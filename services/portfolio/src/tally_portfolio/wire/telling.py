"""How a fact is read whose fields are the state of a thing: by a table, not by code of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_contracts.base import Event
from tally_messaging import Received
from tally_portfolio.domain.projection import Projection
from tally_portfolio.domain.records import FIRST, Record, numbered
from tally_portfolio.domain.tree import version
from tally_portfolio.wire.reading import Reader

Told = dict[str, Any]
_WS = {
    "who": ("actor", "principal"),
    "where": ("channel", "country"),
    "why": ("program", "event", "reason"),
}


@dataclass(frozen=True, slots=True)
class Telling:
    """What one sort of fact tells of a thing.

    `subject` names the thing, `keeps` what is kept of the fact, `whose` the owners it is about, each
    by the fact's fields; `who` among the owners is the principal. `under` names the thing whose
    viewers see this one. `belongs` names things whose keepers it is also of, and `keeper` who keeps
    this one. `leads` names ids that lead to the thing. `versioned`: each version of the thing is one of its own. `says` are fields that follow from the fact. `by_sequence`: facts count
    the thing's changes.
    """

    kind: str
    subject: str
    keeps: tuple[str, ...]
    whose: tuple[str, ...] = ()
    part: int = FIRST
    under: str | None = None
    belongs: tuple[str, ...] = ()
    keeper: str | None = None
    leads: tuple[str, ...] = ()
    by_sequence: bool = False
    versioned: bool = False
    says: Callable[[Told], Mapping[str, object]] = lambda _: {}


def reader_of(*tellings: Telling) -> Reader:
    """Reads a fact as its rows of the table say."""

    def read(message: Received[Any], at: datetime, projection: Projection) -> None:
        for telling in tellings:
            _tell(telling, message, at, projection)

    return read


def _tell(telling: Telling, message: Received[Any], at: datetime, projection: Projection) -> None:
    event: Event = message.event
    told: Told = event.model_dump(mode="json")
    subject = str(told[telling.subject])
    kept: dict[str, object] = {telling.subject: subject}
    if telling.versioned:
        subject = f"{subject}:{told['version']}"
    kept |= {name: told[name] for name in telling.keeps}
    kept |= telling.says(told)
    kept |= {
        word: [told[word][part] for part in parts]
        for word, parts in _WS.items()
        if isinstance(told.get(word), dict)
    }
    occurred_at: datetime = message.event.occurred_at
    projection.add_record(
        Record(
            telling.kind,
            subject,
            telling.part,
            None if telling.under is None else str(told[telling.under]),
            numbered(told["sequence"])
            if telling.by_sequence
            else version(occurred_at, message.envelope.id),
            at,
            kept,
        )
    )
    if telling.under is None:
        owners = [
            told["who"]["principal"] if name == "who" else told[name] for name in telling.whose
        ]
        projection.involve(subject, telling.kind, at, *owners)
    for name in telling.leads:
        projection.add_key(told[name], subject, at, shared=True)
    for name in telling.belongs:
        things = told[name] if isinstance(told[name], list) else [told[name]]
        projection.belong(subject, telling.kind, at, *things)
    if telling.keeper is not None:
        projection.keep(subject, told[telling.keeper])
