"""An id is used once: for one request, and for one transfer."""

from collections.abc import Sequence

from tally_ledger.domain.books import Books, Rejected
from tally_ledger.domain.commands import Leg, Reversal


def used_ids(books: Books, legs: Sequence[Leg | Reversal]) -> Rejected | None:
    """The refusal if one of a journal's legs has an id that is taken, or two have the same."""
    used = books.transfer_ids
    if len(legs) == 1:
        only = legs[0].id
        return used_id("legs.0.id", only) if only in used else None
    seen: set[str] = set()
    for index, leg in enumerate(legs):
        transfer_id = leg.id
        if transfer_id in seen:
            return Rejected("duplicate_leg", f"legs.{index}.id: {transfer_id} is used twice here")
        if transfer_id in used:
            return used_id(f"legs.{index}.id", transfer_id)
        seen.add(transfer_id)
    return None


def used_id(field: str, transfer_id: str) -> Rejected:
    """The refusal of an id that a transfer has already."""
    return Rejected(
        "id_conflict", f"{field}: a transfer with id {transfer_id} exists; a new one needs a new id"
    )
