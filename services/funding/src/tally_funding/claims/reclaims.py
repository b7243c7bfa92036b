"""Use cases of reclaims: filed money comes back to its owner, and refers to the filing."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from tally_contracts.base import Event, PositiveAmount, Who
from tally_contracts.funding_unclaimed import (
    DecideReclaim,
    OwnerFound,
    ProposeReclaim,
    ReclaimChanged,
)
from tally_contracts.ledger import JournalRejected
from tally_funding.answers.refusal import Refusal
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import clocks, postings
from tally_funding.claims.domain import reclaim as domain
from tally_funding.claims.domain.dormancy import Dormancy
from tally_funding.claims.domain.estate import is_claimable, is_restricted, receiver
from tally_funding.claims.domain.reclaim import Reclaim, ReclaimState
from tally_funding.claims.filings import OPERATOR, report_id
from tally_funding.claims.store import claims, filings, wallets
from tally_funding.claims.store import reclaims as store
from tally_funding.claims.store.reclaims import KeptReclaim
from tally_funding.claims.store.wallets import Circumstances, Wallet
from tally_funding.claims.topics import CLAIMS_TOPIC, LEDGER_TOPIC, LedgerFact, answers_to
from tally_funding.postings import Books
from tally_funding.receipts.arriving import Arrival, Source, arrivals, credited
from tally_funding.receipts.asking import read_gate
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.claims")
_MOVING_STATES: Final = frozenset({ReclaimState.MOVING, ReclaimState.MOVED})


async def propose(uow: UnitOfWork, command: ProposeReclaim, cause: Cause) -> Event | Refusal:
    """Enter that a line of a filing is the claimant's; no money moves."""
    kept = (await filings.lock(uow.conn, {command.filing_id})).get(command.filing_id)
    if kept is None or command.who.principal not in {kept.filing.holder, OPERATOR}:
        return Refusal(
            "filing_unknown",
            "/filing_id",
            f"there is no filing {command.filing_id} of {command.who.principal}",
            "name the filing that the wallet's dormancy facts name",
        )
    lines = {
        line.account: line
        for filing_id, line in await filings.remitted_of(uow.conn, {command.account})
        if filing_id == command.filing_id
    }
    line = lines.get(command.account)
    refusal = domain.refuse_proposal(
        line,
        account=command.account,
        claimant=command.claimant,
        owners=() if line is None else await _owners(uow, line.owner),
    )
    if refusal is not None:
        return refusal
    assert line is not None, "an unknown line is refused"
    reclaim = Reclaim(
        reclaim_id=command.reclaim_id,
        filing_id=command.filing_id,
        holder=kept.filing.holder,
        jurisdiction=kept.filing.jurisdiction,
        line=line,
        claimant=command.claimant,
        reference=postings.reclaim_reference(command.reclaim_id),
        state=ReclaimState.PROPOSED,
        proposed_by=command.who.actor,
    )
    told = Circumstances(command.who, command.where, command.why, cause)
    await store.insert(uow.conn, KeptReclaim(reclaim, told), uow.now)
    return _tell(uow, reclaim, None, told)


async def _owners(uow: UnitOfWork, owner: str) -> Collection[str]:
    """Whose the money of an owner reference is: who claimed it, or whose it always was."""
    if is_restricted(owner) or not is_claimable(owner):
        return {receiver(owner)}
    return set((await claims.redirects(uow.conn, {owner})).values())


async def decide(
    uow: UnitOfWork, books: Books, command: DecideReclaim, cause: Cause
) -> Event | Refusal:
    """Ask the ledger to bring the money back, or decline."""
    found = await store.lock(uow.conn, reclaim_ids={command.reclaim_id})
    kept = found.get(command.reclaim_id)
    refusal = domain.refuse_decision(
        None if kept is None else kept.reclaim,
        reclaim_id=command.reclaim_id,
        actor=command.who.actor,
        principal=command.who.principal,
        operator=OPERATOR,
    )
    if refusal is not None:
        return refusal
    assert kept is not None, "an unknown reclaim is refused"
    reclaim = domain.decide(kept.reclaim, approve=command.approve, note=command.note)
    await store.save(uow.conn, reclaim, command.who.actor, uow.now)
    told = replace(kept.told, who=command.who, cause=cause)
    fact = _tell(uow, reclaim, kept.reclaim, told)
    if reclaim.state is ReclaimState.MOVING:
        claimant = reclaim.claimant
        gate = await read_gate(uow.conn, books, {claimant}, uow.now)
        to_owner = credited(gate, claimant, reclaim.line.amount)
        journal = postings.reclaim_journal(books, reclaim, to_owner, told, uow.now)
        uow.emit(journal, topic=LEDGER_TOPIC, key=journal.ledger, cause=cause)
    return fact


async def find_answered(
    uow: UnitOfWork, messages: Sequence[Received[LedgerFact]]
) -> Sequence[KeptReclaim]:
    """The reclaims that the ledger answers, locked; their wallets are not yet."""
    ours = answers_to(postings.RECLAIM_PREFIX, messages)
    if not ours:
        return ()
    await for_every_tenant(uow.conn)
    return list((await store.lock(uow.conn, references=ours)).values())


def brought(
    books: Books, found: Sequence[KeptReclaim], messages: Sequence[Received[LedgerFact]]
) -> Sequence[Arrival]:
    """What reclaims have brought to claimants who may not receive it yet.

    What was restricted before it was filed is back where it was, and was told of then.
    """
    ours = answers_to(postings.RECLAIM_PREFIX, messages)
    return [
        arrival
        for kept in found
        if not is_restricted(kept.reclaim.line.owner)
        for arrival in arrivals(
            books,
            kept.reclaim.claimant,
            Source(kept.reclaim.holder, reclaim_id=kept.reclaim.reclaim_id),
            ours[kept.reclaim.reference],
        )
    ]


async def answer(
    uow: UnitOfWork, found: Sequence[KeptReclaim], messages: Sequence[Received[LedgerFact]]
) -> None:
    """Take the ledger's answers to reclaims: the wallet's money is told as reclaimed."""
    ours = answers_to(postings.RECLAIM_PREFIX, messages)
    for kept in found:
        message = ours[kept.reclaim.reference]
        code = message.event.code if isinstance(message.event, JournalRejected) else None
        reclaim = domain.answer(kept.reclaim, code)
        if reclaim is None:
            continue
        await store.save(uow.conn, reclaim, None, uow.now)
        who = Who(actor=clocks.ACTOR, principal=reclaim.holder)
        _tell(uow, reclaim, kept.reclaim, replace(kept.told, who=who, cause=message.cause))
        if code is None:
            await _tell_reclaimed(uow, reclaim, message.cause)
        else:
            _LOG.error(
                "unclaimed_money_not_reclaimed",
                reclaim_id=reclaim.reclaim_id,
                ledger_code=code,
                alarm=True,
            )


async def _tell_reclaimed(uow: UnitOfWork, reclaim: Reclaim, cause: Cause) -> None:
    """Only of a wallet that stands as this filing left it: money that came since has its own clock."""
    found = await wallets.lock_accounts(uow.conn, {reclaim.line.account})
    filed = [
        wallet
        for wallet in found.values()
        if (wallet.clock.state, wallet.clock.filing_id) == (Dormancy.ESCHEATED, reclaim.filing_id)
    ]
    if filed:
        await clocks.settle(uow, filed, Dormancy.RECLAIMED, reclaim.filing_id, cause)


async def tell_found(uow: UnitOfWork, claimed: Sequence[tuple[Wallet, str, Circumstances]]) -> None:
    """Tell who claimed wallets (each with the claimant) which filings have their former money."""
    by_account = {wallet.account: (wallet, to, told) for wallet, to, told in claimed}
    for filing_id, line in await filings.remitted_of(uow.conn, by_account):
        wallet, claimant, told = by_account[line.account]
        fact = OwnerFound(
            who=told.who,
            where=told.where,
            why=told.why,
            occurred_at=uow.now,
            filing_id=filing_id,
            report_id=report_id(filing_id),
            account=line.account,
            owner=line.owner,
            holder=wallet.tenant,
            claimant=claimant,
            amount=PositiveAmount.of(line.amount),
            jurisdiction=line.period.partition(":")[0],
        )
        uow.emit(fact, topic=CLAIMS_TOPIC, key=line.owner, cause=told.cause)


def _tell(
    uow: UnitOfWork, reclaim: Reclaim, before: Reclaim | None, told: Circumstances
) -> ReclaimChanged:
    moving = reclaim.state in _MOVING_STATES
    fact = ReclaimChanged(
        who=told.who,
        where=told.where,
        why=told.why,
        occurred_at=uow.now,
        reclaim_id=reclaim.reclaim_id,
        filing_id=reclaim.filing_id,
        account=reclaim.line.account,
        owner=reclaim.line.owner,
        holder=reclaim.holder,
        claimant=reclaim.claimant,
        amount=PositiveAmount.of(reclaim.line.amount),
        state=reclaim.state.value,
        previous=None if before is None else before.state.value,
        journal_id=postings.reclaim_journal_id(reclaim) if moving else None,
        reason_code=reclaim.code,
        proposed_by=reclaim.proposed_by,
        note=reclaim.note,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=reclaim.line.owner, cause=told.cause)
    return fact
