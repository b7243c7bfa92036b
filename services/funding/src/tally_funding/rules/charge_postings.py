"""A charge as the ledger's command."""

from datetime import datetime
from typing import Final

from tally_contracts.base import PositiveAmount
from tally_contracts.ledger import Leg, PostJournal
from tally_funding.postings import Books
from tally_funding.rules.charge_store import Charge
from tally_runtime import derived_id

LEDGER_TOPIC: Final = "ledger.commands.v1"


def charge_journal(books: Books, one: Charge, now: datetime) -> PostJournal:
    """Move a charge from its payer's wallet to its owner's."""
    code = one.amount.currency.code
    payer, owner = books.wallet(one.payer, code), books.wallet(one.owner, code)
    leg = Leg(
        id=derived_id("trf", one.charge_id),
        debit=payer.id,
        credit=owner.id,
        amount=PositiveAmount.of(one.amount),
        code="charge",
    )
    return PostJournal(
        who=one.who,
        where=one.where,
        why=one.why,
        occurred_at=now,
        journal_id=one.journal_id,
        ledger=books.ledger,
        reference=one.charge_id,
        open_accounts=(payer, owner),
        legs=(leg,),
        effective_at=now,
    )
