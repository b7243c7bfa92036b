"""The one rule of every statement, whatever its format: opening and entries give the closing."""

from collections.abc import Sequence

from tally_bankfiles.camt.errors import StatementError
from tally_bankfiles.camt.model import EntryStatus, StatementEntry
from tally_money import Money


def require_balanced(
    opening: Money, closing: Money, entries: Sequence[StatementEntry], *, line: int, field: str
) -> None:
    """Raise StatementError unless opening plus booked entries is the closing balance."""
    reached = opening
    for entry in entries:
        if entry.status is EntryStatus.BOOKED:
            reached += entry.signed
    if reached != closing:
        raise StatementError(
            "statement_unbalanced",
            line=line,
            field=field,
            detail=f"opening and booked entries give {reached}, the closing balance is {closing}",
            remedy="book nothing of it and ask the bank for a corrected statement",
        )
