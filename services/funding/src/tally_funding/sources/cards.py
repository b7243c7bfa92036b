"""A payment at a card processor, folded from what its events say; pure.

Events come doubled and in any order. Each only adds to what is known of its payment (the highest
standing, the largest total refunded, a dispute's money taken or given back), so every order leads
to the same end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tally_money import Money


class Standing(StrEnum):
    """What is known of a payment. A failed attempt does not undo money that another one brought."""

    UNKNOWN = "unknown"
    PENDING = "pending"
    FAILED = "failed"
    RECEIVED = "received"


_RANK: Final[Mapping[Standing, int]] = MappingProxyType(
    {standing: rank for rank, standing in enumerate(Standing)}
)


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payer's bank disputes a payment: whether it took the money, and gave it back."""

    amount: Money
    withdrawn: bool = False
    reinstated: bool = False


@dataclass(frozen=True, slots=True)
class CardEvent:
    """What one event says of one payment; what it does not say is None, empty or zero.

    `refunded` is the total so far. `charge`: which attempt `standing` is about, where it says so.
    """

    standing: Standing = Standing.UNKNOWN
    amount: Money | None = None
    charge: str | None = None
    refunded: Money | None = None
    disputes: Mapping[str, Dispute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardPayment:
    """All that is known of a payment. `charge`: the attempt that brought the money."""

    standing: Standing = Standing.UNKNOWN
    amount: Money | None = None
    charge: str | None = None
    failed_charges: frozenset[str] = frozenset()
    refunded_minor: int = 0
    disputes: Mapping[str, Dispute] = field(default_factory=dict)

    @property
    def failed_late(self) -> bool:
        """A direct debit that was credited and then failed: the very charge that brought the money."""
        return self.standing is Standing.RECEIVED and self.charge in self.failed_charges


def fold(payment: CardPayment, event: CardEvent) -> CardPayment:
    """A payment after one more event. The order of events does not matter, nor how often they come."""
    rises = _RANK[event.standing] > _RANK[payment.standing]
    received = event.standing is Standing.RECEIVED
    failed = payment.failed_charges
    if event.standing is Standing.FAILED and event.charge is not None:
        failed |= {event.charge}
    return replace(
        payment,
        standing=event.standing if rises else payment.standing,
        amount=event.amount if rises and event.amount is not None else payment.amount,
        charge=(payment.charge or event.charge) if received else payment.charge,
        failed_charges=failed,
        refunded_minor=max(
            payment.refunded_minor, 0 if event.refunded is None else event.refunded.minor
        ),
        disputes={
            **payment.disputes,
            **{
                name: _joined(payment.disputes.get(name), dispute)
                for name, dispute in event.disputes.items()
            },
        },
    )


def _joined(known: Dispute | None, said: Dispute) -> Dispute:
    if known is None:
        return said
    return Dispute(
        max(known.amount, said.amount, key=lambda amount: amount.minor),
        known.withdrawn or said.withdrawn,
        known.reinstated or said.reinstated,
    )


class MoneyBack(StrEnum):
    """Why money of a payment goes back, or comes again."""

    REFUND = "refund"
    DISPUTE = "dispute"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class WantedReturn:
    """A return that a payment calls for. `name` makes its id: the same call, the same id.

    `amount` None: all that is left of the payment.
    """

    why: MoneyBack
    name: str
    amount: Money | None


def wanted_returns(before: CardPayment, after: CardPayment) -> tuple[WantedReturn, ...]:
    """The returns that one more event calls for, each once however the events come.

    Nothing before the money is there: its row keeps what goes back until then.
    """
    if after.standing is not Standing.RECEIVED or after.amount is None:
        return ()
    was = before if before.standing is Standing.RECEIVED else CardPayment()
    wanted: list[WantedReturn] = []
    if after.refunded_minor > was.refunded_minor:
        more = Money(after.refunded_minor - was.refunded_minor, after.amount.currency)
        wanted.append(WantedReturn(MoneyBack.REFUND, f"refund:{after.refunded_minor}", more))
    for name, dispute in sorted(after.disputes.items()):
        known = was.disputes.get(name)
        if dispute.withdrawn and not (known is not None and known.withdrawn):
            wanted.append(WantedReturn(MoneyBack.DISPUTE, f"dispute:{name}", dispute.amount))
    if after.failed_late and not was.failed_late:
        wanted.append(WantedReturn(MoneyBack.FAILURE, "failure", None))
    return tuple(wanted)


def won_disputes(before: CardPayment, after: CardPayment) -> tuple[str, ...]:
    """Disputes whose money was taken and is now given back."""
    if after.standing is not Standing.RECEIVED:
        return ()
    was = before if before.standing is Standing.RECEIVED else CardPayment()
    return tuple(
        name
        for name, dispute in sorted(after.disputes.items())
        if _won(dispute) and not _won(was.disputes.get(name))
    )


def _won(dispute: Dispute | None) -> bool:
    return dispute is not None and dispute.withdrawn and dispute.reinstated
