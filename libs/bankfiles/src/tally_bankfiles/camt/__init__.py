"""ISO 20022 account reports and statements; see the README."""

from tally_bankfiles.camt.document import MAX_BYTES
from tally_bankfiles.camt.errors import StatementError
from tally_bankfiles.camt.model import (
    Account,
    BankTransactionCode,
    EntryStatus,
    EntryTransaction,
    MessageKind,
    Page,
    Party,
    Period,
    SignedMoney,
    Statement,
    StatementEntry,
    StructuredRemittance,
)
from tally_bankfiles.camt.reader import read_statements
from tally_bankfiles.camt.writer import write_camt053

__all__ = [
    "MAX_BYTES",
    "Account",
    "BankTransactionCode",
    "EntryStatus",
    "EntryTransaction",
    "MessageKind",
    "Page",
    "Party",
    "Period",
    "SignedMoney",
    "Statement",
    "StatementEntry",
    "StatementError",
    "StructuredRemittance",
    "read_statements",
    "write_camt053",
]
