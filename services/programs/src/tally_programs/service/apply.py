"""A batch applied: load what it touches, decide message by message, save, tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tally_contracts import programs as wire
from tally_contracts.base import Event
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected, PostJournal
from tally_contracts.payouts import PayoutChanged
from tally_contracts.registry import BY_TYPE
from tally_messaging import Received, UnitOfWork
from tally_money import MoneyError
from tally_programs.batch import (
    Batch,
    Needs,
    Rows,
    answer_key,
    content_of,
    subject_of,
)
from tally_programs.domain.refusal import Refusal
from tally_programs.service import budgets, payables, payments, programs
from tally_programs.service.desk import Books, Desk, Outcome
from tally_programs.store import answers as answer_store
from tally_programs.store import budgets as budget_store
from tally_programs.store import payables as payable_store
from tally_programs.store import payments as payment_store
from tally_programs.store import programs as program_store
from tally_programs.store.answers import Answer
from tally_programs.store.programs import Wallet
from tally_programs.store.table import across_tenants

PROGRAM_FACTS = "programs.programs.v1"
LEDGER_COMMANDS = "ledger.commands.v1"

COMMANDS: Mapping[type[Event], Callable[[Desk, Any], Outcome]] = MappingProxyType(
    {
        wire.CreateProgram: programs.create_program,
        wire.PublishPolicy: programs.publish_policy,
        wire.SetFees: programs.set_fees,
        wire.SetFundingOrder: programs.set_funding_order,
        wire.OpenBudget: budgets.open_budget,
        wire.AllocateBudget: budgets.allocate_budget,
        wire.ReserveBudget: budgets.reserve_budget,
        wire.UseBudget: budgets.use_budget,
        wire.ReleaseBudget: budgets.release_budget,
        wire.SubmitBudgetClaim: budgets.submit_claim,
        wire.DecideBudgetClaim: budgets.decide_on_claim,
        wire.RegisterPayable: payables.register_payable,
        wire.CancelPayable: payables.cancel_payable,
        wire.ProposePayment: payments.propose_payment,
        wire.ApprovePayment: payments.approve_payment,
        wire.RejectPayment: payments.reject_payment,
    }
)


@dataclass(frozen=True, slots=True)
class ProgramService:
    """The programs of one installation."""

    books: Books

    async def apply(self, uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        """Apply a batch in order. The number of statements does not depend on its size."""
        await across_tenants(uow.conn)
        batch = await _load(uow, Needs.of(messages))
        desk = Desk(batch, self.books, uow.now)
        for message in messages:
            Turn(desk, uow, message).take()
        await _save(uow, batch)


async def _load(uow: UnitOfWork, needs: Needs) -> Batch:
    # Locks are taken in one order everywhere: programs, payments, claims, budgets, reservations,
    # payables, each by id.
    conn = uow.conn
    found_programs = await program_store.load_programs(conn, needs.programs, needs.names)
    documents = await program_store.load_documents(conn, needs.programs, uow.now)
    found_payments = await payment_store.load_payments(conn, needs.payments)
    claims = await payment_store.load_claims(conn, needs.claims)
    for stored in found_payments.values():
        needs.budgets.update(part.budget_id for part in stored.payment.draws)
        needs.reservations.update(part.reservation_id for part in stored.payment.draws)
        if stored.payment.payable_id is not None:
            needs.payables.add(stored.payment.payable_id)
            needs.references.add(stored.payment.id)
    for claim in claims.values():
        needs.budgets.add(claim.budget_id)
        needs.reservations.add(claim.reservation_id)
    found_budgets = await budget_store.load_budgets(conn, needs.budgets, needs.holders)
    needs.of_budgets(found_budgets.values())
    reservations = await budget_store.load_reservations(conn, needs.reservations)
    found_payables = await payable_store.load_payables(
        conn, needs.payables, needs.numbers, needs.registering.values()
    )
    settlements = await payable_store.load_settlements(
        conn, needs.registering, {*found_payables, *needs.payables}, needs.references
    )
    wallets = await program_store.load_wallets(conn, needs.wallets)
    answers = await answer_store.load_answers(conn, needs.answers)
    return Batch(
        Rows(found_programs),
        documents,
        Rows(found_budgets),
        Rows(reservations),
        Rows(found_payables),
        Rows(settlements),
        Rows(found_payments),
        Rows(claims),
        Rows(wallets),
        Rows(answers),
    )


async def _save(uow: UnitOfWork, batch: Batch) -> None:
    conn = uow.conn
    await program_store.save_programs(conn, batch.programs.changed())
    await program_store.save_documents(conn, batch.new_documents)
    await budget_store.save_budgets(conn, batch.budgets.changed())
    await budget_store.save_reservations(conn, batch.reservations.changed())
    await payable_store.save_payables(conn, batch.payables.changed())
    await payable_store.save_settlements(conn, batch.settlements.changed())
    await payment_store.save_payments(conn, batch.payments.changed(), uow.now)
    await payment_store.save_claims(conn, batch.claims.changed(), uow.now)
    await program_store.save_wallets(conn, batch.wallets.changed())
    await answer_store.save_answers(conn, batch.answers.changed())


@dataclass(frozen=True, slots=True)
class Turn:
    """One message's turn on the batch."""

    desk: Desk
    uow: UnitOfWork
    message: Received[Any]

    def take(self) -> None:
        event = self.message.event
        if type(event) in COMMANDS:
            self._command(event)
            return
        match event:
            case JournalPosted() | JournalRejected():
                self._emit(payments.journal_answered(self.desk, event))
            case PayInAllocated():
                self._emit(payables.pay_in_allocated(self.desk, event))
            case PayoutChanged():
                self._emit(payables.payout_changed(self.desk, event))
            case WalletOpened():
                wallet = Wallet(event.account, event.tenant, event.owner, event.currency)
                self.desk.batch.wallets.put(wallet.account, wallet)
            case _:
                raise TypeError(f"{type(event).__name__} is not an input of the programs service")

    def _command(self, command: Any) -> None:
        """Answer a command: as before where it is known, else by what is decided now."""
        key, content = answer_key(command), content_of(command)
        known = self.desk.batch.answers.get(key)
        if known is not None:
            self._emit([self._again(known, command, content)])
            return
        outcome = self._decide(command)
        if isinstance(outcome, Refusal):
            self._emit([self._refused(command, outcome)])
            return
        first = outcome[0]
        answer = Answer(key, content, first.TYPE, first.model_dump(mode="json"))
        self.desk.batch.answers.put(key, answer)
        self._emit(outcome)

    def _decide(self, command: Any) -> Outcome:
        try:
            return COMMANDS[type(command)](self.desk, command)
        except MoneyError as error:
            # Nothing is kept before everything about it is decided: the batch is as it was.
            return Refusal(error.code, "/amount", str(error), "ask for a smaller amount")

    def _again(self, known: Answer, command: Any, content: str) -> Event:
        if known.content == content:
            return BY_TYPE[known.fact_type].model_validate(known.fact)
        return self._refused(
            command,
            Refusal(
                "id_conflict",
                None,
                "a command with this id asked for something else; the first stands",
                "make a new id for another command",
            ),
        )

    def _refused(self, command: Any, refusal: Refusal) -> Event:
        return wire.ProgramCommandRefused(
            command_type=command.TYPE,
            subject=subject_of(command),
            code=refusal.code,
            field=refusal.field,
            detail=refusal.detail,
            remedy=refusal.remedy,
            **self.desk.fields(command),
        )

    def _emit(self, events: Sequence[Event]) -> None:
        for event in events:
            topic, key = _address(event)
            self.uow.emit(event, topic=topic, key=key, cause=self.message.cause)


def _address(event: Any) -> tuple[str, str]:
    """The topic an event goes to, and its key there."""
    if isinstance(event, PostJournal):
        return LEDGER_COMMANDS, event.ledger
    return PROGRAM_FACTS, event.program_id
