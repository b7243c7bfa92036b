"""What people order about unclaimed money: each command is answered once, and again the same."""

from collections.abc import Sequence

from tally_contracts.base import Event
from tally_contracts.funding_claims import ClaimRefused
from tally_contracts.funding_unclaimed import (
    ConfirmOwner,
    DecideFiling,
    DecideReclaim,
    OwnerConfirmed,
    ProposeFiling,
    ProposeReclaim,
)
from tally_funding.answers.book import AnswerBook, Seen, reused
from tally_funding.answers.refusal import Refusal
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import clocks, filings, reclaims
from tally_funding.claims.topics import CLAIMS_TOPIC
from tally_funding.postings import Books
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.claims")

Command = ProposeFiling | DecideFiling | ProposeReclaim | DecideReclaim | ConfirmOwner
Deed = ProposeFiling | DecideFiling | ProposeReclaim | DecideReclaim


async def order(uow: UnitOfWork, books: Books, message: Received[Deed]) -> None:
    """Carry out a command about a filing or a reclaim, to one fact at least."""
    command = message.event
    command_id = _id(command)
    await for_every_tenant(uow.conn)
    book = await AnswerBook.open(uow, CLAIMS_TOPIC, {command_id})
    seen = book.look_up(command_id, message)
    if seen is Seen.AGAIN:
        return
    outcome = reused(command_id) if seen is Seen.OTHER else await _carry_out(uow, books, message)
    fact = (
        _refuse(uow, command, command_id, outcome, message)
        if isinstance(outcome, Refusal)
        else outcome
    )
    if seen is Seen.NEVER:
        tenant = command.who.principal
        book.keep(command_id, command, fact, key=_key(fact), tenant=tenant)
        await book.save()


async def confirm(uow: UnitOfWork, messages: Sequence[Received[ConfirmOwner]]) -> None:
    """Take signs of life of owners: their clocks are set back, each sign is answered."""
    await for_every_tenant(uow.conn)
    book = await AnswerBook.open(
        uow, CLAIMS_TOPIC, {message.event.command_id for message in messages}
    )
    counts = await clocks.waiting(uow, {message.event.owner for message in messages})
    signs: dict[str, Cause] = {}
    for message in messages:
        command = message.event
        seen = book.look_up(command.command_id, message)
        if seen is Seen.AGAIN:
            continue
        if seen is Seen.OTHER:
            _refuse(uow, command, command.command_id, reused(command.command_id), message)
            continue
        fact: Event
        if command.who.principal != command.owner:
            fact = _refuse(uow, command, command.command_id, _not_the_owner(command), message)
        else:
            fact = _confirmed(uow, message, counts[command.owner])
            signs.setdefault(command.owner, message.cause)
        book.keep(command.command_id, command, fact, key=_key(fact), tenant=command.who.principal)
    # Only now: who gave a command takes the first fact that follows from it for its outcome.
    if signs:
        await clocks.sign_of_life(uow, await clocks.signs_of(uow, signs))
    await book.save()


def _confirmed(uow: UnitOfWork, message: Received[ConfirmOwner], wallets: int) -> OwnerConfirmed:
    command = message.event
    fact = OwnerConfirmed(
        owner=command.owner,
        sign=command.sign,
        wallets=wallets,
        who=command.who,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=command.owner, cause=message)
    return fact


def _not_the_owner(command: ConfirmOwner) -> Refusal:
    return Refusal(
        "not_the_owner",
        "/owner",
        f"{command.who.principal} is not {command.owner}",
        "let the owner itself give the sign",
    )


async def _carry_out(uow: UnitOfWork, books: Books, message: Received[Deed]) -> Event | Refusal:
    command, cause = message.event, message.cause
    match command:
        case ProposeFiling():
            return await filings.propose(uow, command, cause)
        case DecideFiling():
            return await filings.decide(uow, books, command, cause)
        case ProposeReclaim():
            return await reclaims.propose(uow, command, cause)
        case DecideReclaim():
            return await reclaims.decide(uow, books, command, cause)


def _id(command: Deed) -> str:
    match command:
        case ProposeFiling():
            return command.filing_id
        case ProposeReclaim():
            return command.reclaim_id
        case DecideFiling() | DecideReclaim():
            return command.command_id


def _key(fact: Event) -> str:
    owner = getattr(fact, "owner", None) or getattr(fact, "subject", None)
    assert isinstance(owner, str), "a fact about unclaimed money has an owner or a subject"
    return owner


def _refuse(
    uow: UnitOfWork,
    command: Command,
    command_id: str,
    refusal: Refusal,
    message: Received[Event],
) -> ClaimRefused:
    fact = ClaimRefused(
        command_type=command.TYPE,
        subject=command_id,
        owner=command.owner if isinstance(command, ConfirmOwner) else None,
        tenant=command.who.principal,
        code=refusal.code,
        field=refusal.field,
        detail=refusal.detail,
        remedy=refusal.remedy,
        who=command.who,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=_key(fact), cause=message)
    _LOG.info("claim_command_refused", command_id=command_id, code=refusal.code, alarm=False)
    return fact
