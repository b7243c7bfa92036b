"""Payables: registered and cancelled by command, paid by facts (F65)."""

from dataclasses import replace

from tally_contracts.base import Event
from tally_contracts.funding import PayInAllocated
from tally_contracts.payouts import PayoutChanged
from tally_contracts.programs import BroughtPayable, CancelPayable, RegisterPayable
from tally_money import Currency, Money
from tally_programs.batch import PAYABLE_PREFIX
from tally_programs.domain.payables import (
    NOBODY,
    Document,
    Payable,
    SettledBy,
    Settlement,
    decide_cancel,
    decide_settle,
)
from tally_programs.domain.refusal import Refusal
from tally_programs.service.desk import Desk, Outcome, not_permitted, taken
from tally_programs.wire import payable_changed
from tally_runtime import get_logger

_LOG = get_logger("tally_programs")


def register_payable(desk: Desk, command: RegisterPayable) -> Outcome:
    """Whoever pays or is paid registers it; money that was told of before counts at once."""
    program = desk.program(command)
    if isinstance(program, Refusal):
        return program
    refusal = not_permitted(
        command.who, command.payer, command.payee, program.company, program.tenant
    ) or _unknown_word(command)
    if refusal is None and command.brought is not None and not_permitted(command.who):
        refusal = Refusal(
            "not_permitted",
            "/brought",
            "only the operator of the installation brings payables from another one",
            "leave it out: what is paid is counted by itself",
        )
    if refusal is not None:
        return refusal
    if desk.batch.payables.get(command.payable_id) is not None:
        return taken("/payable_id", "another payable")
    if desk.batch.payable_named(program.name, command.number) is not None:
        return Refusal(
            "number_taken",
            "/number",
            f"the program has a payable {command.number} already",
            "give the number of a document that is not registered",
        )
    amount = command.amount.money()
    refusal = _why_not_brought(desk, command, amount.currency)
    if refusal is not None:
        return refusal
    payable = Payable(
        command.payable_id,
        command.tenant,
        program.id,
        program.name,
        Document(command.document),
        command.number,
        command.payer,
        command.payee,
        amount,
        command.due,
        command.kind,
        SettledBy(command.settled_by),
        Money(0, amount.currency),
    )
    for settlement in desk.batch.settlements.all():
        if settlement.payable_id == payable.id:
            payable = _counted(desk, payable, None, replace(settlement, tenant=payable.tenant))
    payable = replace(_brought(desk, payable, command.brought), sequence=1)
    desk.batch.payables.put(payable.id, payable)
    return [payable_changed(payable, None, desk.money_fields(command))]


def _why_not_brought(desk: Desk, command: RegisterPayable, unit: Currency) -> Refusal | None:
    """What of the settlements that are brought would be counted twice, or could not be counted."""
    if command.brought is None:
        return None
    counted = {
        s.reference for s in desk.batch.settlements.all() if s.payable_id == command.payable_id
    }
    for position, each in enumerate(command.brought.settled):
        field = f"/brought/settled/{position}"
        if each.reference in counted:
            return Refusal(
                "settlement_known",
                f"{field}/reference",
                f"{each.reference} counts for this payable already",
                "name each pay-in, payout or payment once, and none that was told of here before",
            )
        counted.add(each.reference)
        if each.amount.money().currency != unit:
            return Refusal(
                "currency_mismatch",
                f"{field}/amount/currency",
                f"the payable is in {unit.code}",
                "bring what was paid in the currency of the payable",
            )
    return None


def _brought(desk: Desk, payable: Payable, brought: BroughtPayable | None) -> Payable:
    """The payable with what was counted for it elsewhere."""
    if brought is None:
        return payable
    for each in brought.settled:
        money = Settlement(
            payable.id,
            each.reference,
            payable.tenant,
            payable.settled_by,
            payable.company,
            each.amount.money(),
            each.sequence,
        )
        payable = _counted(desk, payable, None, money)
    return replace(payable, cancelled=brought.cancelled)


def cancel_payable(desk: Desk, command: CancelPayable) -> Outcome:
    program = desk.program(command)
    if isinstance(program, Refusal):
        return program
    payable = desk.batch.payables.get(command.payable_id)
    if payable is None or payable.program_id != program.id:
        detail = f"the program has no payable {command.payable_id}"
        return Refusal("payable_unknown", "/payable_id", detail, "name a payable of the program")
    refusal = not_permitted(command.who, payable.payee, program.company, program.tenant)
    if refusal is not None:
        return refusal
    decided = decide_cancel(payable)
    if isinstance(decided, Refusal):
        return decided
    desk.batch.payables.put(decided.id, decided)
    return [payable_changed(decided, None, desk.money_fields(command))]


def pay_in_allocated(desk: Desk, event: PayInAllocated) -> list[Event]:
    """Money came in: it counts for the payable its why names."""
    money = Settlement(
        event.why.event,
        event.pay_in_id,
        NOBODY,
        SettledBy.PAY_IN,
        event.company,
        event.amount.money(),
        1,
    )
    return settle(desk, event.why.program, money, event)


def payout_changed(desk: Desk, event: PayoutChanged) -> list[Event]:
    """Money went out, or came back: what a payout counts for now."""
    amount = event.amount.money()
    counted = amount if event.state == "paid" else Money(0, amount.currency)
    money = Settlement(
        event.why.event,
        event.payout_id,
        NOBODY,
        SettledBy.PAYOUT,
        event.company,
        counted,
        event.sequence,
    )
    return settle(desk, event.why.program, money, event)


def settle(
    desk: Desk, program: str, money: Settlement, event: PayInAllocated | PayoutChanged
) -> list[Event]:
    """Count money for the payable it names, by id or by the program's number for it.

    A payable's id that nobody has registered yet is remembered with what was told of it.
    """
    payable = desk.batch.payable_named(program, money.payable_id)
    if payable is None:
        _remember(desk, money)
        return []
    money = replace(money, payable_id=payable.id, tenant=payable.tenant)
    before = desk.batch.settlements.get((payable.id, money.reference))
    after = _counted(desk, payable, before, money)
    if after is payable:
        return []
    desk.batch.payables.put(after.id, after)
    fields = {
        "tenant": after.tenant,
        "program_id": after.program_id,
        "who": event.who,
        "where": event.where,
        "why": event.why,
        "occurred_at": desk.now,
    }
    return [payable_changed(after, money.reference, fields)]


def _remember(desk: Desk, money: Settlement) -> None:
    if not money.payable_id.startswith(PAYABLE_PREFIX):
        return
    key = (money.payable_id, money.reference)
    before = desk.batch.settlements.get(key)
    if before is None or before.sequence < money.sequence:
        desk.batch.settlements.put(key, money)


def _counted(desk: Desk, payable: Payable, before: Settlement | None, money: Settlement) -> Payable:
    decided = decide_settle(payable, before, money)
    if isinstance(decided, Payable):
        desk.batch.settlements.put((payable.id, money.reference), money)
        return decided
    _LOG.debug("settlement_not_counted", code=decided, payable_id=payable.id)
    return payable


def _unknown_word(command: RegisterPayable) -> Refusal | None:
    for field, word, known in (
        ("/document", command.document, tuple(Document)),
        ("/settled_by", command.settled_by, tuple(SettledBy)),
    ):
        if word not in known:
            remedy = f"give one of {', '.join(known)}"
            return Refusal("value_unknown", field, f"{word} is not known here", remedy)
    return None
