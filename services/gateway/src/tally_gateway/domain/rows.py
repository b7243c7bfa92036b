"""A stream of bytes as rows: one JSON object a line, or CSV under a header. Memory holds one line."""

import codecs
import csv
import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

LINE_BYTES_MAX: Final = 65_536
NDJSON, CSV = "application/x-ndjson", "text/csv"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was sent: its number from 1, its bytes, and what it says or why it says nothing."""

    number: int
    raw: bytes
    fields: dict[str, Any] | None
    fault: str | None = None


async def lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream without their ends; what is longer than a row may be is cut short.

    A line that was cut has one byte more than LINE_BYTES_MAX, so that its reader can tell.
    """
    held = bytearray()
    too_long = False
    async for chunk in chunks:
        held += chunk
        while (end := held.find(b"\n")) >= 0:
            line = bytes(held[: min(end, LINE_BYTES_MAX + 1)])
            del held[: end + 1]
            yield line if not too_long else b"\x00" * (LINE_BYTES_MAX + 1)
            too_long = False
        if len(held) > LINE_BYTES_MAX + 1:
            too_long = True
            held.clear()
    if held or too_long:
        yield bytes(held) if not too_long else b"\x00" * (LINE_BYTES_MAX + 1)


async def rows(chunks: AsyncIterable[bytes], media: str) -> AsyncIterator[Row]:
    """The rows of an NDJSON or CSV stream; empty lines are none."""
    header: list[str] | None = None
    number = 0
    async for line in lines(chunks):
        raw = line.strip(b"\r\n \t")
        if not raw:
            continue
        if media == CSV and header is None:
            header = _header(raw)
            continue
        number += 1
        yield _ndjson(number, raw) if header is None else _csv(number, raw, header)


def nested(flat: dict[str, str]) -> dict[str, Any]:
    """Columns with dots as objects: `amount.currency` is the field currency of amount.

    An empty cell is a field that is not there.
    """
    found: dict[str, Any] = {}
    for name, value in flat.items():
        if value == "":
            continue
        *parents, last = name.split(".")
        place = found
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = inner
        place[last] = value
    return found


def _header(raw: bytes) -> list[str]:
    """The names of the columns; none when the line is not CSV, which each row then says."""
    text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    try:
        return [name.strip() for name in next(csv.reader([text], strict=True))]
    except csv.Error:
        return []


def _ndjson(number: int, raw: bytes) -> Row:
    if len(raw) > LINE_BYTES_MAX:
        return Row(number, raw, None, f"a row has at most {LINE_BYTES_MAX} bytes")
    try:
        # As text: of bytes, other encodings would be guessed.
        fields = json.loads((raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw).decode())
    except (ValueError, RecursionError):
        return Row(number, raw, None, "the row is not JSON in UTF-8")
    if not isinstance(fields, dict):
        return Row(number, raw, None, "a row is one JSON object")
    return Row(number, raw, fields)


def _csv(number: int, raw: bytes, header: list[str]) -> Row:
    if not header:
        return Row(number, raw, None, "the header before it is not CSV in UTF-8, one row a line")
    if len(raw) > LINE_BYTES_MAX:
        return Row(number, raw, None, f"a row has at most {LINE_BYTES_MAX} bytes")
    try:
        cells = next(csv.reader([raw.decode()], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return Row(number, raw, None, "the row is not CSV in UTF-8, one row a line")
    if len(cells) != len(header):
        return Row(number, raw, None, f"the row has {len(cells)} cells, the header {len(header)}")
    return Row(number, raw, nested(dict(zip(header, cells, strict=True))))
