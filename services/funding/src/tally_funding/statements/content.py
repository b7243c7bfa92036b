"""From the content of an ImportStatement to statements; whatever the bytes are, bounded."""

import base64
import binascii
import zlib

from tally_bankfiles import bai2, camt, mt940
from tally_bankfiles.camt import MAX_BYTES, MessageKind, Statement, StatementError

STATEMENTS_MAX = 400
ENTRIES_MAX = 20_000
"""A file is one unit of work, and one unit must end well before its consumer counts as stalled."""

_START_BYTES = 64
_GZIP = 31  # zlib's window bits for the gzip format with its checksum


def read_content(content: str) -> tuple[Statement, ...]:
    """Unpack and read base64 of gzip of a file: camt.053 or .054, BAI2 or MT940, told by how it begins.

    Raises StatementError, and nothing else.
    """
    statements = _read(_unpacked(content))
    for statement in statements:
        if statement.kind is MessageKind.REPORT:
            raise StatementError(
                "unsupported_message",
                line=statement.line,
                field="Document",
                detail=f"{statement.kind.value} announces what a statement repeats",
                remedy="import the final statement of the day",
            )
        if statement.currency is None:
            raise StatementError(
                "statement_empty",
                line=statement.line,
                field="Ntfctn",
                detail="there is no entry, and no currency",
                remedy="nothing is to be imported",
            )
    entries = sum(
        max(1, len(entry.transactions)) for statement in statements for entry in statement.entries
    )
    for code, number, most in (
        ("too_many_statements", len(statements), STATEMENTS_MAX),
        ("too_many_entries", entries, ENTRIES_MAX),
    ):
        if number > most:
            remedy = "ask the bank for a file per account or day"
            raise _refused(code, f"{number} in one file, at most {most} are read", remedy)
    return statements


def _read(data: bytes) -> tuple[Statement, ...]:
    start = data[:_START_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"01,"):
        return bai2.read_statements(data)
    if start.startswith((b":20:", b"{1:")):
        return mt940.read_statements(data)
    return camt.read_statements(data)


def _unpacked(content: str) -> bytes:
    try:
        packed = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise _refused("content_base64", str(error), "encode the gzip file in base64") from error
    unpacking = zlib.decompressobj(_GZIP)
    try:
        data = unpacking.decompress(packed, MAX_BYTES + 1)
    except zlib.error as error:
        raise _refused("content_gzip", str(error), "compress the file with gzip") from error
    if len(data) > MAX_BYTES:
        raise _refused(
            "content_too_large",
            f"unpacks to more than {MAX_BYTES} bytes",
            "ask the bank for a file per account or day",
        )
    if not unpacking.eof or unpacking.unused_data:
        raise _refused(
            "content_gzip",
            "the gzip stream is cut off or has more behind it",
            "compress the whole file with gzip, once",
        )
    return data


def _refused(code: str, detail: str, remedy: str) -> StatementError:
    return StatementError(code, line=0, field="content", detail=detail, remedy=remedy)
