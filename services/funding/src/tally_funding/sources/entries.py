"""Use cases: a pay-in is entered by hand, by one person, and approved by another."""

from typing import Final

from tally_contracts.base import Amount, PositiveAmount
from tally_contracts.funding import FundingReceived
from tally_contracts.funding_sources import (
    DecideEntry,
    EnterPayIn,
    EntryDecided,
    EntryProposed,
)
from tally_funding.answers.refusal import Refusal
from tally_funding.parties import tenants
from tally_funding.postings import OPERATOR
from tally_funding.service import Announcement, Funding, book
from tally_funding.sources import entry_store as store
from tally_funding.sources.answering import FACTS, content_digest, read_amount, refuse
from tally_funding.sources.entry_store import Entry
from tally_funding.sources.refusal import id_conflict, not_the_company
from tally_messaging import Received, UnitOfWork

SOURCE: Final = "manual"
"""The source whose clearing account stands for money that people have seen arrive."""


async def propose(uow: UnitOfWork, message: Received[EnterPayIn]) -> None:
    """Keep a proposal until another person decides; no money moves."""
    command = message.event
    refusal = await _proposed(uow, command)
    if refusal is not None:
        refuse(uow, command.TYPE, command.entry_id, command.who, refusal, message)
        return
    fact = EntryProposed(
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
        entry_id=command.entry_id,
        external_id=command.external_id,
        amount=Amount.of(command.amount.money()),
        company=command.company,
        beneficiary=command.beneficiary,
    )
    uow.emit(fact, topic=FACTS, key=command.entry_id, cause=message)


async def _proposed(uow: UnitOfWork, command: EnterPayIn) -> Refusal | None:
    amount = read_amount(command.amount, "/amount")
    if isinstance(amount, Refusal):
        return amount
    if command.who.principal not in {command.company, OPERATOR}:
        return not_the_company(command.company)
    digest = content_digest(command)
    known = await store.lock(uow.conn, command.entry_id)
    if known is not None:
        return None if known.digest == digest else id_conflict("/entry_id")
    taken = await store.taken_by(uow.conn, command.external_id)
    if taken is not None:
        return Refusal(
            "external_id_taken",
            "/external_id",
            f"entry {taken} has this external id already",
            "see whether it is the same money; other money needs an external id of its own",
        )
    tenant = await tenants.hold_one(uow.conn, command.company, uow.now)
    await store.insert(uow.conn, command, digest, tenant, uow.now)
    return None


async def decide(uow: UnitOfWork, funding: Funding, message: Received[DecideEntry]) -> None:
    """Book a proposed pay-in as approved by a second person, or set it aside as declined."""
    command = message.event
    company = await store.company_of(uow.conn, command.entry_id)
    if company is not None:
        # Before the entry, as whoever learns of the company locks them.
        await tenants.hold_one(uow.conn, company, uow.now)
    entry = await store.lock(uow.conn, command.entry_id)
    refusal = _refused(command, entry)
    if refusal is not None or entry is None:
        assert refusal is not None, "an unknown entry is refused"
        refuse(uow, command.TYPE, command.entry_id, command.who, refusal, message)
        return
    pay_in_id = entry.pay_in_id
    if entry.state == "proposed":
        if command.approve:
            pay_in_id = await _book(uow, funding, entry, message)
        state = "approved" if command.approve else "declined"
        await store.decide(
            uow.conn,
            command.entry_id,
            state,
            command.who.actor,
            command.note,
            pay_in_id,
            uow.now,
        )
    fact = EntryDecided(
        entry_id=command.entry_id,
        approved=command.approve,
        pay_in_id=pay_in_id,
        proposed_by=entry.proposed_by,
        note=command.note,
        who=command.who,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=FACTS, key=command.entry_id, cause=message)


def _refused(command: DecideEntry, entry: Entry | None) -> Refusal | None:
    if entry is None:
        return Refusal(
            "entry_unknown",
            "/entry_id",
            f"there is no entry {command.entry_id}",
            "name an entry that was proposed",
        )
    if command.who.principal not in {entry.command.company, OPERATOR}:
        return not_the_company(entry.command.company)
    if command.approve and command.who.actor == entry.proposed_by:
        return Refusal(
            "same_person",
            "/who/actor",
            f"{entry.proposed_by} proposed this entry",
            "have another person approve it",
        )
    wanted = "approved" if command.approve else "declined"
    if entry.state not in {"proposed", wanted} or (
        entry.state == wanted and entry.decided_by != command.who.actor
    ):
        return Refusal(
            "entry_decided",
            "/entry_id",
            f"the entry was {entry.state} by {entry.decided_by}",
            "propose the money again if that was wrong",
        )
    return None


async def _book(
    uow: UnitOfWork, funding: Funding, entry: Entry, message: Received[DecideEntry]
) -> str:
    command = entry.command
    event = FundingReceived(
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=command.occurred_at,
        external_id=command.external_id,
        amount=PositiveAmount.of(command.amount.money()),
        originator=command.originator,
        company=command.company,
        beneficiary=command.beneficiary,
        kind=command.kind,
        value_date=command.value_date,
        references=command.references,
    )
    (repeat,) = await book(uow, funding, [Announcement(SOURCE, event, message.cause)])
    assert repeat is None, "an external id is one entry's, and no other source is called manual"
    return funding.books.pay_in_id(SOURCE, command.external_id)
