"""What one batch touches: found before anything is decided, changed in memory, saved at once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tally_contracts import programs as wire
from tally_contracts.base import Event
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_contracts.payouts import PayoutChanged
from tally_messaging import Received
from tally_programs.domain.budgets import Budget, Reservation
from tally_programs.domain.claims import Claim
from tally_programs.domain.payables import Payable, Settlement
from tally_programs.domain.payments import Reserved
from tally_programs.domain.program import Document, DocumentKind, Program
from tally_programs.store.answers import Answer, AnswerKey
from tally_programs.store.budgets import Holder
from tally_programs.store.payables import Number
from tally_programs.store.payments import StoredPayment
from tally_programs.store.programs import Wallet
from tally_runtime import derived_id

PAYABLE_PREFIX = "pbl_"
PAYMENT_PREFIX = "pmt_"
COUNTING_STATES = frozenset({"paid", "returned"})
"""States of a payout that change what is paid for a payable."""

SUBJECT: Mapping[type[Event], tuple[str, ...]] = {
    wire.CreateProgram: ("program_id",),
    wire.PublishPolicy: ("program_id", "version"),
    wire.SetFees: ("program_id", "version"),
    wire.SetFundingOrder: ("program_id", "version"),
    wire.OpenBudget: ("budget_id",),
    wire.AllocateBudget: ("allocation_id",),
    wire.ReserveBudget: ("reservation_id",),
    wire.UseBudget: ("use_id",),
    wire.ReleaseBudget: ("release_id",),
    wire.RegisterPayable: ("payable_id",),
    wire.CancelPayable: ("payable_id",),
    wire.ProposePayment: ("payment_id",),
    wire.ApprovePayment: ("payment_id",),
    wire.RejectPayment: ("payment_id",),
    wire.SubmitBudgetClaim: ("claim_id",),
    wire.DecideBudgetClaim: ("claim_id",),
}
"""The fields a command is known by: the same again is the same command."""


def subject_of(command: Event) -> str:
    """What a command is about, as a refusal names it."""
    return str(getattr(command, SUBJECT[type(command)][0]))


def answer_key(command: Any) -> AnswerKey:
    """Under what the answer to a command is kept; each person approves for themselves."""
    parts = [str(getattr(command, name)) for name in SUBJECT[type(command)]]
    if isinstance(command, wire.ApprovePayment):
        parts.append(command.who.actor)
    return command.tenant, command.TYPE, ":".join(parts)


def content_of(command: Any) -> str:
    """A hash of what a command asks for; when it was sent, and by whose hand, is not content."""
    asked = command.model_dump_json(exclude={"occurred_at": True, "who": {"actor"}})
    return hashlib.sha256(asked.encode()).hexdigest()


def claim_reservation(claim_id: str) -> str:
    """What a claim sets aside is reserved under this id."""
    return derived_id("res", claim_id)


def payment_reservation(payment_id: str, budget_id: str) -> str:
    """What a payment sets aside in a budget is reserved under this id."""
    return derived_id("res", payment_id, budget_id)


@dataclass(slots=True)
class Needs:
    """Keys of all rows a batch may touch."""

    programs: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    budgets: set[str] = field(default_factory=set)
    holders: set[Holder] = field(default_factory=set)
    proposed: set[tuple[str, Holder]] = field(default_factory=set)
    opened: list[tuple[str, Holder]] = field(default_factory=list)
    reservations: set[str] = field(default_factory=set)
    payables: set[str] = field(default_factory=set)
    registering: dict[str, Number] = field(default_factory=dict)
    numbers: set[Number] = field(default_factory=set)
    references: set[str] = field(default_factory=set)
    payments: set[str] = field(default_factory=set)
    claims: set[str] = field(default_factory=set)
    wallets: set[str] = field(default_factory=set)
    answers: set[AnswerKey] = field(default_factory=set)

    @classmethod
    def of(cls, messages: Sequence[Received[Any]]) -> "Needs":
        needs = cls()
        for message in messages:
            needs._add(message.event)
        return needs

    def _add(self, event: Any) -> None:
        if type(event) in SUBJECT:
            self._command(event)
        elif isinstance(event, JournalPosted | JournalRejected):
            self.payments.add(event.reference)
        elif isinstance(event, PayInAllocated):
            self._money(event.why.program, event.why.event, event.pay_in_id)
        elif isinstance(event, PayoutChanged):
            self._money(event.why.program, event.why.event, event.payout_id)

    def _command(self, event: Any) -> None:
        self.answers.add(answer_key(event))
        self.programs.add(event.program_id)
        for name, keys in (
            ("budget_id", self.budgets),
            ("parent", self.budgets),
            ("reservation_id", self.reservations),
            ("payable_id", self.payables),
            ("payment_id", self.payments),
            ("claim_id", self.claims),
            ("wallet", self.wallets),
        ):
            key = getattr(event, name, None)
            if key is not None:
                keys.add(key)
        match event:
            case wire.CreateProgram():
                self.names.add(event.program)
            case wire.OpenBudget():
                self.opened.append((event.budget_id, (event.program_id, event.holder)))
            case wire.SetFundingOrder():
                self.wallets.update(wallet.account for wallet in event.wallets)
            case wire.RegisterPayable():
                self.registering[event.payable_id] = (event.program_id, event.number)
            case wire.ProposePayment():
                self.holders.add((event.program_id, event.holder))
                self.proposed.add((event.payment_id, (event.program_id, event.holder)))
            case wire.SubmitBudgetClaim():
                self.reservations.add(claim_reservation(event.claim_id))
            case _:
                return

    def of_budgets(self, found: Iterable[Budget]) -> None:
        """Look for what a proposed payment would set aside: nothing may be there under its id."""
        if not self.proposed:
            return
        held: dict[Holder, list[str]] = {}
        for budget_id, holder in (*self.opened, *((b.id, (b.program_id, b.holder)) for b in found)):
            held.setdefault(holder, []).append(budget_id)
        self.reservations.update(
            payment_reservation(payment_id, budget_id)
            for payment_id, holder in self.proposed
            for budget_id in held.get(holder, ())
        )

    def _money(self, program: str, reference: str, source: str) -> None:
        self.numbers.add((program, reference))
        self.references.add(source)
        if reference.startswith(PAYABLE_PREFIX):
            self.payables.add(reference)


K = TypeVar("K")
V = TypeVar("V")


class Rows(Generic[K, V]):
    """Loaded rows by key, and which of them the batch has changed or added."""

    def __init__(self, loaded: Mapping[K, V]) -> None:
        self._rows = dict(loaded)
        self._changed: dict[K, None] = {}

    def get(self, key: K) -> V | None:
        return self._rows.get(key)

    def put(self, key: K, row: V) -> None:
        self._rows[key] = row
        self._changed[key] = None

    def all(self) -> Iterable[V]:
        return self._rows.values()

    def changed(self) -> list[V]:
        """What is to be saved, in order of the keys: rows are locked in one order everywhere."""
        return [self._rows[key] for key in sorted(self._changed, key=str)]


@dataclass(slots=True)
class Batch:
    """Everything a batch works on."""

    programs: Rows[str, Program]
    documents: list[Document]
    budgets: Rows[str, Budget]
    reservations: Rows[str, Reservation]
    payables: Rows[str, Payable]
    settlements: Rows[tuple[str, str], Settlement]
    payments: Rows[str, StoredPayment]
    claims: Rows[str, Claim]
    wallets: Rows[str, Wallet]
    answers: Rows[AnswerKey, Answer]
    new_documents: list[Document] = field(default_factory=list)

    def named(self, name: str) -> Program | None:
        """The program of a name, among those loaded."""
        return next((program for program in self.programs.all() if program.name == name), None)

    def versions(self, program_id: str, kind: DocumentKind) -> list[Document]:
        """A program's documents in force now or later, in order of their versions."""
        documents = (*self.documents, *self.new_documents)
        return [d for d in documents if d.program_id == program_id and d.kind is kind]

    def payable_named(self, program: str, reference: str) -> Payable | None:
        """The payable of a program that a payment's why names, by id or by number."""
        by_id = self.payables.get(reference)
        if by_id is not None and by_id.program == program:
            return by_id
        named = (p for p in self.payables.all() if (p.program, p.number) == (program, reference))
        return next(named, None)

    def budgets_of(self, program_id: str, holder: str) -> list[Budget]:
        """A holder's budgets in a program, by id: the same every time."""
        theirs = (b for b in self.budgets.all() if (b.program_id, b.holder) == (program_id, holder))
        return sorted(theirs, key=lambda budget: budget.id)

    def drawn(self, part: Reserved) -> tuple[Budget, Reservation]:
        """The budget and the reservation a payment has set part of its amount aside in."""
        budget = self.budgets.get(part.budget_id)
        reservation = self.reservations.get(part.reservation_id)
        assert budget is not None, f"{part.budget_id} is loaded with the payments that draw on it"
        assert reservation is not None, f"{part.reservation_id} is loaded with its payment"
        return budget, reservation
