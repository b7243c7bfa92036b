"""One batch while it is read: entries with their addenda, sums, and the control that ends it."""

from dataclasses import replace
from typing import Final

from tally_bankfiles.nacha.batch_records import parse_batch_control
from tally_bankfiles.nacha.dialects import (
    AnyAddenda,
    AnyEntry,
    AnyHeader,
    check,
    read_addenda,
    read_entry,
    with_addenda,
)
from tally_bankfiles.nacha.entry_records import AnnouncedAddenda
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.iat_records import IatBatchHeader
from tally_bankfiles.nacha.model import LocatedEntry
from tally_bankfiles.nacha.totals import Totals, batch_control, compare_controls

_ADDENDA_LIMIT: Final = 9999


class _OpenEntry:
    """An entry until a record that is no addenda ends it; None where its own record is broken."""

    def __init__(self, line: int, record: tuple[AnyEntry, AnnouncedAddenda] | None) -> None:
        self.line = line
        self.record = record
        self.addenda: list[AnyAddenda] = []
        self.addenda_records = 0
        self.counts: dict[str, int] = {}
        self.sound = record is not None


class BatchScan:
    """Reads one batch. With `header` None (a broken record) its entries are passed over.

    `sound` turns False with the first error that makes the sums meaningless, so that a broken
    entry is reported once and not again as four wrong totals.
    """

    def __init__(self, header: AnyHeader | None, log: ErrorLog) -> None:
        self.totals = Totals()
        self.sound = header is not None
        self._header = header
        self._log = log
        self._entry: _OpenEntry | None = None
        self._last_trace = ""

    def open_entry(self, line: int, text: str) -> None:
        header = self._header
        record = None
        if header is not None:
            record = read_entry(header, text, line, self._log)
        self._entry = _OpenEntry(line, record)

    def add_addenda(self, line: int, text: str) -> None:
        opened = self._entry
        if opened is None:
            self.sound = False
            self._log.add("record_order", line, "record_type_code", "an addenda follows its entry")
            return
        opened.addenda_records += 1
        header, record = self._header, opened.record
        if header is None or record is None or opened.addenda_records > _ADDENDA_LIMIT:
            return
        type_code = text[1:3]
        position = opened.counts[type_code] = opened.counts.get(type_code, 0) + 1
        trace = record[0].trace
        addenda = read_addenda(header, text, line, trace=trace, position=position, log=self._log)
        if addenda is None:
            opened.sound = False
        else:
            opened.addenda.append(addenda)

    def end_entry(self) -> LocatedEntry | None:
        """The entry that is now complete, where there is one and it breaks no rule."""
        opened, header = self._entry, self._header
        self._entry = None
        if opened is None:
            return None
        if header is None or opened.record is None:
            self.sound = False
            return None
        entry, announced = opened.record
        if opened.addenda:
            entry = with_addenda(entry, opened.addenda)
        self.totals.add(
            routing=entry.routing,
            amount=entry.amount_minor,
            credit=entry.credit,
            addenda=opened.addenda_records,
        )
        known = len(self._log)
        self._check_announced(opened, announced)
        self._check_trace(header, entry.trace, opened.line)
        if opened.sound:
            check(header, entry, opened.line, self._log)
        if len(self._log) > known or not opened.sound:
            return None
        return LocatedEntry(opened.line, header, entry)

    def close(self, line: int, text: str) -> None:
        """Compare the batch control with what was read."""
        control = parse_batch_control(text, line, self._log)
        if control is None:
            self.sound = False
        elif self.sound and self._header is not None:
            expected = batch_control(self._header, self.totals)
            if isinstance(self._header, IatBatchHeader) and not control.company_identification:
                # Gateways leave it blank: the international header names an originator instead.
                expected = replace(expected, company_identification="")
            compare_controls(control, expected, line, self._log)

    def _check_announced(self, opened: _OpenEntry, announced: AnnouncedAddenda) -> None:
        found = opened.addenda_records
        line = opened.line
        if announced.indicated and not found:
            rule = "the entry announces addenda, none follows"
            self._log.add("addenda_missing", line, "addenda_record_indicator", rule)
        elif found and not announced.indicated:
            rule = f"the entry announces no addenda, {found} follow"
            self._log.add("addenda_indicator", line, "addenda_record_indicator", rule)
        if found > _ADDENDA_LIMIT:
            self._log.add("addenda_count", line, "addenda", f"at most {_ADDENDA_LIMIT} per entry")
        if announced.number is not None and announced.number != found:
            rule = f"the entry announces {announced.number} addenda, {found} follow"
            self._log.add("addenda_count", line, "number_of_addenda_records", rule)

    def _check_trace(self, header: AnyHeader, trace: str, line: int) -> None:
        odfi = header.originating_dfi_identification
        if not trace.startswith(odfi):
            rule = f"the bank's {odfi} and seven digits expected, found {trace}"
            self._log.add("trace_odfi", line, "trace_number", rule)
        if trace <= self._last_trace:
            rule = f"traces ascend in a batch, {trace} follows {self._last_trace}"
            self._log.add("trace_order", line, "trace_number", rule)
        self._last_trace = trace
