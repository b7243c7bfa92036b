"""Gates and limits by identity level: see README.md."""

from tally_gates.asking import ask, binding, exceeded
from tally_gates.book import ANYWHERE, GateBook, GateTable, LimitTable
from tally_gates.published import (
    GATES,
    LIMITS,
    Party,
    StoredTable,
    book_of,
)
from tally_gates.rows import (
    Act,
    Answer,
    EndpointClass,
    GateRow,
    Level,
    LimitRow,
    MustAct,
    PartyKind,
    Window,
)
from tally_gates.rulings import Closed, Limit, Open, OpenTo, Question, Ruling
from tally_gates.windows import window_ends, window_starts

__all__ = [
    "ANYWHERE",
    "GATES",
    "LIMITS",
    "Act",
    "Answer",
    "Closed",
    "EndpointClass",
    "GateBook",
    "GateRow",
    "GateTable",
    "Level",
    "Limit",
    "LimitRow",
    "LimitTable",
    "MustAct",
    "Open",
    "OpenTo",
    "Party",
    "PartyKind",
    "Question",
    "Ruling",
    "StoredTable",
    "Window",
    "ask",
    "binding",
    "book_of",
    "exceeded",
    "window_ends",
    "window_starts",
]
