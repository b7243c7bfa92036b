"""Budgets that flow down the tiers, what is set aside in them, and in which order they are used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tally_money import Money
from tally_programs.domain.refusal import Refusal

DEPTH_MAX = 16


class Change(StrEnum):
    """What happened to a budget."""

    OPENED = "opened"
    RAISED = "raised"
    LOWERED = "lowered"
    ALLOCATED = "allocated"
    TAKEN_BACK = "taken_back"
    RESERVED = "reserved"
    USED = "used"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount its holder may spend or give on. `path`: the budgets above, the top one first.

    What children have, what is reserved and what is used never exceed the limit together. `sequence`
    counts its changes.
    """

    id: str
    tenant: str
    program_id: str
    parent: str | None
    path: tuple[str, ...]
    holder: str
    wallet: str
    limit: Money
    allocated: Money
    reserved: Money
    used: Money
    sequence: int = 1

    @property
    def left(self) -> Money:
        """What can still be given on, set aside or taken back."""
        return self.limit - self.allocated - self.reserved - self.used


@dataclass(frozen=True, slots=True)
class Reservation:
    """A part of a budget set aside; `open` until it is used up or released.

    `bound`: a payment or an undecided claim holds it, and nobody else uses or releases it.
    """

    id: str
    tenant: str
    budget_id: str
    amount: Money
    used: Money
    reference: str
    open: bool = True
    sequence: int = 1
    bound: bool = False

    @property
    def left(self) -> Money:
        return self.amount - self.used if self.open else Money(0, self.amount.currency)


@dataclass(frozen=True, slots=True)
class BudgetMoved:
    """A budget as it is after a change of `amount`; `subject` is the id of what changed it."""

    budget: Budget
    change: Change
    amount: Money
    subject: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A budget asked for; `wallet` is there for one without a parent."""

    id: str
    tenant: str
    program_id: str
    holder: str
    amount: Money
    wallet: str | None


def decide_open(opening: Opening, parent: Budget | None) -> tuple[BudgetMoved, ...] | Refusal:
    """Open a budget; a child's amount is taken from its parent's."""
    nothing = Money(0, opening.amount.currency)
    if parent is None:
        if opening.wallet is None:
            return Refusal(
                "wallet_missing",
                "/wallet",
                "a budget without a parent is backed by a funding wallet",
                "name a wallet of the program's funding order, or a parent",
            )
        path: tuple[str, ...] = ()
        wallet = opening.wallet
    else:
        if opening.wallet not in {None, parent.wallet}:
            return Refusal(
                "wallet_not_parents",
                "/wallet",
                "a child spends from its parent's wallet",
                "leave the wallet out",
            )
        if len(parent.path) + 1 >= DEPTH_MAX:
            return Refusal(
                "too_deep",
                "/parent",
                f"budgets have at most {DEPTH_MAX} tiers",
                "open it under a budget further up",
            )
        path = (*parent.path, parent.id)
        wallet = parent.wallet
    budget = Budget(
        opening.id,
        opening.tenant,
        opening.program_id,
        None if parent is None else parent.id,
        path,
        opening.holder,
        wallet,
        opening.amount,
        nothing,
        nothing,
        nothing,
    )
    opened = BudgetMoved(budget, Change.OPENED, opening.amount, opening.id)
    if parent is None or not opening.amount:
        return _same_currency(parent, opening.amount) or (opened,)
    given = _give(parent, opening.amount, opening.id)
    return given if isinstance(given, Refusal) else (opened, given)


def decide_allocate(
    budget: Budget, parent: Budget | None, amount: Money, subject: str, *, take_back: bool
) -> tuple[BudgetMoved, ...] | Refusal:
    """Give a budget more, from its parent where it has one; or take back what it has left."""
    if take_back:
        short = _covered(budget, amount)
        if short is not None:
            return short
        lowered = _moved(budget, Change.LOWERED, amount, subject, limit=budget.limit - amount)
        if parent is None:
            return (lowered,)
        given_back = parent.allocated - amount
        return lowered, _moved(parent, Change.TAKEN_BACK, amount, subject, allocated=given_back)
    wrong = _same_currency(budget, amount)
    if wrong is not None:
        return wrong
    raised = _moved(budget, Change.RAISED, amount, subject, limit=budget.limit + amount)
    if parent is None:
        return (raised,)
    given = _give(parent, amount, subject)
    return given if isinstance(given, Refusal) else (raised, given)


def decide_reserve(
    budget: Budget, reservation_id: str, amount: Money, reference: str, *, bound: bool = False
) -> tuple[BudgetMoved, Reservation] | Refusal:
    """Set part of what is left aside."""
    short = _covered(budget, amount)
    if short is not None:
        return short
    moved = _moved(
        budget, Change.RESERVED, amount, reservation_id, reserved=budget.reserved + amount
    )
    nothing = Money(0, amount.currency)
    reservation = Reservation(
        reservation_id, budget.tenant, budget.id, amount, nothing, reference, bound=bound
    )
    return moved, reservation


def decide_use(
    budget: Budget, reservation: Reservation, amount: Money, subject: str
) -> tuple[BudgetMoved, Reservation] | Refusal:
    """Part or all of a reservation was spent."""
    wrong = _same_currency(budget, amount)
    if wrong is not None:
        return wrong
    if amount > reservation.left:
        return Refusal(
            "reservation_exceeded",
            "/amount",
            f"{reservation.left} of the reservation is left",
            "use at most that",
        )
    used = reservation.used + amount
    after = replace(
        reservation,
        used=used,
        open=used < reservation.amount,
        sequence=reservation.sequence + 1,
    )
    moved = _moved(
        budget,
        Change.USED,
        amount,
        subject,
        reserved=budget.reserved - amount,
        used=budget.used + amount,
    )
    return moved, after


def decide_release(
    budget: Budget, reservation: Reservation, subject: str, keep: Money | None = None
) -> tuple[BudgetMoved, Reservation] | Refusal:
    """What is left of a reservation is free again, but for what is to be kept of it."""
    if not reservation.open:
        return Refusal(
            "reservation_closed",
            "/reservation_id",
            "nothing of the reservation is left",
            "nothing is to be done",
        )
    kept = keep or Money(0, reservation.amount.currency)
    free = reservation.left - kept
    assert free.minor >= 0, f"{reservation.id}: no more is kept than is left"
    moved = _moved(budget, Change.RELEASED, free, subject, reserved=budget.reserved - free)
    after = replace(
        reservation,
        amount=reservation.amount - free if kept else reservation.amount,
        open=bool(kept),
        bound=False,
        sequence=reservation.sequence + 1,
    )
    return moved, after


@dataclass(frozen=True, slots=True)
class Available:
    """What a budget has left, and the wallet behind it."""

    budget_id: str
    wallet: str
    left: Money


@dataclass(frozen=True, slots=True)
class Drawn:
    """Part of an amount, and the budget it comes from."""

    budget_id: str
    wallet: str
    amount: Money


def draw(amount: Money, sources: Sequence[Available]) -> tuple[tuple[Drawn, ...], Money]:
    """Take an amount from sources in the order given; returns the draws and what is still missing.

    Draws and the missing amount sum to the amount. A source in another currency is passed over:
    it has to be converted by a locked quote first (F60).
    """
    missing = amount
    draws = []
    for source in sources:
        if source.left.currency != amount.currency or source.left.minor <= 0 or not missing:
            continue
        part = min(missing, source.left)
        draws.append(Drawn(source.budget_id, source.wallet, part))
        missing -= part
    return tuple(draws), missing


def _give(parent: Budget, amount: Money, subject: str) -> BudgetMoved | Refusal:
    short = _covered(parent, amount)
    if short is not None:
        return short
    return _moved(parent, Change.ALLOCATED, amount, subject, allocated=parent.allocated + amount)


def _covered(budget: Budget, amount: Money) -> Refusal | None:
    wrong = _same_currency(budget, amount)
    if wrong is not None or amount <= budget.left:
        return wrong
    return Refusal(
        "budget_exceeded",
        "/amount",
        f"budget {budget.id} has {budget.left} left",
        f"ask for at most {budget.left}, or have the budget raised first",
    )


def _same_currency(budget: Budget | None, amount: Money) -> Refusal | None:
    if budget is None or budget.limit.currency == amount.currency:
        return None
    code = budget.limit.currency.code
    detail = f"budget {budget.id} is in {code}"
    return Refusal("currency_mismatch", "/amount/currency", detail, f"give an amount in {code}")


def _moved(
    budget: Budget, change: Change, amount: Money, subject: str, **changes: Any
) -> BudgetMoved:
    after = replace(budget, sequence=budget.sequence + 1, **changes)
    assert after.left.minor >= 0, f"{budget.id}: more is taken than its limit"
    return BudgetMoved(after, change, amount, subject)
