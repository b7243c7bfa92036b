"""What became of an uploaded ACH file, as a small line format.

The Nacha rules define no acknowledgement, and each bank has its own. This one is what the platform
reads; a bank's own format is translated to it. ASCII lines, fields parted by `|`, LF or CRLF:

    ACK|1|<immediate origin>|<file creation date, YYMMDD>|<file id modifier>|<status>|<reason>
    BATCH|<batch number>|<status>|<reason>
    ENTRY|<batch number>|<trace number, 15 digits>|<status>|<reason>
    END|<number of BATCH lines>|<number of ENTRY lines>

`status` is ACCEPTED or REJECTED; `reason` is empty with ACCEPTED and says why with REJECTED, in
printable ASCII without `|`. Origin, creation date and modifier name the file. A batch or an entry
that is not listed shares the fate of the file, or of its batch. A rejected file has no accepted
batch, a rejected batch no accepted entry. Without END the acknowledgement is cut off.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import ClassVar, Final

_VERSION: Final = "1"
_DIGITS: Final = re.compile(r"[0-9]+").fullmatch
_TEXT: Final = re.compile(r"[\x20-\x7b\x7d\x7e]*").fullmatch
_ORIGIN: Final = re.compile(r"[A-Za-z0-9]{1,10}").fullmatch
_MODIFIER: Final = re.compile(r"[A-Z0-9]").fullmatch
_TRACE_LENGTH: Final = 15


class AckStatus(StrEnum):
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAck:
    batch_number: int
    status: AckStatus
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAck:
    batch_number: int
    trace: str
    status: AckStatus
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    immediate_origin: str
    file_creation_date: date
    file_id_modifier: str
    status: AckStatus
    reason: str = ""
    batches: tuple[BatchAck, ...] = ()
    entries: tuple[EntryAck, ...] = ()


class AcknowledgementError(ValueError):
    """An acknowledgement that breaks the format: nothing of it may be applied."""

    code: ClassVar[str] = "acknowledgement_invalid"
    retryable: ClassVar[bool] = False

    def __init__(self, line: int, field: str, rule: str) -> None:
        self.line = line
        self.field = field
        self.rule = rule
        super().__init__(f"acknowledgement line {line}, {field}: {rule}; ask for it again")


def write_acknowledgement(ack: Acknowledgement) -> bytes:
    """The lines of an acknowledgement; raises AcknowledgementError where a value has no place."""
    day = ack.file_creation_date
    lines = [
        _joined(
            "ACK",
            _VERSION,
            ack.immediate_origin,
            f"{day:%y%m%d}",
            ack.file_id_modifier,
            ack.status,
            ack.reason,
        )
    ]
    lines += [_joined("BATCH", b.batch_number, b.status, b.reason) for b in ack.batches]
    lines += [_joined("ENTRY", e.batch_number, e.trace, e.status, e.reason) for e in ack.entries]
    lines.append(_joined("END", len(ack.batches), len(ack.entries)))
    data = "".join(lines).encode()
    if read_acknowledgement(data) != ack:
        raise AcknowledgementError(0, "file", "a value is not written as the format stores it")
    return data


def read_acknowledgement(data: bytes) -> Acknowledgement:
    """Read an acknowledgement; raises AcknowledgementError at the first broken line."""
    lines = list(_fields(data))
    if not lines:
        raise AcknowledgementError(0, "file", "the file is empty")
    ack = _head(*lines[0])
    batches: list[BatchAck] = []
    entries: list[EntryAck] = []
    for number, fields in lines[1:-1]:
        if fields[0] == "BATCH" and not entries:
            batches.append(_batch(number, fields))
        elif fields[0] == "ENTRY":
            entries.append(_entry(number, fields))
        else:
            rule = f"BATCH lines, then ENTRY lines expected, found {fields[0]!a}"
            raise AcknowledgementError(number, "record", rule)
    _check_end(*lines[-1], batches=len(batches), entries=len(entries))
    whole = Acknowledgement(
        immediate_origin=ack.immediate_origin,
        file_creation_date=ack.file_creation_date,
        file_id_modifier=ack.file_id_modifier,
        status=ack.status,
        reason=ack.reason,
        batches=tuple(batches),
        entries=tuple(entries),
    )
    _check_fates(whole)
    return whole


def _joined(*fields: object) -> str:
    return "|".join(str(field) for field in fields) + "\n"


def _fields(data: bytes) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(data.decode("latin-1").split("\n"), start=1):
        text = line.removesuffix("\r")
        if text:
            yield number, text.split("|")


def _expect(number: int, fields: list[str], record: str, length: int) -> None:
    if fields[0] != record or len(fields) != length:
        rule = f"{record} with {length} fields expected, found {fields[0]!a} with {len(fields)}"
        raise AcknowledgementError(number, "record", rule)


def _head(number: int, fields: list[str]) -> Acknowledgement:
    _expect(number, fields, "ACK", 7)
    _, version, origin, created, modifier, status, reason = fields
    if version != _VERSION:
        raise AcknowledgementError(number, "version", f"1 expected, found {version!a}")
    if not _ORIGIN(origin):
        raise AcknowledgementError(number, "immediate_origin", f"an id expected: {origin!a}")
    if not _MODIFIER(modifier):
        raise AcknowledgementError(number, "file_id_modifier", f"A-Z or 0-9: {modifier!a}")
    fate = _status(number, status, reason)
    return Acknowledgement(
        immediate_origin=origin,
        file_creation_date=_day(number, created),
        file_id_modifier=modifier,
        status=fate,
        reason=reason,
    )


def _batch(number: int, fields: list[str]) -> BatchAck:
    _expect(number, fields, "BATCH", 4)
    _, batch, status, reason = fields
    fate = _status(number, status, reason)
    return BatchAck(batch_number=_count(number, batch), status=fate, reason=reason)


def _entry(number: int, fields: list[str]) -> EntryAck:
    _expect(number, fields, "ENTRY", 5)
    _, batch, trace, status, reason = fields
    if len(trace) != _TRACE_LENGTH or not _DIGITS(trace):
        raise AcknowledgementError(number, "trace", f"15 digits expected, found {trace!a}")
    fate = _status(number, status, reason)
    return EntryAck(batch_number=_count(number, batch), trace=trace, status=fate, reason=reason)


def _check_end(number: int, fields: list[str], *, batches: int, entries: int) -> None:
    _expect(number, fields, "END", 3)
    if fields[1:] != [str(batches), str(entries)]:
        rule = f"{batches} batches and {entries} entries are listed, END counts {fields[1:]}"
        raise AcknowledgementError(number, "counts", rule)


def _check_fates(ack: Acknowledgement) -> None:
    fates = {batch.batch_number: batch.status for batch in ack.batches}
    traces = {(entry.batch_number, entry.trace) for entry in ack.entries}
    if len(fates) != len(ack.batches) or len(traces) != len(ack.entries):
        raise AcknowledgementError(0, "file", "a batch or an entry is listed twice")
    if ack.status is AckStatus.REJECTED and AckStatus.ACCEPTED in fates.values():
        raise AcknowledgementError(0, "status", "a rejected file has no accepted batch")
    for entry in ack.entries:
        fate = fates.get(entry.batch_number, ack.status)
        if fate is AckStatus.REJECTED and entry.status is AckStatus.ACCEPTED:
            raise AcknowledgementError(0, "status", "a rejected batch has no accepted entry")


def _status(number: int, status: str, reason: str) -> AckStatus:
    if status not in tuple(AckStatus):
        raise AcknowledgementError(number, "status", f"ACCEPTED or REJECTED, found {status!a}")
    if not _TEXT(reason):
        raise AcknowledgementError(number, "reason", f"printable ASCII expected: {reason!a}")
    if bool(reason.strip(" ")) != (status == AckStatus.REJECTED):
        raise AcknowledgementError(number, "reason", "given with REJECTED, empty with ACCEPTED")
    return AckStatus(status)


def _count(number: int, text: str) -> int:
    if not _DIGITS(text) or len(text) > 7 or text != str(int(text)):  # noqa: PLR2004 - its field
        raise AcknowledgementError(number, "batch_number", f"a number expected, found {text!a}")
    return int(text)


def _day(number: int, text: str) -> date:
    try:
        if len(text) == len("YYMMDD") and _DIGITS(text):
            return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        pass
    raise AcknowledgementError(number, "file_creation_date", f"YYMMDD expected, found {text!a}")
