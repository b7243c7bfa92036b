"""Use cases of escrow: parties order, facts come by, time passes, the ledger answers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tally_contracts.base import Amount, Event, Who, Why
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_escrow import AgreementChanged, AgreementRefused, ProposeAgreement
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_contracts.payouts import PayoutChanged
from tally_funding.answers.book import AnswerBook, Seen, reused
from tally_funding.answers.refusal import Refusal
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims.domain.estate import receiver
from tally_funding.escrow import postings, reading, store
from tally_funding.escrow.domain.agreement import Agreement, Step, Steps
from tally_funding.escrow.domain.orders import decide_by
from tally_funding.escrow.domain.progress import decide_answer, decide_event, decide_time
from tally_funding.escrow.domain.proposal import decide_proposal
from tally_funding.escrow.reading import Command, OrderCommand
from tally_funding.escrow.store import Circumstances, Kept
from tally_funding.parties import store as parties
from tally_funding.postings import Books
from tally_funding.receipts.arriving import Arrival, Source, arrivals, credited
from tally_funding.receipts.asking import read_gate
from tally_funding.receipts.domain import Gate
from tally_funding.receipts.store import formers
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.escrow")
AGREEMENTS_TOPIC = "funding.agreements.v1"
LEDGER_TOPIC = "ledger.commands.v1"
ACTOR = "svc:funding"
"""Who acts where only time does."""
PAID = "paid"
"""The state of a payout that a condition can wait for."""

LedgerFact = JournalPosted | JournalReversed | JournalRejected
Fact = PayInAllocated | PayoutChanged


@dataclass(slots=True)
class _Batch:
    """Agreements of one unit of work as they stand by now, and those that changed."""

    uow: UnitOfWork
    books: Books
    kept: dict[str, Kept] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    gate: Gate | None = None
    became: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of principals, the parties that were merged into them."""

    async def hold(self, found: Mapping[str, Kept]) -> None:
        """Work on these agreements, and know whether their payees may receive."""
        self.kept |= found
        payees = {kept.agreement.payee for kept in found.values()}
        if payees:
            self.gate = await read_gate(self.uow.conn, self.books, payees, self.uow.now)

    def take(self, steps: Steps, told: Circumstances, *, who: Who, why: Why) -> AgreementChanged:
        """Make the steps, tell of each, ask the ledger; the first fact told."""
        first: AgreementChanged | None = None
        for step in steps:
            agreement = step.after
            self.kept[agreement.agreement_id] = Kept(agreement, told)
            self.changed.add(agreement.agreement_id)
            fact = self._tell(step, told, who, why)
            first = first or fact
        assert first is not None, "there is a step to take"
        return first

    def _tell(self, step: Step, told: Circumstances, who: Who, why: Why) -> AgreementChanged:
        agreement, uow, cause = step.after, self.uow, told.cause
        fact = _changed(self.books, step, told, who=who, why=why, uow=uow)
        uow.emit(fact, topic=AGREEMENTS_TOPIC, key=agreement.agreement_id, cause=cause)
        _LOG.info(
            "agreement_changed",
            agreement_id=agreement.agreement_id,
            state=agreement.state.value,
            reason=step.reason,
        )
        if step.asks_ledger:
            movement = agreement.movement
            assert movement is not None, "the ledger is asked for a movement"
            journal = postings.journal(
                self.books,
                agreement,
                # What the payer gets back is its own: no gate is asked of it.
                to_payee=credited(self.gate, agreement.payee, movement.to_payee),
                who=who,
                where=told.where,
                why=why,
                now=uow.now,
            )
            uow.emit(journal, topic=LEDGER_TOPIC, key=journal.ledger, cause=cause)
        return fact

    async def save(self) -> None:
        if self.changed:
            await store.save(self.uow.conn, [self.kept[one] for one in self.changed], self.uow.now)


def _changed(
    books: Books, step: Step, told: Circumstances, *, who: Who, why: Why, uow: UnitOfWork
) -> AgreementChanged:
    agreement, movement = step.after, step.after.movement
    return AgreementChanged(
        who=who,
        where=told.where,
        why=why,
        occurred_at=uow.now,
        agreement_id=agreement.agreement_id,
        tenant=agreement.tenant,
        sequence=agreement.sequence,
        state=agreement.state.value,
        previous=None if step.before is None else step.before.state.value,
        payer=agreement.payer,
        payee=agreement.payee,
        arbiter=agreement.arbiter,
        amount=Amount.of(agreement.amount),
        held=Amount.of(agreement.held),
        released=Amount.of(agreement.released),
        refunded=Amount.of(agreement.refunded),
        account=postings.account(books, agreement).id,
        journal_id=None
        if movement is None
        else postings.journal_id(agreement.agreement_id, movement.number),
        approvals=agreement.approvals,
        condition_met=agreement.condition_met,
        deadline=agreement.deadline,
        reason_code=step.reason,
    )


async def order(uow: UnitOfWork, books: Books, messages: Sequence[Received[Command]]) -> None:
    """Carry out commands about agreements, each to one fact at least: a change or a refusal.

    The same command id gets the same answer; with other content it is refused and the first stands.
    """
    await for_every_tenant(uow.conn)
    book = await AnswerBook.open(uow, AGREEMENTS_TOPIC, {_id(m.event) for m in messages})
    batch = _Batch(uow, books)
    await batch.hold(await store.lock(uow.conn, {m.event.agreement_id for m in messages}))
    places = await _places(uow, messages)
    batch.became = await formers(uow.conn, {m.event.who.principal for m in messages})
    for message in messages:
        command, command_id = message.event, _id(message.event)
        seen = book.look_up(command_id, message)
        if seen is Seen.AGAIN:
            continue
        outcome = reused(command_id) if seen is Seen.OTHER else _carry_out(batch, places, message)
        if isinstance(outcome, Refusal):
            _LOG.info("agreement_command_refused", command_id=command_id, code=outcome.code)
            fact: Event = _refused(command, command_id, outcome, uow)
            uow.emit(fact, topic=AGREEMENTS_TOPIC, key=command.agreement_id, cause=message)
        else:
            fact = outcome
        if seen is Seen.NEVER:
            book.keep(command_id, command, fact, key=command.agreement_id, tenant=command.tenant)
    await batch.save()
    await book.save()


def _id(command: Command) -> str:
    return command.agreement_id if isinstance(command, ProposeAgreement) else command.command_id


async def _places(
    uow: UnitOfWork, messages: Sequence[Received[Command]]
) -> Mapping[str, parties.Place]:
    named: set[str] = set()
    for message in messages:
        if isinstance(message.event, ProposeAgreement):
            proposal = reading.proposal(message.event)
            if not isinstance(proposal, Refusal):
                named |= {party for _, party in proposal.named()}
    return await parties.places(uow.conn, named) if named else {}


def _carry_out(
    batch: _Batch, places: Mapping[str, parties.Place], message: Received[Command]
) -> AgreementChanged | Refusal:
    command = message.event
    if isinstance(command, ProposeAgreement):
        return _propose(batch, places, command, message.cause)
    kept = batch.kept.get(command.agreement_id)
    principal = command.who.principal
    ids = {principal, *batch.became.get(principal, ())}
    if kept is None or ids.isdisjoint(_parties(kept.agreement)):
        return Refusal(
            "agreement_unknown",
            "/agreement_id",
            f"there is no agreement {command.agreement_id} that {principal} is in",
            "name an agreement the principal is a party of",
        )
    return _order(batch, kept, command, ids, message.cause)


def _propose(
    batch: _Batch,
    places: Mapping[str, parties.Place],
    command: ProposeAgreement,
    cause: Cause,
) -> AgreementChanged | Refusal:
    if command.agreement_id in batch.kept:
        return reused(command.agreement_id)
    proposal = reading.proposal(command)
    if isinstance(proposal, Refusal):
        return proposal
    payer = places.get(proposal.payer)
    step = decide_proposal(
        proposal,
        parties=places,
        payer_tenant=None if payer is None else payer.tenant,
        now=batch.uow.now,
    )
    if isinstance(step, Refusal):
        return step
    told = Circumstances(command.who, command.where, command.why, cause)
    return batch.take((step,), told, who=command.who, why=command.why)


def _order(
    batch: _Batch, kept: Kept, command: OrderCommand, ids: Collection[str], cause: Cause
) -> AgreementChanged | Refusal:
    agreement = kept.agreement
    if command.why.program != agreement.program:
        return Refusal(
            "why_mismatch",
            "/why/program",
            f"the agreement is of the program {agreement.program}",
            "give the agreement's program and the reason of this order",
        )
    asked = reading.order(command)
    if isinstance(asked, Refusal):
        return asked
    steps = decide_by(agreement, asked, ids, batch.uow.now)
    if isinstance(steps, Refusal):
        return steps
    told = kept.circumstances
    now_told = Circumstances(told.who, told.where, told.why, cause)
    return batch.take(steps, now_told, who=command.who, why=command.why)


def _parties(agreement: Agreement) -> frozenset[str]:
    condition = agreement.condition
    named = (agreement.payer, agreement.payee, agreement.arbiter, condition.presenter)
    return frozenset(party for party in named if party is not None) | {*condition.approvers}


def _refused(
    command: Command, command_id: str, refusal: Refusal, uow: UnitOfWork
) -> AgreementRefused:
    return AgreementRefused(
        command_type=command.TYPE,
        subject=command_id,
        agreement_id=command.agreement_id,
        tenant=command.tenant,
        code=refusal.code,
        field=refusal.field,
        detail=refusal.detail,
        remedy=refusal.remedy,
        who=command.who,
        occurred_at=uow.now,
    )


async def settle(
    uow: UnitOfWork, books: Books, messages: Sequence[Received[LedgerFact]]
) -> Sequence[Arrival]:
    """Take the ledger's answers; those to other journals, repeated and stale ones change nothing.

    What they have brought to payees who may not receive it yet.
    """
    prefix = postings.REFERENCE_PREFIX
    ours = [message for message in messages if message.event.reference.startswith(prefix)]
    if not ours:
        return ()
    await for_every_tenant(uow.conn)
    batch = _Batch(uow, books)
    await batch.hold(await store.lock(uow.conn, {m.event.reference for m in ours}))
    brought: list[Arrival] = []
    for message in ours:
        event = message.event
        kept = batch.kept.get(event.reference)
        if kept is None:
            continue
        agreement = kept.agreement
        source = Source(agreement.payer, agreement_id=agreement.agreement_id)
        brought += arrivals(books, agreement.payee, source, message)
        movement = agreement.movement
        if movement is None:
            continue
        number = movement.number
        if event.journal_id != postings.journal_id(event.reference, number):
            continue
        refused = event.code if isinstance(event, JournalRejected) else None
        steps = decide_answer(agreement, number=number, refused=refused, now=uow.now)
        if refused is not None:
            _LOG.warning(
                "agreement_movement_refused", agreement_id=event.reference, ledger_code=refused
            )
        told = kept.circumstances
        now_told = Circumstances(told.who, told.where, told.why, message.cause)
        batch.take(steps, now_told, who=event.who, why=event.why)
    await batch.save()
    return brought


async def see(uow: UnitOfWork, books: Books, messages: Sequence[Received[Fact]]) -> None:
    """Look whether facts of other topics are the events that agreements wait for."""
    seen = [sight for message in messages for sight in _sights(message)]
    if not seen:
        return
    await for_every_tenant(uow.conn)
    wanted = {reference for sight in seen for reference in sight.references}
    batch = _Batch(uow, books)
    await batch.hold(await store.waiting_for(uow.conn, wanted))
    for sight in seen:
        for kept in [*batch.kept.values()]:
            agreement, told = kept.agreement, kept.circumstances
            if not {agreement.payer, agreement.payee} & sight.parties:
                continue
            steps = decide_event(agreement, sight.event, sight.references)
            if steps:
                now_told = Circumstances(told.who, told.where, told.why, sight.cause)
                batch.take(steps, now_told, who=_time_keeper(agreement), why=told.why)
    await batch.save()


@dataclass(frozen=True, slots=True)
class _Sight:
    """A fact as a condition names it: which event, of which parties, under which references."""

    event: str
    references: frozenset[str]
    parties: frozenset[str]
    cause: Cause


def _sights(message: Received[Fact]) -> Iterable[_Sight]:
    event = message.event
    if isinstance(event, PayInAllocated):
        owners = {receiver(share.owner) for share in event.allocations}
        references = frozenset({event.pay_in_id, event.external_id, event.why.event})
        parties_named = frozenset({event.company, *owners})
        yield _Sight("pay_in_allocated", references, parties_named, message.cause)
    elif event.state == PAID:
        references = frozenset({event.payout_id, event.why.event})
        yield _Sight(
            "payout_paid", references, frozenset({event.company, event.owner}), message.cause
        )


async def pass_time(uow: UnitOfWork, books: Books, limit: int) -> int:
    """Move on up to `limit` agreements that are due; how many were found."""
    await for_every_tenant(uow.conn)
    batch = _Batch(uow, books)
    await batch.hold(await store.due(uow.conn, uow.now, limit))
    due: Collection[Kept] = [*batch.kept.values()]
    for kept in due:
        steps = decide_time(kept.agreement, uow.now)
        assert steps, f"{kept.agreement.agreement_id} is due and does not move"
        told = kept.circumstances
        batch.take(steps, told, who=_time_keeper(kept.agreement), why=told.why)
    await batch.save()
    return len(due)


def _time_keeper(agreement: Agreement) -> Who:
    return Who(actor=ACTOR, principal=agreement.tenant)
