"""From bytes to one text per statement, each with the line it starts on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tally_bankfiles.camt.errors import StatementError

REMEDY: Final = "book nothing of it and ask the bank for a corrected statement"
_START: Final = ":20:"
_ENVELOPE: Final = re.compile(r"^(\{[0-9]:[^{}]*\})*\{4:|^(\{[0-9]:[^{}]*\}?)+\}?$")
_END: Final = frozenset({"-", "-}"})
_LINE: Final = re.compile(r":61:")


@dataclass(frozen=True, slots=True)
class Block:
    """One statement's text, from its :20: on. `entry_lines`: where each :61: starts."""

    text: str
    line: int
    entry_lines: tuple[int, ...]

    def wrong(self, code: str, field: str, detail: str, line: int | None = None) -> StatementError:
        """An error in this statement."""
        place = self.line if line is None else line
        return StatementError(code, line=place, field=field, detail=detail, remedy=REMEDY)


def blocks_of(data: bytes, max_bytes: int) -> Iterator[Block]:
    """The statements of a file. SWIFT's envelope and blank lines are passed over."""
    if len(data) > max_bytes:
        raise _refused("too_large", 0, f"{len(data)} bytes, at most {max_bytes} are read")
    first, lines, entries = 0, [""], [0]
    lines.clear()
    entries.clear()
    for number, raw in enumerate(_text(data).splitlines(), start=1):
        line = _ENVELOPE.sub("", raw, count=1).rstrip()
        if not line or line in _END:
            continue
        if line.startswith(_START):
            if lines:
                yield Block("\n".join(lines), first, tuple(entries))
            first, lines, entries = number, [], []
        elif not lines:
            raise _refused("tag_order", number, f"{line[:20]!a} where :20: is due")
        if _LINE.match(line):
            entries.append(number)
        lines.append(line)
    if not lines:
        raise _refused("field_missing", 0, "there is no statement in the file")
    yield Block("\n".join(lines), first, tuple(entries))


def _text(data: bytes) -> str:
    """UTF-8, or single-byte Latin, as banks send both."""
    if b"\x00" in data:
        raise _refused("encoding", 0, "the file has null bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")


def _refused(code: str, line: int, detail: str) -> StatementError:
    return StatementError(code, line=line, field=":20:", detail=detail, remedy=REMEDY)
