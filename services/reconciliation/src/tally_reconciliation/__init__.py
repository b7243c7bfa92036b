"""The nothing-lost oracle. See README.md."""

from tally_reconciliation.errors import (
    BankUnreadable,
    BrokerUnreadable,
    ReconciliationError,
    SchemaAbsent,
)
from tally_reconciliation.oracle import verify
from tally_reconciliation.report import Check, Fault, Holding, Quiet, Report, Verdict
from tally_reconciliation.sources import SCHEMAS, Sources

__all__ = [
    "SCHEMAS",
    "BankUnreadable",
    "BrokerUnreadable",
    "Check",
    "Fault",
    "Holding",
    "Quiet",
    "ReconciliationError",
    "Report",
    "SchemaAbsent",
    "Sources",
    "Verdict",
    "verify",
]
