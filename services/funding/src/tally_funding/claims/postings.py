"""What moves unclaimed money as the ledger's journals, with ids that a replay makes again."""

from datetime import datetime
from typing import Final

from tally_contracts.base import AskedAmount
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.claims.domain.estate import Movement, Reason, receiver
from tally_funding.claims.domain.filing import Filing, Line
from tally_funding.claims.domain.reclaim import Reclaim
from tally_funding.claims.store.wallets import Circumstances
from tally_funding.postings import Books
from tally_runtime import derived_id

REFERENCE_PREFIX: Final = "mov_"
"""How the ids of movements start: the ledger's facts about them are known by it."""

LINE_PREFIX: Final = "esc"
"""Of the ids of a filing's lines, which the journals that remit them refer to."""
RECLAIM_PREFIX: Final = "rcl"
"""Of the references of journals that bring money back."""

_CODES: Final = {
    Reason.CLAIMED: "claim",
    Reason.REDESIGNATED: "redesignation",
    Reason.EXPIRED: "claim_expiry",
    Reason.FOLLOWED: "claim_follow",
    Reason.RELEASED: "release",
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


def escheat_owner(jurisdiction: str) -> str:
    """Whose money is once it was filed."""
    return f"escheat:{jurisdiction}"


def escheat(books: Books, *, holder: str, jurisdiction: str, code: str) -> AccountSpec:
    """What a holder owes a jurisdiction in one currency; guarded, so that no more comes back."""
    return books.account(
        "escheat", f"{jurisdiction}.{holder}", code, owner=escheat_owner(jurisdiction)
    )


def line_id(filing_id: str, account: str) -> str:
    """The id of a wallet's line in a filing, and the reference of its journal."""
    return derived_id(LINE_PREFIX, filing_id, account)


def remittance_id(line: Line) -> str:
    """The journal that remits a line."""
    return derived_id("jrn", line.line_id)


def remittance(
    books: Books, filing: Filing, line: Line, told: Circumstances, now: datetime
) -> PostJournal:
    """A line's money, from its wallet to the jurisdiction's account."""
    code = line.amount.currency.code
    to = escheat(books, holder=filing.holder, jurisdiction=filing.jurisdiction, code=code)
    return PostJournal(
        who=told.who,
        where=told.where,
        why=told.why,
        occurred_at=now,
        journal_id=remittance_id(line),
        ledger=books.ledger,
        reference=line.line_id,
        open_accounts=(to,),
        legs=(
            Leg(
                id=derived_id("trf", line.line_id),
                debit=line.account,
                credit=to.id,
                amount=AskedAmount.of(line.amount),
                code="escheat",
            ),
        ),
        effective_at=now,
    )


def reclaim_reference(reclaim_id: str) -> str:
    """The reference of the journal of a reclaim."""
    return derived_id(RECLAIM_PREFIX, reclaim_id)


def reclaim_journal_id(reclaim: Reclaim) -> str:
    """The journal that brings a reclaim's money back."""
    return derived_id("jrn", reclaim.reference)


def reclaim_journal(
    books: Books, reclaim: Reclaim, to_owner: str, told: Circumstances, now: datetime
) -> PostJournal:
    """A line's money, from the jurisdiction's account to the wallet of `to_owner`: the claimant's.

    What was the claimant's before it was filed comes back where it was, restricted or not.
    """
    line, code = reclaim.line, reclaim.line.amount.currency.code
    back = escheat(books, holder=reclaim.holder, jurisdiction=reclaim.jurisdiction, code=code)
    wallet = books.wallet(to_owner, code)
    # A known owner gets it back where it was; that account is there.
    own = receiver(line.owner) == reclaim.claimant
    return PostJournal(
        who=told.who,
        where=told.where,
        why=told.why,
        occurred_at=now,
        journal_id=reclaim_journal_id(reclaim),
        ledger=books.ledger,
        reference=reclaim.reference,
        open_accounts=() if own else (wallet,),
        legs=(
            Leg(
                id=derived_id("trf", reclaim.reference),
                debit=back.id,
                credit=line.account if own else wallet.id,
                amount=AskedAmount.of(line.amount),
                code="reclaim",
            ),
        ),
        effective_at=now,
    )
