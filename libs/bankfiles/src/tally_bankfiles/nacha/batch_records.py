"""Batch header (5) and batch control (8) records; the IAT header is in `iat_records`."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from tally_bankfiles.nacha.codes import SEC_RULES, ServiceClass
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.layout import Field, Kind, Layout, optional

BATCH_HEADER: Final = Layout(
    "Company/Batch Header Record",
    "5",
    (
        Field("service_class_code", 2, 4, Kind.NUMBER),
        Field("company_name", 5, 20),
        optional("company_discretionary_data", 21, 40),
        Field("company_identification", 41, 50),
        Field("standard_entry_class_code", 51, 53),
        Field("company_entry_description", 54, 63),
        optional("company_descriptive_date", 64, 69),
        optional("effective_entry_date", 70, 75, Kind.DATE),
        optional("settlement_date", 76, 78),
        Field("originator_status_code", 79, 79),
        Field("originating_dfi_identification", 80, 87, Kind.DIGITS),
        Field("batch_number", 88, 94, Kind.NUMBER),
    ),
)

BATCH_CONTROL: Final = Layout(
    "Company/Batch Control Record",
    "8",
    (
        Field("service_class_code", 2, 4, Kind.NUMBER),
        Field("entry_addenda_count", 5, 10, Kind.NUMBER),
        Field("entry_hash", 11, 20, Kind.NUMBER),
        Field("total_debit_entry_dollar_amount", 21, 32, Kind.NUMBER),
        Field("total_credit_entry_dollar_amount", 33, 44, Kind.NUMBER),
        optional("company_identification", 45, 54),
        optional("message_authentication_code", 55, 73),
        Field("originating_dfi_identification", 80, 87, Kind.DIGITS),
        Field("batch_number", 88, 94, Kind.NUMBER),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHeader:
    """Company, class and date shared by a batch's entries.

    `originating_dfi_identification` is the first eight digits of the originating bank's routing
    number (in a return: of the returning bank's). `settlement_date` is the three-digit day of the
    year, filled in by the ACH operator. `originator_status_code` 1 is a bank bound by the rules.
    """

    service_class_code: int
    company_name: str
    company_identification: str
    standard_entry_class_code: str
    company_entry_description: str
    originating_dfi_identification: str
    batch_number: int
    effective_entry_date: date | None = None
    company_discretionary_data: str = ""
    company_descriptive_date: str = ""
    settlement_date: str = ""
    originator_status_code: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchControl:
    """Totals of one batch (amounts in cents) and, again, whose batch it is."""

    service_class_code: int
    entry_addenda_count: int
    entry_hash: int
    total_debit_entry_dollar_amount: int
    total_credit_entry_dollar_amount: int
    company_identification: str
    message_authentication_code: str = ""
    originating_dfi_identification: str
    batch_number: int


def check_service_class(code: int, line: int, log: ErrorLog) -> None:
    if code not in tuple(ServiceClass):
        rule = f"200 (mixed), 220 (credits) or 225 (debits) expected, found {code}"
        log.add("service_class", line, "service_class_code", rule)


def parse_batch_header(text: str, line: int, log: ErrorLog) -> BatchHeader | None:
    values = BATCH_HEADER.parse(text, line, log)
    if values is None:
        return None
    known = len(log)
    header = BatchHeader(**values)
    check_service_class(header.service_class_code, line, log)
    if header.standard_entry_class_code not in SEC_RULES:
        rule = f"one of {', '.join(SEC_RULES)} expected, {header.standard_entry_class_code!a} found"
        log.add("sec_unsupported", line, "standard_entry_class_code", rule)
    return header if len(log) == known else None


def render_batch_header(header: BatchHeader, line: int, log: ErrorLog) -> str:
    values = {field: getattr(header, field) for field in BatchHeader.__slots__}
    return BATCH_HEADER.render(values, line, log)


def parse_batch_control(text: str, line: int, log: ErrorLog) -> BatchControl | None:
    values = BATCH_CONTROL.parse(text, line, log)
    return None if values is None else BatchControl(**values)


def render_batch_control(control: BatchControl, line: int, log: ErrorLog) -> str:
    values = {field: getattr(control, field) for field in BatchControl.__slots__}
    return BATCH_CONTROL.render(values, line, log)
