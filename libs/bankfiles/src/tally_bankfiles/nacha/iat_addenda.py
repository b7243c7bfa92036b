"""Addenda records of international entries (IAT): 10 to 18, and their own forms of 98 and 99.

10 to 16 say who pays whom through which banks, all seven in order; 17 is remittance, 18 names
correspondent banks. All but 98 and 99 end in the last seven digits of the entry's trace.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from tally_bankfiles.nacha.addenda import check_sequence
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.layout import Field, Inclusion, Kind, Layout, optional

TRANSACTION_TYPES: Final = frozenset(
    [
        "ANN",
        "BUS",
        "DEP",
        "LOA",
        "MIS",  # codespell:ignore mis
        "MOR",  # codespell:ignore mor
        "PEN",
        "REM",
        "RLS",
        "SAL",
        "TAX",
        "ARC",
        "BOC",
        "MTE",
        "POP",
        "POS",
        "RCK",
        "SHR",
        "TEL",
        "WEB",
    ]
)
"""Why the money moves (addenda 10): a reason, or the class a domestic entry would have."""

_QUALIFIERS: Final = frozenset({"01", "02", "03"})
_COUNTRY: Final = re.compile(r"[A-Z]{2}").fullmatch
_RETURN_CODE: Final = re.compile(r"R[0-9]{2}").fullmatch
_CHANGE_CODE: Final = re.compile(r"C[0-9]{2}").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda10:
    """Reason, amount in the foreign currency's own scale (None where not known) and receiver."""

    transaction_type_code: str
    foreign_payment_amount: int | None = None
    foreign_trace_number: str = ""
    receiving_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda11:
    originator_name: str
    originator_street_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda12:
    r"""City and region as `CITY*REGION\`, country and postal code as `US*12345\`."""

    originator_city_state: str
    originator_country_postal_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda13:
    """The originating bank; the qualifier is 01 national clearing, 02 BIC, 03 IBAN."""

    originating_dfi_name: str
    originating_dfi_identification_number_qualifier: str
    originating_dfi_identification: str
    originating_dfi_branch_country_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda14:
    """The receiving bank; the qualifier is as in addenda 13."""

    receiving_dfi_name: str
    receiving_dfi_identification_number_qualifier: str
    receiving_dfi_identification: str
    receiving_dfi_branch_country_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda15:
    receiver_identification_number: str = ""
    receiver_street_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda16:
    """As addenda 12, of the receiver."""

    receiver_city_state: str
    receiver_country_postal_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda17:
    payment_related_information: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda18:
    """A bank between the two; the qualifier is as in addenda 13."""

    foreign_correspondent_bank_name: str
    foreign_correspondent_bank_identification_number_qualifier: str
    foreign_correspondent_bank_identification_number: str
    foreign_correspondent_bank_branch_country_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda98Iat:
    change_code: str
    original_entry_trace_number: str
    original_receiving_dfi_identification: str
    corrected_data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addenda99Iat:
    """A return; the amount is the forward entry's in cents (None where the bank left it out)."""

    return_reason_code: str
    original_entry_trace_number: str
    date_of_death: date | None = None
    original_receiving_dfi_identification: str
    original_forward_entry_payment_amount: int | None = None
    addenda_information: str = ""


IatNotice = Addenda98Iat | Addenda99Iat
IatAddenda = (
    Addenda10
    | Addenda11
    | Addenda12
    | Addenda13
    | Addenda14
    | Addenda15
    | Addenda16
    | Addenda17
    | Addenda18
    | IatNotice
)

_TIE: Final = Field("entry_detail_sequence_number", 88, 94, Kind.DIGITS)
_SEQUENCE: Final = Field("addenda_sequence_number", 84, 87, Kind.NUMBER)
_ORIGINAL_TRACE: Final = Field("original_entry_trace_number", 7, 21, Kind.DIGITS)
_ORIGINAL_RDFI: Final = Field("original_receiving_dfi_identification", 28, 35, Kind.DIGITS)
_TRACE: Final = Field("trace_number", 80, 94, Kind.DIGITS)


_FORMS: Final[Mapping[str, tuple[Layout, type[IatAddenda]]]] = MappingProxyType(
    {
        "10": (
            Layout(
                "First IAT Addenda Record",
                "710",
                (
                    Field("transaction_type_code", 4, 6),
                    optional("foreign_payment_amount", 7, 24, Kind.NUMBER),
                    optional("foreign_trace_number", 25, 46),
                    Field("receiving_name", 47, 81),
                    _TIE,
                ),
            ),
            Addenda10,
        ),
        "11": (
            Layout(
                "Second IAT Addenda Record",
                "711",
                (
                    Field("originator_name", 4, 38),
                    Field("originator_street_address", 39, 73),
                    _TIE,
                ),
            ),
            Addenda11,
        ),
        "12": (
            Layout(
                "Third IAT Addenda Record",
                "712",
                (
                    Field("originator_city_state", 4, 38),
                    Field("originator_country_postal_code", 39, 73),
                    _TIE,
                ),
            ),
            Addenda12,
        ),
        "13": (
            Layout(
                "Fourth IAT Addenda Record",
                "713",
                (
                    Field("originating_dfi_name", 4, 38),
                    Field("originating_dfi_identification_number_qualifier", 39, 40),
                    Field("originating_dfi_identification", 41, 74),
                    Field("originating_dfi_branch_country_code", 75, 77),
                    _TIE,
                ),
            ),
            Addenda13,
        ),
        "14": (
            Layout(
                "Fifth IAT Addenda Record",
                "714",
                (
                    Field("receiving_dfi_name", 4, 38),
                    Field("receiving_dfi_identification_number_qualifier", 39, 40),
                    Field("receiving_dfi_identification", 41, 74),
                    Field("receiving_dfi_branch_country_code", 75, 77),
                    _TIE,
                ),
            ),
            Addenda14,
        ),
        "15": (
            Layout(
                "Sixth IAT Addenda Record",
                "715",
                (
                    optional("receiver_identification_number", 4, 18),
                    Field("receiver_street_address", 19, 53),
                    _TIE,
                ),
            ),
            Addenda15,
        ),
        "16": (
            Layout(
                "Seventh IAT Addenda Record",
                "716",
                (
                    Field("receiver_city_state", 4, 38),
                    Field("receiver_country_postal_code", 39, 73),
                    _TIE,
                ),
            ),
            Addenda16,
        ),
        "17": (
            Layout(
                "IAT Addenda Record for Remittance Information",
                "717",
                (
                    Field("payment_related_information", 4, 83, Kind.FREE, Inclusion.OPTIONAL),
                    _SEQUENCE,
                    _TIE,
                ),
            ),
            Addenda17,
        ),
        "18": (
            Layout(
                "IAT Addenda Record for Foreign Correspondent Bank Information",
                "718",
                (
                    Field("foreign_correspondent_bank_name", 4, 38),
                    Field("foreign_correspondent_bank_identification_number_qualifier", 39, 40),
                    Field("foreign_correspondent_bank_identification_number", 41, 74),
                    Field("foreign_correspondent_bank_branch_country_code", 75, 77),
                    _SEQUENCE,
                    _TIE,
                ),
            ),
            Addenda18,
        ),
        "98": (
            Layout(
                "IAT Notification of Change Addenda Record",
                "798",
                (
                    Field("change_code", 4, 6),
                    _ORIGINAL_TRACE,
                    _ORIGINAL_RDFI,
                    optional("corrected_data", 36, 70, Kind.FREE),
                    _TRACE,
                ),
            ),
            Addenda98Iat,
        ),
        "99": (
            Layout(
                "IAT Return Addenda Record",
                "799",
                (
                    Field("return_reason_code", 4, 6),
                    _ORIGINAL_TRACE,
                    optional("date_of_death", 22, 27, Kind.DATE),
                    _ORIGINAL_RDFI,
                    optional("original_forward_entry_payment_amount", 36, 45, Kind.NUMBER),
                    optional("addenda_information", 46, 79, Kind.FREE),
                    _TRACE,
                ),
            ),
            Addenda99Iat,
        ),
    }
)


def iat_type_code(addenda: IatAddenda) -> str:
    """The two digits a record of this class carries."""
    return next(code for code, (_, form) in _FORMS.items() if form is type(addenda))


def parse_iat_addenda(
    text: str, line: int, *, trace: str, position: int, log: ErrorLog
) -> IatAddenda | None:
    """One addenda of an IAT entry, the `position`-th of its type from 1."""
    type_code = text[1:3]
    if type_code not in _FORMS:
        rule = f"addenda type 10 to 18, 98 or 99 expected, found {type_code!a}"
        log.add("addenda_type", line, "addenda_type_code", rule)
        return None
    layout, form = _FORMS[type_code]
    values = layout.parse(text, line, log)
    if values is None:
        return None
    known = len(log)
    if "trace_number" in values:
        if values.pop("trace_number") != trace:
            log.add("addenda_trace", line, "trace_number", f"the entry's trace {trace} expected")
    else:
        check_sequence(values, line, trace=trace, position=position, log=log)
    for field, value in values.items():
        _check_value(field, value, line, log)
    return form(**values) if len(log) == known else None


def render_iat_addenda(
    addenda: IatAddenda, line: int, *, trace: str, position: int, log: ErrorLog
) -> str:
    layout, _ = _FORMS[iat_type_code(addenda)]
    values = {field: getattr(addenda, field) for field in addenda.__slots__}
    tie = {
        "addenda_sequence_number": position,
        "entry_detail_sequence_number": trace[-7:],
        "trace_number": trace,
    }
    return layout.render(tie | values, line, log)


def _check_value(field: str, value: object, line: int, log: ErrorLog) -> None:
    text = str(value)
    if field == "transaction_type_code" and text not in TRANSACTION_TYPES:
        rule = f"one of {', '.join(sorted(TRANSACTION_TYPES))} expected, found {text!a}"
        log.add("transaction_type", line, field, rule)
    elif field.endswith("_qualifier") and text not in _QUALIFIERS:
        log.add("bank_qualifier", line, field, f"01, 02 or 03 expected, found {text!a}")
    elif field.endswith("_country_code") and not _COUNTRY(text):
        log.add("country", line, field, f"an ISO 3166 code of two letters, found {text!a}")
    elif field == "return_reason_code" and not _RETURN_CODE(text):
        log.add("reason_code", line, field, f"R and two digits expected, found {text!a}")
    elif field == "change_code" and not _CHANGE_CODE(text):
        log.add("reason_code", line, field, f"C and two digits expected, found {text!a}")
