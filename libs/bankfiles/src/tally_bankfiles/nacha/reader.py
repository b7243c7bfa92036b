"""Reading ACH files: whole, or entry by entry."""

from collections.abc import Iterable, Iterator

from tally_bankfiles.nacha.dialects import AnyEntry, AnyHeader
from tally_bankfiles.nacha.errors import NachaFileError
from tally_bankfiles.nacha.file_records import FileHeader
from tally_bankfiles.nacha.model import AchFile, Batch, LocatedEntry
from tally_bankfiles.nacha.records import iter_records
from tally_bankfiles.nacha.scanner import Event, Scanner


def read_file(data: bytes) -> AchFile:
    """Read a whole file; raises NachaFileError with every broken rule.

    Takes missing padding, trimmed lines, LF, CRLF or no line breaks. Whatever the bytes are,
    nothing else is raised.
    """
    header: FileHeader | None = None
    batches: list[tuple[AnyHeader, list[AnyEntry]]] = []
    for event in iter_events((data,)):
        match event:
            case FileHeader():
                header = event
            case LocatedEntry():
                batches[-1][1].append(event.entry)
            case _:
                batches.append((event, []))
    assert header is not None, "a file without header raises"
    return AchFile(header, tuple(Batch(batch, tuple(entries)) for batch, entries in batches))


def iter_entries(chunks: Iterable[bytes]) -> Iterator[LocatedEntry]:
    """Read a file of any size in bounded memory, chunk by chunk.

    Yields each entry that breaks no rule. After the last one it raises NachaFileError if anything
    in the file is broken: totals come last, so act on nothing before the iterator ends.
    """
    for event in iter_events(chunks):
        if isinstance(event, LocatedEntry):
            yield event


def iter_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """As `iter_entries`, with the file header and each batch header in their places."""
    scanner = Scanner()
    for record in iter_records(chunks):
        yield from scanner.feed(record)
        if scanner.log.full:
            break
    yield from scanner.finish()
    if len(scanner.log):
        raise NachaFileError(scanner.log.errors)
