"""Use case: the ledger answers what a return asked of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from tally_contracts.base import Amount
from tally_contracts.funding_sources import (
    PayInChargedBack,
    PayInRefunded,
    ReceivableOpened,
)
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_funding import store as pay_in_store
from tally_funding.postings import Books
from tally_funding.refunds import receivable_store, store
from tally_funding.refunds.domain import (
    LEG_ENDED,
    LegAnswer,
    LegState,
    ReturnKind,
    ReturnState,
    decide_leg,
    shown_state,
)
from tally_funding.refunds.postings import (
    owing,
    owing_journal_id,
    receivable_account,
    receivable_id,
    reinstatement_journal_id,
)
from tally_funding.refunds.receivable_store import NewReceivable
from tally_funding.refunds.reinstating import settle_reinstatement
from tally_funding.refunds.shares import shares_of
from tally_funding.refunds.store import Leg, LegMove, Return
from tally_funding.rules.charge_returns import return_charges
from tally_funding.service import LEDGER_TOPIC
from tally_funding.sources.answering import FACTS
from tally_funding.store import NewCase, PayIn
from tally_messaging import Cause, Received, UnitOfWork
from tally_messaging.unit_of_work import Following
from tally_money import Money
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.refunds")
LedgerAnswer = JournalPosted | JournalReversed | JournalRejected

_LEG_STATES: Final[Mapping[LegAnswer, LegState]] = MappingProxyType(
    {
        LegAnswer.REVERSED: LegState.REVERSED,
        LegAnswer.MUST_OWE: LegState.OWING,
        LegAnswer.OWED: LegState.OWED,
        LegAnswer.STRANDED: LegState.STRANDED,
    }
)


@dataclass(slots=True)
class _Answers:
    """What a batch of answers leads to, written at its end."""

    pay_ins: Mapping[str, PayIn]
    returned: dict[str, int]
    moves: dict[tuple[str, int], LegMove] = field(default_factory=dict)
    owed: list[NewReceivable] = field(default_factory=list)
    cases: list[NewCase] = field(default_factory=list)
    done: dict[str, tuple[ReturnState, ReturnState]] = field(default_factory=dict)
    finished: dict[str, Cause | Following] = field(default_factory=dict)


async def settle_returns(
    uow: UnitOfWork, books: Books, messages: Sequence[Received[LedgerAnswer]]
) -> None:
    """Take the ledger's answers to the journals of returns.

    A portion its wallet cannot pay becomes a receivable; a return is done when every portion is
    back or owed, so the payer gets it whole. Answers that come again change nothing.
    """
    return_ids = sorted({m.event.reference for m in messages})
    pay_in_ids = await store.pay_ins_of(uow.conn, return_ids)
    answers = _Answers(
        await pay_in_store.lock_pay_ins(uow.conn, pay_in_ids),
        dict(await store.returned_totals(uow.conn, pay_in_ids)),
    )
    returns = await store.lock_returns(uow.conn, return_ids)
    for message in messages:
        event = message.event
        found = returns.get(event.reference)
        if found is None:
            continue
        if event.journal_id == reinstatement_journal_id(found.return_id):
            case = await settle_reinstatement(
                uow, found, answers.pay_ins[found.pay_in_id], answers.returned, message
            )
            answers.cases.extend(case)
            returns[found.return_id] = replace(found, state=ReturnState.REINSTATED)
        else:
            returns[found.return_id] = _answer(uow, books, answers, found, message)
    await _save(uow, books, answers)


def _answer(
    uow: UnitOfWork,
    books: Books,
    answers: _Answers,
    found: Return,
    message: Received[LedgerAnswer],
) -> Return:
    """One answer to a leg; the return as it stands after it."""
    event = message.event
    refused_with = event.code if isinstance(event, JournalRejected) else None
    pay_in = answers.pay_ins[found.pay_in_id]
    for index, leg in enumerate(found.legs):
        answer = decide_leg(
            leg.state,
            asked=leg.journal_id,
            journal_id=event.journal_id,
            refused_with=refused_with,
        )
        if answer is LegAnswer.STALE:
            continue
        after = _after(leg, answer, found.return_id, refused_with)
        answers.moves[found.return_id, leg.portion.position] = LegMove(
            found.return_id, leg.portion.position, after.state, after.journal_id, after.refusal
        )
        _follow(uow, books, answers, found, after, message)
        found = replace(found, legs=(*found.legs[:index], after, *found.legs[index + 1 :]))
        if all(one.state in LEG_ENDED for one in found.legs):
            _finish(uow, answers, found, pay_in, message)
        break
    return found


def _after(leg: Leg, answer: LegAnswer, return_id: str, refused_with: str | None) -> Leg:
    position = leg.portion.position
    owes = answer is LegAnswer.MUST_OWE
    return replace(
        leg,
        state=_LEG_STATES[answer],
        journal_id=owing_journal_id(return_id, position) if owes else leg.journal_id,
        refusal=refused_with or leg.refusal,
        receivable_id=receivable_id(return_id, position) if answer is LegAnswer.OWED else None,
    )


def _follow(  # noqa: PLR0917 - one answer's parts, handed on
    uow: UnitOfWork,
    books: Books,
    answers: _Answers,
    found: Return,
    leg: Leg,
    message: Received[LedgerAnswer],
) -> None:
    """What the new state of a leg leads to."""
    pay_in, portion = answers.pay_ins[found.pay_in_id], leg.portion
    match leg.state:
        case LegState.OWING:
            journal = owing(books, found.return_id, pay_in.source, portion, found.command, uow.now)
            uow.emit(journal, topic=LEDGER_TOPIC, key=books.ledger, cause=message)
        case LegState.OWED:
            answers.owed.append(_open_receivable(uow, books, found, pay_in, leg, message))
        case LegState.STRANDED:
            answers.cases.append(_strand(found, leg))


def _open_receivable(  # noqa: PLR0917 - one receivable's parts, handed on
    uow: UnitOfWork,
    books: Books,
    found: Return,
    pay_in: PayIn,
    leg: Leg,
    message: Received[LedgerAnswer],
) -> NewReceivable:
    portion, command = leg.portion, found.command
    account = receivable_account(books, portion.owner, portion.amount.currency.code).id
    assert leg.receivable_id is not None, "what is owed has an id"
    assert leg.refusal is not None, "it is owed because the wallet could not pay"
    opened = ReceivableOpened(
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
        receivable_id=leg.receivable_id,
        return_id=found.return_id,
        pay_in_id=found.pay_in_id,
        owner=portion.owner,
        company=pay_in.company,
        account=account,
        amount=Amount.of(portion.amount),
        reason_code=leg.refusal,
    )
    uow.emit(opened, topic=FACTS, key=found.pay_in_id, cause=message)
    _LOG.warning("receivable_opened", receivable_id=leg.receivable_id, return_id=found.return_id)
    return NewReceivable(
        leg.receivable_id,
        found.return_id,
        portion.position,
        portion.owner,
        pay_in.company,
        account,
        portion.amount,
    )


def _strand(found: Return, leg: Leg) -> NewCase:
    """The ledger took neither the way back nor the debt: a person must act."""
    position = leg.portion.position
    _LOG.error(
        "return_stranded",
        return_id=found.return_id,
        position=position,
        ledger_code=leg.refusal,
        alarm=True,
    )
    return NewCase(
        derived_id("case", found.return_id, "stranded", str(position)),
        found.pay_in_id,
        "return_stranded",
        f"the ledger refused {leg.portion.amount} of a return with {leg.refusal}: "
        "compare its books with the pay-in, then move it by hand",
        f"return {found.return_id}, portion {position} of {leg.portion.owner}",
    )


def _finish(
    uow: UnitOfWork,
    answers: _Answers,
    found: Return,
    pay_in: PayIn,
    message: Received[LedgerAnswer],
) -> None:
    answers.finished[pay_in.pay_in_id] = message
    answers.done[found.return_id] = (ReturnState.MOVING, ReturnState.DONE)
    minor = answers.returned.get(pay_in.pay_in_id, 0) + found.amount.minor
    answers.returned[pay_in.pay_in_id] = minor
    returned = Money(minor, found.amount.currency)
    assert minor <= pay_in.amount.minor, "no more is returned than came in"
    command = found.command
    model = PayInRefunded if found.kind is ReturnKind.REFUND else PayInChargedBack
    fact = model(
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
        return_id=found.return_id,
        pay_in_id=pay_in.pay_in_id,
        source=pay_in.source,
        company=pay_in.company,
        amount=Amount.of(found.amount),
        returned=Amount.of(returned),
        pay_in_amount=Amount.of(pay_in.amount),
        state=shown_state(found.kind, pay_in.amount, returned),
        shares=shares_of(found),
    )
    uow.emit(fact, topic=FACTS, key=pay_in.pay_in_id, cause=message)


async def _save(uow: UnitOfWork, books: Books, answers: _Answers) -> None:
    if answers.moves:
        await store.move_legs(uow.conn, list(answers.moves.values()))
    if answers.owed:
        await receivable_store.insert(uow.conn, answers.owed, uow.now)
    if answers.done:
        await store.move_returns(uow.conn, answers.done, uow.now)
        await return_charges(uow, books, answers.finished)
    if answers.cases:
        await pay_in_store.insert_cases(uow.conn, answers.cases, uow.now)
