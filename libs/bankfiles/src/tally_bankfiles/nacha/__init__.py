"""NACHA files: a strict writer, a lenient reader and the code tables; see the README."""

from tally_bankfiles.nacha.addenda import (
    Addenda,
    Addenda05,
    Addenda98,
    Addenda98Refused,
    Addenda99,
    Addenda99Contested,
    Addenda99Dishonored,
)
from tally_bankfiles.nacha.batch_records import BatchHeader
from tally_bankfiles.nacha.build import Credit, Origin, TraceSequenceError, build_credit_file
from tally_bankfiles.nacha.codes import (
    TRANSACTION_CODES,
    AccountType,
    Purpose,
    ServiceClass,
    return_transaction_code,
)
from tally_bankfiles.nacha.entry_records import Entry, remittance_addenda
from tally_bankfiles.nacha.errors import NachaError, NachaFileError
from tally_bankfiles.nacha.file_records import FileHeader
from tally_bankfiles.nacha.iat_addenda import (
    Addenda10,
    Addenda11,
    Addenda12,
    Addenda13,
    Addenda14,
    Addenda15,
    Addenda16,
    Addenda17,
    Addenda18,
    Addenda98Iat,
    Addenda99Iat,
    IatAddenda,
)
from tally_bankfiles.nacha.iat_records import IatBatchHeader, IatEntry
from tally_bankfiles.nacha.model import AchFile, Batch, LocatedEntry
from tally_bankfiles.nacha.notices import (
    CorrectedDataError,
    CorrectedDetails,
    Notice,
    corrected_details,
    notice_of,
)
from tally_bankfiles.nacha.reader import iter_entries, iter_events, read_file
from tally_bankfiles.nacha.reasons import (
    CHANGE_REASONS,
    RETURN_REASONS,
    Reason,
    ReasonAction,
    action_for,
)
from tally_bankfiles.nacha.routing import is_routing_number, routing_check_digit
from tally_bankfiles.nacha.text import AchTextError, to_ach_text
from tally_bankfiles.nacha.writer import write_file

__all__ = [
    "CHANGE_REASONS",
    "RETURN_REASONS",
    "TRANSACTION_CODES",
    "AccountType",
    "AchFile",
    "AchTextError",
    "Addenda",
    "Addenda05",
    "Addenda10",
    "Addenda11",
    "Addenda12",
    "Addenda13",
    "Addenda14",
    "Addenda15",
    "Addenda16",
    "Addenda17",
    "Addenda18",
    "Addenda98",
    "Addenda98Iat",
    "Addenda98Refused",
    "Addenda99",
    "Addenda99Contested",
    "Addenda99Dishonored",
    "Addenda99Iat",
    "Batch",
    "BatchHeader",
    "CorrectedDataError",
    "CorrectedDetails",
    "Credit",
    "Entry",
    "FileHeader",
    "IatAddenda",
    "IatBatchHeader",
    "IatEntry",
    "LocatedEntry",
    "NachaError",
    "NachaFileError",
    "Notice",
    "Origin",
    "Purpose",
    "Reason",
    "ReasonAction",
    "ServiceClass",
    "TraceSequenceError",
    "action_for",
    "build_credit_file",
    "corrected_details",
    "is_routing_number",
    "iter_entries",
    "iter_events",
    "notice_of",
    "read_file",
    "remittance_addenda",
    "return_transaction_code",
    "routing_check_digit",
    "to_ach_text",
    "write_file",
]
