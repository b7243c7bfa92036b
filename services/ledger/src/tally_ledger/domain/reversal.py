"""Moving back what was moved, never more of it than there was."""

from datetime import datetime

from tally_ledger.domain.books import Books, Posted, Rejected
from tally_ledger.domain.commands import Leg, Reversal, Reverse
from tally_ledger.domain.draft import Draft
from tally_ledger.domain.identity import used_ids
from tally_ledger.domain.model import Transfer, TransferKind
from tally_ledger.domain.timing import wrong_time

_REVERSIBLE = frozenset({TransferKind.SINGLE, TransferKind.POST})


def decide_reversal(books: Books, command: Reverse, now: datetime) -> Posted | Rejected:
    """Move legs of a journal or capture back, in the order given, or none.

    Each is checked as a new leg the other way round: an account that no longer has the money, or
    is frozen or closed, refuses, and the caller decides what then.
    """
    refusal = used_ids(books, command.legs) or wrong_time(command.effective_at, now)
    if refusal is not None:
        return refusal
    transfers = books.journals.get(command.target)
    if transfers is None:
        return Rejected(
            "journal_unknown",
            f"reverses: no journal {command.target} was posted in ledger {books.ledger}",
        )
    targets = {transfer.id: transfer for transfer in transfers}
    left = {target: t.amount - books.reversed.get(target, 0) for target, t in targets.items()}
    draft = Draft(books, {})
    for index, leg in enumerate(command.legs):
        target = targets.get(leg.target)
        if target is None or target.kind not in _REVERSIBLE:
            return _not_reversible(index, leg, command.target)
        back = Leg(leg.id, target.credit, target.debit, leg.currency, leg.amount, leg.code)
        refusal = _beyond(leg, target, left[target.id]) or draft.refusal(back)
        if refusal is not None:
            return Rejected(refusal.code, f"legs.{index}.{refusal.detail}")
        left[target.id] -= leg.amount
        draft.move(_reverse(back, target.id))
    return draft.posted()


def _reverse(leg: Leg, target: str) -> Transfer:
    return Transfer(
        leg.id,
        TransferKind.REVERSE,
        target,
        leg.debit,
        leg.credit,
        leg.currency,
        leg.amount,
        leg.code,
    )


def _beyond(leg: Reversal, target: Transfer, left: int) -> Rejected | None:
    if leg.currency != target.currency or leg.amount <= left:
        return None
    return Rejected(
        "reversal_exceeds_target",
        f"amount: {left} of the {target.amount} minor units of {target.id} are not reversed yet, "
        f"{leg.amount} are asked for; reverse no more than that",
    )


def _not_reversible(index: int, leg: Reversal, journal_id: str) -> Rejected:
    return Rejected(
        "not_reversible",
        f"legs.{index}.reverses: {leg.target} is no posted transfer of journal {journal_id}; "
        "a hold is released, and a reversal is corrected by a new journal",
    )
