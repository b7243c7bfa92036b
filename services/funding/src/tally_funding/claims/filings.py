"""Use cases of filings: proposed by one person, decided by another, remitted line by line."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tally_contracts.base import Amount, Event, Who
from tally_contracts.funding_unclaimed import (
    DecideFiling,
    FilingChanged,
    ProposeFiling,
    ReportFiled,
)
from tally_contracts.ledger import JournalRejected
from tally_funding.answers.refusal import Refusal
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import clocks, postings
from tally_funding.claims.domain import filing as domain
from tally_funding.claims.domain.dormancy import PERIODS, Dormancy, takes_filings
from tally_funding.claims.domain.filing import (
    LINES_MAX,
    Filing,
    FilingState,
    Line,
    LineState,
)
from tally_funding.claims.domain.report import render
from tally_funding.claims.store import filings as store
from tally_funding.claims.store import wallets
from tally_funding.claims.store.filings import KeptFiling
from tally_funding.claims.store.wallets import Circumstances
from tally_funding.claims.topics import CLAIMS_TOPIC, LEDGER_TOPIC, LedgerFact, answers_to
from tally_funding.postings import Books
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.claims")
OPERATOR: Final = "operator"
"""The principal of the installation, which may act for every holder."""


def report_id(filing_id: str) -> str:
    """The id of a filing's report."""
    return derived_id("rpt", filing_id)


async def propose(uow: UnitOfWork, command: ProposeFiling, cause: Cause) -> Event | Refusal:
    """Enter what is reportable to a jurisdiction; no money moves."""
    if command.who.principal not in {command.holder, OPERATOR}:
        return Refusal(
            "not_allowed",
            "/holder",
            f"{command.who.principal} does not hold the money of {command.holder}",
            "let the root of the tree propose, or the operator",
        )
    if not takes_filings(PERIODS, command.jurisdiction, uow.now.date()):
        return Refusal(
            "jurisdiction_unknown",
            "/jurisdiction",
            f"no row of the table says that {command.jurisdiction} takes unclaimed money",
            "name a jurisdiction of the table; what no law takes stays where it is",
        )
    found = await wallets.lock_reportable(uow.conn, command.holder, command.jurisdiction, LINES_MAX)
    if not found:
        return Refusal(
            "nothing_reportable",
            "/jurisdiction",
            f"no wallet of {command.holder} is reportable to {command.jurisdiction}",
            "wait until the time of a notice is over, or until a filing under way is done",
        )
    filing = Filing(
        command.filing_id,
        command.holder,
        command.jurisdiction,
        FilingState.PROPOSED,
        command.who.actor,
        tuple(
            Line(
                postings.line_id(command.filing_id, wallet.account),
                wallet.account,
                wallet.owner,
                wallet.balance,
                wallet.clock.period,
                wallet.clock.last_activity_at,
            )
            for wallet in sorted(found, key=lambda wallet: wallet.account)
        ),
    )
    told = Circumstances(command.who, command.where, command.why, cause)
    await store.insert(uow.conn, KeptFiling(filing, told), uow.now)
    return _tell(uow, filing, None, told)


async def decide(
    uow: UnitOfWork, books: Books, command: DecideFiling, cause: Cause
) -> Event | Refusal:
    """Ask the ledger for every line that is still as it was proposed, or stop the filing."""
    kept = (await store.lock(uow.conn, {command.filing_id})).get(command.filing_id)
    refusal = domain.refuse_decision(
        None if kept is None else kept.filing,
        filing_id=command.filing_id,
        actor=command.who.actor,
        principal=command.who.principal,
        operator=OPERATOR,
    )
    if refusal is not None:
        return refusal
    assert kept is not None, "an unknown filing is refused"
    found = await wallets.lock_accounts(uow.conn, {line.account for line in kept.filing.lines})
    unchanged = {
        account: wallet.balance
        for account, wallet in found.items()
        if wallet.clock.state is Dormancy.REPORTABLE
        and (wallet.tenant, wallet.clock.jurisdiction)
        == (kept.filing.holder, kept.filing.jurisdiction)
    }
    filing = domain.decide(kept.filing, unchanged, approve=command.approve, note=command.note)
    await store.save(uow.conn, filing, command.who.actor, uow.now)
    told = replace(kept.told, who=command.who, cause=cause)
    fact = _tell(uow, filing, kept.filing, told)
    for line in filing.lines:
        if line.state is LineState.REMITTING:
            journal = postings.remittance(books, filing, line, told, uow.now)
            uow.emit(journal, topic=LEDGER_TOPIC, key=journal.ledger, cause=cause)
    return fact


async def find_answered(
    uow: UnitOfWork, messages: Sequence[Received[LedgerFact]]
) -> Sequence[KeptFiling]:
    """The filings that the ledger answers lines of, locked; their wallets are not yet."""
    ours = answers_to(postings.LINE_PREFIX, messages)
    if not ours:
        return ()
    await for_every_tenant(uow.conn)
    return list((await store.lock(uow.conn, await store.of_lines(uow.conn, ours))).values())


async def answer(
    uow: UnitOfWork, found: Sequence[KeptFiling], messages: Sequence[Received[LedgerFact]]
) -> None:
    """Take the ledger's answers to lines: wallets are escheated, the last answer files the report."""
    ours = answers_to(postings.LINE_PREFIX, messages)
    answers = {
        line_id: message.event.code if isinstance(message.event, JournalRejected) else None
        for line_id, message in ours.items()
    }
    for kept in found:
        filing, answered = domain.answer(kept.filing, answers)
        if not answered:
            continue
        cause = ours[answered[-1].line_id].cause
        await store.save(uow.conn, filing, None, uow.now)
        await _escheat(uow, filing, answered, cause)
        if filing.state is not kept.filing.state:
            told = replace(kept.told, who=_platform(filing), cause=cause)
            _tell(uow, filing, kept.filing, told)
            if filing.state is FilingState.FILED:
                _report(uow, filing, told)


async def _escheat(uow: UnitOfWork, filing: Filing, answered: Sequence[Line], cause: Cause) -> None:
    remitted = {line.account for line in answered if line.state is LineState.REMITTED}
    if remitted:
        held = await wallets.lock_accounts(uow.conn, remitted)
        await clocks.settle(uow, list(held.values()), Dormancy.ESCHEATED, filing.filing_id, cause)
    for line in answered:
        if line.state is LineState.REFUSED:
            _LOG.error(
                "unclaimed_money_not_filed",
                filing_id=filing.filing_id,
                account=line.account,
                ledger_code=line.code,
                alarm=True,
            )


def _platform(filing: Filing) -> Who:
    return Who(actor=clocks.ACTOR, principal=filing.holder)


def _tell(
    uow: UnitOfWork, filing: Filing, before: Filing | None, told: Circumstances
) -> FilingChanged:
    owner = postings.escheat_owner(filing.jurisdiction)
    fact = FilingChanged(
        who=told.who,
        where=told.where,
        why=told.why,
        occurred_at=uow.now,
        filing_id=filing.filing_id,
        owner=owner,
        holder=filing.holder,
        jurisdiction=filing.jurisdiction,
        state=filing.state.value,
        previous=None if before is None else before.state.value,
        line_count=len(filing.standing),
        totals=tuple(Amount.of(total) for total in filing.totals),
        digest=domain.digest(filing),
        proposed_by=filing.proposed_by,
        note=filing.note,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=told.cause)
    return fact


def _report(uow: UnitOfWork, filing: Filing, told: Circumstances) -> None:
    journals = {line.line_id: postings.remittance_id(line) for line in filing.lines}
    content = render(filing, report_id=report_id(filing.filing_id), journals=journals)
    owner = postings.escheat_owner(filing.jurisdiction)
    fact = ReportFiled(
        who=told.who,
        where=told.where,
        why=told.why,
        occurred_at=uow.now,
        report_id=report_id(filing.filing_id),
        filing_id=filing.filing_id,
        owner=owner,
        holder=filing.holder,
        jurisdiction=filing.jurisdiction,
        line_count=len(filing.standing),
        totals=tuple(Amount.of(total) for total in filing.totals),
        file_name=f"unclaimed-{filing.jurisdiction}-{filing.filing_id}.csv",
        content=content,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=told.cause)
