"""A whole ACH file: what it says, without what can be computed from that."""

from dataclasses import dataclass

from tally_bankfiles.nacha.dialects import AnyEntry, AnyHeader
from tally_bankfiles.nacha.file_records import FileHeader


@dataclass(frozen=True, slots=True)
class Batch:
    """A header and its entries: both domestic, or both international."""

    header: AnyHeader
    entries: tuple[AnyEntry, ...]


@dataclass(frozen=True, slots=True)
class AchFile:
    header: FileHeader
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class LocatedEntry:
    """An entry as a stream yields it, with the line it starts on and the batch it stands in."""

    line: int
    batch: AnyHeader
    entry: AnyEntry
