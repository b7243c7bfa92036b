"""Use case: a bank statement file is imported, whole or not at all."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tally_bankfiles.camt import Statement, StatementError
from tally_contracts.funding import ImportStatement, StatementImported, StatementRefused
from tally_funding.domain import Repeat
from tally_funding.parties import tenants
from tally_funding.service import Announcement, Funding, book
from tally_funding.statements import store
from tally_funding.statements.content import read_content
from tally_funding.statements.credits import (
    CONTINUOUS,
    Continuity,
    Credit,
    Line,
    StatementIdentity,
    StatementKind,
    StatementTerms,
    announcement,
    continuity,
    credits_of,
    digest,
    identify,
    lines,
    printable,
)
from tally_funding.statements.notices import InOther, Pairing, Same, pair
from tally_funding.statements.store import KeptLine, NewStatement
from tally_funding.store import NewCase, insert_cases
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.statements")
STATEMENTS_TOPIC = "funding.statements.v1"
SOURCE = "bank"
"""The source whose clearing account mirrors the bank's."""

# Between two chunks other tasks get their turn.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class ReadStatement:
    """A statement taken apart."""

    statement: Statement
    identity: StatementIdentity
    lines: tuple[Line, ...]
    credits: tuple[Credit, ...]
    digest: bytes


async def import_statement(
    uow: UnitOfWork,
    funding: Funding,
    message: Received[ImportStatement],
    reference_program: str | None,
) -> None:
    """Import a file: every credit is a pay-in afterwards, or nothing changed and the answer says why.

    `reference_program` is the program of money that names only a creditor reference (RF).
    """
    command = message.event
    cause = message.cause._replace(tenant=funding.books.tenant)
    try:
        read = await asyncio.to_thread(_read, command.content)
        await store.take_turn(uow.conn)
        known = await store.known(uow.conn, [one.identity.statement_key for one in read])
        fresh = _fresh(read, known)
    except StatementError as error:
        _refuse(uow, command, error, cause)
        return
    terms = StatementTerms(command.who, reference_program)
    # Of a statement imported before, or twice in this file, every credit is known.
    already_known = _credits(read) - _credits(fresh)
    pay_ins = 0
    for one in fresh:
        repeats = await _import_one(uow, funding, command, one, terms, cause)
        already_known += repeats
        pay_ins += len(one.credits) - repeats
    imported = StatementImported(
        import_id=command.import_id,
        file_name=command.file_name,
        statement_ids=tuple(printable(one.statement.id) for one in read),
        pay_ins=pay_ins,
        already_known=already_known,
        ignored_entries=sum(len(one.lines) - len(one.credits) for one in read),
        occurred_at=uow.now,
    )
    uow.emit(imported, topic=STATEMENTS_TOPIC, key=command.import_id, cause=cause)
    _LOG.info(
        "statement_imported",
        import_id=command.import_id,
        statements=len(fresh),
        pay_ins=pay_ins,
        already_known=already_known,
    )


def _credits(read: Sequence[ReadStatement]) -> int:
    return sum(len(one.credits) for one in read)


def _read(content: str) -> tuple[ReadStatement, ...]:
    """All that needs no database, in one call: it takes seconds for the largest files."""
    read = []
    for statement in read_content(content):
        identity = identify(statement)
        found = lines(statement)
        read.append(
            ReadStatement(
                statement, identity, found, credits_of(identity, found), digest(statement, found)
            )
        )
    return tuple(read)


def _fresh(read: Sequence[ReadStatement], known: Mapping[str, bytes]) -> list[ReadStatement]:
    """Statements not seen before; raises StatementError where one was, with other entries."""
    seen = dict(known)
    fresh = []
    for one in read:
        key = one.identity.statement_key
        if key not in seen:
            fresh.append(one)
            seen[key] = one.digest
        elif seen[key] != one.digest:
            raise StatementError(
                "statement_conflict",
                line=one.statement.line,
                field="Stmt",
                detail=f"statement {one.identity.number} of this period came before with other entries",
                remedy="ask the bank which is right; the first stands until a person corrects it",
            )
    return fresh


async def _import_one(  # noqa: PLR0917 - the import's terms, handed on
    uow: UnitOfWork,
    funding: Funding,
    command: ImportStatement,
    one: ReadStatement,
    terms: StatementTerms,
    cause: Cause,
) -> int:
    """Enter one statement and book its credits; how many of them were pay-ins already."""
    follows = None
    if one.identity.kind is StatementKind.STATEMENT:
        follows = await _follows(uow, one)
    await store.insert_statement(
        uow.conn,
        NewStatement(
            identity=one.identity,
            opening=one.statement.opening,
            closing=one.statement.closing,
            digest=one.digest,
            continuity=follows,
            import_id=command.import_id,
            file_name=command.file_name,
            company=command.who.principal,
            tenant=await tenants.hold_one(uow.conn, command.who.principal, uow.now),
        ),
        uow.now,
    )
    became = await _book_credits(uow, funding, one, terms, cause)
    await store.insert_entries(
        uow.conn,
        one.identity.statement_key,
        [became.get(line) or KeptLine(line, "ignored", None) for line in one.lines],
    )
    return sum(became[credit.line].outcome != "pay_in" for credit in one.credits)


async def _follows(uow: UnitOfWork, one: ReadStatement) -> Continuity:
    opening = one.statement.opening
    assert opening is not None, "a statement has an opening balance"
    follows = continuity(one.identity, opening, await store.newest(uow.conn, one.identity))
    if follows not in CONTINUOUS:
        _LOG.error(
            "statement_discontinuous",
            statement_key=one.identity.statement_key,
            number=one.identity.number,
            continuity=follows.value,
            alarm=True,
        )
    return follows


async def _book_credits(
    uow: UnitOfWork,
    funding: Funding,
    one: ReadStatement,
    terms: StatementTerms,
    cause: Cause,
) -> dict[Line, KeptLine]:
    """Book each credit once: what notifications or statements told of before is that pay-in."""
    others = await store.booked_by_others(uow.conn, one.identity, one.credits)
    # Imports wait for this one, the service's other tasks do not.
    pairs = await asyncio.to_thread(pair, one.identity, one.credits, others)
    became = {
        credit.line: KeptLine(credit.line, "ignored", None)
        for credit, pairing in pairs.items()
        if isinstance(pairing, InOther)
    }
    await _note_differences(uow, pairs)
    left = [credit for credit in one.credits if credit.line not in became]
    for start in range(0, len(left), _CHUNK):
        chunk = left[start : start + _CHUNK]
        announced = [
            _announced(one.identity, credit, pairs.get(credit), terms, cause) for credit in chunk
        ]
        outcomes = await book(uow, funding, announced)
        for credit, announcing, outcome in zip(chunk, announced, outcomes, strict=True):
            pay_in_id = funding.books.pay_in_id(SOURCE, announcing.event.external_id)
            became[credit.line] = KeptLine(credit.line, _OUTCOMES[outcome], pay_in_id)
    return became


def _announced(
    identity: StatementIdentity,
    credit: Credit,
    pairing: Pairing | None,
    terms: StatementTerms,
    cause: Cause,
) -> Announcement:
    known = isinstance(pairing, Same)
    if isinstance(pairing, Same):
        credit = replace(credit, external_id=pairing.external_id)
    event = announcement(identity, credit, terms)
    return Announcement(SOURCE, event, cause, by_statement=True, in_other_words=known)


async def _note_differences(uow: UnitOfWork, pairs: Mapping[Credit, Pairing]) -> None:
    """A whole that its payments do not come to is a case: nothing more is booked."""
    cases = {
        pairing.pay_in_id: NewCase(
            derived_id("case", pairing.pay_in_id, "notification"),
            pairing.pay_in_id,
            "notification_differs",
            "the bank's statement and its notification differ in this entry: ask the bank which is "
            "right, then enter or return the difference by hand",
            f"{credit.line.amount} in one of them",
        )
        for credit, pairing in pairs.items()
        if isinstance(pairing, InOther) and pairing.differs
    }
    for pay_in_id in sorted(cases):
        _LOG.error("notification_differs", pay_in_id=pay_in_id, alarm=True)
    if cases:
        await insert_cases(uow.conn, list(cases.values()), uow.now)


_OUTCOMES: Mapping[Repeat | None, str] = MappingProxyType(
    {None: "pay_in", Repeat.SAME: "already_known", Repeat.CONFLICT: "conflict"}
)


def _refuse(uow: UnitOfWork, command: ImportStatement, error: StatementError, cause: Cause) -> None:
    _LOG.warning("statement_refused", import_id=command.import_id, code=error.code, line=error.line)
    refused = StatementRefused(
        import_id=command.import_id,
        file_name=command.file_name,
        code=error.code,
        line=error.line or None,
        field=printable(error.field),
        remedy=printable(f"{error.detail}: {error.remedy}"),
        occurred_at=uow.now,
    )
    uow.emit(refused, topic=STATEMENTS_TOPIC, key=command.import_id, cause=cause)
