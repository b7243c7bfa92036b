"""Budgets down the tiers, what is set aside in them, and claims of them."""

from dataclasses import replace

from tally_contracts.base import Event
from tally_contracts.programs import (
    AllocateBudget,
    DecideBudgetClaim,
    OpenBudget,
    ReleaseBudget,
    ReserveBudget,
    SubmitBudgetClaim,
    UseBudget,
)
from tally_programs.batch import claim_reservation
from tally_programs.domain.budgets import (
    Budget,
    Opening,
    decide_allocate,
    decide_open,
    decide_release,
    decide_reserve,
    decide_use,
)
from tally_programs.domain.claims import Claim, Verdict, decide_claim
from tally_programs.domain.program import DocumentKind, Program
from tally_programs.domain.refusal import Refusal
from tally_programs.service.desk import Desk, Outcome, not_permitted, taken
from tally_programs.wire import claim_changed


def open_budget(desk: Desk, command: OpenBudget) -> Outcome:
    """The company opens budgets at the top; whoever holds one opens others below it (F17)."""
    parent = None
    if command.parent is None:
        program = desk.managed(command)
        refusal = program if isinstance(program, Refusal) else _backed(desk, program, command)
    else:
        found = desk.budget(command, command.parent, "/parent")
        if isinstance(found, Refusal):
            return found
        parent = found
        refusal = _spends(desk, command, parent)
    if refusal is not None:
        return refusal
    if desk.batch.budgets.get(command.budget_id) is not None:
        return taken("/budget_id", "another budget")
    opening = Opening(
        command.budget_id,
        command.tenant,
        command.program_id,
        command.holder,
        command.amount.money(),
        command.wallet,
    )
    moved = decide_open(opening, parent)
    return moved if isinstance(moved, Refusal) else desk.keep(desk.money_fields(command), *moved)


def allocate_budget(desk: Desk, command: AllocateBudget) -> Outcome:
    """Who may spend the budget above gives more and takes back; the company does at the top."""
    budget = desk.budget(command, command.budget_id, "/budget_id")
    if isinstance(budget, Refusal):
        return budget
    parent = None if budget.parent is None else desk.batch.budgets.get(budget.parent)
    program = desk.managed(command) if parent is None else None
    refusal = program if isinstance(program, Refusal) else None
    if parent is not None:
        refusal = _spends(desk, command, parent)
    if refusal is not None:
        return refusal
    moved = decide_allocate(
        budget,
        parent,
        command.amount.money(),
        command.allocation_id,
        take_back=command.take_back,
    )
    return moved if isinstance(moved, Refusal) else desk.keep(desk.money_fields(command), *moved)


def reserve_budget(desk: Desk, command: ReserveBudget) -> Outcome:
    budget = _spendable(desk, command)
    if isinstance(budget, Refusal):
        return budget
    if desk.batch.reservations.get(command.reservation_id) is not None:
        return taken("/reservation_id", "another reservation")
    decided = decide_reserve(
        budget, command.reservation_id, command.amount.money(), command.reference
    )
    if isinstance(decided, Refusal):
        return decided
    moved, reservation = decided
    return desk.keep(desk.money_fields(command), moved, reservation=reservation)


def use_budget(desk: Desk, command: UseBudget) -> Outcome:
    budget = _spendable(desk, command)
    if isinstance(budget, Refusal):
        return budget
    reservation = desk.reservation(budget, command.reservation_id)
    if isinstance(reservation, Refusal):
        return reservation
    decided = decide_use(budget, reservation, command.amount.money(), command.use_id)
    if isinstance(decided, Refusal):
        return decided
    moved, after = decided
    return desk.keep(desk.money_fields(command), moved, reservation=after)


def release_budget(desk: Desk, command: ReleaseBudget) -> Outcome:
    budget = _spendable(desk, command)
    if isinstance(budget, Refusal):
        return budget
    reservation = desk.reservation(budget, command.reservation_id)
    if isinstance(reservation, Refusal):
        return reservation
    decided = decide_release(budget, reservation, command.release_id)
    if isinstance(decided, Refusal):
        return decided
    moved, after = decided
    return desk.keep(desk.money_fields(command), moved, reservation=after)


def submit_claim(desk: Desk, command: SubmitBudgetClaim) -> Outcome:
    """Set the claimed amount aside until the company has decided."""
    budget = _spendable(desk, command)
    if isinstance(budget, Refusal):
        return budget
    if desk.batch.claims.get(command.claim_id) is not None:
        return taken("/claim_id", "another claim")
    reservation_id = claim_reservation(command.claim_id)
    if desk.batch.reservations.get(reservation_id) is not None:
        return taken("/claim_id", "a reservation of this claim")
    decided = decide_reserve(
        budget, reservation_id, command.amount.money(), command.claim_id, bound=True
    )
    if isinstance(decided, Refusal):
        return decided
    moved, reservation = decided
    claim = Claim(
        command.claim_id,
        command.tenant,
        command.program_id,
        budget.id,
        reservation_id,
        budget.holder,
        command.amount.money(),
        command.kind,
        command.evidence,
        command.who.actor,
    )
    desk.batch.claims.put(claim.id, claim)
    fields = desk.money_fields(command)
    return [claim_changed(claim, fields), *desk.keep(fields, moved, reservation=reservation)]


def decide_on_claim(desk: Desk, command: DecideBudgetClaim) -> Outcome:
    """Grant a claim in whole or in part, or reject it; what is not granted is free again."""
    program = desk.managed(command)
    if isinstance(program, Refusal):
        return program
    claim = desk.batch.claims.get(command.claim_id)
    if claim is None or claim.program_id != program.id:
        detail = f"the program has no claim {command.claim_id}"
        return Refusal("claim_unknown", "/claim_id", detail, "name a claim of the program")
    amount = None if command.amount is None else command.amount.money()
    verdict = Verdict(command.approve, amount, command.why.reason, command.who.actor)
    decided = decide_claim(claim, verdict)
    if isinstance(decided, Refusal):
        return decided
    budget = desk.batch.budgets.get(claim.budget_id)
    reservation = desk.batch.reservations.get(claim.reservation_id)
    assert budget is not None, f"{claim.id} is loaded with its budget"
    assert reservation is not None, f"{claim.id} is loaded with its reservation"
    fields = desk.money_fields(command)
    facts: list[Event] = [claim_changed(decided, fields)]
    desk.batch.claims.put(claim.id, decided)
    if decided.granted == claim.amount:
        freed = replace(reservation, bound=False, sequence=reservation.sequence + 1)
        desk.batch.reservations.put(freed.id, freed)
        return facts
    released = decide_release(budget, reservation, claim.id, keep=decided.granted)
    assert not isinstance(released, Refusal), f"{claim.id} holds what it has set aside"
    moved, after = released
    return [*facts, *desk.keep(fields, moved, reservation=after)]


def _backed(desk: Desk, program: Program, command: OpenBudget) -> Refusal | None:
    """A budget at the top is backed by a wallet of the funding order, in its currency."""
    orders = desk.batch.versions(program.id, DocumentKind.FUNDING_ORDER)
    wallets = orders[-1].body["wallets"] if orders else []
    currencies = {wallet["account"]: wallet["currency"] for wallet in wallets}
    if command.wallet is None or currencies.get(command.wallet) == command.amount.currency:
        return None
    return Refusal(
        "wallet_not_in_order",
        "/wallet",
        f"the funding order has no {command.amount.currency} wallet {command.wallet}",
        "set a funding order with the wallet first",
    )


def _spendable(
    desk: Desk, command: ReserveBudget | UseBudget | ReleaseBudget | SubmitBudgetClaim
) -> Budget | Refusal:
    """The command's budget, if its principal may spend it."""
    budget = desk.budget(command, command.budget_id, "/budget_id")
    if isinstance(budget, Refusal):
        return budget
    return _spends(desk, command, budget) or budget


def _spends(
    desk: Desk,
    command: OpenBudget
    | AllocateBudget
    | ReserveBudget
    | UseBudget
    | ReleaseBudget
    | SubmitBudgetClaim,
    budget: Budget,
) -> Refusal | None:
    program = desk.program(command)
    if isinstance(program, Refusal):
        return program
    return not_permitted(command.who, budget.holder, program.company, program.tenant)
