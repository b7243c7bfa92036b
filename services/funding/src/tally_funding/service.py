"""Use cases: money is announced, and the ledger answers."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tally_contracts.base import Amount
from tally_contracts.funding import (
    Allocation,
    Beneficiary,
    FundingReceived,
    PayInAllocated,
    PayInReceived,
    PayInSuspended,
)
from tally_contracts.ledger import JournalPosted, JournalRejected, PostJournal
from tally_funding import domain, store
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims.leading import led_on
from tally_funding.domain import (
    Content,
    PayInState,
    Reason,
    Repeat,
    Settled,
    Suspense,
)
from tally_funding.parties import tenants
from tally_funding.postings import Books, allocation_journal_id, suspense_journal_id
from tally_funding.receipts.asking import restrict
from tally_funding.rules.book import Asked, Decided
from tally_funding.rules.match import Facts
from tally_funding.store import Move, NewCase, NewPayIn, PayIn
from tally_messaging import Cause, Received, UnitOfWork
from tally_money import Money
from tally_postgres import Connection
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.service")
PAY_IN_TOPIC = "funding.pay_in.v1"
LEDGER_TOPIC = "ledger.commands.v1"


class Rules(Protocol):
    """Who decides by which rule money is divided, and how."""

    async def decide(self, conn: Connection, money: Sequence[Asked]) -> Sequence[Decided]: ...


@dataclass(frozen=True, slots=True)
class Funding:
    """What the use cases work by: whose books, and the rules in force."""

    books: Books
    rules: Rules


@dataclass(frozen=True, slots=True)
class Announcement:
    """Money that a source says is here. `by_statement`: read from a bank statement.

    `in_other_words`: known to be a pay-in told of before, so that only the amount is compared.
    """

    source: str
    event: FundingReceived
    cause: Cause
    by_statement: bool = False
    in_other_words: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    """An announcement with all that would be booked if it is new; `suspense` says why if it must."""

    announced: Announcement
    row: NewPayIn
    suspense: Suspense | None


async def book(
    uow: UnitOfWork, funding: Funding, announcements: Sequence[Announcement]
) -> Sequence[Repeat | None]:
    """Book money as pay-ins and ask the ledger to allocate it.

    Each external id of a source is booked once, however often and in whatever batches it comes.
    Returns, per announcement, None if it was new, or how it compares with what was known.
    """
    decisions = await funding.rules.decide(uow.conn, [_asked(one) for one in announcements])
    decisions = await led_on(uow.conn, decisions)
    decisions = await restrict(uow.conn, funding.books, decisions, uow.now)
    whose = await tenants.hold(uow.conn, [one.event.company for one in announcements], uow.now)
    drafts = [
        _draft(funding, announcement, decided, whose[announcement.event.company])
        for announcement, decided in zip(announcements, decisions, strict=True)
    ]
    first: dict[str, _Draft] = {}
    for draft in drafts:
        first.setdefault(draft.row.pay_in_id, draft)
    new = await store.insert_pay_ins(uow.conn, [draft.row for draft in first.values()], uow.now)
    known = {pay_in_id: first[pay_in_id].row.content for pay_in_id in new}
    before = [pay_in_id for pay_in_id in first if pay_in_id not in new]
    if before:
        known |= await store.contents(uow.conn, before)

    outcomes: list[Repeat | None] = []
    cases: list[NewCase] = []
    for draft in drafts:
        pay_in_id = draft.row.pay_in_id
        if pay_in_id in new and draft is first[pay_in_id]:
            outcomes.append(None)
            cases.extend(_tell_of(uow, funding, draft))
        else:
            repeat = domain.decide_repeat(
                known[pay_in_id],
                draft.row.content,
                in_other_words=draft.announced.in_other_words,
            )
            outcomes.append(repeat)
            cases.extend(_note_repeat(draft, repeat))
    if cases:
        await store.insert_cases(uow.conn, cases, uow.now)
    await _count_repeats(uow, drafts, outcomes)
    return outcomes


def _asked(announced: Announcement) -> Asked:
    event = announced.event
    amount = event.amount.money()
    facts = Facts(
        source=announced.source,
        program=event.why.program,
        event=event.why.event,
        kind=event.kind,
        code=amount.currency.code,
        minor=amount.minor,
        country=event.originator.country,
        company=event.company,
        tags=event.references,
        occurred_at=event.occurred_at,
    )
    return Asked(facts, beneficiary_of(event.beneficiary))


def _draft(funding: Funding, announced: Announcement, decided: Decided, tenant: str) -> _Draft:
    event, outcome = announced.event, decided.outcome
    amount = event.amount.money()
    pay_in_id = funding.books.pay_in_id(announced.source, event.external_id)
    suspended = isinstance(outcome, Suspense)
    state = PayInState.SUSPENDING if suspended else PayInState.ALLOCATING
    assert state in domain.ALLOWED[PayInState.RECEIVED], f"a pay-in cannot begin as {state}"
    digest = _digest(event, amount, beneficiary_of(event.beneficiary))
    row = NewPayIn(
        pay_in_id=pay_in_id,
        source=announced.source,
        event=event,
        content=Content(digest, amount, announced.by_statement),
        state=state,
        rule=decided.rule,
        rule_facts=decided.kept,
        journal_id=(suspense_journal_id if suspended else allocation_journal_id)(pay_in_id),
        case_id=_case_id(pay_in_id) if suspended else None,
        designated=() if isinstance(outcome, Suspense) else funding.books.designate(outcome),
        correlation_id=announced.cause.correlation_id,
        tenant=tenant,
    )
    return _Draft(announced, row, outcome if isinstance(outcome, Suspense) else None)


def beneficiary_of(named: Beneficiary | None) -> domain.Beneficiary | None:
    """Who is named on the wire, as decisions take it."""
    if named is None:
        return None
    kind = (
        "party" if named.party is not None else "contact" if named.contact is not None else "event"
    )
    return domain.Beneficiary(kind, named.owner)


def _digest(event: FundingReceived, amount: Money, beneficiary: domain.Beneficiary | None) -> bytes:
    """Digest of what is said of the money; who tells it, when and through what does not count."""
    content = (
        amount.minor,
        amount.currency.code,
        event.why.program,
        event.why.event,
        event.why.reason,
        event.originator.reference,
        event.originator.country,
        event.company,
        None if beneficiary is None else (beneficiary.kind, beneficiary.owner),
        event.kind,
        event.value_date.isoformat(),
        sorted(event.references.items()),
    )
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"tally-pay-in").digest()


def _case_id(pay_in_id: str, *parts: str) -> str:
    return derived_id("case", pay_in_id, *parts)


def _tell_of(uow: UnitOfWork, funding: Funding, draft: _Draft) -> list[NewCase]:
    """Emit what a new pay-in leads to; the case it opens, if it does."""
    event, row, books = draft.announced.event, draft.row, funding.books
    cause = draft.announced.cause
    received = PayInReceived(
        who=event.who,
        where=event.where,
        why=event.why,
        occurred_at=uow.now,
        pay_in_id=row.pay_in_id,
        source=row.source,
        external_id=event.external_id,
        amount=Amount.of(row.content.amount),
        originator=event.originator,
        company=event.company,
        beneficiary=event.beneficiary,
        value_date=event.value_date,
    )
    uow.emit(received, topic=PAY_IN_TOPIC, key=row.pay_in_id, cause=cause)
    suspense = draft.suspense
    if suspense is None:
        _post(
            uow,
            books.allocation_journal(row.pay_in_id, row.source, row.designated, event, uow.now),
            cause,
        )
        return []
    _post(
        uow,
        books.suspense_journal(row.pay_in_id, row.source, row.content.amount, event, uow.now),
        cause,
    )
    assert row.case_id is not None, "money in suspense has a case"
    _LOG.warning("pay_in_unmatched", pay_in_id=row.pay_in_id, reason=suspense.reason.value)
    return [
        NewCase(row.case_id, row.pay_in_id, suspense.reason.value, suspense.remedy, "as announced")
    ]


def _post(uow: UnitOfWork, journal: PostJournal, cause: Cause) -> None:
    uow.emit(journal, topic=LEDGER_TOPIC, key=journal.ledger, cause=cause)


def _note_repeat(draft: _Draft, repeat: Repeat) -> list[NewCase]:
    row = draft.row
    if repeat is Repeat.SAME:
        _LOG.info("pay_in_announced_again", pay_in_id=row.pay_in_id, source=row.source)
        return []
    _LOG.error("pay_in_conflict", pay_in_id=row.pay_in_id, source=row.source, alarm=True)
    return [
        NewCase(
            _case_id(row.pay_in_id, "conflict", row.content.digest.hex()),
            row.pay_in_id,
            "pay_in_conflict",
            "ask the source which is right; more money needs an external id of its own",
            f"announced again as {row.content.amount}; the first announcement stands",
        )
    ]


async def _count_repeats(
    uow: UnitOfWork, drafts: Sequence[_Draft], outcomes: Sequence[Repeat | None]
) -> None:
    pairs = [
        (draft.row.pay_in_id, outcome)
        for draft, outcome in zip(drafts, outcomes, strict=True)
        if outcome is not None
    ]
    if not pairs:
        return
    counts = Counter(pairs)
    await store.count_repeats(
        uow.conn,
        {
            pay_in_id: (counts[pay_in_id, Repeat.SAME], counts[pay_in_id, Repeat.CONFLICT])
            for pay_in_id, _ in pairs
        },
        uow.now,
    )


Answer = JournalPosted | JournalRejected


async def settle(uow: UnitOfWork, funding: Funding, messages: Sequence[Received[Answer]]) -> None:
    """Take the ledger's answers: allocated, in suspense, or on to suspense when it refused.

    Journals of others on the shared topic, answers that come again and stale ones change nothing.
    """
    references = sorted(
        {m.event.reference for m in messages if m.event.reference.startswith("pin_")}
    )
    if not references:
        return
    await for_every_tenant(uow.conn)
    pay_ins = await store.lock_pay_ins(uow.conn, references)
    allocated = {
        pay_in_id: pay_in.amount.currency
        for pay_in_id, pay_in in pay_ins.items()
        if pay_in.standing.state is PayInState.ALLOCATING
    }
    shares = await store.allocations(uow.conn, allocated) if allocated else {}
    moves: list[Move] = []
    cases: list[NewCase] = []
    for message in messages:
        event = message.event
        pay_in = pay_ins.get(event.reference)
        if pay_in is None:
            continue
        settled = domain.decide_settlement(
            pay_in.standing,
            journal_id=event.journal_id,
            posted=isinstance(event, JournalPosted),
        )
        match settled:
            case Settled.STALE:
                continue
            case Settled.STRANDED:
                cases.append(_strand(pay_in, event))
                continue
            case Settled.ALLOCATED:
                _emit_allocated(uow, pay_in, shares[pay_in.pay_in_id], message)
            case Settled.SUSPENDED:
                _emit_suspended(uow, pay_in, message)
            case Settled.MUST_SUSPEND:
                cases.append(_suspend(uow, funding, pay_in, message))
        moves.append(_move(pay_in, settled))
        # The answer to a journal asked for just now cannot be in this batch.
        del pay_ins[pay_in.pay_in_id]
    if cases:
        await store.insert_cases(uow.conn, cases, uow.now)
    if moves:
        await store.move(uow.conn, moves, uow.now)


def _move(pay_in: PayIn, settled: Settled) -> Move:
    standing = pay_in.standing
    moves_on = settled is Settled.MUST_SUSPEND
    return Move(
        pay_in_id=pay_in.pay_in_id,
        previous=standing.state,
        following=domain.after(standing.state, settled),
        journal_id=suspense_journal_id(pay_in.pay_in_id) if moves_on else standing.journal_id,
        case_id=_case_id(pay_in.pay_in_id)
        if moves_on
        else None
        if pay_in.case is None
        else pay_in.case.case_id,
    )


def _emit_allocated(
    uow: UnitOfWork, pay_in: PayIn, shares: tuple[Allocation, ...], message: Received[Answer]
) -> None:
    fact = PayInAllocated(
        who=pay_in.who,
        where=pay_in.where,
        why=pay_in.why,
        occurred_at=uow.now,
        pay_in_id=pay_in.pay_in_id,
        journal_id=pay_in.standing.journal_id,
        source=pay_in.source,
        external_id=pay_in.external_id,
        company=pay_in.company,
        amount=Amount.of(pay_in.amount),
        rule=pay_in.rule,
        allocations=shares,
        kind=pay_in.kind,
    )
    uow.emit(fact, topic=PAY_IN_TOPIC, key=pay_in.pay_in_id, cause=message)


def _emit_suspended(uow: UnitOfWork, pay_in: PayIn, message: Received[Answer]) -> None:
    assert pay_in.case is not None, "money in suspense has a case"
    fact = PayInSuspended(
        who=pay_in.who,
        where=pay_in.where,
        why=pay_in.why,
        occurred_at=uow.now,
        pay_in_id=pay_in.pay_in_id,
        case_id=pay_in.case.case_id,
        journal_id=pay_in.standing.journal_id,
        source=pay_in.source,
        external_id=pay_in.external_id,
        amount=Amount.of(pay_in.amount),
        reason_code=pay_in.case.reason_code,
        remedy=pay_in.case.remedy,
    )
    uow.emit(fact, topic=PAY_IN_TOPIC, key=pay_in.pay_in_id, cause=message)


def _suspend(
    uow: UnitOfWork, funding: Funding, pay_in: PayIn, message: Received[Answer]
) -> NewCase:
    """The ledger refused the allocation: ask it to keep the money in suspense instead."""
    code, detail = _refusal(message.event)
    journal = funding.books.suspense_journal(
        pay_in.pay_in_id, pay_in.source, pay_in.amount, pay_in, uow.now
    )
    _post(uow, journal, message.cause)
    _LOG.error(
        "pay_in_rejected_by_ledger", pay_in_id=pay_in.pay_in_id, ledger_code=code, alarm=True
    )
    return NewCase(
        _case_id(pay_in.pay_in_id),
        pay_in.pay_in_id,
        Reason.LEDGER_REJECTED.value,
        f"the ledger refused the allocation with {code}: correct that, then match the money",
        detail,
    )


def _strand(pay_in: PayIn, event: Answer) -> NewCase:
    """Even suspense was refused: the money is in no account until a person acts."""
    code, detail = _refusal(event)
    _LOG.error("pay_in_stranded", pay_in_id=pay_in.pay_in_id, ledger_code=code, alarm=True)
    return NewCase(
        _case_id(pay_in.pay_in_id, "stranded"),
        pay_in.pay_in_id,
        "suspense_rejected",
        f"the ledger refused suspense with {code}: the money is in no account, book it by hand",
        detail,
    )


def _refusal(event: Answer) -> tuple[str, str]:
    assert isinstance(event, JournalRejected), "only a rejection leads to a case"
    return event.code, f"{event.code}: {event.detail}"
