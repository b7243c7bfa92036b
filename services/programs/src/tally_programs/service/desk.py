"""What a use case works at, and the checks they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_contracts.base import Event, MoneyEvent, Who
from tally_contracts.directory import OPERATOR
from tally_contracts.ledger import AccountSpec
from tally_programs.batch import Batch
from tally_programs.domain.budgets import Budget, BudgetMoved, Reservation
from tally_programs.domain.program import Program
from tally_programs.domain.refusal import Refusal
from tally_programs.wire import Fields, budget_changed
from tally_runtime import derived_id

Outcome = Sequence[Event] | Refusal
"""What a command leads to, its own fact first; or why it changes nothing."""


@dataclass(frozen=True, slots=True)
class Books:
    """The installation whose accounts these are, and the ledger that keeps them."""

    installation: str
    ledger: str

    def account(self, purpose: str, owner: str, code: str) -> AccountSpec:
        """The account of this purpose and owner, named as every service names it."""
        path = f"{purpose}/{owner}/{code}"
        account_id = derived_id("acc", self.installation, path)
        return AccountSpec(
            id=account_id,
            owner=owner,
            purpose=purpose,
            path=path if len(path) <= _PATH_CHARS_MAX else f"{purpose}/{account_id}",
            currency=code,
            guarded=True,
        )


_PATH_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Desk:
    """The batch, the time of the unit of work, and the books money moves in."""

    batch: Batch
    books: Books
    now: datetime

    def fields(self, command: Any) -> Fields:
        """What every fact repeats of the command it follows from."""
        return {
            "tenant": command.tenant,
            "program_id": command.program_id,
            "who": command.who,
            "occurred_at": self.now,
        }

    def money_fields(self, command: Any) -> Fields:
        """The same for a fact about amounts."""
        return {**self.fields(command), "where": command.where, "why": command.why}

    def program(self, command: Any) -> Program | Refusal:
        """The command's program; another tenant's is as unknown as one that is not there."""
        program = self.batch.programs.get(command.program_id)
        if program is None or program.tenant != command.tenant:
            return Refusal(
                "program_unknown",
                "/program_id",
                f"there is no program {command.program_id}",
                "create the program first, or name one of yours",
            )
        if isinstance(command, MoneyEvent) and command.why.program != program.name:
            detail = f"program {program.id} is called {program.name}"
            return Refusal("program_mismatch", "/why/program", detail, "name the program by it")
        return program

    def managed(self, command: Any) -> Program | Refusal:
        """The command's program, if its principal is the company whose it is, or the tenant."""
        program = self.program(command)
        if isinstance(program, Refusal):
            return program
        return not_permitted(command.who, program.company, program.tenant) or program

    def budget(self, command: Any, budget_id: str, field: str) -> Budget | Refusal:
        """A budget of the command's program."""
        budget = self.batch.budgets.get(budget_id)
        theirs = (command.tenant, command.program_id)
        if budget is None or (budget.tenant, budget.program_id) != theirs:
            return Refusal(
                "budget_unknown",
                field,
                f"the program has no budget {budget_id}",
                "name a budget of the program",
            )
        return budget

    def reservation(self, budget: Budget, reservation_id: str) -> Reservation | Refusal:
        """A reservation of a budget."""
        reservation = self.batch.reservations.get(reservation_id)
        if reservation is None or reservation.budget_id != budget.id:
            return Refusal(
                "reservation_unknown",
                "/reservation_id",
                f"budget {budget.id} has no reservation {reservation_id}",
                "name a reservation of the budget",
            )
        if reservation.bound:
            return Refusal(
                "reservation_bound",
                "/reservation_id",
                f"it is set aside for {reservation.reference}",
                "have the payment rejected, or the claim decided",
            )
        return reservation

    def keep(
        self, fields: Fields, *moved: BudgetMoved, reservation: Reservation | None = None
    ) -> list[Event]:
        """Keep changed budgets and the reservation that changed with them; returns their facts."""
        for change in moved:
            self.batch.budgets.put(change.budget.id, change.budget)
        if reservation is not None:
            self.batch.reservations.put(reservation.id, reservation)
        return [budget_changed(change, fields) for change in moved]


def not_permitted(who: Who, *parties: str) -> Refusal | None:
    """A refusal unless the principal is one of these parties, or the installation itself."""
    if who.principal in {*parties, OPERATOR}:
        return None
    return Refusal(
        "not_permitted",
        "/who/principal",
        "whoever acts has no right to this",
        "have the company whose program it is do it, or the holder of the budget",
    )


def taken(field: str, what: str) -> Refusal:
    """The refusal of an id that names something else already."""
    return Refusal("id_conflict", field, f"{what} is there already", "make a new id")
