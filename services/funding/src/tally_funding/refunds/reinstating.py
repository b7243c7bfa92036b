"""Use cases: a chargeback was won, so that what it took is given back."""

from collections.abc import Sequence

from tally_contracts.base import Amount
from tally_contracts.funding_sources import PayInReinstated
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_funding import store as pay_in_store
from tally_funding.postings import Books
from tally_funding.refunds import receivable_store, store
from tally_funding.refunds.domain import LegState, ReturnState
from tally_funding.refunds.postings import reinstatement, reinstatement_journal_id
from tally_funding.refunds.receivable_store import AboutSettlement, NewSettlement, Receivable
from tally_funding.refunds.settlements import tell_settled
from tally_funding.refunds.shares import shares_of
from tally_funding.refunds.store import Return
from tally_funding.service import LEDGER_TOPIC
from tally_funding.sources.answering import FACTS
from tally_funding.store import NewCase, PayIn
from tally_messaging import Received, UnitOfWork
from tally_money import Money
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.refunds")


async def begin_reinstatement(
    uow: UnitOfWork, books: Books, return_id: str, pay_in_id: str
) -> None:
    """Ask the ledger to give a return back, wallets and debts in one journal.

    What is still owed ends the debt; what its owner has settled since goes to its wallet.
    """
    pay_in = (await pay_in_store.lock_pay_ins(uow.conn, [pay_in_id]))[pay_in_id]
    found = (await store.lock_returns(uow.conn, [return_id]))[return_id]
    if found.state is not ReturnState.DONE or not found.reinstate:
        return
    ids = await receivable_store.of_return(uow.conn, return_id)
    debts = {debt.position: debt for debt in (await receivable_store.lock(uow.conn, ids)).values()}
    back = _back(found, debts)
    await _reserve(uow, found, list(debts.values()))
    moved = {return_id: (ReturnState.DONE, ReturnState.REINSTATING)}
    await store.move_returns(uow.conn, moved, uow.now)
    journal = reinstatement(books, return_id, pay_in.source, back, found.command, uow.now)
    uow.emit(journal, topic=LEDGER_TOPIC, key=books.ledger, cause=found.cause)


def _back(found: Return, debts: dict[int, Receivable]) -> list[tuple[str, Money]]:
    """The accounts that get money back and how much; together it is the return."""
    back: list[tuple[str, Money]] = []
    for leg in found.legs:
        portion, debt = leg.portion, debts.get(leg.portion.position)
        assert (debt is not None) == (leg.state is LegState.OWED), "what is owed has a debt"
        open_amount = Money(0, portion.amount.currency) if debt is None else debt.left
        if debt is not None and open_amount:
            back.append((debt.account, open_amount))
        if portion.amount != open_amount:
            back.append((portion.account, portion.amount - open_amount))
    assert sum(amount.minor for _, amount in back) == found.amount.minor, "all of it goes back"
    return back


async def _reserve(uow: UnitOfWork, found: Return, debts: Sequence[Receivable]) -> None:
    """Keep what this ends of debts from being settled by their owners at the same time."""
    command = found.command
    about = AboutSettlement(who=command.who, where=command.where, why=command.why)
    asked = [
        NewSettlement(
            derived_id("settle", debt.receivable_id, "reinstatement"),
            debt.receivable_id,
            b"",
            debt.left,
            "reinstatement",
            reinstatement_journal_id(found.return_id),
            about,
        )
        for debt in debts
        if debt.left
    ]
    if asked:
        await receivable_store.insert_settlements(uow.conn, asked, uow.now)


async def settle_reinstatement(
    uow: UnitOfWork,
    found: Return,
    pay_in: PayIn,
    returned: dict[str, int],
    message: Received[JournalPosted | JournalReversed | JournalRejected],
) -> list[NewCase]:
    """Take the ledger's answer; `returned` is brought down by what was given back."""
    event = message.event
    if found.state is not ReturnState.REINSTATING:
        return []
    if isinstance(event, JournalRejected):
        return [_strand(found, event)]
    moved = {found.return_id: (ReturnState.REINSTATING, ReturnState.REINSTATED)}
    await store.move_returns(uow.conn, moved, uow.now)
    returned[pay_in.pay_in_id] -= found.amount.minor
    command, unit = found.command, found.amount.currency
    fact = PayInReinstated(
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
        return_id=found.return_id,
        pay_in_id=pay_in.pay_in_id,
        source=pay_in.source,
        company=pay_in.company,
        amount=Amount.of(found.amount),
        returned=Amount.of(Money(returned[pay_in.pay_in_id], unit)),
        shares=shares_of(found),
    )
    uow.emit(fact, topic=FACTS, key=pay_in.pay_in_id, cause=message)
    asked = await receivable_store.asked_by(uow.conn, [event.journal_id])
    if asked:
        owed = await receivable_store.lock(uow.conn, [one.receivable_id for one in asked])
        ids = [one.settlement_id for one in asked]
        await receivable_store.end(uow.conn, ids, settled=True, now=uow.now)
        tell_settled(uow, asked, owed, dict.fromkeys(ids, message))
    return []


def _strand(found: Return, event: JournalRejected) -> NewCase:
    _LOG.error(
        "reinstatement_stranded",
        return_id=found.return_id,
        ledger_code=event.code,
        alarm=True,
    )
    return NewCase(
        derived_id("case", found.return_id, "reinstatement"),
        found.pay_in_id,
        "reinstatement_stranded",
        f"the ledger refused to give {found.amount} back with {event.code}: "
        "correct that, then move it by hand",
        f"return {found.return_id}",
    )
