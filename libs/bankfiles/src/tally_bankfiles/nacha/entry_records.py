"""Entry detail records (6) of the domestic classes, with the addenda that follow them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tally_bankfiles.nacha.addenda import (
    Addenda,
    Addenda05,
    Addenda98,
    Addenda98Refused,
    ChangeAddenda,
    ReturnAddenda,
)
from tally_bankfiles.nacha.codes import TRANSACTION_CODES
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.layout import Field, Kind, Layout, optional, required

PAYMENT_INFORMATION_WIDTH: Final = 80
_ADDENDA_FOLLOW: Final = "1"

_HEAD: Final = (
    Field("transaction_code", 2, 3, Kind.NUMBER),
    Field("receiving_dfi_identification", 4, 12, Kind.DIGITS),
    Field("dfi_account_number", 13, 29),
    Field("amount", 30, 39, Kind.NUMBER),
)
_TAIL: Final = (
    optional("discretionary_data", 77, 78),
    Field("addenda_record_indicator", 79, 79, Kind.DIGITS),
    Field("trace_number", 80, 94, Kind.DIGITS),
)
ENTRY_DETAIL: Final = Layout(
    "Entry Detail Record",
    "6",
    (
        *_HEAD,
        optional("individual_identification_number", 40, 54),
        required("individual_name", 55, 76),
        *_TAIL,
    ),
)
CTX_ENTRY_DETAIL: Final = Layout(
    "CTX Entry Detail Record",
    "6",
    (
        *_HEAD,
        optional("individual_identification_number", 40, 54),
        Field("number_of_addenda_records", 55, 58, Kind.NUMBER),
        required("individual_name", 59, 74),
        *_TAIL,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One payment, prenote, return or notification of change.

    `routing` is the receiving bank's nine digits; `amount_minor` is cents; `name` holds 22
    characters (16 in CTX), `individual_id` 15; `trace` is the eight digits of the batch's bank and
    seven of a sequence. In WEB and TEL `discretionary_data` is the payment type code.
    """

    transaction_code: int
    routing: str
    account: str
    amount_minor: int
    individual_id: str = ""
    name: str
    trace: str
    discretionary_data: str = ""
    addenda: tuple[Addenda, ...] = ()

    @property
    def credit(self) -> bool:
        """Whether the entry puts money into the receiver's account; False for an unknown code."""
        known = TRANSACTION_CODES.get(self.transaction_code)
        return known is not None and known.credit

    @property
    def notice(self) -> ChangeAddenda | ReturnAddenda | None:
        """The addenda 98 or 99 that makes this entry a notification of change or a return."""
        return next((a for a in self.addenda if not isinstance(a, Addenda05)), None)

    @property
    def is_change_notice(self) -> bool:
        return isinstance(self.notice, Addenda98 | Addenda98Refused)

    @property
    def remittance(self) -> str:
        """The text of all addenda 05 joined as the sender cut it."""
        parts = [a.payment_related_information for a in self.addenda if isinstance(a, Addenda05)]
        return "".join(part.ljust(PAYMENT_INFORMATION_WIDTH) for part in parts).rstrip(" ")


def remittance_addenda(text: str) -> tuple[Addenda05, ...]:
    """Cut printable ASCII text into addenda 05 records; `Entry.remittance` joins it again."""
    width = PAYMENT_INFORMATION_WIDTH
    parts = (text[start : start + width] for start in range(0, len(text), width))
    return tuple(Addenda05(payment_related_information=part.rstrip(" ")) for part in parts)


@dataclass(frozen=True, slots=True)
class AnnouncedAddenda:
    """What an entry's own line says of the addenda after it; `number` stands only in some."""

    indicated: bool
    number: int | None


def parse_entry(
    text: str, line: int, sec: str, log: ErrorLog
) -> tuple[Entry, AnnouncedAddenda] | None:
    """The entry, still without its addenda, and how many to expect."""
    layout = CTX_ENTRY_DETAIL if sec == "CTX" else ENTRY_DETAIL
    values = layout.parse(text, line, log)
    if values is None:
        return None
    announced = announced_addenda(values, line, log)
    if announced is None:
        return None
    entry = Entry(
        transaction_code=values["transaction_code"],
        routing=values["receiving_dfi_identification"],
        account=values["dfi_account_number"],
        amount_minor=values["amount"],
        individual_id=values["individual_identification_number"],
        name=values["individual_name"],
        trace=values["trace_number"],
        discretionary_data=values["discretionary_data"],
    )
    return entry, announced


def render_entry(entry: Entry, line: int, sec: str, log: ErrorLog) -> str:
    layout = CTX_ENTRY_DETAIL if sec == "CTX" else ENTRY_DETAIL
    values: dict[str, object] = {
        "transaction_code": entry.transaction_code,
        "receiving_dfi_identification": entry.routing,
        "dfi_account_number": entry.account,
        "amount": entry.amount_minor,
        "individual_identification_number": entry.individual_id,
        "number_of_addenda_records": len(entry.addenda),
        "individual_name": entry.name,
        "discretionary_data": entry.discretionary_data,
        "addenda_record_indicator": indicator(entry.addenda),
        "trace_number": entry.trace,
    }
    return layout.render(values, line, log)


def announced_addenda(
    values: Mapping[str, Any], line: int, log: ErrorLog
) -> AnnouncedAddenda | None:
    found = values["addenda_record_indicator"]
    if found not in {"0", _ADDENDA_FOLLOW}:
        log.add("addenda_indicator", line, "addenda_record_indicator", f"0 or 1, not {found!a}")
        return None
    return AnnouncedAddenda(found == _ADDENDA_FOLLOW, values.get("number_of_addenda_records"))


def indicator(addenda: Sequence[object]) -> str:
    return _ADDENDA_FOLLOW if addenda else "0"
