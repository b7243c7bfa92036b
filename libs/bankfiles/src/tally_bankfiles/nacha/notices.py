"""What a return or a notification of change says, without the record formats around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from tally_bankfiles.nacha.addenda import (
    Addenda98,
    ChangeAddenda,
    ReturnAddenda,
    reason_code,
)
from tally_bankfiles.nacha.codes import TRANSACTION_CODES
from tally_bankfiles.nacha.dialects import AnyEntry
from tally_bankfiles.nacha.iat_addenda import Addenda98Iat, Addenda99Iat, IatNotice
from tally_bankfiles.nacha.reasons import ReasonAction, action_for
from tally_bankfiles.nacha.routing import is_routing_number


class CorrectedDataError(ValueError):
    """Corrected data that does not hold what its change code promises: a case for an operator."""

    code: ClassVar[str] = "corrected_data_invalid"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedDetails:
    """What the receiving bank says instead; None means the stored value stands."""

    routing: str | None = None
    account: str | None = None
    transaction_code: int | None = None
    name: str | None = None
    individual_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A return (code R..) or a notification of change (code C..).

    Find the payment by `original_trace`, then compare `original_rdfi` (eight digits) and, in a
    return, `amount_minor` (cents); none or several matches are a case for an operator.
    """

    code: str
    action: ReasonAction
    original_trace: str
    original_rdfi: str
    amount_minor: int
    is_return: bool
    corrected_data: str


_SLICES: Final[Mapping[str, Mapping[str, slice]]] = MappingProxyType(
    {
        "C01": {"account": slice(0, 17)},
        "C02": {"routing": slice(0, 9)},
        "C03": {"routing": slice(0, 9), "account": slice(12, 29)},
        "C04": {"name": slice(0, 22)},
        "C05": {"transaction_code": slice(0, 2)},
        "C06": {"account": slice(0, 17), "transaction_code": slice(20, 22)},
        "C07": {
            "routing": slice(0, 9),
            "account": slice(9, 26),
            "transaction_code": slice(26, 28),
        },
        "C09": {"individual_id": slice(0, 22)},
    }
)
"""Where each value stands in the 29 characters of corrected data, by change code."""


def notice_of(entry: AnyEntry) -> Notice | None:
    """The notice an entry carries; None for an ordinary payment."""
    addenda = entry.notice
    if addenda is None:
        return None
    code = _code(addenda)
    return Notice(
        code=code,
        action=action_for(code),
        original_trace=addenda.original_entry_trace_number,
        original_rdfi=addenda.original_receiving_dfi_identification,
        amount_minor=entry.amount_minor,
        is_return=not entry.is_change_notice,
        corrected_data=(
            addenda.corrected_data if isinstance(addenda, Addenda98 | Addenda98Iat) else ""
        ),
    )


def corrected_details(change_code: str, corrected_data: str) -> CorrectedDetails:
    """Read the corrected data of a notification of change.

    Codes without a fixed layout here (C08, C13, C14, unknown ones) give no corrections. Raises
    CorrectedDataError for a missing value, a wrong check digit or an unknown transaction code.
    """
    padded = corrected_data.ljust(29)
    found = {name: padded[part].strip(" ") for name, part in _SLICES.get(change_code, {}).items()}
    for name, value in found.items():
        if not value:
            raise _invalid(change_code, name, "is missing")
    routing = found.get("routing")
    if routing is not None and not is_routing_number(routing):
        raise _invalid(change_code, "routing", f"{routing!a} fails its check digit")
    code = found.get("transaction_code")
    if code is not None and not _is_transaction_code(code):
        raise _invalid(change_code, "transaction_code", f"{code!a} is not in the table")
    return CorrectedDetails(
        routing=routing,
        account=found.get("account"),
        transaction_code=None if code is None else int(code),
        name=found.get("name"),
        individual_id=found.get("individual_id"),
    )


def _code(addenda: ChangeAddenda | ReturnAddenda | IatNotice) -> str:
    match addenda:
        case Addenda98Iat():
            return addenda.change_code
        case Addenda99Iat():
            return addenda.return_reason_code
        case _:
            return reason_code(addenda)


def _is_transaction_code(text: str) -> bool:
    return text in {str(code) for code in TRANSACTION_CODES}


def _invalid(change_code: str, name: str, what: str) -> CorrectedDataError:
    return CorrectedDataError(
        f"corrected data of {change_code}: {name} {what}; ask the receiving bank, keep the stored "
        "details until then"
    )
