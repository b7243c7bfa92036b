"""The rules of the books: pure, no I/O, no clock."""

from tally_ledger.domain.books import Answer, Books, Done, Known, Opened, Posted, Rejected
from tally_ledger.domain.commands import (
    Capture,
    Command,
    Context,
    Expire,
    Leg,
    Movement,
    Open,
    Place,
    PostLegs,
    Release,
)
from tally_ledger.domain.decide import decide
from tally_ledger.domain.fold import Batch, fold
from tally_ledger.domain.model import (
    Account,
    Balance,
    Entry,
    Hold,
    HoldState,
    Transfer,
    TransferKind,
)

__all__ = [
    "Account",
    "Answer",
    "Balance",
    "Batch",
    "Books",
    "Capture",
    "Command",
    "Context",
    "Done",
    "Entry",
    "Expire",
    "Hold",
    "HoldState",
    "Known",
    "Leg",
    "Movement",
    "Open",
    "Opened",
    "Place",
    "PostLegs",
    "Posted",
    "Rejected",
    "Release",
    "Transfer",
    "TransferKind",
    "decide",
    "fold",
]
