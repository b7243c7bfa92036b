"""The form of an export: a folder of JSON Lines files, and a manifest that fixes every byte.

Described for users in docs/reference/export-format.md.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

FORMAT = "tallystick-export/1"
MANIFEST = "manifest.json"
_READ_BYTES = 1 << 20
_ROWS = "*.jsonl"
_NAME = re.compile(r"[a-z]+\.[a-z_]+\.jsonl")
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)


class ArchiveFault(Exception):  # noqa: N818 - named for what it says
    """An export that cannot be used; the message says where and what to do."""

    retryable = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Page:
    """One file of an export: how many rows it has, and the SHA-256 of its bytes in hexadecimal."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export holds. `ledger_heads`: each ledger's log position and head hash at that moment."""

    tenant: str
    taken_at: str
    ledger_heads: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Page]

    @property
    def digest(self) -> str:
        """SHA-256 over all that is said here: whoever has it can tell the export from any other."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    def write(self, folder: Path) -> None:
        """Write it beside the files."""
        text = json.dumps({**self._content(), "digest": self.digest}, indent=2, sort_keys=True)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it and check every file against it; raises `ArchiveFault` naming what differs."""
        try:
            said = json.loads((folder / MANIFEST).read_bytes())
            files = {
                name: Page(int(page["rows"]), str(page["sha256"]))
                for name, page in said["files"].items()
            }
            found = cls(said["tenant"], said["taken_at"], said["ledger_heads"], files)
            form, digest = said["format"], said["digest"]
            if not all(map(_NAME.fullmatch, files)):
                raise ValueError("it names what is no file of an export")
            if datetime.fromisoformat(found.taken_at).tzinfo is None:
                raise ValueError("the moment it was taken at has no offset")
        except (OSError, *_UNREADABLE) as error:
            raise ArchiveFault(
                "manifest_unreadable",
                f"{folder / MANIFEST} is no manifest of an export ({error}): give the folder that "
                "`tally export` wrote",
            ) from None
        if form != FORMAT:
            raise ArchiveFault(
                "format_unknown",
                f"the export has the format {form}, this release reads {FORMAT}: import with a "
                "release that reads it",
            )
        if digest != found.digest:
            raise ArchiveFault(
                "manifest_changed",
                f"{folder / MANIFEST} was changed after it was written: export again",
            )
        for name, page in files.items():
            _check(folder / name, name, page)
        for path in sorted(folder.glob(_ROWS)):
            if path.name not in files:
                raise ArchiveFault(
                    "file_unknown",
                    f"{path.name} is not of the export: take it out of the folder, or export again",
                )
        return found

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "tenant": self.tenant,
            "taken_at": self.taken_at,
            "ledger_heads": self.ledger_heads,
            "files": {
                name: {"rows": page.rows, "sha256": page.sha256}
                for name, page in self.files.items()
            },
        }


def _check(path: Path, name: str, page: Page) -> None:
    digest, rows = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
                rows += chunk.count(b"\n")
    except OSError as error:
        raise ArchiveFault(
            "file_missing", f"{name} of the export cannot be read ({error.strerror}): copy it again"
        ) from error
    if (rows, digest.hexdigest()) != (page.rows, page.sha256):
        differs = (
            "its SHA-256 is another" if rows == page.rows else f"{rows} rows, {page.rows} expected"
        )
        raise ArchiveFault(
            "file_changed",
            f"{name}{_first_damage(path)} is not what was exported ({differs}): copy it again",
        )


def _first_damage(path: Path) -> str:
    """Where a file stops being rows as they are written; nothing if only what rows say was changed."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                is_row = isinstance(row, dict) and _canonical(row) + b"\n" == line
            except (ValueError, RecursionError):
                is_row = False
            if not is_row:
                return f" line {number}"
    return ""


async def write_rows(path: Path, rows: AsyncIterator[Mapping[str, Any]]) -> Page:
    """Write rows as they come, a JSON object a line with its keys in order."""
    digest, number = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for row in rows:
            line = _canonical(row) + b"\n"
            digest.update(line)
            file.write(line)
            number += 1
    return Page(number, digest.hexdigest())


class Row(dict[str, Any]):
    """A row of an export, and the file and line it stands on."""

    place: str


def read_rows(folder: Path, name: str) -> Iterator[Row]:
    """The rows of one file; a file the export does not have holds none."""
    path = folder / name
    if path.exists():
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                row = Row()
                row.place = f"{name} line {number}"
                with usable(row):
                    row.update(json.loads(line))
                yield row


@contextmanager
def usable(row: Row) -> Iterator[None]:
    """What is made of a row; raises `ArchiveFault` with its place where it does not serve for that."""
    try:
        yield
    except _UNREADABLE as error:
        raise ArchiveFault(
            "row_unusable",
            f"{row.place} does not serve ({type(error).__name__}: {error}): export again",
        ) from error


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
