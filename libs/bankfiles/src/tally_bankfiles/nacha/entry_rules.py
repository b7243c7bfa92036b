"""What a domestic entry may be inside its batch."""

from tally_bankfiles.nacha.addenda import Addenda05
from tally_bankfiles.nacha.batch_records import BatchHeader
from tally_bankfiles.nacha.codes import (
    SEC_RULES,
    TRANSACTION_CODES,
    Purpose,
    ServiceClass,
    TransactionCode,
)
from tally_bankfiles.nacha.entry_records import Entry
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.routing import is_routing_number

REVERSAL: str = "REVERSAL"
"""The company entry description of a batch that reverses an earlier one."""


def check_entry(header: BatchHeader, entry: Entry, line: int, log: ErrorLog) -> None:
    """Log every rule that an entry of this batch breaks, at the entry's own line."""
    check_routing(entry.routing, line, log)
    code = check_transaction_code(entry.transaction_code, header.service_class_code, line, log=log)
    if code is None:
        return
    if entry.notice is None:
        _check_forward(header, entry, code, line, log)
    else:
        _check_notice(header, entry, code, line, log)


def check_routing(routing: str, line: int, log: ErrorLog) -> None:
    if not is_routing_number(routing):
        rule = f"a routing number with its check digit expected, found {routing!a}"
        log.add("check_digit", line, "receiving_dfi_identification", rule)


def check_transaction_code(
    code: int, service_class: int, line: int, *, log: ErrorLog
) -> TransactionCode | None:
    known = TRANSACTION_CODES.get(code)
    if known is None:
        rule = f"a transaction code of the table expected, found {code:02}"
        log.add("transaction_code", line, "transaction_code", rule)
        return None
    refused = ServiceClass.DEBITS if known.credit else ServiceClass.CREDITS
    if service_class == refused:
        side = "credit" if known.credit else "debit"
        rule = f"a batch of class {service_class} holds no {side}, found {code}"
        log.add("service_class", line, "transaction_code", rule)
    return known


def check_amount(
    amount: int, code: TransactionCode, line: int, *, change_notice: bool, log: ErrorLog
) -> None:
    """Only prenotes, remittance-only entries and notifications of change are zero, and they are.

    A return may be zero: a prenote comes back as one.
    """
    zero_only = change_notice or code.purpose in {Purpose.PRENOTE, Purpose.REMITTANCE_ONLY}
    if zero_only and amount != 0:
        log.add("amount_not_zero", line, "amount", f"zero expected with code {code.code}")
    elif code.purpose is Purpose.PAYMENT and amount == 0:
        log.add("amount_zero", line, "amount", f"more than zero expected with code {code.code}")


def _check_forward(
    header: BatchHeader, entry: Entry, code: TransactionCode, line: int, log: ErrorLog
) -> None:
    check_amount(entry.amount_minor, code, line, change_notice=False, log=log)
    sec = SEC_RULES[header.standard_entry_class_code]
    if sec.code == "COR":
        log.add("addenda_missing", line, "addenda", "an entry of class COR has one addenda 98")
    elif code.purpose is Purpose.RETURN:
        rule = f"code {code.code} belongs to returns, which have one addenda 99"
        log.add("addenda_missing", line, "transaction_code", rule)
    elif not (sec.credits if code.credit else sec.debits) and not _is_reversal(header):
        side = "credits" if code.credit else "debits"
        log.add("sec_direction", line, "transaction_code", f"class {sec.code} holds no {side}")
    if code.purpose is Purpose.REMITTANCE_ONLY:
        if not sec.remittance_only:
            rule = f"class {sec.code} has no remittance-only entries"
            log.add("sec_direction", line, "transaction_code", rule)
        if not entry.addenda:
            rule = "a remittance-only entry carries its remittance in addenda 05"
            log.add("addenda_missing", line, "addenda", rule)
    if len(entry.addenda) > sec.addenda_max:
        rule = f"class {sec.code} allows {sec.addenda_max} addenda 05, found {len(entry.addenda)}"
        log.add("addenda_count", line, "addenda", rule)


def _check_notice(
    header: BatchHeader, entry: Entry, code: TransactionCode, line: int, log: ErrorLog
) -> None:
    change = entry.is_change_notice
    check_amount(entry.amount_minor, code, line, change_notice=change, log=log)
    if code.purpose is not Purpose.RETURN:
        rule = f"returns and notifications use codes ending in 1 or 6, found {code.code}"
        log.add("transaction_code", line, "transaction_code", rule)
    if len(entry.addenda) != 1 or isinstance(entry.addenda[0], Addenda05):
        rule = f"one addenda 98 or 99 and no other expected, found {len(entry.addenda)}"
        log.add("addenda_count", line, "addenda", rule)
    if change != (header.standard_entry_class_code == "COR"):
        rule = "addenda 98 stand in class COR and only they do"
        log.add("addenda_type", line, "addenda_type_code", rule)


def _is_reversal(header: BatchHeader) -> bool:
    return header.company_entry_description == REVERSAL
