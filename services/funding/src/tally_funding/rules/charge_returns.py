"""Use case: money goes back to its payer, and so do the charges whose rule says so."""

from collections.abc import Mapping
from dataclasses import replace

from tally_funding.postings import Books
from tally_funding.rules import charge_store
from tally_funding.rules.charge_postings import LEDGER_TOPIC, charge_journal
from tally_funding.rules.charge_store import Charge
from tally_messaging import Cause, UnitOfWork
from tally_messaging.unit_of_work import Following
from tally_money import Money
from tally_runtime import derived_id


async def return_charges(
    uow: UnitOfWork, books: Books, pay_ins: Mapping[str, Cause | Following]
) -> None:
    """Give back, of each charge that is to be returned, the part of its pay-in that is returned.

    `pay_ins`: by id, what leads to it. Parts are rounded down, so that they come to the charge
    when all of the pay-in is back. A charge that the ledger has not answered yet is looked at
    again when it has. Locks charges by id, after pay-ins and returns.
    """
    taken = await charge_store.lock_returnable(uow.conn, sorted(pay_ins))
    if not taken:
        return
    given = await charge_store.given_back(uow.conn, [one.charge_id for one in taken])
    totals = await charge_store.returned_of(uow.conn, sorted({one.pay_in_id for one in taken}))
    back = [
        (one, totals[one.pay_in_id].of(one.amount.minor) - given.get(one.charge_id, 0))
        for one in taken
    ]
    charges = {
        returning.charge_id: returning
        for one, minor in back
        if minor > 0
        for returning in (_returning(one, minor, given.get(one.charge_id, 0) + minor),)
    }
    if not charges:
        return
    await charge_store.insert(uow.conn, [(one, None) for one in charges.values()], uow.now)
    for one in charges.values():
        journal = charge_journal(books, one, uow.now)
        uow.emit(journal, topic=LEDGER_TOPIC, key=books.ledger, cause=pay_ins[one.pay_in_id])


def _returning(one: Charge, minor: int, total: int) -> Charge:
    """A charge the other way; `total` names it, since it only grows."""
    charge_id = derived_id("chg", one.charge_id, "return", str(total))
    return replace(
        one,
        charge_id=charge_id,
        payer=one.owner,
        owner=one.payer,
        amount=Money(minor, one.amount.currency),
        journal_id=derived_id("jrn", charge_id),
        on_refund="keep",
        returns=one.charge_id,
    )
