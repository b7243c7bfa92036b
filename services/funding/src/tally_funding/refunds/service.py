"""Use cases: money is to go back, and begins to."""

from dataclasses import replace

from tally_contracts.base import Amount
from tally_contracts.funding_sources import ReturnPayIn, ReturnStarted
from tally_contracts.ledger import PostJournal, ReverseJournal
from tally_funding import store as pay_in_store
from tally_funding.answers.refusal import Refusal
from tally_funding.claims.domain.estate import is_claimable, is_restricted, receiver
from tally_funding.domain import PayInState
from tally_funding.postings import OPERATOR, Books
from tally_funding.refunds import store
from tally_funding.refunds.domain import (
    RETURN_ALLOWED,
    Holding,
    Method,
    Portion,
    ReturnKind,
    ReturnState,
    Terms,
    decide_return,
    exceeds,
)
from tally_funding.refunds.postings import reversal, reversal_journal_id, taking
from tally_funding.service import LEDGER_TOPIC
from tally_funding.sources.answering import FACTS, content_digest, read_amount, refuse
from tally_funding.sources.refusal import id_conflict, not_the_company
from tally_funding.store import PayIn
from tally_messaging import Cause, Received, UnitOfWork
from tally_money import Money

PREFIX = "ret_"


async def take_command(uow: UnitOfWork, books: Books, message: Received[ReturnPayIn]) -> None:
    """Take a return up, or answer why not."""
    command = message.event
    refusal = await ask_return(uow, books, command, message.cause)
    if refusal is not None:
        refuse(uow, command.TYPE, command.return_id, command.who, refusal, message)


async def ask_return(
    uow: UnitOfWork, books: Books, command: ReturnPayIn, cause: Cause
) -> Refusal | None:
    """Take a return up: it begins at once, or waits until its pay-in is in the books.

    The same return again is answered again and changes nothing. Returns why it is refused.
    """
    amount = read_amount(command.amount, "/amount")
    if isinstance(amount, Refusal):
        return amount
    terms = _read_terms(command)
    if isinstance(terms, Refusal):
        return terms
    pay_in = (await pay_in_store.lock_pay_ins(uow.conn, [command.pay_in_id])).get(command.pay_in_id)
    if pay_in is None:
        return Refusal(
            "pay_in_unknown",
            "/pay_in_id",
            f"there is no pay-in {command.pay_in_id}",
            "name a pay-in that was received",
        )
    digest = content_digest(command)
    known = await store.digest_of(uow.conn, command.return_id)
    if known is not None:
        if known != digest:
            return id_conflict("/return_id")
        _tell_started(uow, command, amount, cause)
        return None
    portions: tuple[Portion, ...] | Refusal | None = await _refused(uow, command, pay_in, amount)
    if portions is None and await _is_ready(uow, pay_in):
        portions = await _divide(uow, books, pay_in, amount, terms)
    if isinstance(portions, Refusal):
        return portions
    await store.insert_return(uow.conn, command, digest, amount, cause, uow.now)
    _tell_started(uow, command, amount, cause)
    if portions is not None:
        await _begin(uow, books, command, pay_in, portions, cause)
    return None


def _read_terms(command: ReturnPayIn) -> Terms | Refusal:
    if not command.return_id.startswith(PREFIX):
        return Refusal(
            "id_prefix",
            "/return_id",
            f"{command.return_id} is no id of a return",
            f"give an id that starts with {PREFIX}",
        )
    if command.kind not in set(ReturnKind):
        return _unknown("kind", command.kind, "refund or chargeback")
    if command.method not in set(Method):
        return _unknown("method", command.method, "proportional, exact or in_order")
    exact = []
    for index, share in enumerate(command.shares):
        amount = read_amount(share.amount, f"/shares/{index}/amount")
        if isinstance(amount, Refusal):
            return amount
        if amount.currency.code != command.amount.currency:
            return Refusal(
                "currency_mismatch",
                f"/shares/{index}/amount/currency",
                f"the return is in {command.amount.currency}",
                "give every share in the currency of the return",
            )
        exact.append((share.owner, amount))
    return Terms(Method(command.method), tuple(exact), command.order)


def _unknown(field: str, given: str, known: str) -> Refusal:
    return Refusal(f"{field}_unknown", f"/{field}", f"{given} is not known", f"give {known}")


async def _refused(
    uow: UnitOfWork, command: ReturnPayIn, pay_in: PayIn, amount: Money
) -> Refusal | None:
    if command.who.principal not in {pay_in.company, OPERATOR}:
        return not_the_company(pay_in.company)
    if amount.currency != pay_in.amount.currency:
        return Refusal(
            "currency_mismatch",
            "/amount/currency",
            f"the pay-in is in {pay_in.amount.currency.code}",
            "return it in its own currency",
        )
    left = pay_in.amount - await store.under_way(uow.conn, pay_in.pay_in_id, amount.currency)
    return exceeds(left) if amount.minor > left.minor else None


async def _is_ready(uow: UnitOfWork, pay_in: PayIn) -> bool:
    """Whether the money is where it stays: a match under way moves it, and so does a claim."""
    match pay_in.standing.state:
        case PayInState.ALLOCATED:
            return not await store.leading_on(uow.conn, pay_in.pay_in_id)
        case PayInState.SUSPENSE:
            return not await store.match_open(uow.conn, pay_in.pay_in_id)
        case _:
            return False


async def _divide(
    uow: UnitOfWork, books: Books, pay_in: PayIn, amount: Money, terms: Terms
) -> tuple[Portion, ...] | Refusal:
    """Who bears the return now: of a share that waited whoever has it since, by either name."""
    holdings = await _holdings(uow, books, pay_in)
    waited = {holding.owner for holding in holdings if is_claimable(holding.owner)}
    if not waited:
        return decide_return(holdings, amount, terms)
    code = amount.currency.code
    led = await store.resting(uow.conn, pay_in.pay_in_id, waited, code)
    # A payee may be named for what is restricted still, if no other share is its own.
    owners = {led.get(holding.owner, holding.owner) for holding in holdings}
    named = {receiver(one): one for one in owners if is_restricted(one)}
    names = {**led} | {one: to for one, to in named.items() if one not in owners}
    return decide_return(
        [
            replace(h, owner=led[h.owner], account=books.wallet(led[h.owner], code).id, led_on=True)
            if h.owner in led
            else h
            for h in holdings
        ],
        amount,
        replace(
            terms,
            exact=tuple((names.get(owner, owner), share) for owner, share in terms.exact),
            order=tuple(names.get(owner, owner) for owner in terms.order),
        ),
    )


async def _holdings(uow: UnitOfWork, books: Books, pay_in: PayIn) -> tuple[Holding, ...]:
    unit = pay_in.amount.currency
    if pay_in.standing.state is PayInState.ALLOCATED:
        return await store.holdings(uow.conn, pay_in.pay_in_id, unit)
    account = books.suspense(pay_in.source, unit.code).id
    returned, reversed_before = await store.returned_legs(uow.conn, pay_in.pay_in_id, unit)
    return (Holding(0, OPERATOR, account, pay_in.amount, returned, reversed_before),)


def _tell_started(uow: UnitOfWork, command: ReturnPayIn, amount: Money, cause: Cause) -> None:
    started = ReturnStarted(
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
        return_id=command.return_id,
        pay_in_id=command.pay_in_id,
        kind=command.kind,
        method=command.method,
        amount=Amount.of(amount),
    )
    uow.emit(started, topic=FACTS, key=command.pay_in_id, cause=cause)


async def _begin(  # noqa: PLR0917 - one return's parts, handed on
    uow: UnitOfWork,
    books: Books,
    command: ReturnPayIn,
    pay_in: PayIn,
    portions: tuple[Portion, ...],
    cause: Cause,
) -> None:
    """Ask the ledger to move every portion back, each by a journal of its own.

    One wallet that cannot pay must not keep the others' money from going back.
    """
    return_id = command.return_id
    allocated = pay_in.standing.state is PayInState.ALLOCATED
    journal_id = pay_in.standing.journal_id if allocated else None
    legs = [(portion, reversal_journal_id(return_id, portion.position)) for portion in portions]
    await store.insert_legs(uow.conn, return_id, legs)
    moved = {return_id: (ReturnState.WAITING, ReturnState.MOVING)}
    await store.move_returns(uow.conn, moved, uow.now)
    for portion in portions:
        kind = ReturnKind(command.kind)
        journal: ReverseJournal | PostJournal
        if portion.by_reversal:
            of_pay_in = (pay_in.pay_in_id, journal_id)
            journal = reversal(books, return_id, kind, of_pay_in, portion, command, uow.now)
        else:
            journal = taking(books, return_id, kind, pay_in.source, portion, command, uow.now)
        uow.emit(journal, topic=LEDGER_TOPIC, key=books.ledger, cause=cause)


async def begin_waiting(uow: UnitOfWork, books: Books, return_id: str, pay_in_id: str) -> None:
    """Begin a return that waited for its pay-in to be in the books."""
    pay_in = (await pay_in_store.lock_pay_ins(uow.conn, [pay_in_id]))[pay_in_id]
    waiting = (await store.lock_returns(uow.conn, [return_id]))[return_id]
    if waiting.state is not ReturnState.WAITING or not await _is_ready(uow, pay_in):
        return
    command = waiting.command
    terms = _read_terms(command)
    assert isinstance(terms, Terms), "a return that waits was read before"
    portions = await _divide(uow, books, pay_in, waiting.amount, terms)
    if isinstance(portions, Refusal):
        assert ReturnState.REFUSED in RETURN_ALLOWED[waiting.state], "waiting may be refused"
        moved = {return_id: (ReturnState.WAITING, ReturnState.REFUSED)}
        await store.move_returns(uow.conn, moved, uow.now)
        refuse(uow, command.TYPE, return_id, command.who, portions, waiting.cause)
        return
    await _begin(uow, books, command, pay_in, portions, waiting.cause)
