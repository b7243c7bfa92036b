"""Money that comes to a payee by another way than a pay-in, and stands apart where its gate is closed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tally_contracts.ledger import JournalPosted
from tally_funding.claims.domain.estate import restricted
from tally_funding.claims.store.wallets import Designation
from tally_funding.postings import Books
from tally_funding.receipts.domain import Gate
from tally_messaging import Cause, Received
from tally_money import Money


@dataclass(frozen=True, slots=True)
class Source:
    """What such money comes by, `agreement_id` or `reclaim_id`, and whose it was before."""

    company: str
    agreement_id: str | None = None
    reclaim_id: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Money that a journal has brought to the account of what its payee may not receive yet."""

    designation: Designation
    amount: Money
    source: Source
    cause: Cause


def credited(gate: Gate | None, payee: str, amount: Money) -> str:
    """The owner reference to book an amount for: the payee's own where nothing keeps it from it."""
    if gate is None or gate.closing(payee, amount) is None:
        return payee
    return restricted(payee)


def arrivals(books: Books, payee: str, source: Source, message: Received[Any]) -> Sequence[Arrival]:
    """What the journal has brought to the restricted account of the payee; nothing where it is refused."""
    event = message.event
    if not isinstance(event, JournalPosted):
        return ()
    return [*_arrivals(books, payee, source, event, message.cause)]


def _arrivals(
    books: Books, payee: str, source: Source, event: JournalPosted, cause: Cause
) -> Iterable[Arrival]:
    owner = restricted(payee)
    for leg in event.legs:
        account = books.wallet(owner, leg.amount.currency)
        if leg.credit != account.id:
            continue
        designation = Designation(
            account=account.id,
            owner=owner,
            code=leg.amount.currency,
            company=source.company,
            who=event.who,
            where=event.where,
            why=event.why,
        )
        yield Arrival(designation, leg.amount.money(), source, cause)
