"""What an international entry may be inside its batch."""

from typing import Final

from tally_bankfiles.nacha.codes import Purpose
from tally_bankfiles.nacha.entry_rules import check_amount, check_routing, check_transaction_code
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.iat_addenda import iat_type_code
from tally_bankfiles.nacha.iat_records import IatBatchHeader, IatEntry

_MANDATORY: Final = ("10", "11", "12", "13", "14", "15", "16")
_AFTER: Final = frozenset({"17", "18", "98", "99"})
_OPTIONAL_MAX: Final = (("17", 2), ("18", 5))


def check_iat_entry(header: IatBatchHeader, entry: IatEntry, line: int, log: ErrorLog) -> None:
    """Log every rule that an entry of this batch breaks, at the entry's own line."""
    check_routing(entry.routing, line, log)
    code = check_transaction_code(entry.transaction_code, header.service_class_code, line, log=log)
    if code is None:
        return
    change = entry.is_change_notice
    check_amount(entry.amount_minor, code, line, change_notice=change, log=log)
    if change != (header.standard_entry_class_code == "COR"):
        rule = "addenda 98 stand in class COR and only they do"
        log.add("addenda_type", line, "addenda_type_code", rule)
    if code.purpose is Purpose.REMITTANCE_ONLY:
        rule = "class IAT has no remittance-only entries"
        log.add("sec_direction", line, "transaction_code", rule)
    if (code.purpose is Purpose.RETURN) != (entry.notice is not None):
        rule = f"codes ending in 1 or 6 and addenda 98 or 99 go together, found {code.code}"
        log.add("transaction_code", line, "transaction_code", rule)
    _check_addenda(entry, line, log)


def _check_addenda(entry: IatEntry, line: int, log: ErrorLog) -> None:
    """10 to 16 once each, then up to two 17, up to five 18, then what makes it a notice.

    A notification of change may have its addenda 98 alone.
    """
    found = tuple(iat_type_code(addenda) for addenda in entry.addenda)
    if found == ("98",):
        return
    if found[: len(_MANDATORY)] != _MANDATORY:
        rule = f"addenda 10 to 16 come first and in order, found {', '.join(found) or 'none'}"
        log.add("addenda_order", line, "addenda", rule)
        return
    rest = found[len(_MANDATORY) :]
    notices = rest.count("98") + rest.count("99")
    if list(rest) != sorted(rest) or not set(rest) <= _AFTER or notices > 1:
        rule = f"after 16 come 17, then 18, then one 98 or 99, found {', '.join(rest)}"
        log.add("addenda_order", line, "addenda", rule)
    for code, most in _OPTIONAL_MAX:
        if rest.count(code) > most:
            rule = f"at most {most} addenda {code}, found {rest.count(code)}"
            log.add("addenda_count", line, "addenda", rule)
