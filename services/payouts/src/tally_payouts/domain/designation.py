"""Money of an owner nobody knew has another owner since: its payouts follow it, once (X3)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tally_contracts.owners import RESTRICTED, WAITING
from tally_money import Money
from tally_payouts.domain.opening import CANCELLED
from tally_payouts.domain.payout import Decision, Order, Payout, Standing, moved
from tally_payouts.domain.states import PayoutState

MOVED: Final = Standing("designation_moved")
GONE: Final = Standing("designation_money_gone")


def is_unknown(owner: str) -> bool:
    """Whether money of this owner waits: for a payee nobody knows yet, or who may not receive yet."""
    return owner.startswith(WAITING)


def is_restricted(owner: str) -> bool:
    """Whether money of this owner waits until its payee, who is known, may receive it."""
    return owner.startswith(RESTRICTED)


def receiver(owner: str) -> str:
    """Who gets money of this owner: of restricted money its payee, else the owner."""
    return owner.removeprefix(RESTRICTED)


@dataclass(frozen=True, slots=True)
class Designation:
    """Whose the money of an owner is since. `left`: of what was moved, what no payout has taken.

    `asked_at`: when the last movement was asked for. What is left of restricted money each release
    keeps for itself.
    """

    owner: str
    to_owner: str
    left: Money
    asked_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Owner and currency."""
        return self.owner, self.left.currency.code


@dataclass(frozen=True, slots=True)
class Release:
    """All the restricted money of a currency there was when it was asked for, and what is left of it."""

    asked_at: datetime
    left: Money


@dataclass(frozen=True, slots=True)
class Followed:
    """The end of the payout that waited; the order of the one in its place, and what is left then."""

    decision: Decision
    successor: Order | None = None
    designation: Designation | None = None


def arrived(
    known: Designation | None, owner: str, to_owner: str, amount: Money, asked_at: datetime
) -> Designation:
    """The designation once more was moved."""
    if known is None:
        return Designation(owner, to_owner, amount, asked_at)
    return replace(known, to_owner=to_owner, left=known.left + amount, asked_at=asked_at)


def decide_follow(
    payout: Payout, known: Designation | None, account: str, *, whole: bool
) -> Followed | None:
    """End a payout that waits under the former owner, and order it for the new one.

    `account` is the new owner's wallet. What the money that was moved does not cover has no
    successor: it ends where all there was has been moved (`whole`), and waits (None) where more may
    follow.
    """
    if payout.state is not PayoutState.CLAIMABLE:
        return None
    amount = payout.order.amount
    if known is not None and known.left >= amount:
        order = replace(
            payout.order, owner=known.to_owner, account=account, pay_in_id=None, external_id=None
        )
        left = replace(known, left=known.left - amount)
        return Followed(moved(payout, CANCELLED.state, MOVED), order, left)
    return Followed(moved(payout, CANCELLED.state, GONE)) if whole else None


ENDS_WHOLE: Final[Mapping[str, bool]] = {
    "claimed": True,
    "redesignated": True,
    "expired": True,
    "followed": False,
    "released": False,
}
"""By the reason of a movement: whether it moved all there was; an unknown one is taken not to have."""
