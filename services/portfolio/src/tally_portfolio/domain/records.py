"""Things of which facts tell the whole state each time: the newest fact stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

FIRST = 1
"""The part a thing is nothing without: what its first fact tells."""

RETURNED = "returned"
"""The kind of record that says how much of a pay-in went back; its subject is the pay-in."""


RETURN = "return"
"""The kind of record of one refund, chargeback or reinstatement; it is under its pay-in."""


class Record(NamedTuple):
    """What the newest fact of one sort tells of a thing.

    A thing has one record for each part of its story that a fact of another sort tells; what was told
    later overrides what was told before. `under`: the thing whose viewers see this one, None if it has its own.
    `told` holds fields by their names on the wire, and `who`, `where`, `why` as lists. `version` sorts
    as facts of this part follow each other.
    """

    kind: str
    subject: str
    part: int
    under: str | None
    version: str
    at: datetime
    told: Mapping[str, object]


def merged(parts: Sequence[Record]) -> dict[str, object] | None:
    """What all parts of one thing tell together; None if its first fact has not come yet."""
    if not any(record.part == FIRST for record in parts):
        return None
    told: dict[str, object] = {}
    for record in sorted(parts, key=lambda record: record.version):
        told |= record.told
    return told


def numbered(sequence: int) -> str:
    """The version of a fact that counts its thing's changes."""
    return f"{sequence:020d}"
