"""A payment at a card processor, folded from what its events say; pure.

Events come doubled and in any order. Each only adds to what is known of its payment (the highest
standing, each total refunded and when it was said, a refund that failed, a dispute's money taken or
given back), so every order leads to the same end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tally_money import Money

CHANNEL: Final = "card"
"""Where money of card processors comes in and goes back."""


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
class FailedRefund:
    """A refund that the processor could not pay out; `second`: when it said so, since 1970."""

    amount: Money
    second: int


@dataclass(frozen=True, slots=True)
class CardEvent:
    """What one event says of one payment; what it does not say is None, empty or zero.

    `refunded` is the total so far, as said in this `second`. `charge`: which attempt `standing` is
    about, where it says so.
    """

    standing: Standing = Standing.UNKNOWN
    amount: Money | None = None
    charge: str | None = None
    refunded: Money | None = None
    second: int = 0
    failed_refunds: Mapping[str, FailedRefund] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardPayment:
    """All that is known of a payment. `charge`: the attempt that brought the money.

    `refund_totals`: minor units refunded in total, by the second in which that was said.
    """

    standing: Standing = Standing.UNKNOWN
    amount: Money | None = None
    charge: str | None = None
    failed_charges: frozenset[str] = frozenset()
    refund_totals: Mapping[int, int] = field(default_factory=dict)
    failed_refunds: Mapping[str, FailedRefund] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)

    @property
    def refunded_minor(self) -> int:
        """Minor units that were ever refunded, what failed included: a total leaves out what failed before."""
        return max(
            (total + self._failed_before(second) for second, total in self.refund_totals.items()),
            default=0,
        )

    def _failed_before(self, second: int) -> int:
        failed = self.failed_refunds.values()
        return sum(refund.amount.minor for refund in failed if refund.second < second)

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
        refund_totals=_with_total(payment.refund_totals, event),
        # The first word of a failure counts: a later one repeats it.
        failed_refunds={
            name: min(
                (
                    known[name]
                    for known in (payment.failed_refunds, event.failed_refunds)
                    if name in known
                ),
                key=lambda refund: refund.second,
            )
            for name in payment.failed_refunds.keys() | event.failed_refunds.keys()
        },
        disputes={
            **payment.disputes,
            **{
                name: _joined(payment.disputes.get(name), dispute)
                for name, dispute in event.disputes.items()
            },
        },
    )


def _with_total(known: Mapping[int, int], event: CardEvent) -> Mapping[int, int]:
    if event.refunded is None:
        return known
    return {**known, event.second: max(known.get(event.second, 0), event.refunded.minor)}


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
