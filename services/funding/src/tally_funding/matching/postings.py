"""Matched money as the ledger's command."""

from collections.abc import Sequence
from datetime import datetime

from tally_contracts.base import PositiveAmount
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.postings import About, Books, Designated
from tally_money import Money
from tally_runtime import derived_id


def match_journal_id(match_id: str) -> str:
    return derived_id("jrn", match_id, "match")


def match_journal(  # noqa: PLR0917 - a command, field by field
    books: Books,
    match_id: str,
    source: str,
    amount: Money,
    designated: Sequence[Designated],
    about: About,
    now: datetime,
) -> PostJournal:
    """From suspense back to clearing, and from there to the wallets, all or nothing.

    Through clearing, so that an allocation is the same transfer however the money was matched, and
    a return reverses it to where the payer's money is.
    """
    code, journal_id = amount.currency.code, match_journal_id(match_id)
    clearing, suspense = books.clearing(source, code), books.suspense(source, code)
    back = _leg(derived_id("trf", journal_id, "suspense"), suspense, clearing, amount, "match")
    legs = tuple(
        _leg(
            derived_id("trf", journal_id, "allocation", str(position)),
            clearing,
            share.wallet,
            share.part.amount,
            "allocation",
        )
        for position, share in enumerate(designated)
    )
    wallets = {share.wallet.id: share.wallet for share in designated}
    return PostJournal(
        who=about.who,
        where=about.where,
        why=about.why,
        occurred_at=now,
        journal_id=journal_id,
        ledger=books.ledger,
        reference=match_id,
        open_accounts=(clearing, suspense, *wallets.values()),
        legs=(back, *legs),
        effective_at=now,
    )


def _leg(
    transfer_id: str, debit: AccountSpec, credit: AccountSpec, amount: Money, code: str
) -> Leg:
    return Leg(
        id=transfer_id,
        debit=debit.id,
        credit=credit.id,
        amount=PositiveAmount.of(amount),
        code=code,
    )
