"""Addenda records (7): 05 remittance, 98 notification of change, 99 return.

The reason code decides which of three forms an addenda 99 has, the change code which of two forms a
98 has. Fields that repeat the entry's own sequence or trace are computed when writing and compared
when reading, so the records here do not hold them.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.layout import Field, Inclusion, Kind, Layout, optional

DISHONORED_CODES: Final = frozenset({"R61", "R62", "R67", "R68", "R69", "R70"})
CONTESTED_CODES: Final = frozenset({"R71", "R72", "R73", "R74", "R75", "R76", "R77"})
REFUSED_CODES: Final = frozenset(f"C{number}" for number in range(61, 70))
_REASON: Final = re.compile(r"[RC][0-9]{2}").fullmatch
_SEQUENCE_DIGITS: Final = 7

_ORIGINAL_TRACE: Final = Field("original_entry_trace_number", 7, 21, Kind.DIGITS)
_ORIGINAL_RDFI: Final = Field("original_receiving_dfi_identification", 28, 35, Kind.DIGITS)
_TRACE: Final = Field("trace_number", 80, 94, Kind.DIGITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda05:
    """Up to 80 characters that travel with a payment."""

    payment_related_information: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda98:
    """A notification of change: the payment stands, the stored details are to be corrected.

    How `corrected_data` is laid out depends on the change code: see `corrected_details`.
    """

    change_code: str
    original_entry_trace_number: str
    original_receiving_dfi_identification: str
    corrected_data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda98Refused:
    """The originating bank's refusal (C61-C69) of a notification of change."""

    refused_change_code: str
    original_entry_trace_number: str
    original_receiving_dfi_identification: str
    corrected_data: str = ""
    change_code: str
    trace_sequence_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda99:
    """A return: the entry with this original trace comes back, and its amount with it."""

    return_reason_code: str
    original_entry_trace_number: str
    original_receiving_dfi_identification: str
    date_of_death: date | None = None
    addenda_information: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda99Dishonored:
    """The originating bank sends a return back; `return_reason_code` is two digits here."""

    dishonored_return_reason_code: str
    original_entry_trace_number: str
    original_receiving_dfi_identification: str
    return_trace_number: str
    return_settlement_date: str = ""
    return_reason_code: str
    addenda_information: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda99Contested:
    """The receiving bank contests a dishonored return; both earlier codes are two digits."""

    contested_dishonored_return_reason_code: str
    original_entry_trace_number: str
    date_original_entry_returned: date | None = None
    original_receiving_dfi_identification: str
    original_settlement_date: str = ""
    return_trace_number: str
    return_settlement_date: str = ""
    return_reason_code: str
    dishonored_return_trace_number: str
    dishonored_return_settlement_date: str = ""
    dishonored_return_reason_code: str


ReturnAddenda = Addenda99 | Addenda99Dishonored | Addenda99Contested
ChangeAddenda = Addenda98 | Addenda98Refused
Addenda = Addenda05 | ChangeAddenda | ReturnAddenda

_LAYOUT_05: Final = Layout(
    "Addenda Record 05",
    "705",
    (
        Field("payment_related_information", 4, 83, Kind.FREE, Inclusion.OPTIONAL),
        Field("addenda_sequence_number", 84, 87, Kind.NUMBER),
        Field("entry_detail_sequence_number", 88, 94, Kind.DIGITS),
    ),
)
_LAYOUT_98: Final = Layout(
    "Notification of Change Addenda Record",
    "798",
    (
        Field("change_code", 4, 6),
        _ORIGINAL_TRACE,
        _ORIGINAL_RDFI,
        optional("corrected_data", 36, 64, Kind.FREE),
        _TRACE,
    ),
)
_LAYOUT_98_REFUSED: Final = Layout(
    "Refused Notification of Change Addenda Record",
    "798",
    (
        Field("refused_change_code", 4, 6),
        _ORIGINAL_TRACE,
        _ORIGINAL_RDFI,
        optional("corrected_data", 36, 64, Kind.FREE),
        Field("change_code", 65, 67),
        Field("trace_sequence_number", 68, 74, Kind.DIGITS),
        _TRACE,
    ),
)
_LAYOUT_99: Final = Layout(
    "Return Addenda Record",
    "799",
    (
        Field("return_reason_code", 4, 6),
        _ORIGINAL_TRACE,
        optional("date_of_death", 22, 27, Kind.DATE),
        _ORIGINAL_RDFI,
        optional("addenda_information", 36, 79, Kind.FREE),
        _TRACE,
    ),
)
_LAYOUT_99_DISHONORED: Final = Layout(
    "Dishonored Return Addenda Record",
    "799",
    (
        Field("dishonored_return_reason_code", 4, 6),
        _ORIGINAL_TRACE,
        _ORIGINAL_RDFI,
        Field("return_trace_number", 39, 53, Kind.DIGITS),
        optional("return_settlement_date", 54, 56),
        Field("return_reason_code", 57, 58, Kind.DIGITS),
        optional("addenda_information", 59, 79, Kind.FREE),
        _TRACE,
    ),
)
_LAYOUT_99_CONTESTED: Final = Layout(
    "Contested Dishonored Return Addenda Record",
    "799",
    (
        Field("contested_dishonored_return_reason_code", 4, 6),
        _ORIGINAL_TRACE,
        optional("date_original_entry_returned", 22, 27, Kind.DATE),
        _ORIGINAL_RDFI,
        optional("original_settlement_date", 36, 38),
        Field("return_trace_number", 39, 53, Kind.DIGITS),
        optional("return_settlement_date", 54, 56),
        Field("return_reason_code", 57, 58, Kind.DIGITS),
        Field("dishonored_return_trace_number", 59, 73, Kind.DIGITS),
        optional("dishonored_return_settlement_date", 74, 76),
        Field("dishonored_return_reason_code", 77, 78, Kind.DIGITS),
        _TRACE,
    ),
)


def reason_code(addenda: ChangeAddenda | ReturnAddenda) -> str:
    """The R- or C-code of the record itself, not of the one it answers."""
    match addenda:
        case Addenda98():
            return addenda.change_code
        case Addenda98Refused():
            return addenda.refused_change_code
        case Addenda99():
            return addenda.return_reason_code
        case Addenda99Dishonored():
            return addenda.dishonored_return_reason_code
        case Addenda99Contested():
            return addenda.contested_dishonored_return_reason_code


def parse_addenda(
    text: str, line: int, *, trace: str, position: int, log: ErrorLog
) -> Addenda | None:
    """One addenda record of the entry with this trace, the `position`-th of it from 1."""
    type_code, code = text[1:3], text[3:6]
    layout, record = _form(type_code, code)
    if layout is None or record is None:
        rule = f"addenda type 05, 98 or 99 expected, found {type_code!a}"
        log.add("addenda_type", line, "addenda_type_code", rule)
        return None
    values = layout.parse(text, line, log)
    if values is None:
        return None
    known = len(log)
    if record is Addenda05:
        check_sequence(values, line, trace=trace, position=position, log=log)
    else:
        if not _REASON(code) or (code[0] == "R") != (type_code == "99"):
            log.add("reason_code", line, layout.fields[0].name, f"R.. or C.. expected: {code!a}")
        if values.pop("trace_number") != trace:
            log.add("addenda_trace", line, "trace_number", f"the entry's trace {trace} expected")
    return record(**values) if len(log) == known else None


def check_sequence(
    values: dict[str, object], line: int, *, trace: str, position: int, log: ErrorLog
) -> None:
    """Take out the fields that tie an addenda to its entry, and compare them."""
    if values.pop("addenda_sequence_number", position) != position:
        log.add("addenda_sequence", line, "addenda_sequence_number", f"{position} expected")
    if values.pop("entry_detail_sequence_number") != trace[-_SEQUENCE_DIGITS:]:
        rule = f"the last seven digits of the entry's trace {trace} expected"
        log.add("addenda_sequence", line, "entry_detail_sequence_number", rule)


def render_addenda(addenda: Addenda, line: int, *, trace: str, position: int, log: ErrorLog) -> str:
    values = {field: getattr(addenda, field) for field in addenda.__slots__}
    if isinstance(addenda, Addenda05):
        tie: dict[str, object] = {
            "addenda_sequence_number": position,
            "entry_detail_sequence_number": trace[-_SEQUENCE_DIGITS:],
        }
        return _LAYOUT_05.render(values | tie, line, log)
    code = reason_code(addenda)
    layout, record = _form("99" if code.startswith("R") else "98", code)
    if layout is None or record is not type(addenda):
        rule = f"code {code!a} does not belong in a record of type {type(addenda).__name__}"
        log.add("reason_code", line, "addenda_type_code", rule)
        return ""
    return layout.render({**values, "trace_number": trace}, line, log)


def _form(type_code: str, code: str) -> tuple[Layout, type[Addenda]] | tuple[None, None]:
    if type_code == "05":
        return _LAYOUT_05, Addenda05
    if type_code == "98":
        if code in REFUSED_CODES:
            return _LAYOUT_98_REFUSED, Addenda98Refused
        return _LAYOUT_98, Addenda98
    if type_code == "99":
        if code in DISHONORED_CODES:
            return _LAYOUT_99_DISHONORED, Addenda99Dishonored
        if code in CONTESTED_CODES:
            return _LAYOUT_99_CONTESTED, Addenda99Contested
        return _LAYOUT_99, Addenda99
    return None, None
