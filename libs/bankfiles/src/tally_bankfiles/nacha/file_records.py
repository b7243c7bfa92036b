"""File header (1) and file control (9) records."""

import re
from dataclasses import dataclass
from datetime import date, time
from typing import Final

from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.layout import Field, Kind, Layout, optional, required
from tally_bankfiles.nacha.routing import is_routing_number

_MODIFIER: Final = re.compile(r"[A-Z0-9]").fullmatch
_ORIGIN: Final = re.compile(r"[A-Za-z0-9]{1,10}").fullmatch
# A bank's own files, returns above all, are addressed to the id it gave its customer.
_DESTINATION: Final = _ORIGIN
_NINE_DIGITS: Final = re.compile(r"[0-9]{9}").fullmatch
_PADDED_ROUTING: Final = re.compile(r"0[0-9]{9}").fullmatch
_FIXED: Final = (
    ("priority_code", "01"),
    ("record_size", "094"),
    ("blocking_factor", "10"),
    ("format_code", "1"),
)

FILE_HEADER: Final = Layout(
    "File Header Record",
    "1",
    (
        Field("priority_code", 2, 3),
        Field("immediate_destination", 4, 13, Kind.ID),
        Field("immediate_origin", 14, 23, Kind.ID),
        Field("file_creation_date", 24, 29, Kind.DATE),
        optional("file_creation_time", 30, 33, Kind.TIME),
        Field("file_id_modifier", 34, 34),
        Field("record_size", 35, 37),
        Field("blocking_factor", 38, 39),
        Field("format_code", 40, 40),
        required("immediate_destination_name", 41, 63),
        required("immediate_origin_name", 64, 86),
        optional("reference_code", 87, 94),
    ),
)

FILE_CONTROL: Final = Layout(
    "File Control Record",
    "9",
    (
        Field("batch_count", 2, 7, Kind.NUMBER),
        Field("block_count", 8, 13, Kind.NUMBER),
        Field("entry_addenda_count", 14, 21, Kind.NUMBER),
        Field("entry_hash", 22, 31, Kind.NUMBER),
        Field("total_debit_entry_dollar_amount", 32, 43, Kind.NUMBER),
        Field("total_credit_entry_dollar_amount", 44, 55, Kind.NUMBER),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHeader:
    """Who sends the file to whom, and which of the day's files it is.

    Each of `immediate_destination` and `immediate_origin` is a routing number, or an id of up to ten
    characters that the bank gave out. Date and time are the sender's wall clock.
    Origin, creation date and id modifier together name the file.
    """

    immediate_destination: str
    immediate_origin: str
    file_creation_date: date
    file_creation_time: time | None = None
    file_id_modifier: str = "A"
    immediate_destination_name: str
    immediate_origin_name: str
    reference_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileControl:
    """Totals over all batches; amounts in cents."""

    batch_count: int
    block_count: int
    entry_addenda_count: int
    entry_hash: int
    total_debit_entry_dollar_amount: int
    total_credit_entry_dollar_amount: int


def parse_file_header(text: str, line: int, log: ErrorLog) -> FileHeader | None:
    values = FILE_HEADER.parse(text, line, log)
    if values is None:
        return None
    known = len(log)
    for field, expected in _FIXED:
        found = values.pop(field)
        if found != expected:
            log.add("fixed_value", line, field, f"always {expected}, found {found!a}")
    if _PADDED_ROUTING(values["immediate_destination"]):
        values["immediate_destination"] = values["immediate_destination"][1:]
    header = FileHeader(**values)
    if not _DESTINATION(header.immediate_destination):
        rule = f"letters and digits expected, found {header.immediate_destination!a}"
        log.add("immediate_destination", line, "immediate_destination", rule)
    elif _NINE_DIGITS(header.immediate_destination) and not is_routing_number(
        header.immediate_destination
    ):
        rule = f"a routing number with its check digit expected, {header.immediate_destination!a}"
        log.add("check_digit", line, "immediate_destination", rule)
    if not _ORIGIN(header.immediate_origin):
        rule = f"letters and digits expected, found {header.immediate_origin!a}"
        log.add("immediate_origin", line, "immediate_origin", rule)
    if not _MODIFIER(header.file_id_modifier):
        rule = f"A-Z or 0-9 expected, found {header.file_id_modifier!a}"
        log.add("file_id_modifier", line, "file_id_modifier", rule)
    return header if len(log) == known else None


def render_file_header(header: FileHeader, line: int, log: ErrorLog) -> str:
    values = {field: getattr(header, field) for field in FileHeader.__slots__}
    return FILE_HEADER.render({**dict(_FIXED), **values}, line, log)


def parse_file_control(text: str, line: int, log: ErrorLog) -> FileControl | None:
    values = FILE_CONTROL.parse(text, line, log)
    return None if values is None else FileControl(**values)


def render_file_control(control: FileControl, line: int, log: ErrorLog) -> str:
    values = {field: getattr(control, field) for field in FileControl.__slots__}
    return FILE_CONTROL.render(values, line, log)
