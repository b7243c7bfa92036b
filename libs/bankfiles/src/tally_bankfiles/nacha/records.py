"""From bytes as they arrive to 94-character records, in bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tally_bankfiles.nacha.layout import RECORD_LENGTH

_SHORTEST_RECORD: Final = 55
"""A trimmed file control; in a file without line breaks anything shorter is no record."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """`text` is exactly 94 characters, one per byte; `surplus` is what a line has beyond them."""

    line: int
    text: str
    surplus: bool = False


def iter_records(chunks: Iterable[bytes]) -> Iterator[RawRecord]:
    """Cut a file into records; blank ones are left out but counted as lines.

    Takes LF, CRLF or CR line ends, trimmed lines, blank lines and no line ends at all. Holds one
    chunk and one record in memory, whatever the bytes are.
    """
    number = 0
    for part, continues in _line_parts(chunks):
        text = part.decode("latin-1").rstrip(" ")
        if continues and not text:
            continue
        for start in range(0, max(len(text), 1), RECORD_LENGTH):
            piece = text[start : start + RECORD_LENGTH]
            surplus = (continues or start > 0) and len(piece) < _SHORTEST_RECORD
            if not surplus:
                number += 1
            if piece.strip(" "):
                yield RawRecord(number, piece.ljust(RECORD_LENGTH), surplus=surplus)


def _line_parts(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Physical lines; one longer than a record comes in parts that are whole records.

    True marks a part that continues the line before.
    """
    tail = b""
    continues = False
    for chunk in _with_plain_line_ends(chunks):
        *lines, rest = (tail + chunk).split(b"\n")
        for line in lines:
            yield line, continues
            continues = False
        whole = max(0, (len(rest) - 1) // RECORD_LENGTH) * RECORD_LENGTH
        if whole:
            yield rest[:whole], continues
            continues = True
        tail = rest[whole:]
    if tail:
        yield tail, continues


def _with_plain_line_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        data = held + chunk
        # A CR at the end may be the first half of a CRLF that the next chunk completes.
        held = b"\r" if data.endswith(b"\r") else b""
        data = data.removesuffix(held) if held else data
        yield data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if held:
        yield b"\n"
