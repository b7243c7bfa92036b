"""The running figures that control records repeat."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tally_bankfiles.nacha.batch_records import BatchControl
from tally_bankfiles.nacha.dialects import AnyHeader
from tally_bankfiles.nacha.errors import ErrorLog
from tally_bankfiles.nacha.file_records import FileControl

BLOCKING_FACTOR: Final = 10
_HASH_MODULUS: Final = 10**10
_CONTROL_CODES: Final = MappingProxyType(
    {
        "service_class_code": "service_class",
        "batch_count": "batch_count",
        "block_count": "block_count",
        "entry_addenda_count": "entry_addenda_count",
        "entry_hash": "entry_hash",
        "total_debit_entry_dollar_amount": "total_debit",
        "total_credit_entry_dollar_amount": "total_credit",
        "company_identification": "company_identification",
        "originating_dfi_identification": "originating_dfi",
        "batch_number": "batch_number",
    }
)
"""Error code by control field; the message authentication code is not ours to check."""


@dataclass(slots=True)
class Totals:
    """Sums over entries; amounts in cents. The hash adds the first eight routing digits."""

    records: int = 0
    hash_sum: int = 0
    debit: int = 0
    credit: int = 0

    def add(self, *, routing: str, amount: int, credit: bool, addenda: int) -> None:
        self.records += 1 + addenda
        self.hash_sum += int(routing[:8])
        if credit:
            self.credit += amount
        else:
            self.debit += amount

    def merge(self, other: "Totals") -> None:
        self.records += other.records
        self.hash_sum += other.hash_sum
        self.debit += other.debit
        self.credit += other.credit

    @property
    def entry_hash(self) -> int:
        return self.hash_sum % _HASH_MODULUS


def batch_control(header: AnyHeader, totals: Totals) -> BatchControl:
    return BatchControl(
        service_class_code=header.service_class_code,
        entry_addenda_count=totals.records,
        entry_hash=totals.entry_hash,
        total_debit_entry_dollar_amount=totals.debit,
        total_credit_entry_dollar_amount=totals.credit,
        company_identification=header.company_identification,
        originating_dfi_identification=header.originating_dfi_identification,
        batch_number=header.batch_number,
    )


def file_control(totals: Totals, *, batches: int, records: int) -> FileControl:
    """The control of a file of `records` lines, padding left out, the control itself included."""
    return FileControl(
        batch_count=batches,
        block_count=-(-records // BLOCKING_FACTOR),
        entry_addenda_count=totals.records,
        entry_hash=totals.entry_hash,
        total_debit_entry_dollar_amount=totals.debit,
        total_credit_entry_dollar_amount=totals.credit,
    )


def compare_controls(
    found: BatchControl | FileControl,
    expected: BatchControl | FileControl,
    line: int,
    log: ErrorLog,
) -> None:
    """Log each field of a control record that differs from what the file adds up to."""
    for field, code in _CONTROL_CODES.items():
        wanted = getattr(expected, field, None)
        given = getattr(found, field, None)
        if wanted != given:
            log.add(code, line, field, f"{wanted} expected from the records above, found {given}")
