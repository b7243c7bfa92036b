"""Migration files as they lie in a package: numbered, complete, and checked before use."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tally_postgres.errors import MigrationFileInvalid
from tally_postgres.names import checked_name

_FILE_NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")
_OWN_TRANSACTION = re.compile(
    r"^\s*(?:BEGIN|START\s+TRANSACTION|COMMIT|ROLLBACK)\s*;", re.IGNORECASE | re.MULTILINE
)
NO_TRANSACTION_MARK = "-- tally: no-transaction"
_MENDED = re.compile(rb"^-- tally: mends ([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """A folder of files `0001_name.sql`, `0002_…`: forward only, never edited once applied.

    But for a file that failed on some data: it may be mended where it makes the same of all it ever
    ran on, and says `-- tally: mends CHECKSUM` of the one before.
    """

    name: str
    directory: Path

    def __post_init__(self) -> None:
        checked_name(self.name)


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema and the sources that build it, applied in this order."""

    name: str
    migrations: tuple[MigrationSource, ...]

    def __post_init__(self) -> None:
        checked_name(self.name)


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One file: its number, its SQL, and the SHA-256 of the SQL with line ends as LF."""

    number: int
    path: Path
    sql: bytes
    checksum: str

    def is_same_as(self, applied: str) -> bool:
        """Whether what was applied with this checksum is this file, or one that it mends."""
        return applied == self.checksum or applied.encode() in _MENDED.findall(self.sql)

    @property
    def in_transaction(self) -> bool:
        """Whether the file runs inside the runner's transaction (all but index builds do)."""
        return not self.sql.startswith(NO_TRANSACTION_MARK.encode())


def read_files(source: MigrationSource) -> tuple[MigrationFile, ...]:
    """Read a source in order; raise `MigrationFileInvalid` for a gap, a twin or a bad name."""
    paths = sorted(path for path in source.directory.glob("*") if path.suffix == ".sql")
    if not paths:
        raise MigrationFileInvalid(
            source.directory, f"no migrations of source {source.name} here: add 0001_<name>.sql"
        )
    return tuple(_read(path, expected) for expected, path in enumerate(paths, start=1))


def _read(path: Path, expected: int) -> MigrationFile:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise MigrationFileInvalid(path, "name it like 0001_lower_case_words.sql")
    if int(match["number"]) != expected:
        raise MigrationFileInvalid(
            path, f"its number should be {expected:04d}: files count up from 0001, each number once"
        )
    sql = path.read_bytes().replace(b"\r\n", b"\n")
    if _OWN_TRANSACTION.search(sql.decode("utf-8", "replace")):
        raise MigrationFileInvalid(
            path, "remove BEGIN, COMMIT and ROLLBACK: the runner holds the transaction"
        )
    return MigrationFile(expected, path, sql, hashlib.sha256(sql).hexdigest())
