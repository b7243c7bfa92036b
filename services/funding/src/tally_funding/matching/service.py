"""Use cases: money in suspense is matched, by itself or by a person's word."""

from dataclasses import dataclass
from typing import Final

from tally_contracts.base import Where, Who, Why
from tally_contracts.funding import Beneficiary
from tally_contracts.funding_sources import (
    DecideMatch,
    MatchCandidate,
    MatchProposed,
    PayInMatched,
)
from tally_funding import store as pay_in_store
from tally_funding.answers.refusal import Refusal
from tally_funding.claims.leading import led_on
from tally_funding.domain import PayInState, Suspense
from tally_funding.matching import expectation_store, store
from tally_funding.matching.domain import (
    CERTAIN,
    VIRTUAL_ACCOUNT,
    Candidate,
    Seen,
    candidates,
    sure,
    words_of,
)
from tally_funding.matching.expectation_store import Expectation
from tally_funding.matching.postings import match_journal, match_journal_id
from tally_funding.matching.store import NewMatch, SuspendedMoney
from tally_funding.postings import OPERATOR
from tally_funding.receipts.asking import restrict
from tally_funding.rules.book import Asked, Decided
from tally_funding.rules.match import Facts
from tally_funding.service import LEDGER_TOPIC, Funding, beneficiary_of
from tally_funding.sources.answering import FACTS, content_digest, refuse
from tally_funding.sources.refusal import id_conflict, not_the_company
from tally_funding.statements.matching import creditor_references
from tally_funding.store import PayIn
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.matching")
PREFIX: Final = "match_"
_SERVICE: Final = "svc:funding"


@dataclass(frozen=True, slots=True)
class _Word:
    """Whose money it is said to be, by whom, and how sure that is."""

    match_id: str
    digest: bytes
    expectation_id: str | None
    beneficiary: Beneficiary
    program: str
    confidence: int
    automatic: bool
    note: str
    who: Who


@dataclass(frozen=True, slots=True)
class _About:
    who: Who
    where: Where
    why: Why


async def take_decision(uow: UnitOfWork, funding: Funding, message: Received[DecideMatch]) -> None:
    """Allocate money in suspense by a person's word, or answer why not."""
    command = message.event
    refusal = await _decide(uow, funding, command, message.cause)
    if refusal is not None:
        refuse(uow, command.TYPE, command.match_id, command.who, refusal, message)


async def _decide(
    uow: UnitOfWork, funding: Funding, command: DecideMatch, cause: Cause
) -> Refusal | None:
    if not command.match_id.startswith(PREFIX):
        return Refusal(
            "id_prefix",
            "/match_id",
            f"{command.match_id} is no id of a match",
            f"give an id that starts with {PREFIX}",
        )
    pay_in = (await pay_in_store.lock_pay_ins(uow.conn, [command.pay_in_id])).get(command.pay_in_id)
    if pay_in is None:
        return Refusal(
            "pay_in_unknown",
            "/pay_in_id",
            f"there is no pay-in {command.pay_in_id}",
            "name a pay-in that stands in suspense",
        )
    if command.who.principal not in {pay_in.company, OPERATOR}:
        return not_the_company(pay_in.company)
    named = await _named(uow, command, pay_in)
    if isinstance(named, Refusal):
        return named
    beneficiary, program = named
    digest = content_digest(command)
    word = _Word(
        command.match_id,
        digest,
        command.expectation_id,
        beneficiary,
        program,
        CERTAIN,
        automatic=False,
        note=command.note,
        who=command.who,
    )
    known = await store.match_digest(uow.conn, command.match_id)
    if known is not None:
        if known[0] != digest:
            return id_conflict("/match_id")
        _tell_matched(uow, pay_in.pay_in_id, _case_of(pay_in), word, cause)
        return None
    return await _match(uow, funding, pay_in, word, cause)


async def _named(
    uow: UnitOfWork, command: DecideMatch, pay_in: PayIn
) -> tuple[Beneficiary, str] | Refusal:
    by_hand = command.beneficiary is not None and command.program is not None
    if (command.expectation_id is not None) == by_hand:
        return Refusal(
            "match_ambiguous",
            None,
            "name an expectation, or a beneficiary and a program",
            "give one of the two",
        )
    if command.expectation_id is None:
        assert command.beneficiary is not None, "checked above"
        assert command.program is not None, "checked above"
        return command.beneficiary, command.program
    one = await expectation_store.expectation(uow.conn, command.expectation_id)
    if one is None or (one.company != pay_in.company and one.kind != VIRTUAL_ACCOUNT):
        return Refusal(
            "expectation_unknown",
            "/expectation_id",
            f"{pay_in.company} has no expectation {command.expectation_id}",
            "name an expectation of the company whose pay-in it is",
        )
    if one.unit != pay_in.amount.currency:
        return Refusal(
            "currency_mismatch",
            "/expectation_id",
            f"the expectation is in {one.unit.code}, the money in {pay_in.amount.currency.code}",
            "name an expectation in the money's currency",
        )
    return one.beneficiary, one.program


def _case_of(pay_in: PayIn) -> str:
    return pay_in.case.case_id if pay_in.case is not None else derived_id("case", pay_in.pay_in_id)


async def _match(
    uow: UnitOfWork, funding: Funding, pay_in: PayIn, word: _Word, cause: Cause
) -> Refusal | None:
    """Ask the ledger to allocate money from suspense as the rule in force says."""
    refusal = _not_matchable(pay_in)
    if refusal is not None:
        return refusal
    money = await store.money(uow.conn, pay_in.pay_in_id)
    if money.match_open or money.returned:
        return Refusal(
            "match_under_way" if money.match_open else "return_under_way",
            "/pay_in_id",
            "this money is being matched" if money.match_open else "this money is being returned",
            "see what comes of that",
        )
    decided = await _divide(uow, funding, pay_in, money, word)
    if isinstance(decided.outcome, Suspense):
        reason = decided.outcome.reason.value
        return Refusal(
            reason,
            "/beneficiary" if "beneficiary" in reason else "/program",
            f"rule {decided.rule} does not divide this money",
            decided.outcome.remedy,
        )
    designated = funding.books.designate(decided.outcome)
    about = _About(
        word.who,
        pay_in.where,
        Why(program=word.program, event=pay_in.why.event, reason=pay_in.why.reason),
    )
    journal = match_journal(
        funding.books, word.match_id, pay_in.source, pay_in.amount, designated, about, uow.now
    )
    await store.insert_match(
        uow.conn,
        NewMatch(
            match_id=word.match_id,
            pay_in_id=pay_in.pay_in_id,
            case_id=_case_of(pay_in),
            digest=word.digest,
            expectation_id=word.expectation_id,
            beneficiary=word.beneficiary,
            program=word.program,
            confidence=word.confidence,
            automatic=word.automatic,
            note=word.note,
            who=word.who,
            journal_id=match_journal_id(word.match_id),
            rule=decided.rule,
            rule_facts=decided.kept,
            shares=designated,
            cause=cause.to_text(),
        ),
        uow.now,
    )
    _tell_matched(uow, pay_in.pay_in_id, _case_of(pay_in), word, cause)
    uow.emit(journal, topic=LEDGER_TOPIC, key=journal.ledger, cause=cause)
    return None


def _not_matchable(pay_in: PayIn) -> Refusal | None:
    if pay_in.standing.state is PayInState.SUSPENSE:
        return None
    return Refusal(
        "not_in_suspense",
        "/pay_in_id",
        f"the pay-in is {pay_in.standing.state.value}",
        "only money that stands in suspense can be matched",
    )


async def _divide(
    uow: UnitOfWork, funding: Funding, pay_in: PayIn, money: SuspendedMoney, word: _Word
) -> Decided:
    facts = Facts(
        source=pay_in.source,
        program=word.program,
        event=pay_in.why.event,
        kind=money.kind,
        code=pay_in.amount.currency.code,
        minor=pay_in.amount.minor,
        country=money.originator_country,
        company=pay_in.company,
        tags=money.references,
        occurred_at=money.occurred_at,
    )
    asked = Asked(facts, beneficiary_of(word.beneficiary))
    led = await led_on(uow.conn, await funding.rules.decide(uow.conn, [asked]))
    (decided,) = await restrict(uow.conn, funding.books, led, uow.now)
    return decided


def _tell_matched(uow: UnitOfWork, pay_in_id: str, case_id: str, word: _Word, cause: Cause) -> None:
    fact = PayInMatched(
        match_id=word.match_id,
        pay_in_id=pay_in_id,
        case_id=case_id,
        expectation_id=word.expectation_id,
        beneficiary=word.beneficiary,
        program=word.program,
        confidence=word.confidence,
        automatic=word.automatic,
        note=word.note,
        who=word.who,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=FACTS, key=pay_in_id, cause=cause)


async def look(uow: UnitOfWork, funding: Funding, pay_in_id: str, automatic_from: int) -> None:
    """Compare money in suspense with what is expected: match it where that is sure, else propose."""
    pay_in = (await pay_in_store.lock_pay_ins(uow.conn, [pay_in_id]))[pay_in_id]
    await store.looked(uow.conn, pay_in_id, uow.now)
    if _not_matchable(pay_in) is not None:
        return
    money = await store.money(uow.conn, pay_in_id)
    texts = [money.remittance or "", money.event, *money.references.values()]
    printed = [reference for text in texts for reference in creditor_references(text)]
    words = words_of([*texts, *printed])
    seen = Seen(pay_in.amount, words, money.originator)
    found = candidates(
        seen,
        await expectation_store.possible(uow.conn, pay_in.company, pay_in.amount, sorted(words)),
    )
    cause = Cause(correlation_id=money.correlation_id, tenant=funding.books.tenant)
    one = sure(found, automatic_from)
    if one is not None:
        expected = await expectation_store.expectation(uow.conn, one.expectation_id)
        assert expected is not None, "it was found just now"
        word = _by_itself(pay_in, one, expected)
        # What the ledger refused once is not tried again without a person.
        if await store.match_digest(uow.conn, word.match_id) is None:
            refusal = await _match(uow, funding, pay_in, word, cause)
            if refusal is None:
                return
            _LOG.warning("match_refused", pay_in_id=pay_in_id, code=refusal.code)
    if found:
        _propose(uow, pay_in, found, cause)


def _by_itself(pay_in: PayIn, one: Candidate, expected: Expectation) -> _Word:
    match_id = derived_id("match", pay_in.pay_in_id, one.expectation_id)
    return _Word(
        match_id,
        b"",
        one.expectation_id,
        expected.beneficiary,
        expected.program,
        one.confidence,
        automatic=True,
        note=", ".join(one.reasons),
        who=Who(actor=_SERVICE, principal=pay_in.company),
    )


def _propose(uow: UnitOfWork, pay_in: PayIn, found: tuple[Candidate, ...], cause: Cause) -> None:
    fact = MatchProposed(
        pay_in_id=pay_in.pay_in_id,
        case_id=_case_of(pay_in),
        candidates=tuple(
            MatchCandidate(
                expectation_id=one.expectation_id,
                reference=one.reference,
                confidence=one.confidence,
                reasons=one.reasons,
            )
            for one in found
        ),
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=FACTS, key=pay_in.pay_in_id, cause=cause)
