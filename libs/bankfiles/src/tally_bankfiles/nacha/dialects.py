"""The one place that knows domestic from international records."""

from dataclasses import replace
from typing import cast

from tally_bankfiles.nacha.addenda import Addenda, parse_addenda, render_addenda
from tally_bankfiles.nacha.batch_records import (
    BatchHeader,
    parse_batch_header,
    render_batch_header,
)
from tally_bankfiles.nacha.entry_records import AnnouncedAddenda, Entry, parse_entry, render_entry
from tally_bankfiles.nacha.entry_rules import check_entry
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.iat_addenda import IatAddenda, parse_iat_addenda, render_iat_addenda
from tally_bankfiles.nacha.iat_records import (
    IatBatchHeader,
    IatEntry,
    is_iat_header,
    parse_iat_batch_header,
    parse_iat_entry,
    render_iat_batch_header,
    render_iat_entry,
)
from tally_bankfiles.nacha.iat_rules import check_iat_entry

AnyHeader = BatchHeader | IatBatchHeader
AnyEntry = Entry | IatEntry
AnyAddenda = Addenda | IatAddenda


def read_header(text: str, line: int, log: ErrorLog) -> AnyHeader | None:
    if is_iat_header(text):
        return parse_iat_batch_header(text, line, log)
    return parse_batch_header(text, line, log)


def read_entry(
    header: AnyHeader, text: str, line: int, log: ErrorLog
) -> tuple[AnyEntry, AnnouncedAddenda] | None:
    if isinstance(header, IatBatchHeader):
        return parse_iat_entry(text, line, log)
    return parse_entry(text, line, header.standard_entry_class_code, log)


def read_addenda(
    header: AnyHeader, text: str, line: int, *, trace: str, position: int, log: ErrorLog
) -> AnyAddenda | None:
    if isinstance(header, IatBatchHeader):
        return parse_iat_addenda(text, line, trace=trace, position=position, log=log)
    return parse_addenda(text, line, trace=trace, position=position, log=log)


def with_addenda(entry: AnyEntry, addenda: list[AnyAddenda]) -> AnyEntry:
    """The entry with the addenda `read_addenda` gave under the same header."""
    if isinstance(entry, IatEntry):
        return replace(entry, addenda=cast("tuple[IatAddenda, ...]", tuple(addenda)))
    return replace(entry, addenda=cast("tuple[Addenda, ...]", tuple(addenda)))


def check(header: AnyHeader, entry: AnyEntry, line: int, log: ErrorLog) -> None:
    if isinstance(header, IatBatchHeader) and isinstance(entry, IatEntry):
        check_iat_entry(header, entry, line, log)
    elif isinstance(header, BatchHeader) and isinstance(entry, Entry):
        check_entry(header, entry, line, log)
    else:
        _mixed(line, log)


def write_header(header: AnyHeader, line: int, log: ErrorLog) -> str:
    if isinstance(header, IatBatchHeader):
        return render_iat_batch_header(header, line, log)
    return render_batch_header(header, line, log)


def write_entry(header: AnyHeader, entry: AnyEntry, line: int, log: ErrorLog) -> str:
    if isinstance(header, IatBatchHeader) and isinstance(entry, IatEntry):
        return render_iat_entry(entry, line, log)
    if isinstance(header, BatchHeader) and isinstance(entry, Entry):
        return render_entry(entry, line, header.standard_entry_class_code, log)
    _mixed(line, log)
    return ""


def write_addenda(entry: AnyEntry, line: int, log: ErrorLog) -> list[str]:
    """The addenda records of an entry; `line` is that of the first."""
    if isinstance(entry, IatEntry):
        counts: dict[type, int] = {}
        records = []
        for number, international in enumerate(entry.addenda):
            kind = type(international)
            counts[kind] = counts.get(kind, 0) + 1
            records.append(
                render_iat_addenda(
                    international, line + number, trace=entry.trace, position=counts[kind], log=log
                )
            )
        return records
    return [
        render_addenda(addenda, line + number, trace=entry.trace, position=number + 1, log=log)
        for number, addenda in enumerate(entry.addenda)
    ]


def _mixed(line: int, log: ErrorLog) -> None:
    rule = "international entries stand under an international header and only there"
    log.add("record_mix", line, "entry", rule)
