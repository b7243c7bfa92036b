"""The state machine behind every reader: records in, entries out, errors collected."""

from collections.abc import Iterator
from typing import Final

from tally_bankfiles.nacha.batch_scan import BatchScan
from tally_bankfiles.nacha.dialects import AnyHeader, read_header
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.file_records import FileHeader, parse_file_control, parse_file_header
from tally_bankfiles.nacha.model import LocatedEntry
from tally_bankfiles.nacha.records import RawRecord
from tally_bankfiles.nacha.totals import Totals, compare_controls, file_control

_RECORD_TYPES: Final = frozenset("156789")

Event = FileHeader | AnyHeader | LocatedEntry
"""What a scan yields: the file header, then each batch header followed by its entries."""


class Scanner:
    """Feed it records in order, then call `finish`; `log` holds what is wrong."""

    def __init__(self) -> None:
        self.log = ErrorLog()
        self._records = 0
        self._control_seen = False
        self._batch: BatchScan | None = None
        self._batches = 0
        self._last_batch_number = -1
        self._totals = Totals()
        self._sound = True

    def feed(self, record: RawRecord) -> Iterator[Event]:
        """Take one record; yields what it begins or completes."""
        line, text = record.line, record.text
        kind = text[0]
        if not text.strip("9 "):
            return
        self._records += 1
        if kind != "7":
            yield from self._end_entry()
        if self._control_seen:
            rule = "only lines of 9s may follow the file control"
            self.log.add("record_after_file_control", line, "record_type_code", rule)
        elif record.surplus or kind not in _RECORD_TYPES:
            self._unknown_record(record)
        elif kind == "1" or self._records == 1:
            yield from self._file_header(line, text)
        elif kind == "5":
            yield from self._open_batch(line, text)
        elif kind == "9":
            self._file_control(line, text)
        else:
            self._inside_batch(kind, line, text)

    def finish(self) -> Iterator[Event]:
        """Take the end of the data: yields a last entry and logs what is missing."""
        yield from self._end_entry()
        if self._records == 0:
            self.log.add("empty_file", 0, "file", "an ACH file has at least a header and a control")
        elif not self._control_seen:
            self.log.add("file_control_missing", 0, "file", "the file control (9) is missing")

    def _end_entry(self) -> Iterator[LocatedEntry]:
        entry = self._batch.end_entry() if self._batch is not None else None
        if entry is not None:
            yield entry

    def _unknown_record(self, record: RawRecord) -> None:
        self._sound = False
        if self._batch is not None:
            self._batch.sound = False
        if record.surplus:
            rule = "94 characters expected, the line is longer"
            self.log.add("record_length", record.line, "record", rule)
        else:
            rule = f"1, 5, 6, 7, 8 or 9 expected, found {record.text[0]!a}"
            self.log.add("record_type", record.line, "record_type_code", rule)

    def _file_header(self, line: int, text: str) -> Iterator[FileHeader]:
        if self._records != 1 or text[0] != "1":
            rule = "the file header (1) stands first and only there"
            self.log.add("record_order", line, "record_type_code", rule)
            return
        header = parse_file_header(text, line, self.log)
        if header is not None:
            yield header

    def _open_batch(self, line: int, text: str) -> Iterator[AnyHeader]:
        self._require_closed_batch(line)
        self._batches += 1
        header = read_header(text, line, self.log)
        self._batch = BatchScan(header, self.log)
        if header is None:
            return
        if header.batch_number <= self._last_batch_number:
            rule = f"batch numbers ascend, {header.batch_number} follows {self._last_batch_number}"
            self.log.add("batch_order", line, "batch_number", rule)
        self._last_batch_number = header.batch_number
        yield header

    def _inside_batch(self, kind: str, line: int, text: str) -> None:
        batch = self._batch
        if batch is None:
            self._sound = False
            rule = f"a record of type {kind} stands inside a batch, none is open"
            self.log.add("record_order", line, "record_type_code", rule)
        elif kind == "6":
            batch.open_entry(line, text)
        elif kind == "7":
            batch.add_addenda(line, text)
        else:
            batch.close(line, text)
            self._leave(batch)

    def _file_control(self, line: int, text: str) -> None:
        self._require_closed_batch(line)
        self._control_seen = True
        control = parse_file_control(text, line, self.log)
        if control is not None and self._sound:
            expected = file_control(self._totals, batches=self._batches, records=self._records)
            compare_controls(control, expected, line, self.log)

    def _require_closed_batch(self, line: int) -> None:
        if self._batch is not None:
            rule = "the batch before has no control (8)"
            self.log.add("record_order", line, "record_type_code", rule)
            self._batch.sound = False
            self._leave(self._batch)

    def _leave(self, batch: BatchScan) -> None:
        self._totals.merge(batch.totals)
        self._sound = self._sound and batch.sound
        self._batch = None
