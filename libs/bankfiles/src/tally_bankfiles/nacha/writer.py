"""Writing ACH files."""

from typing import Final

from tally_bankfiles.nacha.batch_records import render_batch_control
from tally_bankfiles.nacha.dialects import write_addenda, write_entry, write_header
from tally_bankfiles.nacha.errors import ErrorLog, NachaError, NachaFileError
from tally_bankfiles.nacha.file_records import render_file_control, render_file_header
from tally_bankfiles.nacha.layout import RECORD_LENGTH
from tally_bankfiles.nacha.model import AchFile, Batch
from tally_bankfiles.nacha.reader import read_file
from tally_bankfiles.nacha.totals import BLOCKING_FACTOR, Totals, batch_control, file_control

_FILLER: Final = "9" * RECORD_LENGTH


def write_file(file: AchFile) -> bytes:
    """The file as bytes: LF line ends, controls computed, padded to blocks of ten.

    Strict: what was written is read back and must be the same file, so every rule of the reader
    holds and nothing was cut or lost. Raises NachaFileError with every broken rule; `line` is the
    line the record would have had.
    """
    log = ErrorLog()
    lines = _records(file, log)
    if len(log):
        raise NachaFileError(log.errors)
    lines.extend([_FILLER] * (-len(lines) % BLOCKING_FACTOR))
    data = ("\n".join(lines) + "\n").encode("ascii")
    if read_file(data) != file:
        rule = "a value is not written as the standard stores it (digits, types)"
        raise NachaFileError((NachaError("not_representable", 0, "file", rule),))
    return data


def _records(file: AchFile, log: ErrorLog) -> list[str]:
    lines = [render_file_header(file.header, 1, log)]
    totals = Totals()
    if not file.batches:
        log.add("empty_file", 0, "batches", "a file has at least one batch")
    for batch in file.batches:
        totals.merge(_batch(batch, lines, log))
    number = len(lines) + 1
    control = file_control(totals, batches=len(file.batches), records=number)
    lines.append(render_file_control(control, number, log))
    return lines


def _batch(batch: Batch, lines: list[str], log: ErrorLog) -> Totals:
    totals = Totals()
    header = batch.header
    lines.append(write_header(header, len(lines) + 1, log))
    if not batch.entries:
        log.add("empty_batch", len(lines), "entries", "a batch has at least one entry")
    for entry in batch.entries:
        line = write_entry(header, entry, len(lines) + 1, log)
        lines.append(line)
        lines += write_addenda(entry, len(lines) + 1, log)
        totals.add(
            routing=line[3:11] or "0",
            amount=entry.amount_minor,
            credit=entry.credit,
            addenda=len(entry.addenda),
        )
    control = batch_control(header, totals)
    lines.append(render_batch_control(control, len(lines) + 1, log))
    return totals
