"""Code tables of the standard that decide what an entry may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class ServiceClass(IntEnum):
    MIXED = 200
    CREDITS = 220
    DEBITS = 225


class AccountType(StrEnum):
    CHECKING = "checking"
    SAVINGS = "savings"
    GENERAL_LEDGER = "general_ledger"
    LOAN = "loan"


class Purpose(StrEnum):
    """What an entry is for; it decides whether the amount is zero."""

    PAYMENT = "payment"
    PRENOTE = "prenote"
    REMITTANCE_ONLY = "remittance_only"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class TransactionCode:
    """`credit` is seen from the receiver: True puts money into the receiver's account."""

    code: int
    account_type: AccountType
    credit: bool
    purpose: Purpose


_ACCOUNT_TYPES: Final = (
    (20, AccountType.CHECKING),
    (30, AccountType.SAVINGS),
    (40, AccountType.GENERAL_LEDGER),
    (50, AccountType.LOAN),
)
_UNITS: Final = (
    (1, True, Purpose.RETURN),
    (2, True, Purpose.PAYMENT),
    (3, True, Purpose.PRENOTE),
    (4, True, Purpose.REMITTANCE_ONLY),
    (6, False, Purpose.RETURN),
    (7, False, Purpose.PAYMENT),
    (8, False, Purpose.PRENOTE),
    (9, False, Purpose.REMITTANCE_ONLY),
)


def _transaction_codes() -> Mapping[int, TransactionCode]:
    codes = {
        tens + unit: TransactionCode(tens + unit, account_type, credit, purpose)
        for tens, account_type in _ACCOUNT_TYPES
        for unit, credit, purpose in _UNITS
    }
    # A loan account is only ever debited to reverse a credit: 55, and no 57, 58, 59.
    for absent in (57, 58, 59):
        del codes[absent]
    codes[55] = TransactionCode(55, AccountType.LOAN, credit=False, purpose=Purpose.PAYMENT)
    return MappingProxyType(dict(sorted(codes.items())))


TRANSACTION_CODES: Final = _transaction_codes()


def return_transaction_code(code: int) -> int:
    """The transaction code with which an entry of `code` comes back (22 -> 21, 27 -> 26).

    Raises ValueError for a code that is not in the table.
    """
    known = TRANSACTION_CODES.get(code)
    if known is None:
        raise ValueError(f"transaction code {code} is not one of {sorted(TRANSACTION_CODES)}")
    return code - code % 10 + (1 if known.credit else 6)


@dataclass(frozen=True, slots=True)
class SecRule:
    """What a domestic class allows: addenda 05 per entry, forward debits and credits."""

    code: str
    addenda_max: int
    credits: bool
    debits: bool
    remittance_only: bool


SEC_RULES: Final[Mapping[str, SecRule]] = MappingProxyType(
    {
        rule.code: rule
        for rule in (
            SecRule("PPD", 1, credits=True, debits=True, remittance_only=False),
            SecRule("CCD", 1, credits=True, debits=True, remittance_only=True),
            SecRule("CTX", 9999, credits=True, debits=True, remittance_only=True),
            SecRule("WEB", 1, credits=True, debits=True, remittance_only=False),
            SecRule("TEL", 0, credits=False, debits=True, remittance_only=False),
            SecRule("COR", 0, credits=False, debits=False, remittance_only=False),
        )
    }
)
