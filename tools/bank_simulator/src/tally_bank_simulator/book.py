"""The bank's own book: one SQLite file, every commit on disk before anything is answered."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tally_bank_simulator.errors import ForeignBookError, UnknownRuleError
from tally_bank_simulator.rules import ActiveRule, Rule

_VERSION = 1
_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE uploads (
  upload_id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  identity TEXT, first INTEGER NOT NULL, header TEXT NOT NULL, received_at TEXT NOT NULL,
  received_on TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, line INTEGER,
  ack_name TEXT NOT NULL UNIQUE
) STRICT;
CREATE UNIQUE INDEX identity_once ON uploads (identity) WHERE first = 1;
CREATE TABLE batches (
  batch_id INTEGER PRIMARY KEY, upload_id INTEGER NOT NULL REFERENCES uploads,
  number INTEGER NOT NULL, header TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
  UNIQUE (upload_id, number)
) STRICT;
CREATE TABLE entries (
  entry_id INTEGER PRIMARY KEY, batch_id INTEGER NOT NULL REFERENCES batches,
  trace TEXT NOT NULL, routing TEXT NOT NULL, account TEXT NOT NULL,
  amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0), individual_id TEXT NOT NULL,
  name TEXT NOT NULL, direction TEXT NOT NULL, transaction_code TEXT NOT NULL, sec TEXT NOT NULL,
  settles_on TEXT NOT NULL, raw TEXT NOT NULL, addenda TEXT NOT NULL, state TEXT NOT NULL,
  reason TEXT NOT NULL, received_on TEXT NOT NULL, changed_on TEXT NOT NULL, settled_on TEXT,
  returned_on TEXT, return_code TEXT
) STRICT;
CREATE INDEX entry_trace ON entries (trace);
CREATE INDEX entry_due ON entries (settles_on) WHERE state = 'accepted';
CREATE TABLE plans (
  plan_id INTEGER PRIMARY KEY, entry_id INTEGER NOT NULL REFERENCES entries,
  behaviour TEXT NOT NULL, code TEXT NOT NULL, before_settlement INTEGER NOT NULL,
  due_on TEXT NOT NULL, amount_cents INTEGER, corrected TEXT, is_copy INTEGER NOT NULL,
  same_reference INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX plan_due ON plans (due_on) WHERE done = 0;
CREATE TABLE outfiles (
  outfile_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  upload_id INTEGER, created_on TEXT NOT NULL, content BLOB NOT NULL, state TEXT NOT NULL
) STRICT;
CREATE INDEX outfile_waiting ON outfiles (outfile_id) WHERE state = 'waiting';
CREATE TABLE return_items (
  item_id INTEGER PRIMARY KEY, entry_id INTEGER NOT NULL REFERENCES entries,
  outfile_id INTEGER NOT NULL REFERENCES outfiles, behaviour TEXT NOT NULL, code TEXT NOT NULL,
  trace TEXT NOT NULL, original_trace TEXT NOT NULL, amount_cents INTEGER NOT NULL,
  is_copy INTEGER NOT NULL
) STRICT;
CREATE INDEX item_entry ON return_items (entry_id);
CREATE TABLE rules (
  rule_id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, uses_left INTEGER
) STRICT;
"""
_TABLES = ("return_items", "outfiles", "plans", "entries", "batches", "uploads", "rules")


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file for /outbound, content fixed when the book was written."""

    outfile_id: int
    name: str
    kind: str
    content: bytes


class Book:
    """All statements run on one thread; `transaction` is the only way to write."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            self._db.close()
            raise ForeignBookError(
                f"{path.name} has schema version {version}, this simulator knows {_VERSION}: "
                "give --folder an empty folder"
            )

    def close(self) -> None:
        """Close the file; the book can be opened again."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it ends."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """The first row of a query."""
        found: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return found

    def number(self, sql: str, *values: object) -> int:
        """The one integer a query answers with."""
        return int(self._db.execute(sql, values).fetchone()[0])

    def write(self, sql: str, *values: object) -> int:
        """Run one statement inside a transaction; gives the rows it touched."""
        assert self._db.in_transaction
        return self._db.execute(sql, values).rowcount

    def insert(self, table: str, **values: object) -> int:
        """Insert one row inside a transaction; gives its number."""
        assert self._db.in_transaction
        marks = ", ".join("?" * len(values))
        cursor = self._db.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def insert_many(self, table: str, rows: Sequence[dict[str, object]]) -> None:
        """Insert rows of one shape inside a transaction."""
        assert self._db.in_transaction
        if rows:
            names = tuple(rows[0])
            marks = ", ".join(f":{name}" for name in names)
            self._db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)

    def setting(self, name: str) -> str | None:
        """A kept setting."""
        found = self.row("SELECT value FROM settings WHERE name = ?", name)
        return None if found is None else str(found["value"])

    def keep(self, name: str, value: str) -> None:
        """Write a setting inside a transaction."""
        self.write("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, value)

    def day(self) -> date | None:
        """The banking date the book has reached."""
        kept = self.setting("banking_date")
        return None if kept is None else date.fromisoformat(kept)

    def is_empty(self) -> bool:
        """Whether no file was ever received."""
        return self.row("SELECT 1 FROM uploads LIMIT 1") is None

    def rules(self) -> list[ActiveRule]:
        """The posted rules, oldest first, used-up ones included."""
        return [
            ActiveRule(row["rule_id"], Rule.model_validate_json(row["body"]), row["uses_left"])
            for row in self.rows("SELECT * FROM rules ORDER BY rule_id")
        ]

    def keep_uses(self, rules: Sequence[ActiveRule]) -> None:
        """Write back how often each rule may still be used."""
        for active in rules:
            if active.left is not None:
                self.write(
                    "UPDATE rules SET uses_left = ? WHERE rule_id = ?", active.left, active.rule_id
                )

    def remove_rule(self, rule_id: int) -> None:
        """Forget one rule; what it already planned stays planned."""
        if not self.write("DELETE FROM rules WHERE rule_id = ?", rule_id):
            raise UnknownRuleError(f"rule_id {rule_id} is unknown: GET /rules lists them")

    def waiting(self) -> list[OutFile]:
        """The files not yet in /outbound, oldest first."""
        return [
            OutFile(row["outfile_id"], row["name"], row["kind"], row["content"])
            for row in self.rows(
                "SELECT * FROM outfiles WHERE state = 'waiting' ORDER BY outfile_id"
            )
        ]

    def empty(self) -> None:
        """Forget everything but the schema, inside a transaction."""
        for table in (*_TABLES, "settings", "sqlite_sequence"):
            self.write(f"DELETE FROM {table}")
