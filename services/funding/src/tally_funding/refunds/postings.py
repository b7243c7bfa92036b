"""Returns as the ledger's commands: what is moved back, what is owed, what is given back again."""

from collections.abc import Sequence
from datetime import datetime

from tally_contracts.base import AskedAmount, PositiveAmount
from tally_contracts.ledger import AccountSpec, Leg, PostJournal, ReversalLeg, ReverseJournal
from tally_funding.postings import About, Books, allocation_journal_id, suspense_journal_id
from tally_funding.refunds.domain import Portion, ReturnKind
from tally_money import Money
from tally_runtime import derived_id


def allocation_transfer_id(pay_in_id: str, journal_id: str, position: int) -> str:
    """The transfer that put an allocation into its wallet, by the journal that did."""
    if journal_id == allocation_journal_id(pay_in_id):
        return derived_id("trf", pay_in_id, "allocation", str(position))
    return derived_id("trf", journal_id, "allocation", str(position))


def suspense_transfer_id(pay_in_id: str) -> str:
    """The transfer that put a pay-in into suspense."""
    return derived_id("trf", pay_in_id, "suspense")


def reversal_journal_id(return_id: str, position: int) -> str:
    return derived_id("jrn", return_id, "reversal", str(position))


def owing_journal_id(return_id: str, position: int) -> str:
    return derived_id("jrn", return_id, "owing", str(position))


def reinstatement_journal_id(return_id: str) -> str:
    return derived_id("jrn", return_id, "reinstatement")


def receivable_id(return_id: str, position: int) -> str:
    return derived_id("rcv", return_id, str(position))


def receivable_account(books: Books, owner: str, code: str) -> AccountSpec:
    """What an owner owes in one currency: below zero by the debt, never above zero."""
    account = books.account("receivable", owner, code, owner=owner)
    return account.model_copy(update={"guarded": False, "no_credit_overdraft": True})


def reversal(  # noqa: PLR0917 - a command, field by field
    books: Books,
    return_id: str,
    kind: ReturnKind,
    of_pay_in: tuple[str, str | None],
    portion: Portion,
    about: About,
    now: datetime,
) -> ReverseJournal:
    """Move one portion back to the source's clearing account.

    `of_pay_in`: the pay-in and the journal that allocated it, None where it stands in suspense.
    """
    pay_in_id, journal_id = of_pay_in
    reverses = (
        suspense_transfer_id(pay_in_id)
        if journal_id is None
        else allocation_transfer_id(pay_in_id, journal_id, portion.position)
    )
    return ReverseJournal(
        who=about.who,
        where=about.where,
        why=about.why,
        occurred_at=now,
        journal_id=reversal_journal_id(return_id, portion.position),
        ledger=books.ledger,
        reference=return_id,
        reverses=suspense_journal_id(pay_in_id) if journal_id is None else journal_id,
        legs=(
            ReversalLeg(
                id=derived_id("trf", return_id, "reversal", str(portion.position)),
                reverses=reverses,
                amount=AskedAmount.of(portion.amount),
                code=kind.value,
            ),
        ),
        effective_at=now,
    )


def taking(  # noqa: PLR0917 - a command, field by field
    books: Books,
    return_id: str,
    kind: ReturnKind,
    source: str,
    portion: Portion,
    about: About,
    now: datetime,
) -> PostJournal:
    """Move one portion to the source's clearing account where its transfer was reversed before."""
    clearing = books.clearing(source, portion.amount.currency.code)
    leg = _leg(
        derived_id("trf", return_id, "reversal", str(portion.position)),
        portion.account,
        clearing.id,
        portion.amount,
        kind.value,
    )
    return PostJournal(
        who=about.who,
        where=about.where,
        why=about.why,
        occurred_at=now,
        journal_id=reversal_journal_id(return_id, portion.position),
        ledger=books.ledger,
        reference=return_id,
        legs=(leg,),
        effective_at=now,
    )


def owing(  # noqa: PLR0917 - a command, field by field
    books: Books, return_id: str, source: str, portion: Portion, about: About, now: datetime
) -> PostJournal:
    """The wallet has spent it: the owner owes it, so that the payer gets it all the same."""
    code = portion.amount.currency.code
    clearing = books.clearing(source, code)
    receivable = receivable_account(books, portion.owner, code)
    leg = _leg(
        derived_id("trf", return_id, "owing", str(portion.position)),
        receivable.id,
        clearing.id,
        portion.amount,
        "receivable",
    )
    return PostJournal(
        who=about.who,
        where=about.where,
        why=about.why,
        occurred_at=now,
        journal_id=owing_journal_id(return_id, portion.position),
        ledger=books.ledger,
        reference=return_id,
        open_accounts=(clearing, receivable),
        legs=(leg,),
        effective_at=now,
    )


def reinstatement(  # noqa: PLR0917 - a command, field by field
    books: Books,
    return_id: str,
    source: str,
    back: Sequence[tuple[str, Money]],
    about: About,
    now: datetime,
) -> PostJournal:
    """Give money back from the source's clearing account to these accounts, all at once."""
    clearing = books.clearing(source, back[0][1].currency.code)
    return PostJournal(
        who=about.who,
        where=about.where,
        why=about.why,
        occurred_at=now,
        journal_id=reinstatement_journal_id(return_id),
        ledger=books.ledger,
        reference=return_id,
        legs=tuple(
            _leg(
                derived_id("trf", return_id, "reinstatement", str(index)),
                clearing.id,
                account,
                amount,
                "reinstatement",
            )
            for index, (account, amount) in enumerate(back)
        ),
        effective_at=now,
    )


def settlement(  # noqa: PLR0917 - a command, field by field
    books: Books, settlement_id: str, owner: str, amount: Money, about: About, now: datetime
) -> PostJournal:
    """An owner pays what it owes from its wallet."""
    code = amount.currency.code
    wallet, receivable = books.wallet(owner, code), receivable_account(books, owner, code)
    leg = _leg(
        derived_id("trf", settlement_id, "settlement"),
        wallet.id,
        receivable.id,
        amount,
        "settlement",
    )
    return PostJournal(
        who=about.who,
        where=about.where,
        why=about.why,
        occurred_at=now,
        journal_id=derived_id("jrn", settlement_id, "settlement"),
        ledger=books.ledger,
        reference=settlement_id,
        open_accounts=(wallet, receivable),
        legs=(leg,),
        effective_at=now,
    )


def _leg(transfer_id: str, debit: str, credit: str, amount: Money, code: str) -> Leg:
    return Leg(
        id=transfer_id, debit=debit, credit=credit, amount=PositiveAmount.of(amount), code=code
    )
