"""Movements of an agreement as the ledger's journals, with ids that a replay makes again."""

from datetime import datetime

from tally_contracts.base import AskedAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.escrow.domain.agreement import Agreement, State
from tally_funding.postings import Books
from tally_money import Money
from tally_runtime import derived_id

REFERENCE_PREFIX = "agr_"
"""How the ids of agreements start: the ledger's facts about them are known by it."""


def account(books: Books, agreement: Agreement) -> AccountSpec:
    """The account of its own that an agreement's money stands in."""
    return books.account(
        "escrow",
        agreement.agreement_id,
        agreement.amount.currency.code,
        owner=agreement.agreement_id,
    )


def journal_id(agreement_id: str, number: int) -> str:
    """The journal of an agreement's ask `number`."""
    return derived_id("jrn", agreement_id, "escrow", str(number))


def journal(
    books: Books,
    agreement: Agreement,
    *,
    to_payee: str,
    who: Who,
    where: Where,
    why: Why,
    now: datetime,
) -> PostJournal:
    """The journal that the movement under way asks for; `to_payee`: whose the payee's part is booked."""
    movement = agreement.movement
    assert movement is not None, "a journal is of a movement"
    code = agreement.amount.currency.code
    held, payer = account(books, agreement), books.wallet(agreement.payer, code)
    payee = books.wallet(to_payee, code)
    if agreement.state is State.FUNDING:
        moves = [(payer, held, agreement.amount, "escrow_funding")]
    else:
        moves = [
            (held, payee, movement.to_payee, "escrow_release"),
            (held, payer, movement.to_payer, "escrow_refund"),
        ]
    asked = [move for move in moves if move[2]]
    this = journal_id(agreement.agreement_id, movement.number)
    accounts = {spec.id: spec for debit, credit, _, _ in asked for spec in (debit, credit)}
    return PostJournal(
        who=who,
        where=where,
        why=why,
        occurred_at=now,
        journal_id=this,
        ledger=books.ledger,
        reference=agreement.agreement_id,
        open_accounts=tuple(accounts.values()),
        legs=tuple(_leg(this, *move) for move in asked),
        effective_at=now,
    )


def _leg(journal: str, debit: AccountSpec, credit: AccountSpec, amount: Money, code: str) -> Leg:
    return Leg(
        id=derived_id("trf", journal, code),
        debit=debit.id,
        credit=credit.id,
        amount=AskedAmount.of(amount),
        code=code,
    )
