"""Use cases: an owner settles what it owes, and the ledger answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tally_contracts.base import Amount
from tally_contracts.funding_sources import (
    ReceivableSettled,
    SettlementStarted,
    SettleReceivable,
)
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_funding.answers.refusal import Refusal
from tally_funding.postings import Books
from tally_funding.refunds import receivable_store as store
from tally_funding.refunds.domain import decide_settlement
from tally_funding.refunds.postings import settlement
from tally_funding.refunds.receivable_store import (
    AboutSettlement,
    AskedSettlement,
    NewSettlement,
    Receivable,
)
from tally_funding.service import LEDGER_TOPIC
from tally_funding.sources.answering import FACTS, content_digest, read_amount, refuse
from tally_funding.sources.refusal import id_conflict
from tally_messaging import Cause, Received, UnitOfWork
from tally_messaging.unit_of_work import Following
from tally_money import Money

PREFIX = "settle_"


async def take_command(uow: UnitOfWork, books: Books, message: Received[SettleReceivable]) -> None:
    """Ask the ledger to move money from the owner's wallet to its debt, or answer why not."""
    command = message.event
    refusal = await _ask(uow, books, command, message.cause)
    if refusal is not None:
        refuse(uow, command.TYPE, command.settlement_id, command.who, refusal, message)


async def _ask(
    uow: UnitOfWork, books: Books, command: SettleReceivable, cause: Cause
) -> Refusal | None:
    amount = read_amount(command.amount, "/amount")
    if isinstance(amount, Refusal):
        return amount
    if not command.settlement_id.startswith(PREFIX):
        return Refusal(
            "id_prefix",
            "/settlement_id",
            f"{command.settlement_id} is no id of a settlement",
            f"give an id that starts with {PREFIX}",
        )
    owed = (await store.lock(uow.conn, [command.receivable_id])).get(command.receivable_id)
    if owed is None:
        return Refusal(
            "receivable_unknown",
            "/receivable_id",
            f"there is no receivable {command.receivable_id}",
            "name a receivable that was opened",
        )
    digest = content_digest(command)
    known = await store.settlement_digest(uow.conn, command.settlement_id)
    if known is not None and known != digest:
        return id_conflict("/settlement_id")
    if known is None:
        refusal = decide_settlement(owed.left, amount, owner=owed.owner, by=command.who.principal)
        if refusal is not None:
            return refusal
        await _start(uow, books, command, owed, digest, amount, cause)
    started = SettlementStarted(
        settlement_id=command.settlement_id,
        receivable_id=owed.receivable_id,
        owner=owed.owner,
        amount=Amount.of(amount),
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
    )
    uow.emit(started, topic=FACTS, key=owed.receivable_id, cause=cause)
    return None


async def _start(  # noqa: PLR0917 - one settlement's parts, handed on
    uow: UnitOfWork,
    books: Books,
    command: SettleReceivable,
    owed: Receivable,
    digest: bytes,
    amount: Money,
    cause: Cause,
) -> None:
    about = AboutSettlement(who=command.who, where=command.where, why=command.why)
    journal = settlement(books, command.settlement_id, owed.owner, amount, about, uow.now)
    asked = NewSettlement(
        command.settlement_id,
        owed.receivable_id,
        digest,
        amount,
        "owner",
        journal.journal_id,
        about,
    )
    await store.insert_settlements(uow.conn, [asked], uow.now)
    uow.emit(journal, topic=LEDGER_TOPIC, key=books.ledger, cause=cause)


Answer = JournalPosted | JournalReversed | JournalRejected


async def settle(uow: UnitOfWork, messages: Sequence[Received[Answer]]) -> None:
    """Take the ledger's answers to settlements; one refused leaves the debt as it was."""
    by_settlement = {m.event.reference: m for m in messages}
    asked = await store.asked_by(uow.conn, sorted({m.event.journal_id for m in messages}))
    owed = await store.lock(uow.conn, sorted({one.receivable_id for one in asked}))
    posted = [
        one for one in asked if isinstance(by_settlement[one.settlement_id].event, JournalPosted)
    ]
    refused = [one for one in asked if one not in posted]
    if posted:
        ids = [one.settlement_id for one in posted]
        await store.end(uow.conn, ids, settled=True, now=uow.now)
        tell_settled(uow, posted, owed, {one: by_settlement[one] for one in ids})
    if refused:
        ids = [one.settlement_id for one in refused]
        await store.end(uow.conn, ids, settled=False, now=uow.now)
    for one in refused:
        message = by_settlement[one.settlement_id]
        assert isinstance(message.event, JournalRejected), "what was not posted was rejected"
        refusal = Refusal(
            message.event.code,
            "/amount",
            message.event.detail,
            "see that the wallet has the money, then settle again under another id",
        )
        refuse(uow, SettleReceivable.TYPE, one.settlement_id, one.about.who, refusal, message)


def tell_settled(
    uow: UnitOfWork,
    settled: Sequence[AskedSettlement],
    owed: Mapping[str, Receivable],
    causes: Mapping[str, Cause | Following],
) -> None:
    """Tell of settlements just ended; `owed` as it stood before them."""
    standing = dict(owed)
    for one in settled:
        before = standing[one.receivable_id]
        amount = Money(one.minor, before.amount.currency)
        now = replace(before, settled=before.settled + amount)
        standing[one.receivable_id] = now
        fact = ReceivableSettled(
            receivable_id=one.receivable_id,
            settlement_id=one.settlement_id,
            owner=now.owner,
            company=now.company,
            amount=Amount.of(amount),
            open_amount=Amount.of(now.amount - now.settled),
            settled_by=one.settled_by,
            who=one.about.who,
            where=one.about.where,
            why=one.about.why,
            occurred_at=uow.now,
        )
        uow.emit(fact, topic=FACTS, key=one.receivable_id, cause=causes[one.settlement_id])
