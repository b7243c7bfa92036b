"""Who bears money that goes back; pure decisions over exact amounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tally_funding.answers.refusal import Refusal
from tally_money import Money, allocate


class ReturnKind(StrEnum):
    """REFUND: the company gives money back. CHARGEBACK: the payer's bank takes it."""

    REFUND = "refund"
    CHARGEBACK = "chargeback"


class Method(StrEnum):
    """The rule by which a return is divided over the allocations of its pay-in."""

    PROPORTIONAL = "proportional"
    EXACT = "exact"
    IN_ORDER = "in_order"


class ReturnState(StrEnum):
    """WAITING: the pay-in is not in the books yet. MOVING: the ledger was asked."""

    WAITING = "waiting"
    MOVING = "moving"
    DONE = "done"
    REFUSED = "refused"
    REINSTATING = "reinstating"
    REINSTATED = "reinstated"


RETURN_ALLOWED: Final[Mapping[ReturnState, frozenset[ReturnState]]] = {
    ReturnState.WAITING: frozenset({ReturnState.MOVING, ReturnState.REFUSED}),
    ReturnState.MOVING: frozenset({ReturnState.DONE}),
    ReturnState.DONE: frozenset({ReturnState.REINSTATING}),
    ReturnState.REINSTATING: frozenset({ReturnState.REINSTATED}),
    ReturnState.REFUSED: frozenset(),
    ReturnState.REINSTATED: frozenset(),
}


class LegState(StrEnum):
    """REVERSING, OWING: the ledger was asked. STRANDED: it took neither, a person must act."""

    REVERSING = "reversing"
    REVERSED = "reversed"
    OWING = "owing"
    OWED = "owed"
    STRANDED = "stranded"


LEG_ENDED: Final = frozenset({LegState.REVERSED, LegState.OWED})

OWED_AFTER: Final = frozenset({"insufficient_funds", "account_frozen", "account_closed"})
"""Refusals of the ledger that mean the wallet cannot pay; any other is a fault of the books."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One allocation of a pay-in, and what of it was returned or is on its way back.

    `reversed_before`: what reversals of its transfer ever moved, also of returns given back since.
    `led_on`: it was an unknown payee's, and `owner` is who has claimed it since or was named instead.
    """

    position: int
    owner: str
    account: str
    amount: Money
    returned: Money
    reversed_before: Money
    led_on: bool = False

    @property
    def left(self) -> Money:
        return self.amount - self.returned


@dataclass(frozen=True, slots=True)
class Portion:
    """What one allocation bears of a return.

    `by_reversal`: by reversing its transfer. All reversals of a transfer together never exceed it,
    so money that was given back once is moved by a journal of its own the next time; so is money
    that was led on from the wallet that transfer filled.
    """

    position: int
    owner: str
    account: str
    amount: Money
    by_reversal: bool = True


@dataclass(frozen=True, slots=True)
class Terms:
    """By which rule a return is borne: `exact` amounts per owner, or owners in `order`."""

    method: Method
    exact: tuple[tuple[str, Money], ...] = ()
    order: tuple[str, ...] = ()


def decide_return(
    holdings: Sequence[Holding], amount: Money, terms: Terms
) -> tuple[Portion, ...] | Refusal:
    """Divide a return over the allocations; the portions sum to it, none exceeds what is left.

    Portions of zero are left out.
    """
    left = sum(holding.left.minor for holding in holdings)
    if amount.minor > left:
        return exceeds(Money(left, amount.currency))
    taken = _taken(holdings, amount, terms)
    if isinstance(taken, Refusal):
        return taken
    assert sum(taken.values()) == amount.minor, "portions sum to the return"
    assert all(taken[h.position] <= h.left.minor for h in holdings if h.position in taken), (
        "nobody returns more than is left"
    )
    return tuple(
        Portion(
            h.position,
            h.owner,
            h.account,
            Money(taken[h.position], amount.currency),
            by_reversal=not h.led_on
            and h.reversed_before.minor + taken[h.position] <= h.amount.minor,
        )
        for h in holdings
        if taken.get(h.position)
    )


def _taken(holdings: Sequence[Holding], amount: Money, terms: Terms) -> dict[int, int] | Refusal:
    match terms.method:
        case Method.PROPORTIONAL:
            return _proportional(holdings, amount)
        case Method.EXACT:
            return _exact(holdings, amount, terms.exact)
        case Method.IN_ORDER:
            return _in_order(holdings, amount, terms.order)


def exceeds(left: Money) -> Refusal:
    """The refusal of a return larger than what is left of the pay-in."""
    return Refusal(
        "return_exceeds_pay_in",
        "/amount",
        f"only {left} of the pay-in is not returned yet",
        f"return at most {left}",
    )


def _proportional(holdings: Sequence[Holding], amount: Money) -> dict[int, int]:
    """By what each allocation still has: so several partial returns never exceed one of them."""
    parts = allocate(amount, [holding.left.minor for holding in holdings])
    return {h.position: part.minor for h, part in zip(holdings, parts, strict=True)}


def _exact(
    holdings: Sequence[Holding], amount: Money, exact: Sequence[tuple[str, Money]]
) -> dict[int, int] | Refusal:
    asked = sum(share.minor for _, share in exact)
    if asked != amount.minor:
        return Refusal(
            "shares_differ",
            "/shares",
            f"the shares sum to {Money(asked, amount.currency)}, the return is {amount}",
            "give shares that sum to the amount",
        )
    taken: dict[int, int] = {}
    for index, (owner, share) in enumerate(exact):
        missing = _take(holdings, taken, owner, share.minor)
        if missing:
            return _not_held(f"/shares/{index}", owner, Money(missing, amount.currency))
    return taken


def _in_order(
    holdings: Sequence[Holding], amount: Money, order: Sequence[str]
) -> dict[int, int] | Refusal:
    taken: dict[int, int] = {}
    missing = amount.minor
    for owner in order:
        missing = _take(holdings, taken, owner, missing)
    if missing:
        return _not_held("/order", ", ".join(order) or "nobody", Money(missing, amount.currency))
    return taken


def _take(holdings: Sequence[Holding], taken: dict[int, int], owner: str, minor: int) -> int:
    """Take from an owner's allocations one after the other; what could not be taken."""
    for holding in holdings:
        if holding.owner == owner and minor:
            here = min(minor, holding.left.minor - taken.get(holding.position, 0))
            taken[holding.position] = taken.get(holding.position, 0) + here
            minor -= here
    return minor


def _not_held(field: str, owner: str, missing: Money) -> Refusal:
    return Refusal(
        "share_exceeds_allocation",
        field,
        f"{missing} more than {owner} got of this pay-in and has not returned",
        "ask less of this owner, or name the others who got a part",
    )


class LegAnswer(StrEnum):
    """What the ledger's answer to a leg's journal means."""

    REVERSED = "reversed"
    MUST_OWE = "must_owe"
    OWED = "owed"
    STRANDED = "stranded"
    STALE = "stale"


def decide_leg(
    state: LegState, *, asked: str, journal_id: str, refused_with: str | None
) -> LegAnswer:
    """Read the ledger's answer to one leg: `refused_with` is its code, None for a yes.

    Answers to a journal other than the one `asked` for last, or after the end, are stale.
    """
    if journal_id != asked:
        return LegAnswer.STALE
    match state:
        case LegState.REVERSING if refused_with is None:
            return LegAnswer.REVERSED
        case LegState.REVERSING:
            return LegAnswer.MUST_OWE if refused_with in OWED_AFTER else LegAnswer.STRANDED
        case LegState.OWING:
            return LegAnswer.OWED if refused_with is None else LegAnswer.STRANDED
        case _:
            return LegAnswer.STALE


def shown_state(kind: ReturnKind, pay_in: Money, returned: Money) -> str:
    """How a pay-in stands after a return: partly_refunded, refunded or charged_back."""
    if kind is ReturnKind.CHARGEBACK:
        return "charged_back"
    return "refunded" if returned == pay_in else "partly_refunded"


def decide_settlement(
    receivable_left: Money, amount: Money, *, owner: str, by: str
) -> Refusal | None:
    """Whether `by` may settle this much of what `owner` owes; only an owner's own word moves its money."""
    if owner != by:
        return Refusal(
            "not_the_owner",
            "/who/principal",
            "only the owner's own word takes money from its wallet",
            "ask the owner to settle what it owes",
        )
    if amount.currency != receivable_left.currency:
        return Refusal(
            "currency_mismatch",
            "/amount/currency",
            f"the receivable is in {receivable_left.currency.code}",
            "settle in the currency that is owed",
        )
    if amount.minor > receivable_left.minor:
        return Refusal(
            "settlement_exceeds_receivable",
            "/amount",
            f"only {receivable_left} is open and not being settled",
            f"settle at most {receivable_left}",
        )
    return None
