"""Batch header (5) and entry detail (6) records of international entries (IAT)."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from tally_bankfiles.nacha.batch_records import check_service_class
from tally_bankfiles.nacha.codes import TRANSACTION_CODES
from tally_bankfiles.nacha.entry_records import AnnouncedAddenda, announced_addenda, indicator
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.iat_addenda import (
    Addenda10,
    Addenda98Iat,
    Addenda99Iat,
    IatAddenda,
    IatNotice,
)
from tally_bankfiles.nacha.layout import Field, Kind, Layout, optional
from tally_money import UnknownCurrency, currency

IAT: Final = "IAT"
IAT_CORRECTION: Final = "IATCOR"
_COUNTRY: Final = re.compile(r"[A-Z]{2}").fullmatch
_EXCHANGES: Final = frozenset({"FV", "VF", "FF"})
_REFERENCES: Final = frozenset({"1", "2", "3"})

IAT_BATCH_HEADER: Final = Layout(
    "IAT Company/Batch Header Record",
    "5",
    (
        Field("service_class_code", 2, 4, Kind.NUMBER),
        optional("iat_indicator", 5, 20),
        Field("foreign_exchange_indicator", 21, 22),
        Field("foreign_exchange_reference_indicator", 23, 23),
        optional("foreign_exchange_reference", 24, 38),
        Field("iso_destination_country_code", 39, 40),
        Field("originator_identification", 41, 50),
        Field("standard_entry_class_code", 51, 53),
        Field("company_entry_description", 54, 63),
        Field("iso_originating_currency_code", 64, 66),
        Field("iso_destination_currency_code", 67, 69),
        optional("effective_entry_date", 70, 75, Kind.DATE),
        optional("settlement_date", 76, 78),
        Field("originator_status_code", 79, 79),
        Field("originating_dfi_identification", 80, 87, Kind.DIGITS),
        Field("batch_number", 88, 94, Kind.NUMBER),
    ),
)

IAT_ENTRY_DETAIL: Final = Layout(
    "IAT Entry Detail Record",
    "6",
    (
        Field("transaction_code", 2, 3, Kind.NUMBER),
        Field("go_receiving_dfi_identification", 4, 12, Kind.DIGITS),
        Field("number_of_addenda_records", 13, 16, Kind.NUMBER),
        Field("amount", 30, 39, Kind.NUMBER),
        Field("foreign_receivers_account_number", 40, 74),
        optional("gateway_operator_ofac_screening_indicator", 77, 77),
        optional("secondary_ofac_screening_indicator", 78, 78),
        Field("addenda_record_indicator", 79, 79, Kind.DIGITS),
        Field("trace_number", 80, 94, Kind.DIGITS),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IatBatchHeader:
    """As `BatchHeader`, for entries that cross a border.

    `foreign_exchange_indicator` is FV, VF or FF (fixed or variable amount, origin to receiver);
    the reference indicator says what the reference is: 1 a rate, 2 a number, 3 nothing.
    `iat_indicator` is blank, or IATCOR in a notification of change (then the class is COR).
    """

    service_class_code: int
    iat_indicator: str = ""
    foreign_exchange_indicator: str
    foreign_exchange_reference_indicator: str = "3"
    foreign_exchange_reference: str = ""
    iso_destination_country_code: str
    originator_identification: str
    standard_entry_class_code: str = IAT
    company_entry_description: str
    iso_originating_currency_code: str
    iso_destination_currency_code: str
    effective_entry_date: date | None = None
    settlement_date: str = ""
    originator_status_code: str = "1"
    originating_dfi_identification: str
    batch_number: int

    @property
    def company_identification(self) -> str:
        """What the batch control repeats."""
        return self.originator_identification


@dataclass(frozen=True, slots=True, kw_only=True)
class IatEntry:
    """One international payment, return or notification of change; `amount_minor` is US cents.

    `routing` is the gateway operator's or receiving bank's nine digits, `account` up to 35
    characters; who is paid stands in the addenda.
    """

    transaction_code: int
    routing: str
    account: str
    amount_minor: int
    trace: str
    gateway_operator_ofac_screening_indicator: str = ""
    secondary_ofac_screening_indicator: str = ""
    addenda: tuple[IatAddenda, ...]

    @property
    def credit(self) -> bool:
        """Whether the entry puts money into the receiver's account; False for an unknown code."""
        known = TRANSACTION_CODES.get(self.transaction_code)
        return known is not None and known.credit

    @property
    def name(self) -> str:
        """The receiver's name; empty in a notification of change."""
        return next((a.receiving_name for a in self.addenda if isinstance(a, Addenda10)), "")

    @property
    def notice(self) -> IatNotice | None:
        """The addenda 98 or 99 that makes this entry a notification of change or a return."""
        found = (a for a in self.addenda if isinstance(a, Addenda98Iat | Addenda99Iat))
        return next(found, None)

    @property
    def is_change_notice(self) -> bool:
        return isinstance(self.notice, Addenda98Iat)


def is_iat_header(text: str) -> bool:
    """Whether a batch header record has the international layout."""
    return text[50:53] == IAT or text[4:20].strip(" ") == IAT_CORRECTION


def parse_iat_batch_header(text: str, line: int, log: ErrorLog) -> IatBatchHeader | None:
    values = IAT_BATCH_HEADER.parse(text, line, log)
    if values is None:
        return None
    known = len(log)
    header = IatBatchHeader(**values)
    check_service_class(header.service_class_code, line, log)
    correction = header.iat_indicator == IAT_CORRECTION
    if header.standard_entry_class_code != ("COR" if correction else IAT):
        rule = f"IAT, or COR with {IAT_CORRECTION}, found {header.standard_entry_class_code!a}"
        log.add("sec_unsupported", line, "standard_entry_class_code", rule)
    if header.iat_indicator and not correction:
        rule = f"blank or {IAT_CORRECTION} expected, found {header.iat_indicator!a}"
        log.add("iat_indicator", line, "iat_indicator", rule)
    if header.foreign_exchange_indicator not in _EXCHANGES:
        rule = f"FV, VF or FF expected, found {header.foreign_exchange_indicator!a}"
        log.add("foreign_exchange", line, "foreign_exchange_indicator", rule)
    _check_reference(header, line, log)
    if not _COUNTRY(header.iso_destination_country_code):
        rule = f"an ISO 3166 code of two letters, found {header.iso_destination_country_code!a}"
        log.add("country", line, "iso_destination_country_code", rule)
    for field in ("iso_originating_currency_code", "iso_destination_currency_code"):
        _check_currency(field, values[field], line, log)
    return header if len(log) == known else None


def render_iat_batch_header(header: IatBatchHeader, line: int, log: ErrorLog) -> str:
    values = {field: getattr(header, field) for field in IatBatchHeader.__slots__}
    return IAT_BATCH_HEADER.render(values, line, log)


def parse_iat_entry(
    text: str, line: int, log: ErrorLog
) -> tuple[IatEntry, AnnouncedAddenda] | None:
    """The entry, still without its addenda, and how many to expect."""
    values = IAT_ENTRY_DETAIL.parse(text, line, log)
    if values is None:
        return None
    announced = announced_addenda(values, line, log)
    if announced is None:
        return None
    entry = IatEntry(
        transaction_code=values["transaction_code"],
        routing=values["go_receiving_dfi_identification"],
        account=values["foreign_receivers_account_number"],
        amount_minor=values["amount"],
        trace=values["trace_number"],
        gateway_operator_ofac_screening_indicator=values[
            "gateway_operator_ofac_screening_indicator"
        ],
        secondary_ofac_screening_indicator=values["secondary_ofac_screening_indicator"],
        addenda=(),
    )
    return entry, announced


def render_iat_entry(entry: IatEntry, line: int, log: ErrorLog) -> str:
    values: dict[str, object] = {
        "transaction_code": entry.transaction_code,
        "go_receiving_dfi_identification": entry.routing,
        "number_of_addenda_records": len(entry.addenda),
        "amount": entry.amount_minor,
        "foreign_receivers_account_number": entry.account,
        "gateway_operator_ofac_screening_indicator": (
            entry.gateway_operator_ofac_screening_indicator
        ),
        "secondary_ofac_screening_indicator": entry.secondary_ofac_screening_indicator,
        "addenda_record_indicator": indicator(entry.addenda),
        "trace_number": entry.trace,
    }
    return IAT_ENTRY_DETAIL.render(values, line, log)


def _check_reference(header: IatBatchHeader, line: int, log: ErrorLog) -> None:
    kind = header.foreign_exchange_reference_indicator
    if kind not in _REFERENCES:
        rule = f"1, 2 or 3 expected, found {kind!a}"
        log.add("foreign_exchange", line, "foreign_exchange_reference_indicator", rule)
    elif (kind == "3") == bool(header.foreign_exchange_reference):
        rule = "given with indicator 1 or 2, blank with 3"
        log.add("foreign_exchange", line, "foreign_exchange_reference", rule)


def _check_currency(field: str, code: str, line: int, log: ErrorLog) -> None:
    try:
        currency(code)
    except UnknownCurrency:
        rule = f"an active ISO 4217 code expected, found {code!a}"
        log.add("currency", line, field, rule)
