"""Return and change reason codes of the Nacha rules, and what each asks of us.

Titles follow the operating rules' code lists; the action is this platform's answer. A code that is
not listed is for an operator: new codes appear before software learns of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ReasonAction(StrEnum):
    """What a return or a notification of change leads to."""

    FIX_DETAILS = "fix_details"
    DISABLE_METHOD = "disable_method"
    FREEZE_PARTY = "freeze_party"
    RETRY_LATER = "retry_later"
    OPERATOR = "operator"
    MANDATE_REVOKED = "mandate_revoked"


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    title: str
    action: ReasonAction


_FIX: Final = ReasonAction.FIX_DETAILS
_DISABLE: Final = ReasonAction.DISABLE_METHOD
_FREEZE: Final = ReasonAction.FREEZE_PARTY
_RETRY: Final = ReasonAction.RETRY_LATER
_OPERATOR: Final = ReasonAction.OPERATOR
_REVOKED: Final = ReasonAction.MANDATE_REVOKED


def _by_code(*reasons: Reason) -> Mapping[str, Reason]:
    return MappingProxyType({reason.code: reason for reason in reasons})


RETURN_REASONS: Final = _by_code(
    Reason("R01", "Insufficient funds", _RETRY),
    Reason("R02", "Account closed", _FIX),
    Reason("R03", "No account or unable to locate account", _FIX),
    Reason("R04", "Invalid account number structure", _FIX),
    Reason("R05", "Unauthorized debit to consumer account using corporate SEC code", _REVOKED),
    Reason("R06", "Returned per ODFI's request", _OPERATOR),
    Reason("R07", "Authorization revoked by customer", _REVOKED),
    Reason("R08", "Payment stopped", _OPERATOR),
    Reason("R09", "Uncollected funds", _RETRY),
    Reason("R10", "Originator not known to or not authorized by receiver", _REVOKED),
    Reason("R11", "Entry not in accordance with the terms of the authorization", _REVOKED),
    Reason("R12", "Account sold to another DFI", _FIX),
    Reason("R13", "Invalid ACH routing number", _FIX),
    Reason("R14", "Representative payee deceased or unable to continue", _FREEZE),
    Reason("R15", "Beneficiary or account holder deceased", _FREEZE),
    Reason("R16", "Account frozen or entry returned per OFAC instruction", _FREEZE),
    Reason("R17", "File record edit criteria or questionable circumstances", _OPERATOR),
    Reason("R18", "Improper effective entry date", _OPERATOR),
    Reason("R19", "Amount field error", _OPERATOR),
    Reason("R20", "Non-transaction account", _FIX),
    Reason("R21", "Invalid company identification", _OPERATOR),
    Reason("R22", "Invalid individual ID number", _OPERATOR),
    Reason("R23", "Credit entry refused by receiver", _DISABLE),
    Reason("R24", "Duplicate entry", _OPERATOR),
    Reason("R25", "Addenda error", _OPERATOR),
    Reason("R26", "Mandatory field error", _OPERATOR),
    Reason("R27", "Trace number error", _OPERATOR),
    Reason("R28", "Routing number check digit error", _OPERATOR),
    Reason("R29", "Corporate customer advises not authorized", _REVOKED),
    Reason("R30", "RDFI not participant in check truncation program", _OPERATOR),
    Reason("R31", "Permissible return entry (CCD and CTX only)", _OPERATOR),
    Reason("R32", "RDFI non-settlement", _OPERATOR),
    Reason("R33", "Return of XCK entry", _OPERATOR),
    Reason("R34", "Limited participation DFI", _OPERATOR),
    Reason("R35", "Return of improper debit entry", _OPERATOR),
    Reason("R36", "Return of improper credit entry", _OPERATOR),
    Reason("R37", "Source document presented for payment", _OPERATOR),
    Reason("R38", "Stop payment on source document", _OPERATOR),
    Reason("R39", "Improper source document or source document presented for payment", _OPERATOR),
    Reason("R40", "Return of ENR entry by federal government agency", _OPERATOR),
    Reason("R41", "Invalid transaction code", _OPERATOR),
    Reason("R42", "Routing number or check digit error", _OPERATOR),
    Reason("R43", "Invalid DFI account number", _OPERATOR),
    Reason("R44", "Invalid individual ID number or identification number", _OPERATOR),
    Reason("R45", "Invalid individual name or company name", _OPERATOR),
    Reason("R46", "Invalid representative payee indicator", _OPERATOR),
    Reason("R47", "Duplicate enrollment", _OPERATOR),
    Reason("R50", "State law affecting RCK acceptance", _OPERATOR),
    Reason("R51", "Item related to RCK entry is ineligible or RCK entry is improper", _OPERATOR),
    Reason("R52", "Stop payment on item related to RCK entry", _OPERATOR),
    Reason("R53", "Item and RCK entry presented for payment", _OPERATOR),
    Reason("R61", "Misrouted return", _OPERATOR),
    Reason("R62", "Return of erroneous or reversing debit", _OPERATOR),
    Reason("R67", "Duplicate return", _OPERATOR),
    Reason("R68", "Untimely return", _OPERATOR),
    Reason("R69", "Field errors", _OPERATOR),
    Reason("R70", "Permissible return entry not accepted or return not requested", _OPERATOR),
    Reason("R71", "Misrouted dishonored return", _OPERATOR),
    Reason("R72", "Untimely dishonored return", _OPERATOR),
    Reason("R73", "Timely original return", _OPERATOR),
    Reason("R74", "Corrected return", _OPERATOR),
    Reason("R75", "Return not a duplicate", _OPERATOR),
    Reason("R76", "No errors found", _OPERATOR),
    Reason("R77", "Non-acceptance of R62 dishonored return", _OPERATOR),
    Reason("R80", "IAT entry coding error", _OPERATOR),
    Reason("R81", "Non-participant in IAT program", _OPERATOR),
    Reason("R82", "Invalid foreign receiving DFI identification", _OPERATOR),
    Reason("R83", "Foreign receiving DFI unable to settle", _OPERATOR),
    Reason("R84", "Entry not processed by gateway", _OPERATOR),
    Reason("R85", "Incorrectly coded outbound international payment", _OPERATOR),
)

CHANGE_REASONS: Final = _by_code(
    Reason("C01", "Incorrect DFI account number", _FIX),
    Reason("C02", "Incorrect routing number", _FIX),
    Reason("C03", "Incorrect routing number and account number", _FIX),
    Reason("C04", "Incorrect individual name or receiving company name", _FIX),
    Reason("C05", "Incorrect transaction code", _FIX),
    Reason("C06", "Incorrect account number and transaction code", _FIX),
    Reason("C07", "Incorrect routing number, account number and transaction code", _FIX),
    Reason("C08", "Incorrect receiving DFI identification (IAT only)", _FIX),
    Reason("C09", "Incorrect individual identification number", _FIX),
    Reason("C13", "Addenda format error", _OPERATOR),
    Reason("C14", "Incorrect SEC code for outbound international payment", _OPERATOR),
    Reason("C61", "Misrouted notification of change", _OPERATOR),
    Reason("C62", "Incorrect trace number", _OPERATOR),
    Reason("C63", "Incorrect company identification number", _OPERATOR),
    Reason("C64", "Incorrect individual identification number", _OPERATOR),
    Reason("C65", "Incorrectly formatted corrected data", _OPERATOR),
    Reason("C66", "Incorrect discretionary data", _OPERATOR),
    Reason("C67", "Routing number not from original entry detail record", _OPERATOR),
    Reason("C68", "DFI account number not from original entry detail record", _OPERATOR),
    Reason("C69", "Incorrect transaction code in notification of change", _OPERATOR),
)


def action_for(code: str) -> ReasonAction:
    """What a return (R..) or change (C..) code asks for; an unknown one is for an operator."""
    reason = RETURN_REASONS.get(code) or CHANGE_REASONS.get(code)
    return ReasonAction.OPERATOR if reason is None else reason.action
