"""Movements of unclaimed money as the ledger's journals, with ids that a replay makes again."""

from datetime import datetime
from typing import Final

from tally_contracts.base import AskedAmount
from tally_contracts.ledger import Leg, PostJournal
from tally_funding.claims.domain.estate import Movement, Reason
from tally_funding.claims.store.wallets import Circumstances
from tally_funding.postings import Books
from tally_runtime import derived_id

REFERENCE_PREFIX: Final = "mov_"
"""How the ids of movements start: the ledger's facts about them are known by it."""

_CODES: Final = {
    Reason.CLAIMED: "claim",
    Reason.REDESIGNATED: "redesignation",
    Reason.EXPIRED: "claim_expiry",
    Reason.FOLLOWED: "claim_follow",
}


def journal_id(movement: Movement) -> str | None:
    """The journal of a movement; None where nothing is moved."""
    return derived_id("jrn", movement.movement_id) if movement.amounts else None


def journal(
    books: Books, owner: str, movement: Movement, told: Circumstances, now: datetime
) -> PostJournal:
    """All that is moved, one leg per currency, from the unknown payee's wallets to the new owner's."""
    legs, accounts = [], []
    for amount in movement.amounts:
        code = amount.currency.code
        debit, credit = books.wallet(owner, code), books.wallet(movement.to_owner, code)
        accounts += [debit, credit]
        legs.append(
            Leg(
                id=derived_id("trf", movement.movement_id, code),
                debit=debit.id,
                credit=credit.id,
                amount=AskedAmount.of(amount),
                code=_CODES[movement.reason],
            )
        )
    this = journal_id(movement)
    assert this is not None, "a movement without amounts has no journal"
    return PostJournal(
        who=told.who,
        where=told.where,
        why=told.why,
        occurred_at=now,
        journal_id=this,
        ledger=books.ledger,
        reference=movement.movement_id,
        open_accounts=tuple(accounts),
        legs=tuple(legs),
        effective_at=now,
    )
